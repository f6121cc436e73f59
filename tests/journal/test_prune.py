"""A journal is made smaller, and still keeps everything from being bought again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from postgres import execute, own_schema, schema_of
from records import history, job

from kling_async import GenerationFailed, JournalError, TextToVideo, Usage, Video, read_journal
from kling_async.api.requests import ImageToVideo
from kling_async.cli import main
from kling_async.journal.base import Choices, JobState
from kling_async.journal.open import open_journal, open_shared, prune_journal
from kling_async.journal.postgres import prune as postgres_prune
from kling_async.journal.sql import journal as sql_journal
from kling_async.journal.sql.prune import Pruned
from kling_async.journal.sql.rows import DONE
from kling_async.journal.sqlite import prune as sqlite_prune
from kling_async.sandbox import Sandbox
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from kling_async.journal.base import Record
    from kling_async.journal.shared import SharedJournal

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
    assert pruned.media == (0 if place.startswith("postgresql") else 2)  # there they stay for an hour
    found = {record.key: record for record in read_journal(place).records()}
    given = {record.key: record for record in records()}
    for key in ("open", "failed"):
        assert repr(found[key]) == repr(given[key])
    assert found["new"].video == given["new"].video
    assert found["new"].request is not None
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


def age_media(place: str) -> None:
    """Have all media be those of jobs that came long ago."""
    if place.startswith("postgresql"):
        execute(place, f"UPDATE {schema_of(place)}.media SET used = used - interval '2 hours'")


def stored(place: str) -> set[str]:
    if place.startswith("postgresql"):
        return {digest for (digest,) in execute(place, f"SELECT digest FROM {schema_of(place)}.media")}
    with closing(sqlite3.connect(place)) as connection:
        return {digest for (digest,) in connection.execute("SELECT digest FROM media")}


@asynccontextmanager
async def acting(place: str, *, shared: bool) -> AsyncGenerator[tuple[Any, SharedJournal | None]]:
    """The journal as who acts on it has it, and a member of it if it is shared."""
    if not shared:
        journal = open_journal(place)
        await journal.open()
        yield journal, None
        await journal.close()
        return
    member = open_shared(place, boot_clock)
    await member.open()
    token = await member.take()
    assert token is not None
    term = member.term(token, print)
    await term.open()
    yield term, member
    await term.close()
    await member.close()


def digest_of(media: str) -> str:
    return hashlib.sha256(media.encode()).hexdigest()


@pytest.mark.asyncio
async def test_files_of_what_is_never_sent_again_are_removed_while_sessions_go_on(
    place: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_journal, "_TIDY_EVERY", 0.01)
    shared = request.node.callspec.params["place"] != "sqlite"
    images = {state: f"data:image/png;base64,{state.value}" for state in JobState}
    async with acting(place, shared=shared) as (journal, _):
        for state, image in images.items():
            await journal.commit(job(state.value, state, request=ImageToVideo(image)))
        age_media(place)
        needed = {digest_of(image) for state, image in images.items() if state not in DONE}
        while stored(place) != needed:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        for state, image in images.items():
            found = journal.get(state.value)
            assert found.request.image_url == (f"data:{digest_of(image)}" if state in DONE else image)


@pytest.mark.asyncio
@pytest.mark.parametrize("place", ["shared sqlite", "postgres"], indirect=True)
async def test_a_file_is_kept_that_a_job_needs_which_comes_meanwhile(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, module = asyncio.get_running_loop(), postgres_prune if place.startswith("postgresql") else sqlite_prune
    look = module.media_in_use
    async with acting(place, shared=True) as (term, member):
        assert member is not None

        async def come() -> None:
            member.insert(job("b", request=ImageToVideo(IMAGE)), Choices(), print)
            await member.flush()

        def look_and_let_come(*given: Any) -> set[str]:
            used: set[str] = look(*given)
            monkeypatch.undo()
            asyncio.run_coroutine_threadsafe(come(), loop).result(10)
            return used

        await term.commit(job("a", JobState.COMPLETED, video=VIDEO, request=ImageToVideo(IMAGE), **OLD))
        age_media(place)
        monkeypatch.setattr(module, "media_in_use", look_and_let_come)
        await term._ask(term._drop_unused_media)
        assert [record.key for record in await term.load_open()] == ["b"]


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
