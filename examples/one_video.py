"""One video: submit, wait, download.

Run it with an AI/ML API key in AIMLAPI_API_KEY.
"""

import asyncio
import sys

from kling_async import KlingSession, TextToVideo


async def main(session: KlingSession, folder: str) -> None:
    """Generate one video into a folder."""
    async with session as kling:
        video = await kling.submit(TextToVideo("a white raccoon in a sequoia forest", duration=5))
        path = await kling.download(video, into=folder)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    asyncio.run(main(KlingSession(), sys.argv[1] if len(sys.argv) > 1 else "videos"))
