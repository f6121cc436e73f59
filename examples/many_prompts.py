r"""Any number of prompts, one per line on standard input: each video is fetched as soon as it is done.

The prompts are read only as far ahead as jobs may be in flight, so the input may be endless. Run it with an AI/ML API
key in AIMLAPI_API_KEY::

    printf '%s\n' "a fox in the snow" "a lighthouse in a storm" | python examples/many_prompts.py videos
"""

import asyncio
import sys
from collections.abc import Iterator

from kling_async import KlingError, KlingSession, TextToVideo


def requests() -> Iterator[TextToVideo]:
    """Yield a request for every line."""
    for line in sys.stdin:
        if prompt := line.strip():
            yield TextToVideo(prompt)


async def main(session: KlingSession, folder: str) -> int:
    """Generate them all into a folder; returns how many failed."""
    failed = 0
    async with session as kling:
        async for job in kling.as_completed(requests(), max_in_flight=50):
            try:
                print(await kling.download(job, into=folder))
            except KlingError as error:
                failed += 1
                print(f"{job.request}: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main(KlingSession(), sys.argv[1] if len(sys.argv) > 1 else "videos")) else 0)
