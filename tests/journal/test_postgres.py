"""What a journal in PostgreSQL does beyond what every shared journal does: losses, delays, refusals, odd texts."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import sys
import tempfile
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from pg_proxy import proxy
from postgres import execute, own_schema, schema_of, start_server
from psycopg.conninfo import conninfo_to_dict
from records import GENERATION, history, job

from kling_async import KlingSession, TextToVideo, read_journal
from kling_async.api.requests import ImageToVideo
from kling_async.errors import ConfigurationError, InvalidRequest, JournalError
from kling_async.journal.base import Choices, JobState
from kling_async.journal.open import open_shared
from kling_async.journal.postgres import connection, lease, schema, shared
from kling_async.journal.postgres.address import read_url
from kling_async.journal.postgres.connection import Link, postgres_errors
from kling_async.journal.postgres.shared import SharedPostgres
from kling_async.journal.shared import Instruction
from kling_async.sandbox import Sandbox
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from kling_async.journal.postgres.shared import PostgresTerm
    from kling_async.journal.shared import Entry, Token

SENT: dict[str, Any] = {"attempts": 1, "client_request_id": "a:1"}


@pytest.fixture(scope="module")
def shared_url() -> Generator[str]:
    """A journal for the tests that read only what they wrote."""
    with own_schema() as url:
        yield url


@pytest.fixture
def url() -> Generator[str]:
    with own_schema() as url:
        yield url


@asynccontextmanager
async def member(url: str, length: float = 60.0) -> AsyncGenerator[SharedPostgres]:
    joined = SharedPostgres(url, now=boot_clock, length=length)
    await joined.open()
    try:
        yield joined
    finally:
        await joined.close()


@asynccontextmanager
async def leading(
    joined: SharedPostgres, through: str = "", on_fenced: Callable[[], object] = lambda: None
) -> AsyncGenerator[tuple[Token, PostgresTerm]]:
    """A leader's journal, whose connection may go by another way than the member's."""
    token = await joined.take()
    assert token is not None
    if through:
        joined.address = read_url(through)
    term = joined.term(token, on_fenced)
    await term.open()
    try:
        yield token, term
    finally:
        await term.close()


async def inserted(joined: SharedPostgres, *records: Any) -> list[Entry]:
    known: list[Entry] = []
    for record in records:
        joined.insert(record, Choices(), known.append)
    await joined.flush()
    await asyncio.sleep(0)
    return known


# Texts and rows


ODD = st.text(st.one_of(st.characters(), st.sampled_from("\0\x01\x1e\x1f\ud800\udfff\\'\"%?{},")))


@given(texts=st.lists(st.one_of(st.none(), ODD), min_size=1, max_size=5))
def test_any_texts_come_back(shared_url: str, texts: list[str | None]) -> None:
    global _link  # noqa: PLW0603 - one connection for all examples
    _link = _link or Link(read_url(shared_url), patience=20)
    rows = [(text, 1.5 * number, number) for number, text in enumerate(texts)]
    names = ("tag", "queued_at", "polls")
    found = _link.execute(f"SELECT * FROM {lease._given(names)}", lease._texts(rows, names)).fetchall()
    assert found == rows


_link: Link | None = None


@pytest.mark.asyncio
async def test_keys_of_any_characters_are_told_apart(url: str) -> None:
    keys = ["", "a\0", "a\x01", "a\ud800", "a\x1e\x1f", "a%s?", 'a"', "\x01[]"]
    records = [job(key, last_status=key, group=key, generation_id=f"g{key}") for key in keys]
    async with member(url) as joined, leading(joined) as (_, term):
        assert await inserted(joined, *records) == []
        assert len(await inserted(joined, *records)) == len(keys)
        assert [entry.record for entry in (await term.news()).entries] == records
        for record in records:
            entry, found = joined.get(record.key), joined.find(record.generation_id or "")
            assert entry is not None
            assert found is not None
            assert (entry.record, found.record) == (record, record)
    assert list(read_journal(url).records()) == records


@pytest.mark.asyncio
async def test_media_are_stored_once_with_the_job(url: str) -> None:
    images: list[Any] = ["data:image/png;base64,aGk=", b"\x89PNG\r\n\x1a\n" + bytes(2000)]
    records = [job(f"{number}", request=ImageToVideo(images[number % 2])) for number in range(4)]
    async with member(url) as joined, leading(joined) as (_, term):
        await inserted(joined, *records)
        assert await term.load_open() == records
    assert execute(url, f"SELECT count(*) FROM {schema_of(url)}.media") == [(2,)]


@pytest.mark.asyncio
async def test_one_job_that_cannot_be_written_keeps_no_other_from_it(url: str) -> None:
    async with member(url) as joined:
        (entry,) = await inserted(joined, job("a"), job("b", priority=2**70), job("c"))
        assert (entry.record.key, type(entry.parked)) == ("b", InvalidRequest)
        assert [record.key for record in await history(joined)] == ["a", "c"]  # type: ignore[arg-type] # it has one


@pytest.mark.asyncio
async def test_a_batch_is_written_in_parts_that_a_server_takes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    execute_it = Link.execute

    def measured(link: Link, statement: str, given: Any = (), /) -> Any:
        sizes.append(sum(len(str(value)) for value in given))
        return execute_it(link, statement, given)

    monkeypatch.setattr(lease, "_MOST_SIZE", 10_000)
    monkeypatch.setattr(Link, "execute", measured)
    records = [job(f"{number:02}", tag="x" * 3000) for number in range(20)] + [job("z", tag="x" * 30_000)]
    async with member(url) as joined, leading(joined) as (_, term):
        await inserted(joined, *records)
        assert await term.load_open() == records
        for record in records:
            term.append(evolve(record, last_status="y" * 3000))
        await term.flush()
        assert [record.last_status for record in await history(joined)] == ["y" * 3000] * len(records)  # type: ignore[arg-type] # it has one
    assert [size > 10_000 for size in sizes].count(True) == 2  # of the one job that has more by itself


@pytest.mark.asyncio
async def test_of_one_key_twice_in_a_batch_the_second_meets_the_first(url: str) -> None:
    async with member(url) as joined:
        known = await inserted(joined, job("a", tag=1), job("a", tag=2))
        assert [entry.record.tag for entry in known] == [1]


# The fence


@pytest.mark.asyncio
async def test_bytes_of_a_lost_connection_that_come_late_change_nothing(url: str) -> None:
    async with proxy(url) as slow, member(url) as joined, leading(joined, slow.url) as (_, term):
        await inserted(joined, job("a"))
        await term.load_open()
        await term.commit(job("a", JobState.SUBMITTING, **SENT))
        slow.open.clear()
        term.append(job("a", JobState.UNCERTAIN, **SENT))  # its bytes are under way for long
        await asyncio.sleep(0.2)
        held = asyncio.create_task(term.commit(job("a", JobState.PENDING, generation_id=GENERATION, **SENT)))
        slow.cut()
        slow.open.set()
        await held
        entry = joined.get("a")
        assert entry is not None
        assert entry.record.generation_id == GENERATION
        assert execute(url, f"SELECT writer > 1 FROM {schema_of(url)}.lease") == [(True,)]


@pytest.mark.asyncio
async def test_a_leader_whose_bytes_are_held_is_replaced_and_shut_out(url: str) -> None:
    async with (
        proxy(url) as slow,
        member(url, 0.6) as first,
        member(url, 0.6) as second,
        leading(first, slow.url) as (_, stale),
    ):
        await inserted(first, job("a"))
        await stale.load_open()
        await stale.commit(job("a", JobState.SUBMITTING, **SENT))
        slow.open.clear()
        stale.append(job("a", JobState.PENDING, generation_id=GENERATION, **SENT))
        while (token := await second.take()) is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.05)
        slow.open.set()
        term = second.term(token, lambda: None)
        await term.open()
        await stale.flush()
        assert stale.is_fenced
        assert await term.load_open() == [job("a", JobState.SUBMITTING, **SENT)]
        assert [late.generation_id for late in (await term.news()).late] == [GENERATION]
        await term.close()


# Losses


@pytest.mark.asyncio
async def test_members_go_on_after_their_connections_were_cut(url: str) -> None:
    async with proxy(url) as way, member(way.url) as joined, leading(joined) as (_, term):
        await inserted(joined, job("a"))
        await term.load_open()
        for state in (JobState.SUBMITTING, JobState.UNCERTAIN, JobState.PENDING):
            way.cut()
            await term.commit(job("a", state, **SENT))
            with suppress(JournalError):  # unless that was noticed before
                await joined.lease()
            assert (await joined.lease()).is_held(joined.now())
        joined.insert(job("b"), Choices(), print)
        way.cut()
        while await asyncio.to_thread(joined.get, "b") is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.05)
        assert not term.is_fenced


@pytest.mark.asyncio
async def test_a_leader_that_was_replaced_as_its_connection_was_cut_is_told_so_by_what_it_asks(url: str) -> None:
    told: list[str] = []
    async with (
        proxy(url) as way,
        member(url) as joined,
        member(url) as other,
        leading(joined, way.url, lambda: told.append("fenced")) as (token, term),
    ):
        await inserted(other, job("a"))
        assert [entry.record.key for entry in (await term.news()).entries] == ["a"]
        await joined.release(token, crashed=False)
        assert await other.take() is not None
        way.cut()
        await inserted(other, job("b"))
        while not told:
            term.feed.is_stale = True
            with suppress(JournalError):  # what is told first may be that the connection was lost
                await term.news()
        term.feed.is_stale = True
        with pytest.raises(JournalError, match="another member leads by now"):
            await term.news()


@pytest.mark.asyncio
async def test_a_server_that_says_nothing_is_given_up_and_the_loop_is_not_blocked_for_long(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_LEAST_PATIENCE", 0.1)
    async with proxy(url) as way, member(way.url, 0.9) as joined:
        way.open.clear()
        with pytest.raises(JournalError, match="does not answer"):
            joined.get("a")
        with pytest.raises(JournalError, match=r"the server has said nothing for 0\.45 s|timeout expired"):
            await joined.lease()
        way.open.set()
        found: object = "nothing yet"
        while found == "nothing yet":  # on a busy machine a new connection may take longer than a look-up is waited for
            with suppress(JournalError):
                found = await asyncio.to_thread(joined.get, "a")
        assert found is None


@pytest.mark.asyncio
async def test_a_silent_server_is_left_after_one_try_and_it_is_told_what_is_lost(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    connect, wait = connection._Connection.connect, connection._Connection.wait

    def tries(*given: Any, **others: Any) -> Any:
        tried.append("connect")
        return connect(*given, **others)

    def waits(*given: Any, **others: Any) -> Any:
        tried.append("statement")
        return wait(*given, **others)

    monkeypatch.setattr(shared, "_LEAST_PATIENCE", 0.1)
    async with proxy(url) as way, member(url) as other:
        joined = SharedPostgres(way.url, now=boot_clock, length=0.6)
        await joined.open()
        await inserted(joined, job("a"))
        way.open.clear()
        monkeypatch.setattr(connection._Connection, "connect", tries)
        monkeypatch.setattr(connection._Connection, "wait", waits)
        joined.insert(job("b"), Choices(), print)
        joined.instruct(Instruction("abandon", "a"))
        with pytest.raises(JournalError, match=r"has said nothing for 0\.3 s; lost is what was told last of: b, a"):
            await joined.close()
        assert tried == ["statement"]
        monkeypatch.undo()
        assert [record.key for record in await history(other)] == ["a"]  # type: ignore[arg-type] # it has one


@pytest.mark.parametrize(("given", "taken"), [("", 10), ("connect_timeout=3&", 3)])
def test_a_server_that_says_nothing_is_not_waited_for_as_long_as_for_an_answer(
    monkeypatch: pytest.MonkeyPatch, given: str, taken: int
) -> None:
    tried: list[int] = []

    def connect(given: str, **_: object) -> None:
        tried.append(int(conninfo_to_dict(given)["connect_timeout"] or 0))
        raise psycopg.OperationalError("connection timeout expired")

    monkeypatch.setattr(connection._Connection, "connect", connect)
    with pytest.raises(JournalError, match="connection timeout expired"):
        read_journal(f"postgresql://bob@db.example/films?{given}sslmode=disable")
    assert tried == [taken]


@pytest.mark.asyncio
@pytest.mark.parametrize("lost", ["UPDATE main.jobs", "FROM main.instructions"])
async def test_jobs_that_were_numbered_as_the_connection_was_lost_are_told_the_leader(
    url: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    answered = Link.execute
    losses: list[str] = []

    def lose(link: Link, statement: str, given: Any = (), /) -> Any:
        answer = answered(link, statement, given)
        if lost in statement and not losses and "fresh" in (seen := seen_of[link] + statement):
            losses.append(seen)
            link.close()
            raise psycopg.OperationalError("the connection was lost before the answer came")
        seen_of[link] += statement
        return answer

    seen_of: defaultdict[Link, str] = defaultdict(str)
    async with member(url) as joined, leading(joined) as (_, term):
        await term.load_open()
        await inserted(joined, job("a"), job("b"))
        monkeypatch.setattr(Link, "execute", lose)
        with pytest.raises(JournalError, match="before the answer came"):
            await term.news()
        assert losses
        found = (await term.news()).entries
        assert [entry.record.key for entry in found] == ["a", "b"]
        assert not (await term.news()).entries


@pytest.mark.asyncio
async def test_a_database_that_is_killed_and_restarted_has_all_that_was_committed() -> None:
    folder = Path(tempfile.gettempdir()) / f"kling-own-{secrets.token_hex(6)}"
    server = start_server(folder)
    try:
        with own_schema(server.get_uri()) as url:
            async with member(url) as joined, leading(joined) as (_, term):
                await inserted(joined, *(job(f"{number}") for number in range(100)))
                await term.load_open()
                begun = [term.commit(job(f"{n}", JobState.SUBMITTING, **SENT)) for n in range(100)]
                committing = [asyncio.ensure_future(commit) for commit in begun]
                await committing[0]
                server.get_postmaster_info().process.kill()
                for child in server.get_postmaster_info().process.children():
                    child.kill()
                await asyncio.to_thread(start_again, server)
                await asyncio.gather(*committing)
                assert not term.is_fenced
                assert {record.state for record in await history(joined)} == {JobState.SUBMITTING}  # type: ignore[arg-type] # it has one
                assert (await joined.lease()).is_held(joined.now())
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def start_again(server: Any) -> None:
    server.get_postmaster_info().process.wait(10)
    server.ensure_postgres_running()


@pytest.mark.asyncio
async def test_a_leader_is_told_that_commits_were_lost_until_somebody_trusts_the_database(url: str) -> None:
    async with member(url) as joined:
        async with leading(joined) as (token, term):
            await inserted(joined, job("a"), job("b"))
            await term.load_open()
            await term.commit(job("b", JobState.SUBMITTING, **SENT))
        await joined.release(token)
        assert (await joined.lease()).lost_at is None
        execute(url, f"UPDATE {schema_of(url)}.lease SET system = 'another 00000001'")
        await joined.changes({"a", "b"})
        for changes in (2, 0):  # members are told of all once, and each leader of what may have been bought
            async with leading(joined) as (token, term):
                assert [record.key for record in await term.load_open()] == ["a", "b"]
                lost_at = (await joined.lease()).lost_at
                assert lost_at is not None
                assert term.lost_at(job("a")) == lost_at
                assert term.lost_at(job("c", queued_at=3e9)) is None
                assert term.lost_at(job("a", submitted_at=3e9)) is None
                found = await changed(joined, {"a", "b"}, changes)
                assert len(found) == changes
                assert all(entry.change > 2**40 for entry in found)
            await joined.release(token)
        async with leading(joined) as (token, term):
            await term.load_open()
            term.trust()
            await term.flush()
            assert term.lost_at(job("a")) is None
        await joined.release(token)
        async with leading(joined) as (_, term):
            await term.load_open()
            assert term.lost_at(job("a")) is None


@pytest.mark.asyncio
async def test_a_dump_that_was_read_back_into_the_same_server_counts_as_lost_commits(url: str) -> None:
    async with member(url) as joined:
        async with leading(joined) as (token, term):
            await inserted(joined, job("a"))
            await term.load_open()
        await joined.release(token)
        async with leading(joined) as (token, term):
            assert [record.key for record in await term.load_open()] == ["a"]
            assert term.lost_at(job("a")) is None
        await joined.release(token)
        table = f"{schema_of(url)}.lease"
        execute(url, f"CREATE TABLE {table}_again (LIKE {table} INCLUDING ALL)")
        execute(url, f"INSERT INTO {table}_again SELECT * FROM {table}")
        execute(url, f"DROP TABLE {table}")
        execute(url, f"ALTER TABLE {table}_again RENAME TO lease")
        async with leading(joined) as (_, term):
            await term.load_open()
            assert term.lost_at(job("a")) is not None


async def changed(joined: SharedPostgres, keys: set[str], many: int) -> list[Entry]:
    found: list[Entry] = []
    while len(found) < many:
        found += await joined.changes(keys)
        await asyncio.sleep(0.01)
    return found


@pytest.mark.asyncio
async def test_two_sessions_buy_every_key_once_though_the_way_of_one_is_cut_and_held(url: str) -> None:
    async with Sandbox(speed=500, sigma=0) as sandbox, proxy(url) as way:
        first, second = (
            sandbox.session(journal=open_shared(place, boot_clock, length=0.9), shared=True) for place in (way.url, url)
        )
        async with first:
            while not first.is_leader:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            async with second:
                jobs = [
                    kling.submit(TextToVideo(f"take {number}"), key=f"k{number}")
                    for number, kling in enumerate([first, second] * 15)
                ]
                for _ in range(3):
                    await asyncio.sleep(0.05)
                    way.cut()
                way.open.clear()
                while not second.is_leader:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
                way.cut()
                way.open.set()
                videos = await asyncio.gather(*jobs)
        assert len({video.generation_id for video in videos}) == len(jobs) == len(sandbox.ledger.purchases)


# Being told


@pytest.mark.asyncio
@pytest.mark.parametrize("renumbers", [False, True])
async def test_members_are_told_of_changes_at_once_unless_a_proxy_pools(url: str, *, renumbers: bool) -> None:
    told = asyncio.Event()
    async with proxy(url, renumbers=renumbers) as way:
        joined = SharedPostgres(way.url, now=boot_clock)
        await joined.open(told.set)
        async with member(url) as other, leading(other) as (_, term):
            await inserted(joined, job("a"))
            await term.load_open()
            while joined._feed.is_stale:
                await joined.changes({"a"})
            told.clear()
            await term.commit(job("a", JobState.SUBMITTING))
            if renumbers:
                assert (joined._link.is_direct, joined._feed.every) == (False, 1.0)
                joined._feed._looked_at -= 1.0
            else:
                await told.wait()
            assert [entry.record.state for entry in await joined.changes({"a"})] == [JobState.SUBMITTING]
            assert await joined.changes({"a"}) == []
        await joined.close()


@pytest.mark.asyncio
async def test_a_connection_that_was_lost_is_not_listened_to_any_more(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = list[Link]()
    look = Link.look

    def counted(link: Link) -> None:
        looks.append(link)
        look(link)

    monkeypatch.setattr(Link, "look", counted)
    async with proxy(url) as way, member(way.url):
        way.cut()
        while not looks:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert len(looks) < 10


@pytest.mark.asyncio
async def test_a_release_is_told(url: str) -> None:
    free = asyncio.Event()
    waiting = SharedPostgres(url, now=boot_clock)
    await waiting.open(on_free=free.set)
    async with member(url) as joined:
        token = await joined.take()
        assert token is not None
        await joined.release(token)
        await free.wait()
        assert await waiting.take() is not None
    await waiting.close()


@pytest.mark.asyncio
async def test_a_renewal_that_is_seen_for_twice_its_length_is_over_whatever_the_database_says(url: str) -> None:
    ahead = [0.0]
    async with member(url) as first:
        assert await first.take() is not None
        execute(url, f"UPDATE {schema_of(url)}.lease SET renewed = now() + interval '1 hour'")
        second = SharedPostgres(url, now=lambda: ahead[0], length=60.0)
        await second.open()
        assert (await second.lease()).is_held(second.now())
        assert await second.take() is None
        ahead[0] = 121.0
        assert not (await second.lease()).is_held(second.now())
        assert await second.take() is not None
        await second.close()


@pytest.mark.asyncio
async def test_records_bear_the_time_of_the_database(url: str) -> None:
    async with member(url) as joined:
        assert joined.wall() is None
        await joined.lease()
        ((now,),) = execute(url, "SELECT extract(epoch FROM clock_timestamp())::float8")
        wall = joined.wall()
        assert wall is not None
        assert abs(wall - now) < 1


# Refusals


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("synchronous_commit%3Doff", "synchronous_commit is off"),
        ("default_transaction_read_only%3Don", "read-only"),
        ("default_transaction_isolation%3Dserializable", "default_transaction_isolation is 'serializable'"),
    ],
)
@pytest.mark.asyncio
async def test_a_server_that_cannot_keep_a_journal_is_refused(url: str, setting: str, reason: str) -> None:
    with pytest.raises(JournalError, match=reason):
        async with member(f"{url}&options=-c%20{setting}"):
            pass


@pytest.mark.asyncio
async def test_a_schema_of_a_newer_version_is_refused_also_amid_a_term(url: str) -> None:
    async with member(url) as joined:
        execute(url, f"UPDATE {schema_of(url)}.lease SET version = 99")
        with pytest.raises(JournalError, match="a newer version of kling_async has upgraded it"):
            await joined.lease()
    with pytest.raises(JournalError, match="it is of version 99"):
        async with member(url):
            pass
    with pytest.raises(JournalError, match="of version 99"):
        read_journal(url)


@pytest.mark.asyncio
async def test_a_schema_of_an_older_version_is_upgraded_and_shuts_out_who_leads_by_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:1])
        older.setattr(lease, "STEPS", schema.STEPS)
        async with member(url) as joined, leading(joined) as (_, term):
            await inserted(joined, job("a"), job("b", generation_id=GENERATION))
            older.undo()
            async with member(url) as newer, leading(newer) as (_, next_term):
                assert [record.key for record in await next_term.load_open()] == ["a", "b"]
                entry = newer.find(GENERATION)
                assert entry is not None
                assert entry.record.key == "b"
                term.append(job("a", JobState.PENDING))
                await term.flush()
                assert term.is_fenced


@pytest.mark.asyncio
async def test_a_schema_of_something_else_is_left_alone(url: str) -> None:
    execute(url, f"CREATE SCHEMA {schema_of(url)}; CREATE TABLE {schema_of(url)}.jobs (a int)")
    with pytest.raises(JournalError, match="has tables of something else"):
        async with member(url):
            pass
    assert execute(url, f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema_of(url)}'") == [(1,)]


@pytest.mark.asyncio
async def test_members_that_come_at_once_make_one_schema(url: str) -> None:
    members = [SharedPostgres(url, now=boot_clock) for _ in range(4)]
    await asyncio.gather(*(joined.open() for joined in members))
    await inserted(members[0], job("a"))
    assert members[3].get("a") is not None
    await asyncio.gather(*(joined.close() for joined in members))


SECRET = "hunter%32"  # noqa: S105 - of nothing


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}@127.0.0.1:1/db",
        f"postgresql://127.0.0.1:1/db?user=ann&password={SECRET}",
        f"postgres://ann:{SECRET}@127.0.0.1:1/db?colour=red",
        f"postgresql://ann:{SECRET}@127.0.0.1:port/db",
        f"postgresql://ann:{SECRET}%zz@127.0.0.1:1/db",
        f"postgresql://ann:{SECRET}@127.0.0.1:1/db?schema=No;",
    ],
)
@pytest.mark.asyncio
async def test_no_error_log_or_repr_tells_a_password(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises((ConfigurationError, JournalError)) as caught:
        kling = KlingSession("key", journal=url)
        caplog.records.clear()
        logging.getLogger("test").info("%r %r", kling, kling._shared)
        async with kling:
            pass
    said = [repr(caught.value), str(caught.value), caplog.text, repr(caught.value.__cause__)]
    assert not [text for text in said if "hunter" in text]


def test_what_the_server_says_is_told_without_the_password() -> None:
    address = read_url("postgresql://ann:geheim@h/db")
    with pytest.raises(JournalError, match="journal postgresql://h/db: no … here") as caught, postgres_errors(address):
        import psycopg  # noqa: PLC0415 - as below

        raise psycopg.OperationalError("no geheim here")
    assert caught.value.__cause__ is None
    assert "geheim" not in repr(address)


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("kling_async.journal.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigurationError, match=r"pip install 'kling_async\[postgres\]'"):
        KlingSession("key", journal="postgresql://h/db")


@pytest.mark.asyncio
async def test_a_reader_pages_through_all_and_counts(url: str) -> None:
    with pytest.raises(JournalError, match="is no journal"):
        read_journal(url)
    async with member(url) as joined:
        records = [job(f"{number}") for number in range(600)]
        await inserted(joined, *records)
        reader = read_journal(url)
        assert list(reader.records()) == records
        assert reader.counts() == {JobState.QUEUED: 600}
        sharing = reader.sharing(boot_clock())
        assert sharing is not None
        assert (len(sharing.lease.members), sharing.waiting) == (1, 0)
