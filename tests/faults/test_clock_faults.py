"""Fault 38, about money: clocks that are set, sleep or disagree while it is unknown whether a submit bought something.

Hours pass in virtual time, with a vendor in memory that dates its log by its own clock and shows what is asked for.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, field
from invariants import Evidence, uphold
from scripted import ScriptedVendor, answer, prompt, session
from virtual import virtual

from kling_async import JobState, MemoryJournal, Polling, Reconciliation, RequestTimeout, SubmissionUncertain

if TYPE_CHECKING:
    from kling_async import HttpRequest, HttpResponse, Job, KlingSession

HOUR, DAY = 3600.0, 86_400.0
EPOCH = 1_800_000_000
STEADY = Polling.fixed(10, first=240)
RESUBMIT = Reconciliation(then="resubmit")


def now() -> float:
    return asyncio.get_running_loop().time()


@define
class Clocks:
    """This machine's wall clock and the true time, which the loop's falls behind while the machine sleeps."""

    off: float = 0.0  # how far the wall clock is ahead of the true time
    slept: float = 0.0

    def __call__(self) -> float:
        return self.true + self.off

    @property
    def true(self) -> float:
        return EPOCH + now() + self.slept


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr("kling_async.session.wall_clock", clocks)
    return clocks


@define
class Dated(ScriptedVendor):
    """Keeps a log of what it sold, by its own clock; loses its answers to some POSTs, whether it sold or not."""

    clocks: Clocks = field(kw_only=True)
    ahead: float = 0.0
    sells_and_loses: set[int] = field(factory=set)
    loses: set[int] = field(factory=set)
    lag: float = 600.0  # from a POST to its row, in seconds
    asked: list[tuple[float, float]] = field(factory=list)
    held: dict[int, asyncio.Event] = field(factory=dict)  # POSTs that reach it only then

    async def _submit(self) -> HttpResponse:
        number, lost = self.submits + 1, RequestTimeout("no answer in time", sent=True)
        if number in self.loses:
            self.submits += 1
            raise lost
        if number in self.held:
            self.submits += 1
            name = self.names[-1]
            await self.held[number].wait()
            self._log(name, number)
            raise lost
        sold = await ScriptedVendor._submit(self)
        self._log(self.names[-1], number)
        if number in self.sells_and_loses:
            raise lost
        return sold

    def _log(self, name: str, number: int) -> None:
        row = {
            "created": datetime.fromtimestamp(self.clocks.true + self.ahead, UTC).isoformat(),
            "status": "succeeded",
            "model": None,
            "inference_id": f"g{number}",
            "client_request_id": name,
        }
        self.rows.insert(0, row)

    async def _look(self, request: HttpRequest) -> HttpResponse:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        start, end = (datetime.fromisoformat(query[name]).timestamp() for name in ("start", "end"))
        assert 0 < end - start <= 92 * DAY
        self.asked.append((start, end))
        self.looks.append(now())
        made = [(datetime.fromisoformat(row["created"]).timestamp(), row) for row in self.rows]
        visible = self.clocks.true + self.ahead - self.lag
        rows = [row for at, row in made if start <= at <= end and at <= visible]
        offset = int(query["offset"])
        date = format_datetime(datetime.fromtimestamp(self.clocks.true + self.ahead, UTC), usegmt=True)
        shown, more = rows[offset : offset + 100], offset + 100 < len(rows)
        return answer(200, {"data": shown, "pagination": {"has_more": more, "total": len(rows)}}, date=date)

    @property
    def books(self) -> dict[str, list[set[str]]]:
        sold: dict[str, list[set[str]]] = {}
        for row in self.rows:
            sold.setdefault(row["client_request_id"].rpartition(":")[0], []).append({row["inference_id"]})
        return sold


async def kept(vendor: Dated, journal: MemoryJournal, jobs: list[Job]) -> None:
    """Assert every promise, by the vendor's books; nobody opts in to be sold twice."""
    uphold(Evidence(jobs=jobs, records=[record async for record in journal.history()], books=vendor.books))


