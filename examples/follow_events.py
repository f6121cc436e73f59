"""Follow what happens: a subscriber sees every step of every job, without slowing any of them.

Run it with an AI/ML API key in AIMLAPI_API_KEY.
"""

import asyncio

from kling_async import Completed, Event, Failed, KlingSession, Polled, Subscription, TextToVideo, Throttled


async def follow(events: Subscription[Event]) -> None:
    """Print what matters, until the session closes."""
    async for event in events:
        match event:
            case Polled(job=job, status=status, polls=polls):
                print(f"{job.tag}: {status.value} at poll {polls}")
            case Throttled(until=until, at=at):
                print(f"asked too much; going on in {until - at:.1f} s")
            case Completed(job=job, video=video):
                print(f"{job.tag}: done, {video.file_size or 0:,} bytes")
            case Failed(job=job, error=error):
                print(f"{job.tag}: {error}")
            case _:
                pass
    print(f"{events.missed} events missed")


async def main(session: KlingSession) -> None:
    """Run three jobs and follow them."""
    async with session as kling:
        follower = asyncio.create_task(follow(kling.subscribe()))
        jobs = [kling.submit(TextToVideo(f"a {animal} by a lake"), tag=animal) for animal in ("fox", "heron", "otter")]
        await asyncio.gather(*jobs, return_exceptions=True)
    await follower


if __name__ == "__main__":
    asyncio.run(main(KlingSession()))
