"""OpenTelemetry: a span for every job and every download, printed here; `kling_async.otel` tells what they hold.

Run it with opentelemetry-sdk and kling_async[otel] installed and an AI/ML API key in AIMLAPI_API_KEY.
"""

import asyncio
import sys

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from kling_async import KlingSession, TextToVideo
from kling_async.otel import trace


async def main(session: KlingSession, folder: str, provider: TracerProvider) -> None:
    """Make one video, traced from its submit to its file."""
    async with session as kling:
        tracing = asyncio.create_task(trace(kling.subscribe(), tracer_provider=provider))
        await kling.download(kling.submit(TextToVideo("a white raccoon in a sequoia forest")), into=folder)
    await tracing


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    asyncio.run(main(KlingSession(), sys.argv[1] if len(sys.argv) > 1 else "videos", provider))
