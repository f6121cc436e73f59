"""A thousand prompts from an async generator: generations and downloads overlap, and memory stays flat.

Prompts are drawn only as jobs and downloads make room, so the source may be as long as you like: a query of a database,
a message queue, a stream. Run it with an AI/ML API key in AIMLAPI_API_KEY.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from itertools import product

from kling_async import KlingError, KlingSession, TextToVideo

ANIMALS = ("fox", "heron", "otter", "lynx", "badger", "hare", "owl", "wren", "newt", "stoat")
PLACES = ("by a lake", "in the snow", "at dawn", "in tall grass", "on a roof", "in a storm", "at sea", "at a fair",
          "under neon", "on the moon")  # fmt: skip
STYLES = ("a pencil drawing", "oil on canvas", "stop motion", "a documentary", "paper cut-outs", "watercolour", "noir",
          "claymation", "an old film", "pixel art")  # fmt: skip


async def requests() -> AsyncIterator[TextToVideo]:
    """Yield a request for every combination; where a real source would be awaited."""
    for animal, place, style in product(ANIMALS, PLACES, STYLES):
        yield TextToVideo(f"a {animal} {place}, {style}")


async def main(session: KlingSession, folder: str) -> Counter[str]:
    """Generate them all into a folder; returns how many there are of each outcome."""
    outcomes: Counter[str] = Counter()
    async with session as kling:
        async for delivery in kling.as_downloaded(requests(), into=folder):
            try:
                print(delivery.result())
            except KlingError as error:
                print(f"{delivery.job.request}: {error}", file=sys.stderr)
            outcomes["failed" if delivery.error else "done"] += 1
    return outcomes


if __name__ == "__main__":
    print(asyncio.run(main(KlingSession(), sys.argv[1] if len(sys.argv) > 1 else "videos")))
