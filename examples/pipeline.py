"""A pipeline with stages and back-pressure: prompts, videos, and a subprocess for each video's first frame.

Stages run side by side and hand over through anyio's memory object streams. Each stream holds a few items at most, so
a slow stage holds up those before it and nothing piles up, in memory or on the account. Whatever fails, the task
group ends every stage. Run it with an AI/ML API key in AIMLAPI_API_KEY; the last stage needs ffmpeg.
"""

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from kling_async import KlingSession, TextToVideo

PROMPTS = ("a fox in the snow", "a lighthouse in a storm", "an otter on a slide")
FIRST_FRAME = ("ffmpeg", "-loglevel", "error", "-y", "-i", "{video}", "-frames:v", "1", "{picture}")


async def write(prompts: Iterable[str], requests: MemoryObjectSendStream[TextToVideo]) -> None:
    """First stage: make requests of prompts."""
    async with requests:
        for prompt in prompts:
            await requests.send(TextToVideo(prompt))


async def generate(
    kling: KlingSession,
    requests: MemoryObjectReceiveStream[TextToVideo],
    videos: MemoryObjectSendStream[Path],
    folder: str,
) -> None:
    """Second stage: make videos of requests. A receiving stream is an async iterator, so it is a source as it is."""
    async with requests, videos:
        async for delivery in kling.as_downloaded(requests, into=folder):
            if delivery.path is not None:
                await videos.send(delivery.path)
            else:
                print(f"{delivery.job.request}: {delivery.error}", file=sys.stderr)


async def picture(videos: MemoryObjectReceiveStream[Path], command: Iterable[str]) -> None:
    """Third stage: make a picture of each video. Clones of one stream share its items, so several may run."""
    async with videos:
        async for video in videos:
            still = video.with_suffix(".png")
            await anyio.run_process([part.format(video=video, picture=still) for part in command])
            print(still)


async def main(
    session: KlingSession, folder: str, prompts: Iterable[str] = PROMPTS, command: Iterable[str] = FIRST_FRAME
) -> None:
    """Run all stages until the last one has seen the last video."""
    requests_in, requests_out = anyio.create_memory_object_stream[TextToVideo](max_buffer_size=10)
    videos_in, videos_out = anyio.create_memory_object_stream[Path](max_buffer_size=2)
    async with session as kling, anyio.create_task_group() as stages:
        stages.start_soon(write, prompts, requests_in)
        stages.start_soon(generate, kling, requests_out, videos_in, folder)
        with videos_out:
            for _ in range(2):
                stages.start_soon(picture, videos_out.clone(), command)


if __name__ == "__main__":
    anyio.run(partial(main, KlingSession(), *sys.argv[1:2] or ["videos"]))
