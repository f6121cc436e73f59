"""Submits of unknown outcome: searched for, continued, given up, and never sent twice unless chosen."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ScriptedVendor, answer, envelope, prompt, session
from virtual import virtual

from kling_async import (
    AuthenticationError,
    ConfigurationError,
    GenerationFailed,
    JobAbandoned,
    JobState,
    Limits,
    Polling,
    Reconciliation,
    RequestTimeout,
    SubmissionUncertain,
    TransportError,
)

if TYPE_CHECKING:
    from kling_async import KlingSession

STEADY = Polling.fixed(10, first=240)
MODEL = "klingai/v2.1-master-text-to-video"
LOST = RequestTimeout("no answer in time", sent=True)


def row(name: str, generation_id: str, *, status: str = "succeeded", model: str = MODEL) -> dict[str, Any]:
    return {
        "created": "2026-01-01T00:00:00Z",
        "status": status,
        "model": model,
        "inference_id": generation_id,
        "client_request_id": name,
    }


def stranger(n: int) -> dict[str, Any]:
    return row(f"somebody-else:{n}", f"other-{n}")


def lose(*numbers: int) -> ScriptedVendor:
    """A vendor whose answers to these POSTs are lost."""
    return ScriptedVendor(on_submit=lambda n: LOST if n in numbers else None)


def with_log(vendor: ScriptedVendor, **settings: Any) -> KlingSession:
    return session(vendor, polling=STEADY, **settings)


@virtual
async def test_what_was_bought_after_all_is_adopted_and_polled() -> None:
    vendor = lose(1)
    async with with_log(vendor) as kling:
        job = kling.submit(prompt(), key="row-1")
        await asyncio.sleep(1)
        assert job.state is JobState.UNCERTAIN
        vendor.rows = [stranger(1), row(vendor.names[0], "found"), stranger(2)]
        assert (await job).generation_id == "found"
    assert vendor.submits == 1
    assert vendor.looks == [15.0]


@virtual
async def test_one_search_through_every_page_serves_all_uncertain_jobs() -> None:
    vendor = lose(1, 2, 3)
    async with with_log(vendor) as kling:
        jobs = [kling.submit(prompt(f"{n}")) for n in range(3)]
        await asyncio.sleep(1)
        pages = [stranger(n) for n in range(250)]
        pages[20], pages[120], pages[249] = (row(vendor.names[n], f"found-{n}") for n in range(3))
        vendor.rows = pages
        assert {(await job).generation_id for job in jobs} == {"found-0", "found-1", "found-2"}
    assert len(vendor.looks) == 3  # pages


@virtual
async def test_looks_come_ever_more_slowly_and_a_late_row_is_still_found() -> None:
    vendor = lose(1)
    async with with_log(vendor) as kling:
        job = kling.submit(prompt())
        await asyncio.sleep(1000)
        gaps = [after - before for before, after in zip(vendor.looks, vendor.looks[1:], strict=False)]
        assert gaps == sorted(gaps)
        assert (gaps[0], gaps[-1]) == (30.0, 300.0)
        vendor.rows = [row(vendor.names[0], "late")]
        assert (await job).generation_id == "late"


@virtual
async def test_a_stand_in_that_is_faster_is_asked_sooner_and_believed_sooner() -> None:
    vendor = lose(1)
    async with with_log(vendor, reconciliation=Reconciliation().at_speed(60)) as kling:
        job = kling.submit(prompt())
        with pytest.raises(SubmissionUncertain):
            await job
    assert vendor.looks[:3] == [0.25, 0.75, 1.75]
    assert vendor.looks[-1] == 60.0


def test_no_stand_in_is_so_fast_that_requests_take_no_time() -> None:
    assert Reconciliation().at_speed(1e6).give_up_after(MODEL, 5) == 5.0
    assert Reconciliation(after=1).at_speed(1e6).give_up_after(MODEL, 5) == 1.0


@virtual
async def test_a_name_that_merely_begins_alike_is_a_strangers() -> None:
    vendor = lose(1)
    async with with_log(vendor) as kling:
        job = kling.submit(prompt(), key="row-1")
        await asyncio.sleep(1)
        vendor.rows = [row("row-1:0000000000000000", "stranger"), row("row-1", "stranger-2")]
        with pytest.raises(SubmissionUncertain, match="/v2/logs") as caught:
            await job
        assert caught.value.client_request_id == vendor.names[0]
        assert 3600 <= asyncio.get_running_loop().time() <= 3600 + 300
    assert vendor.submits == 1


@virtual
async def test_a_row_of_another_model_or_of_another_jobs_generation_is_not_adopted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vendor = lose(2)
    async with with_log(vendor, reconciliation=Reconciliation(after=60)) as kling:
        first = kling.submit(prompt("1"))
        await first.accepted()
        second = kling.submit(prompt("2"))
        await asyncio.sleep(1)
        vendor.rows = [row(vendor.names[1], "g1"), row(vendor.names[1], "x", model="kling-video/v1/pro/text-to-video")]
        with pytest.raises(SubmissionUncertain):
            await second
        await first
    assert "another job has" in caplog.text
    assert "not klingai/v2.1-master-text-to-video" in caplog.text


@virtual
async def test_of_two_rows_under_one_name_the_oldest_is_adopted_and_both_are_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vendor = lose(1)
    async with with_log(vendor) as kling:
        job = kling.submit(prompt())
        await asyncio.sleep(1)
        vendor.rows = [row(vendor.names[0], "newer"), row(vendor.names[0], "older"), row(vendor.names[0], "older")]
        assert (await job).generation_id == "older"
    assert "2 times, as older, newer" in caplog.text


@virtual
async def test_a_row_that_says_failed_is_the_end() -> None:
    vendor = lose(1)
    async with with_log(vendor) as kling:
        job = kling.submit(prompt())
        await asyncio.sleep(1)
        vendor.rows = [row(vendor.names[0], "dead", status="failed")]
        with pytest.raises(GenerationFailed):
            await job
        assert (job.state, job.generation_id) == (JobState.FAILED, "dead")


@virtual
async def test_a_look_that_breaks_off_proves_nothing() -> None:
    """Until a whole look was begun late enough, the job is not given up."""
    vendor = lose(1)
    vendor.on_logs = lambda n: envelope(503, "down") if n <= 8 else None  # as often as one page is asked for
    async with with_log(vendor, reconciliation=Reconciliation(after=60)) as kling:
        job = kling.submit(prompt())
        with pytest.raises(SubmissionUncertain):
            await job
        assert len(vendor.looks) == 9


@virtual
async def test_a_log_that_can_never_be_read_is_not_waited_for_for_ever() -> None:
    vendor = lose(1)
    vendor.on_logs = lambda _: answer(200, {"nonsense": True})
    async with with_log(vendor, reconciliation=Reconciliation(after=100)) as kling:
        with pytest.raises(SubmissionUncertain):
            await kling.submit(prompt())
        assert 3700 <= asyncio.get_running_loop().time() <= 4000


@virtual
async def test_a_bad_key_is_reported_by_the_log_as_well() -> None:
    vendor = lose(1)
    vendor.on_logs = lambda _: envelope(401, "Invalid API key")
    vendor.on_balance = lambda: envelope(401, "Invalid API key")
    async with with_log(vendor) as kling:
        job = kling.submit(prompt())
        with pytest.raises(AuthenticationError):
            await job
        assert job.state is JobState.UNCERTAIN


@virtual
async def test_a_bad_key_that_the_log_alone_tells_of_only_breaks_the_look_off() -> None:
    vendor = lose(1)
    vendor.on_logs = lambda _: envelope(401, "Invalid API key")
    async with with_log(vendor) as kling:
        job = kling.submit(prompt())
        await asyncio.sleep(1000)
        assert job.state is JobState.UNCERTAIN
        assert not job.done()
        vendor.on_logs = lambda _: None
        vendor.rows = [row(vendor.names[0], "found")]
        assert (await job).generation_id == "found"


async def _absent(kling: KlingSession, vendor: ScriptedVendor, *, later: bool) -> Any:
    """A job whose POST is not in the log, and perhaps one after it that is."""
    job = kling.submit(prompt("lost"))
    await asyncio.sleep(1)
    if later:
        other = kling.submit(prompt("later"))
        await other
        vendor.rows = [row(vendor.names[1], other.generation_id or "")]
    return job


@virtual
async def test_absence_is_reported_by_default() -> None:
    vendor = lose(1)
    async with with_log(vendor) as kling:
        job = await _absent(kling, vendor, later=True)
        with pytest.raises(SubmissionUncertain):
            await job
        assert (job.state, vendor.submits) == (JobState.UNCERTAIN, 2)


@virtual
async def test_proven_absence_is_submitted_again_where_the_caller_chose_so() -> None:
    vendor = lose(1)
    async with with_log(vendor, reconciliation=Reconciliation(after=600, then="resubmit")) as kling:
        job = await _absent(kling, vendor, later=True)
        assert (await job).generation_id == "g3"
        assert vendor.submits == 3
        assert len(set(vendor.names)) == 3


@virtual
async def test_what_is_known_by_its_token_alone_is_never_submitted_again() -> None:
    vendor = lose(1)
    async with with_log(vendor) as elsewhere:
        token = (await _absent(elsewhere, vendor, later=False)).token()
    async with with_log(vendor, reconciliation=Reconciliation(after=600, then="resubmit")) as kling:
        job = kling.resume(token)
        other = await kling.submit(prompt("later"))
        vendor.rows = [row(vendor.names[1], other.generation_id)]
        with pytest.raises(SubmissionUncertain):
            await job
    assert vendor.submits == 2


@virtual
async def test_absence_that_is_not_proven_is_reported_whatever_was_chosen() -> None:
    vendor = lose(1)
    async with with_log(vendor, reconciliation=Reconciliation(after=600, then="resubmit")) as kling:
        job = await _absent(kling, vendor, later=False)
        with pytest.raises(SubmissionUncertain):
            await job
    assert vendor.submits == 1


@virtual
async def test_resubmits_are_counted_and_an_earlier_one_that_appears_late_is_adopted() -> None:
    vendor = lose(1, 3, 4)
    settings = Reconciliation(after=600, then="resubmit", max_resubmits=1)
    async with with_log(vendor, reconciliation=settings) as kling:
        job = await _absent(kling, vendor, later=True)
        await asyncio.sleep(620)
        assert vendor.submits == 3
        third = kling.submit(prompt("later still"))
        vendor.on_submit = lambda _: None
        await asyncio.sleep(700)
        assert vendor.submits == 4
        vendor.rows = [row(vendor.names[0], "the-first-after-all")]
        again = kling.submit(prompt("lost"), key=job.key)
        assert (await again).generation_id == "the-first-after-all"
        third.abandon()


@virtual
async def test_a_uncertain_job_can_be_abandoned_and_keeps_to_its_deadline() -> None:
    vendor = lose(1, 2)
    async with with_log(vendor) as kling:
        given_up, bounded = kling.submit(prompt("1")), kling.submit(prompt("2"), deadline=100)
        await asyncio.sleep(1)
        given_up.abandon()
        with pytest.raises(JobAbandoned, match="charge stands"):
            await given_up
        with pytest.raises(SubmissionUncertain):
            await bounded
        assert asyncio.get_running_loop().time() == 100.0
        looked = len(vendor.looks)
        await asyncio.sleep(5000)
        assert len(vendor.looks) <= looked + 1


@virtual
async def test_the_account_s_own_limit_on_looks_is_kept() -> None:
    vendor = lose(1)
    vendor.rows = [stranger(n) for n in range(60_000)]
    async with session(vendor, polling=STEADY) as kling:
        kling.submit(prompt())
        await asyncio.sleep(400)
    windows = [sum(1 for at in vendor.looks if start <= at < start + 60) for start in vendor.looks]
    assert len(vendor.looks) > 500
    assert max(windows) <= 200


@virtual
async def test_uncertain_jobs_take_slots_only_while_their_generations_could_be_running() -> None:
    vendor = lose(1, 2, 3)
    limits = Limits(requests_per_second=1000, burst=1000, max_in_flight=3)
    async with with_log(vendor, limits=limits) as kling:
        uncertain = [kling.submit(prompt(f"lost {n}")) for n in range(3)]
        others = [kling.submit(prompt(f"{n}")) for n in range(9)]
        await asyncio.sleep(600)
        assert vendor.submits == 3  # one in ten takes as long
        await asyncio.gather(*others)
        assert asyncio.get_running_loop().time() < 2400
        vendor.rows = [row(name, f"found-{n}") for n, name in enumerate(vendor.names[:3])]
        assert {(await job).generation_id for job in uncertain} == {"found-0", "found-1", "found-2"}
    begun = [at for at, what, _ in vendor.log if what == "submit"]
    assert all(sum(start <= at < start + 200 for at in begun) <= 3 for start in begun)


@virtual
async def test_what_is_found_after_its_time_takes_a_slot_again() -> None:
    vendor = lose(1)
    limits = Limits(requests_per_second=1000, burst=1000, max_in_flight=1)
    async with with_log(vendor, limits=limits) as kling:
        lost = kling.submit(prompt("lost"))
        await asyncio.sleep(1800)  # it is over, so far as anybody knows
        vendor.rows, vendor.done_at["slow"] = [row(vendor.names[0], "slow")], 3000.0
        await lost.accepted()
        found = asyncio.get_running_loop().time()
        await kling.submit(prompt("next"))
        assert found < 3000.0 <= vendor.log[-1][0]
        assert [at for at, what, _ in vendor.log if what == "submit"][1] >= 3000.0


@virtual
async def test_a_poll_that_is_tried_again_does_not_wait_for_the_end_of_an_earlier_uncertainty() -> None:
    vendor = lose(1)
    async with with_log(vendor) as kling:
        job = kling.submit(prompt())
        await asyncio.sleep(1)
        vendor.rows, vendor.done_at["g"] = [row(vendor.names[0], "g")], 400.0
        vendor.on_poll = lambda *_: envelope(503, "down") if asyncio.get_running_loop().time() < 1200 else None
        await job
        assert asyncio.get_running_loop().time() < 1300


@virtual
async def test_a_post_cut_off_by_closing_is_uncertain(caplog: pytest.LogCaptureFixture) -> None:
    vendor = ScriptedVendor(latency=1000)
    with caplog.at_level(logging.ERROR):
        async with with_log(vendor) as kling:
            job = kling.submit(prompt())
            await asyncio.sleep(1)
    assert job.state is JobState.UNCERTAIN
    assert caplog.text == ""


@virtual
async def test_a_connection_lost_in_the_middle_is_looked_for_too() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: TransportError("reset", sent=True))
    async with with_log(vendor) as kling:
        job = kling.submit(prompt(model="unknown/model"))
        await asyncio.sleep(1)
        vendor.rows = [row(vendor.names[0], "found", model="unknown/model")]
        assert (await job).generation_id == "found"


@pytest.mark.parametrize(
    ("field", "value"), [("then", "retry"), ("after", -1), ("after", math.nan), ("max_resubmits", -1)]
)
def test_settings_that_cannot_be_used_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=field):
        Reconciliation(**{field: value})  # type: ignore[arg-type]
