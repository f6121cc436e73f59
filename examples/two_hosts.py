"""A job that is submitted on one host and awaited on another: they share nothing but the journal and the API key.

The journal is a PostgreSQL database, or a file if both are processes of one machine. Run it with an AI/ML API key in
AIMLAPI_API_KEY::

    python examples/two_hosts.py submit postgresql://kling@db/kling "a fox in the snow"   # prints the job's key
    python examples/two_hosts.py wait postgresql://kling@db/kling KEY                     # on any host, at any time
"""

import asyncio
import sys

from kling_async import KlingSession, TextToVideo


async def submit(session: KlingSession, prompt: str) -> str:
    """Leave a job in the journal; whoever leads submits it, now or later."""
    async with session as kling:
        job = await kling.submit(TextToVideo(prompt)).recorded()
        return job.key


async def wait(session: KlingSession, key: str, into: str = "videos") -> str:
    """Wait for the video of a job, and download it."""
    async with session as kling:
        job = kling.find(key)
        if job is None:
            raise SystemExit(f"there is no job {key}, or nobody works on it")
        return str(await kling.download(job, into=into))


def main(command: str, journal: str, what: str) -> None:
    """Do what the command line says."""
    # Who only leaves a job goes at once, and need not lead.
    session = KlingSession(journal=journal, shared=True, hold=command == "submit")
    print(asyncio.run(submit(session, what) if command == "submit" else wait(session, what)))


if __name__ == "__main__":
    main(*sys.argv[1:])
