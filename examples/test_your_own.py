"""Test your own code: the fixture ``kling_sandbox`` is a local vendor, and trouble is injected where you want it.

The fixture comes with the package. Run it with ``pytest examples/test_your_own.py``; no key, no network, no plugin.
"""

import asyncio
from pathlib import Path

import pytest

from kling_async import KlingSession, OutOfCredits, TextToVideo
from kling_async.sandbox import Faults, Sandbox


async def make_trailer(session: KlingSession, scenes: list[str], folder: Path) -> list[Path]:
    """Make a video for every scene, in the scenes' order: the code under test, one of yours."""
    async with session as kling:
        jobs = [kling.submit(TextToVideo(scene)) for scene in scenes]
        return [await kling.download(job, into=folder) for job in jobs]


SCENES = ["a door opens", "a fox looks in", "the door closes"]

# The vendor's time runs 2,000 times as fast here; a session made by the sandbox asks as much more often.
pytestmark = pytest.mark.kling_sandbox(speed=2000)


def test_there_is_a_video_for_every_scene(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    videos = asyncio.run(make_trailer(kling_sandbox.session(), SCENES, tmp_path))

    assert len(set(videos)) == 3
    assert len(kling_sandbox.ledger.purchases) == 3  # what was bought, by the vendor's own books


def test_nothing_is_bought_twice_on_a_bad_day(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    # The first submit is refused for coming too fast, two polls meet an outage, and a file breaks off halfway.
    kling_sandbox.faults = Faults(rate_limited={"submit": {1}}, server_error={"poll": {1, 3}}, truncated_file={2})

    videos = asyncio.run(make_trailer(kling_sandbox.session(), SCENES, tmp_path))

    assert len(set(videos)) == 3
    assert len(kling_sandbox.ledger.purchases) == 3


@pytest.mark.kling_sandbox(speed=2000, credits=0)
def test_an_empty_account_is_told_as_such(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(OutOfCredits):
        asyncio.run(make_trailer(kling_sandbox.session(), SCENES, tmp_path))

    assert not kling_sandbox.ledger.purchases
