"""A journal is made smaller, and still keeps everything from being bought again."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from postgres import own_schema
from records import history, job

from kling_async import GenerationFailed, JournalError, TextToVideo, Usage, Video, read_journal
from kling_async.api.requests import ImageToVideo
from kling_async.cli import main
from kling_async.journal.base import Choices, JobState
from kling_async.journal.open import open_journal, open_shared, prune_journal
from kling_async.journal.sql import prune
from kling_async.journal.sql.prune import Pruned
from kling_async.sandbox import Sandbox
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kling_async.journal.base import Record

VIDEO = Video("https://files.example/a.mp4?signed", "video/mp4", "a", 7, "g", Usage(usd_spent=Decimal("0.5")))
OLD = {"settled_at": 1000.0}
IMAGE, OTHER = "data:image/png;base64,aGk=", "data:image/png;base64,aGg="


def records() -> list[Record]:
    return [
        job("open", generation_id="o"),
        job("done", JobState.COMPLETED, video=VIDEO, generation_id="g", request=ImageToVideo(IMAGE), file="a", **OLD),
        job("new", JobState.COMPLETED, video=VIDEO, settled_at=3000.0, request=ImageToVideo(OTHER)),
        job("failed", JobState.FAILED, error=GenerationFailed("no"), **OLD),
        job("gone", JobState.ABANDONED, **OLD),
        job("last", JobState.ABANDONED, **OLD),
    ]


@pytest.fixture(params=["sqlite", "shared sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """Where a journal may be made."""
    if request.param == "postgres":
        with own_schema() as url:
            yield url
    else:
        yield str(tmp_path / "batch.db")


async def fill(place: str, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["place"] == "sqlite":
        journal = open_journal(place)
        await journal.open()
        for record in records():
            journal.append(record)
        await journal.close()
        return
    shared = open_shared(place, boot_clock)
    await shared.open()
    token = await shared.take()
    assert token is not None
    term = shared.term(token, print)
    await term.open()
    for record in records():
        await term.commit(record)
    await term.close()
    await shared.release(token)
    await shared.close()


@pytest.mark.asyncio
async def test_what_was_over_long_ago_is_cut_down(place: str, request: pytest.FixtureRequest) -> None:
    await fill(place, request)
    pruned = prune_journal(place, 2000.0)
    assert (pruned.cut, pruned.forgotten) == (3, 0)
    assert pruned.media == (0 if place.startswith("postgresql") else 1)  # there it stays for an hour
    found = {record.key: record for record in read_journal(place).records()}
    given = {record.key: record for record in records()}
    for key in ("open", "new", "failed"):
        assert repr(found[key]) == repr(given[key])
    done = found["done"]
    assert (done.request, done.tag, done.file) == (None, None, "a")
    assert done.digest == given["done"].digest
    assert done.video == Video("", generation_id="g", usage=Usage(usd_spent=Decimal("0.5")))
    assert (found["gone"].state, found["gone"].request) == (JobState.ABANDONED, None)
    assert prune_journal(place, 2000.0) == Pruned(0, 0, 0)


@pytest.mark.asyncio
async def test_keys_are_forgotten_if_that_is_wanted_but_for_the_newest(
    place: str, request: pytest.FixtureRequest
) -> None:
    await fill(place, request)
    assert prune_journal(place, 2000.0, forget_keys=True).forgotten == 3
    assert [record.key for record in read_journal(place).records()] == ["open", "new", "last"]


@pytest.mark.asyncio
async def test_members_go_on_after_their_journal_was_pruned(tmp_path: Path) -> None:
    shared = open_shared(tmp_path / "batch.db", boot_clock)
    await shared.open()
    prune_journal(tmp_path / "batch.db", 2000.0)
    assert await history(shared) == []  # type: ignore[arg-type] # it has one
    await shared.close()


@pytest.mark.asyncio
async def test_a_file_is_kept_that_a_job_needs_which_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, loop, came = open_shared(str(tmp_path / "batch.db"), boot_clock), asyncio.get_running_loop(), Event()
    look = prune._media_in_use

    def come() -> None:
        shared.insert(job("b", request=ImageToVideo(IMAGE)), Choices(), print)
        flushes.append(asyncio.ensure_future(shared.flush()))
        flushes[0].add_done_callback(lambda _: came.set())

    def look_and_wait(connection: Any) -> set[str]:
        used = look(connection)
        loop.call_soon_threadsafe(come)
        came.wait(0.3)  # in vain, as the job has to wait
        return used

    flushes: list[asyncio.Future[None]] = []
    monkeypatch.setattr(prune, "_media_in_use", look_and_wait)
    await shared.open()
    token = await shared.take()
    assert token is not None
    term = shared.term(token, print)
    await term.open()
    await term.commit(job("a", JobState.COMPLETED, video=VIDEO, request=ImageToVideo(IMAGE), **OLD))
    await asyncio.to_thread(prune_journal, str(tmp_path / "batch.db"), 2000.0, forget_keys=False)
    await flushes[0]
    assert [record.key for record in await term.load_open()] == ["b"]
    await term.close()
    await shared.close()


@pytest.mark.asyncio
async def test_a_journal_that_a_session_owns_is_not_pruned(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "batch.db")
    await journal.open()
    with pytest.raises(JournalError, match="in use by process"):
        prune_journal(tmp_path / "batch.db", 2000.0)
    await journal.close()
    with pytest.raises(JournalError, match="there is no such file"):
        prune_journal(tmp_path / "other.db", 2000.0)


@pytest.mark.asyncio
async def test_the_command_says_what_it_did(
    place: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    await fill(place, request)
    assert main(["prune", place, "--older-than", "30d"]) == 0
    assert capsys.readouterr().out.startswith("cut down 4 jobs, and dropped ")
    assert main(["prune", place, "--older-than", "1.5h", "--forget-keys", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] == 4
    assert main(["prune", place, "--older-than", "soon"]) == 2
    assert "allowed: a number and s, m, h, d or w, such as 30d" in capsys.readouterr().err


@pytest.mark.asyncio
async def test_a_video_that_was_cut_down_is_not_bought_again_and_can_still_be_had(tmp_path: Path) -> None:
    path = tmp_path / "batch.db"
    async with Sandbox(speed=10_000) as sandbox:
        async with sandbox.session(journal=path) as kling:
            await kling.submit(TextToVideo("a raccoon"), key="k")
        assert prune_journal(path, 2e10).cut == 1
        async with sandbox.session(journal=path) as kling:
            video = await kling.submit(TextToVideo("a raccoon"), key="k")
            assert (video.url, float(video.usage.usd_spent or 0)) == ("", 1.4)
            assert (await kling.download(video, into=tmp_path)).exists()
        assert len(sandbox.ledger.purchases) == 1
