"""What every journal promises that sessions share, whatever keeps its records."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from attrs import evolve
from postgres import execute, own_schema, schema_of
from records import GENERATION, history, job
from shared_memory import Database

from kling_async.errors import DeadlineExceeded, JournalError
from kling_async.journal.base import Choices, JobState
from kling_async.journal.postgres.shared import SharedPostgres
from kling_async.journal.shared import Entry, Instruction, LateAnswer
from kling_async.journal.sqlite import file
from kling_async.journal.sqlite.shared import SharedSQLite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from kling_async.journal.shared import SharedJournal, TermJournal, Token

pytestmark = pytest.mark.asyncio

LENGTH = 60.0
SENT: dict[str, Any] = {"attempts": 1, "client_request_id": "a:1"}


class Clock:
    """The members' clock, which a test can put forward."""

    ahead = 0.0

    def __call__(self) -> float:
        return 1000.0 + self.ahead


class Members:
    """Members of one journal, made as they are asked for."""

    def __init__(self, make: Callable[[], SharedJournal], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._open: list[SharedJournal | TermJournal] = []

    async def join(self, limits: str = "") -> SharedJournal:
        member = self._make()
        await member.open(limits=limits)
        self._open.append(member)
        return member

    async def lead(self, member: SharedJournal) -> tuple[Token, TermJournal]:
        token = await member.take()
        assert token is not None
        term = member.term(token, lambda: None)
        await term.open()
        self._open.append(term)
        return token, term

    def pass_time(self, seconds: float) -> None:
        self._clock.ahead += seconds

    async def close(self) -> None:
        for journal in reversed(self._open):
            await journal.close()


def in_memory(_: Path, clock: Clock) -> Callable[[], SharedJournal]:
    database = Database()

    def member() -> SharedJournal:
        made: Any = database.member(LENGTH)
        made.now = clock
        return made  # type: ignore[no-any-return] # patched a line above

    return member


def sqlite(folder: Path, clock: Clock) -> Callable[[], SharedJournal]:
    return lambda: SharedSQLite(folder / "batch.db", now=clock, length=LENGTH)


class OnPostgres(Members):
    """Members whose common clock is the database's."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(lambda: SharedPostgres(url, now=clock, length=LENGTH), clock)
        self._url = url

    def pass_time(self, seconds: float) -> None:
        super().pass_time(seconds)
        lease = f"{schema_of(self._url)}.lease"
        execute(self._url, f"UPDATE {lease} SET renewed = renewed - interval '{seconds} s'")


@pytest_asyncio.fixture(params=["memory", "TRUNCATE", "WAL", "postgres"])
async def members(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Members]:
    clock = Clock()
    monkeypatch.setattr(file, "journal_mode", lambda _: request.param)
    with ExitStack() as stack:
        if request.param == "postgres":
            members: Members = OnPostgres(stack.enter_context(own_schema()), clock)
        else:
            members = Members((in_memory if request.param == "memory" else sqlite)(tmp_path, clock), clock)
        yield members
        await members.close()


def ignore(_: Entry) -> None:
    """What is known of a key already."""


async def inserted(member: SharedJournal, *records: Any, choices: Choices = Choices()) -> None:  # noqa: B008 - frozen
    for record in records:
        member.insert(record, choices, ignore)
    await member.flush()


async def changed(member: SharedJournal, keys: set[str], many: int = 1) -> list[Entry]:
    """The changes of these keys, once there are so many of them: a member may be told of them some moments later."""
    found: list[Entry] = []
    while len(found) < many:
        found += await member.changes(keys)
        await asyncio.sleep(0.01)
    return found


# The lease


async def test_one_member_leads_until_its_lease_is_over_and_each_taking_has_a_token_of_its_own(
    members: Members,
) -> None:
    first, second = await members.join(), await members.join()
    token = await first.take()
    assert token is not None
    assert await second.take() is None
    members.pass_time(LENGTH - 1)
    assert await first.renew(token)
    members.pass_time(LENGTH - 1)
    assert await second.take() is None
    members.pass_time(1)
    other = await second.take()
    assert other is not None
    assert (other.term, other.holder == token.holder) == (token.term + 1, False)
    assert not await first.renew(token)
    assert (await first.lease()).token == other


async def test_a_lease_that_is_over_can_be_renewed_while_nobody_has_taken_it(members: Members) -> None:
    member = await members.join()
    token = await member.take()
    assert token is not None
    members.pass_time(2 * LENGTH)
    assert not (await member.lease()).is_held(member.now())
    assert await member.renew(token)
    assert (await member.lease()).is_held(member.now())


async def test_a_lease_that_is_released_is_free_at_once_and_a_stale_token_releases_nothing(members: Members) -> None:
    first, second = await members.join(), await members.join()
    token = await first.take()
    assert token is not None
    await first.release(token)
    other = await second.take()
    assert other is not None
    await first.release(token)
    assert await first.take() is None


async def test_nobody_leads_after_three_crashes_in_a_row(members: Members) -> None:
    member = await members.join()
    for crashes in (0, 1, 2):
        assert (await member.lease()).crashes == crashes
        token = await member.take()
        assert token is not None
        await member.release(token, crashed=True)
    assert await member.take() is None


async def test_the_lease_tells_who_is_there_with_which_limits_and_the_numbers_of_the_one_that_leads(
    members: Members,
) -> None:
    first, second = await members.join(limits="strict"), await members.join()
    assert sorted(member.limits for member in (await second.lease()).members) == ["", "strict"]
    token = await first.take()
    assert token is not None
    assert await first.renew(token, "7 jobs")
    assert (await second.lease()).stats == "7 jobs"
    await first.release(token)
    assert await second.take() is not None
    assert (await first.lease()).stats == ""
    await first.close()
    assert [member.limits for member in (await second.lease()).members] == [""]


@pytest.mark.parametrize("members", ["TRUNCATE", "postgres"], indirect=True)
async def test_a_member_that_is_open_already_is_as_it_was(members: Members) -> None:
    member = await members.join(limits="strict")
    told: list[str] = []
    with pytest.raises(JournalError, match="it is open already"):
        await member.open(lambda: told.append("changed"), limits="loose", on_free=lambda: told.append("free"))
    await inserted(member, job("a"))
    members.pass_time(40)
    assert [one.limits for one in (await member.lease()).members] == ["strict"]
    assert told == []


# Jobs


async def test_what_one_member_inserts_the_one_that_leads_is_told_once(members: Members) -> None:
    first, second = await members.join(), await members.join()
    _, term = await members.lead(first)
    await inserted(second, job("a"), job("b"), choices=Choices(resubmits=2, after=5.0))
    assert [entry.record for entry in (await term.news()).entries] == [job("a"), job("b")]
    assert (await term.news()).entries in ((), [])
    assert term.get("b") == job("b")
    assert term.choices("b") == Choices(resubmits=2, after=5.0)


async def test_a_new_term_opens_what_is_open_with_its_choices(members: Members) -> None:
    member = await members.join()
    await inserted(member, job("a"), choices=Choices(resubmits=1))
    await inserted(member, job("b"))
    _, term = await members.lead(member)
    assert await term.load_open() == [job("a"), job("b")]
    assert (term.choices("a"), term.choices("b")) == (Choices(resubmits=1), Choices())
    assert (await term.news()).entries in ((), [])


async def test_a_key_that_has_a_job_is_inserted_by_nobody_else(members: Members) -> None:
    first, second = await members.join(), await members.join()
    await inserted(first, job("a", tag="first"), choices=Choices(resubmits=1))
    known: list[Entry] = []
    second.insert(job("a", tag="second"), Choices(), known.append)
    await second.flush()
    await asyncio.sleep(0)
    assert known == [Entry(job("a", tag="first"), choices=Choices(resubmits=1))]
    assert await history(second) == [job("a", tag="first")]  # type: ignore[arg-type] # it has a history, too


async def test_members_see_changes_of_the_keys_they_want_once_and_in_their_order(members: Members) -> None:
    first, second = await members.join(), await members.join()
    _, term = await members.lead(first)
    await inserted(first, *(job(f"{number}") for number in range(600)))
    await term.load_open()
    assert len(await changed(second, {f"{number}" for number in range(600)}, 600)) == 600
    for key in ("5", "3", "4"):
        await term.commit(job(key, JobState.SUBMITTING))
    seen = [(entry.record.key, entry.record.state) for entry in await changed(second, {"3", "5"}, 2)]
    assert seen == [("5", JobState.SUBMITTING), ("3", JobState.SUBMITTING)]
    assert first.get("3") == Entry(job("3", JobState.SUBMITTING))
    assert await second.changes({"3", "4", "5"}) == []


async def test_a_job_is_found_by_its_key_and_its_generation(members: Members) -> None:
    first, second = await members.join(), await members.join()
    await inserted(first, job("a"))
    _, term = await members.lead(first)
    await term.load_open()
    await term.commit(job("a", JobState.PENDING, generation_id=GENERATION))
    for found in (second.get("a"), second.find(GENERATION)):
        assert found is not None
        assert found.record.state is JobState.PENDING
    assert second.get("b") is None


async def test_an_id_is_kept_and_found_and_told_late_however_long_it_is(members: Members) -> None:
    ids = [secrets.token_urlsafe(30_000) for _ in range(3)]
    stale, term = await taken_over(members)
    for generation_id in (ids[0], ids[0], ids[1]):
        await stale.commit(job("a", JobState.PENDING, generation_id=generation_id, **SENT))
    assert {late.generation_id for late in (await term.news()).late} == set(ids[:2])
    await term.commit(job("a", JobState.PENDING, generation_id=ids[2], **SENT))
    found = (await members.join()).find(ids[2])
    assert found is not None
    assert found.record.generation_id == ids[2]


# Damage

REAL = pytest.mark.parametrize("members", ["TRUNCATE", "postgres"], indirect=True)


async def damage(member: Any, statement: str) -> None:
    await member._ask(lambda connection: connection.execute(f"UPDATE main.{statement}"))


@REAL
async def test_a_record_that_is_damaged_is_set_aside_and_all_others_are_served(
    members: Members, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await members.join(), await members.join()
    await inserted(first, *(job(key) for key in "abcde"), choices=Choices(resubmits=1))
    await damage(first, "jobs SET former_request_ids = '{' WHERE key = 'b'")
    await damage(first, "jobs SET choices = '{' WHERE key = 'c'")
    token, term = await members.lead(first)
    assert [record.key for record in await term.load_open()] == ["a", "d", "e"]
    assert "record of job 'b' cannot be read" in caplog.text
    assert "record of job c cannot be read" in caplog.text
    entries = await changed(second, set("abcde"), 5)
    assert {entry.record.key for entry in entries if entry.is_refused} == {"b", "c"}
    assert [record.key for record in await history(second)] == ["a", "c", "d", "e"]  # type: ignore[arg-type] # it has one
    known: list[Entry] = []
    second.insert(job("b"), Choices(), known.append)
    second.insert(job("f"), Choices(), known.append)
    await second.flush()
    await asyncio.sleep(0)
    assert [(entry.record.key, entry.is_refused) for entry in known] == [("b", True)]
    term.park(job("d"), DeadlineExceeded("too late"))
    await term.flush()
    await damage(first, "jobs SET parked = '{' WHERE key = 'd'")
    await first.release(token)
    _, next_term = await members.lead(second)
    assert [record.key for record in await next_term.load_open()] == ["a", "e", "f"]
    assert await next_term.parked() == []
    for broken in (lambda: second.get("b"), lambda: next_term.get("b")):
        with pytest.raises(JournalError, match="record of job 'b' cannot be read"):
            broken()


@REAL
async def test_an_instruction_that_is_damaged_holds_up_no_other(members: Members) -> None:
    member = await members.join()
    member.instruct(Instruction("watch", "a", {"deadline": None}))
    member.instruct(Instruction("watch", "b", {"deadline": None}))
    await member.flush()
    await damage(member, "instructions SET data = '{' WHERE key = 'a'")
    _, term = await members.lead(member)
    assert [(one.key, dict(one.data)) for one in (await term.news()).instructions] == [
        ("a", {}),
        ("b", {"deadline": None}),
    ]


# The fence


async def taken_over(members: Members) -> tuple[TermJournal, TermJournal]:
    """A leader that does not know yet that another member leads, and that one."""
    first, second = await members.join(), await members.join()
    await inserted(first, job("a"))
    _, stale = await members.lead(first)
    await stale.load_open()
    await stale.commit(job("a", JobState.SUBMITTING, **SENT))
    members.pass_time(LENGTH)
    _, term = await members.lead(second)
    assert await term.load_open() == [job("a", JobState.SUBMITTING, **SENT)]
    return stale, term


@pytest.mark.parametrize(
    ("record", "generation_id"),
    [
        (job("a", JobState.PENDING, generation_id=GENERATION, **SENT), GENERATION),
        (job("a", JobState.ABANDONED, generation_id=GENERATION, **SENT), GENERATION),
        (job("a", JobState.QUEUED, **SENT), None),
        (job("a", JobState.REJECTED, **SENT), None),
    ],
)
@pytest.mark.parametrize("durable", [True, False])
async def test_what_a_stale_leader_learns_of_its_post_changes_no_record_and_is_kept(
    members: Members, record: Any, generation_id: str | None, *, durable: bool
) -> None:
    stale, term = await taken_over(members)
    if durable:
        await stale.commit(record)
    else:
        stale.append(record)
        await stale.flush()
    assert stale.is_fenced
    assert term.get("a") == job("a", JobState.SUBMITTING, **SENT)
    (late,) = (await term.news()).late
    assert evolve(late, number=0) == LateAnswer("a", "a:1", generation_id)
    term.settle(late)
    await term.flush()
    assert not (await term.news()).late


@pytest.mark.parametrize(
    "record",
    [
        job("a", JobState.UNCERTAIN, **SENT),
        job("a", JobState.QUEUED, former_request_ids=("a:1",), **SENT),
        job("a", JobState.QUEUED),
        job("a", JobState.ABANDONED, **SENT),
    ],
)
async def test_what_proves_nothing_of_a_stale_leader_is_dropped(members: Members, record: Any) -> None:
    stale, term = await taken_over(members)
    stale.append(record)
    stale.park(record, DeadlineExceeded("too late"))
    await stale.flush()
    assert not (await term.news()).late
    assert term.get("a") == job("a", JobState.SUBMITTING, **SENT)


async def test_a_stale_leader_that_learns_several_things_of_a_job_keeps_each_of_its_generations_once(
    members: Members,
) -> None:
    stale, term = await taken_over(members)
    for state in (JobState.PENDING, JobState.COMPLETED):
        stale.append(job("a", state, generation_id=GENERATION, **SENT))
    stale.append(job("b", JobState.PENDING, generation_id="g2", **SENT))
    await stale.flush()
    stale.append(job("a", JobState.COMPLETED, generation_id=GENERATION, **SENT))
    stale.append(job("c", JobState.PENDING, generation_id="g3", **SENT))
    await stale.flush()
    found = [(late.key, late.generation_id) for late in (await term.news()).late]
    assert set(found) == {("a", GENERATION), ("b", "g2"), ("c", "g3")}


async def test_a_submit_whose_begin_was_written_though_the_answer_was_lost_is_told_to_be_unsent(
    members: Members,
) -> None:
    stale, term = await taken_over(members)
    with pytest.raises(Exception, match="another member leads by now"):
        await stale.commit(job("a", JobState.SUBMITTING, **SENT))
    (late,) = (await term.news()).late
    assert evolve(late, number=0) == LateAnswer("a", "a:1", None)


async def test_a_note_of_a_submit_that_is_on_its_way_does_not_say_that_it_was_not_sent(members: Members) -> None:
    stale, term = await taken_over(members)
    stale.append(job("a", JobState.SUBMITTING, deadline=9e9, **SENT))
    await stale.flush()
    assert not (await term.news()).late


async def test_a_stale_leader_cannot_begin_a_submit(members: Members) -> None:
    stale, term = await taken_over(members)
    with pytest.raises(Exception, match="another member leads by now"):
        await stale.commit(job("b", JobState.SUBMITTING, attempts=1, client_request_id="b:1"))
    assert term.get("b") is None


async def test_a_lease_that_is_over_still_records_what_was_bought_while_nobody_has_taken_it(members: Members) -> None:
    member = await members.join()
    await inserted(member, job("a"))
    _, term = await members.lead(member)
    await term.load_open()
    members.pass_time(10 * LENGTH)
    await term.commit(job("a", JobState.PENDING, generation_id=GENERATION))
    assert not term.is_fenced
    found = member.get("a")
    assert found is not None
    assert found.record.generation_id == GENERATION


# Parking, instructions


async def test_a_parked_job_is_told_to_its_watchers_and_opened_by_nobody_until_its_record_is_written(
    members: Members,
) -> None:
    first, second = await members.join(), await members.join()
    await inserted(first, job("a"))
    token, term = await members.lead(first)
    await term.load_open()
    await changed(second, {"a"})
    term.park(job("a"), DeadlineExceeded("too late"))
    await term.flush()
    (entry,) = await changed(second, {"a"})
    assert (type(entry.parked), str(entry.parked)) == (DeadlineExceeded, "too late")
    await first.release(token)
    _, next_term = await members.lead(second)
    assert await next_term.load_open() == []
    next_term.append(job("a", deadline=5.0))
    await next_term.flush()
    (entry,) = await changed(first, {"a"})
    assert entry == Entry(job("a", deadline=5.0, request=None))


async def test_what_the_caller_of_a_parked_job_chose_is_known_to_the_next_term(members: Members) -> None:
    member = await members.join()
    await inserted(member, job("a"), choices=Choices(resubmits=3))
    token, term = await members.lead(member)
    (record,) = await term.load_open()
    term.park(record, DeadlineExceeded("too late"))
    await term.flush()
    await member.release(token)
    _, next_term = await members.lead(member)
    assert await next_term.load_open() == []
    assert next_term.choices("a") == Choices(resubmits=3)


async def test_an_instruction_to_resume_tells_which_halts_were_there_when_it_was_left(members: Members) -> None:
    member, other = await members.join(), await members.join()
    await inserted(member, job("a"), job("b"))
    _, term = await members.lead(member)
    await term.load_open()
    assert term.was_seen(1, 0)  # it has told nobody yet
    term.park(job("a"), DeadlineExceeded("no"), 1)
    await term.flush()
    other.instruct(Instruction("resume submissions"))
    await other.flush()
    term.park(job("b"), DeadlineExceeded("no"), 2)
    term.park(job("a"), DeadlineExceeded("again"), 1)
    await term.flush()
    while not (found := (await term.news()).instructions):  # noqa: ASYNC110 - another process may tell
        await asyncio.sleep(0.01)
    seen = found[0].data["seen"]
    assert [term.was_seen(halt, seen) for halt in (1, 2)] == [True, False]


async def test_what_has_ended_is_not_parked(members: Members) -> None:
    member = await members.join()
    await inserted(member, job("a"))
    _, term = await members.lead(member)
    await term.load_open()
    await term.commit(job("a", JobState.ABANDONED))
    term.park(job("a"), DeadlineExceeded("too late"))
    await term.flush()
    found = member.get("a")
    assert found is not None
    assert found.parked is None


async def test_instructions_are_there_until_they_are_settled_whoever_leads(members: Members) -> None:
    first, second = await members.join(), await members.join()
    second.instruct(Instruction("abandon", "a"))
    second.instruct(Instruction("watch", "b", {"deadline": None}))
    await second.flush()
    token, term = await members.lead(first)
    told = (await term.news()).instructions
    assert [(one.kind, one.key, dict(one.data)) for one in told] == [
        ("abandon", "a", {}),
        ("watch", "b", {"deadline": None}),
    ]
    term.settle(told[0])
    await term.flush()
    await first.release(token)
    _, next_term = await members.lead(second)
    assert [one.key for one in (await next_term.news()).instructions] == ["b"]
