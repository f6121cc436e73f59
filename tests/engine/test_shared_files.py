"""Files in the requests of a shared journal: they count by their contents, wherever they are."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from samples import png
from scripted import ScriptedVendor
from shared_memory import Database
from test_shared_session import member

from kling_async import ImageToVideo, InvalidRequest, Polling
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import KlingSession

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("silent")]

QUICK = Polling.fixed(0.01, min_gap=0.01)


def quick(database: Database, vendor: ScriptedVendor) -> KlingSession:
    return member(database, vendor, polling=QUICK)


def picture(folder: Path, name: str, **size: int) -> Path:
    path = folder / name / "cat.png"
    path.parent.mkdir()
    path.write_bytes(png(**size))
    return path


def sent(vendor: ScriptedVendor) -> list[bytes]:
    bodies: list[Any] = [json.loads(request.body) for request in vendor.requests if request.body]
    return [base64.b64decode(body["image_url"].partition(",")[2]) for body in bodies]


async def test_the_same_picture_at_another_path_is_the_same_job_and_another_picture_is_not(tmp_path: Path) -> None:
    vendor, database = ScriptedVendor(takes=0), Database()
    one, same, other = picture(tmp_path, "a"), picture(tmp_path, "b"), picture(tmp_path, "c", width=600)
    async with quick(database, vendor) as first, quick(database, vendor) as second:
        video = await first.submit(ImageToVideo(one), key="k")
        assert await second.submit(ImageToVideo(same), key="k") == video
        with pytest.raises(InvalidRequest, match="already stands for another request"):
            await second.submit(ImageToVideo(other), key="k")
    assert sent(vendor) == [png()]


async def test_a_finished_job_needs_its_file_no_more(tmp_path: Path) -> None:
    vendor, database, path = ScriptedVendor(takes=0), Database(), picture(tmp_path, "a")
    async with quick(database, vendor) as kling:
        video = await kling.submit(ImageToVideo(path), key="k")
        path.unlink()
        assert await kling.submit(ImageToVideo(path), key="k") == video
        with pytest.raises(InvalidRequest, match="No such file"):
            kling.submit(ImageToVideo(path), key="other")


async def test_between_machines_a_file_travels_with_its_job(tmp_path: Path) -> None:
    vendor, database, path = ScriptedVendor(takes=0), Database(is_local=False), picture(tmp_path, "a")
    async with quick(database, vendor) as kling:
        job = kling.submit(ImageToVideo(path))
        path.unlink()
        await job
        assert job.request == ImageToVideo(path)
    assert sent(vendor) == [png()]


async def test_a_sandbox_tells_which_session_sent_what() -> None:
    async with (
        Sandbox(speed=2000) as sandbox,
        sandbox.session(user_agent="member-1") as one,
        sandbox.session(user_agent="member-2") as other,
    ):
        await one.submit(ImageToVideo(png()))
        await other.balance()
        found = sandbox.ledger.by_sender
    assert (found["member-1"]["submit"], found["member-2"]["submit"]) == (1, 0)
    assert found["member-2"]["account"] >= 1