def on(vendor: Dated, journal: MemoryJournal, reconciliation: Reconciliation = RESUBMIT) -> KlingSession:
    return session(vendor, journal=journal, polling=STEADY, reconciliation=reconciliation)


async def _lose_one_and_buy_another(kling: KlingSession) -> list[Job]:
    lost = kling.submit(prompt("lost"), key="lost")
    await asyncio.sleep(1)
    other = kling.submit(prompt("later"), key="later")
    await other.accepted()
    return [lost, other]


@pytest.mark.parametrize("reconciliation", [RESUBMIT, Reconciliation()], ids=["resubmit", "report"])
@pytest.mark.parametrize("slept", [0.0, 3 * HOUR, 30 * HOUR])
@virtual
async def test_fault_38_what_was_bought_before_the_machine_slept_is_found_after_it(
    clocks: Clocks, slept: float, reconciliation: Reconciliation
) -> None:
    vendor, journal = Dated(clocks=clocks, sells_and_loses={1}), MemoryJournal()
    async with on(vendor, journal, reconciliation) as kling:
        jobs = await _lose_one_and_buy_another(kling)
        clocks.slept += slept
        assert (await jobs[0]).generation_id == "g1"
        record = journal.get("lost")
        assert record is not None
        assert record.accepted_at == record.submitted_at == EPOCH
        await jobs[1]
    await kept(vendor, journal, jobs)


@pytest.mark.parametrize("off", [HOUR, 5 * HOUR, -HOUR, -5 * HOUR])
@pytest.mark.parametrize("ahead", [0.0, 5 * HOUR, -5 * HOUR])
@virtual
async def test_fault_38_what_was_bought_before_the_clock_was_set_is_found_after_it(
    clocks: Clocks, off: float, ahead: float
) -> None:
    vendor, journal = Dated(clocks=clocks, ahead=ahead, sells_and_loses={1}), MemoryJournal()
    async with on(vendor, journal) as kling:
        jobs = await _lose_one_and_buy_another(kling)
        clocks.off = off
        assert (await jobs[0]).generation_id == "g1"
        await jobs[1]
    await kept(vendor, journal, jobs)


@pytest.mark.parametrize("then", ["resubmit", "report"])
@pytest.mark.parametrize("off", [2 * HOUR, 30 * HOUR, -2 * HOUR, -30 * HOUR])
@virtual
async def test_fault_38_a_clock_that_was_set_makes_nothing_late(clocks: Clocks, off: float, then: Any) -> None:
    """The row appears 50 minutes after the POST; the job waits for an hour."""
    vendor, journal = Dated(clocks=clocks, sells_and_loses={1}, lag=50 * 60), MemoryJournal()
    async with on(vendor, journal, Reconciliation(then=then)) as kling:
        jobs = await _lose_one_and_buy_another(kling)
        clocks.off = off
        assert (await jobs[0]).generation_id == "g1"
        await jobs[1]
    await kept(vendor, journal, jobs)


@pytest.mark.parametrize("off", [2 * HOUR, 30 * HOUR, -2 * HOUR])
@virtual
async def test_fault_38_a_clock_that_was_set_between_two_processes_buys_nothing_twice(
    clocks: Clocks, off: float
) -> None:
    vendor, journal = Dated(clocks=clocks, sells_and_loses={1}, lag=50 * 60), MemoryJournal()
    async with on(vendor, journal) as kling:
        jobs = await _lose_one_and_buy_another(kling)
    clocks.off = off
    async with on(vendor, journal) as kling:
        jobs += kling.pending
        await kling.drain()
        assert {job.generation_id for job in jobs[2:]} == {"g1", "g2"}
    await kept(vendor, journal, jobs)


@virtual
async def test_fault_38_what_is_really_absent_is_sent_again_after_an_hour_awake(clocks: Clocks) -> None:
    vendor, journal = Dated(clocks=clocks, loses={1}), MemoryJournal()
    async with on(vendor, journal) as kling:
        jobs = await _lose_one_and_buy_another(kling)
        assert (await jobs[0]).generation_id == "g3"
        assert HOUR <= now() <= 1.2 * HOUR
        await jobs[1]
    await kept(vendor, journal, jobs)


@pytest.mark.parametrize(("awake", "slept"), [(50 * 60, 0.0), (60, 3 * HOUR)], ids=["awake", "asleep"])
@virtual
async def test_fault_38_a_post_that_arrives_late_is_waited_for_from_its_end(
    clocks: Clocks, awake: float, slept: float
) -> None:
    """It hung in the network, while a later one got through; what it bought shows some time after that."""
    vendor, journal = Dated(clocks=clocks, held={1: asyncio.Event()}, lag=15 * 60), MemoryJournal()
    async with on(vendor, journal) as kling:
        jobs = await _lose_one_and_buy_another(kling)
        await asyncio.sleep(awake)
        clocks.slept += slept
        vendor.held[1].set()
        assert (await jobs[0]).generation_id == "g1"
        await jobs[1]
    assert vendor.submits == 2
    await kept(vendor, journal, jobs)


@virtual
async def test_fault_38_the_vendors_clock_alone_tells_the_next_process_that_it_is_late_enough(clocks: Clocks) -> None:
    """A night later what is absent is sent again at the first look, as rows that are a night old show."""
    vendor, journal = Dated(clocks=clocks, loses={1}), MemoryJournal()
    async with on(vendor, journal) as kling:
        jobs = await _lose_one_and_buy_another(kling)
    await asyncio.sleep(8 * HOUR)
    began = now()
    async with on(vendor, journal) as kling:
        jobs += kling.pending
        await kling.drain()
        assert now() - began < 0.2 * HOUR
        assert {job.generation_id for job in jobs[2:]} == {"g2", "g3"}
    await kept(vendor, journal, jobs)


@pytest.mark.parametrize("back", [True, False])
@virtual
async def test_fault_38_an_earlier_job_is_not_taken_for_a_later_one_by_a_clock_that_was_set_back(
    clocks: Clocks,
    back: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The log shows an earlier job only: it may lag, and proves nothing, also when the clock is right again."""
    vendor, journal = Dated(clocks=clocks, sells_and_loses={2}, lag=600), MemoryJournal()
    async with on(vendor, journal) as kling:
        jobs = [kling.submit(prompt("earlier"), key="earlier")]
        await jobs[0]
        clocks.off = -2 * HOUR
        jobs.append(kling.submit(prompt("lost"), key="lost"))
        await asyncio.sleep(1)
        clocks.off = 0.0 if back else -2 * HOUR
        hidden = vendor.rows.pop(0)  # as if it lagged for hours
        with pytest.raises(SubmissionUncertain):
            await jobs[1]
    vendor.rows.insert(0, hidden)
    assert vendor.submits == 2
    await kept(vendor, journal, jobs)


@virtual
async def test_fault_38_a_job_of_half_a_year_ago_is_looked_for_in_stretches_that_the_vendor_allows(
    clocks: Clocks,
) -> None:
    vendor, journal = Dated(clocks=clocks, sells_and_loses={1}), MemoryJournal()
    async with on(vendor, journal, Reconciliation()) as kling:
        jobs = [kling.submit(prompt("lost"), key="lost")]
        await asyncio.sleep(1)
    clocks.slept += 180 * DAY
    async with on(vendor, journal, Reconciliation()) as kling:
        jobs += kling.pending
        assert (await jobs[1]).generation_id == "g1"
        assert len(vendor.asked) >= 2
    await kept(vendor, journal, jobs)


@virtual
async def test_fault_38_what_was_posted_by_a_clock_that_is_now_in_the_future_is_never_proven_absent(
    clocks: Clocks,
) -> None:
    vendor, journal = Dated(clocks=clocks, loses={1}), MemoryJournal()
    clocks.off = 300 * DAY
    async with on(vendor, journal) as kling:
        jobs = await _lose_one_and_buy_another(kling)
    clocks.off = 0.0
    async with on(vendor, journal) as kling:
        jobs += kling.pending
        await kling.drain()
        assert {job.state for job in jobs[2:]} == {JobState.UNCERTAIN, JobState.COMPLETED}
    assert vendor.submits == 2
    await kept(vendor, journal, jobs)
