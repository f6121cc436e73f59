"""Fault 8, and what else can be wrong with the account's log, in which uncertain submits are looked for."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fault_vendor import EVERY, breaks_off, is_silent, page, resets, says, sells, shows_the_log, sold, stated
from scripted import prompt

from kling_async import GenerationFailed, JobState, Reconciliation, SubmissionUncertain

if TYPE_CHECKING:
    from collections.abc import Callable

    from fault_case import Case
    from fault_vendor import Act, FaultVendor
    from loopback import Exchange

    from kling_async import Job, KlingSession

pytestmark = pytest.mark.asyncio

PATIENT = Reconciliation(after=20)
ANYTHING = {"created": "2026-01-01T00:00:00Z", "status": "succeeded", "model": None}


async def test_fault_08_a_row_that_lags_is_waited_for(case: Case) -> None:
    case.vendor.submits[1] = sold(resets)
    case.vendor.lag = 4
    async with case, case.session(reconciliation=PATIENT) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert (len(case.vendor.posts), case.vendor.counts["look"]) == (1, 5)


async def test_fault_08_rows_on_later_pages_are_found_by_one_look_for_all(case: Case) -> None:
    case.vendor.submits[EVERY] = sold(resets)
    case.vendor.strangers, case.vendor.page = 110, 25
    async with case, case.session(reconciliation=PATIENT) as kling:
        jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(30)]
        await asyncio.gather(*jobs)
        owners = {sale.generation_id: sale.key for sale in case.vendor.sales}
        assert {job.generation_id: job.key for job in jobs} == owners
    assert len(case.vendor.posts) == 30


async def test_fault_08_of_several_rows_for_one_key_the_oldest_is_adopted_and_all_are_reported(case: Case) -> None:
    async def sells_strangely(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange).twins = ["g-older", "g-1", "g-oldest"]
        exchange.reset()

    case.vendor.submits[1] = sells_strangely
    async with case, case.session(reconciliation=PATIENT) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-oldest"
    reports = [record.getMessage() for record in case.log.records if record.levelname == "ERROR"]
    assert any("g-1" in said and "g-older" in said and "g-oldest" in said for said in reports)
    assert len(case.vendor.posts) == 1


async def test_fault_08_a_page_that_shifts_while_it_is_read_loses_no_row(case: Case) -> None:
    async def grows(vendor: FaultVendor, exchange: Exchange) -> None:
        await shows_the_log(vendor, exchange)
        vendor.strangers += 7

    case.vendor.submits[1] = sold(resets)
    case.vendor.strangers, case.vendor.page = 50, 10
    case.vendor.looks[EVERY] = grows
    async with case, case.session(reconciliation=PATIENT) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"


@pytest.mark.parametrize(
    "trouble",
    [
        stated(429, "too many requests"),
        stated(500, "try later"),
        page(502),
        says(200, b'{"data": ['),
        says(200, {"data": None, "pagination": {}}),
        says(200, {"data": [None, 5, {"client_request_id": 7}, ANYTHING], "pagination": {"has_more": False}}),
        resets,
        breaks_off,
        is_silent,
    ],
    ids=["429", "500", "502", "cut", "null", "garbage", "reset", "broken off", "silent"],
)
async def test_fault_08_a_log_that_cannot_be_read_proves_nothing(case: Case, trouble: Any) -> None:
    case.vendor.submits[1] = sold(resets)
    case.vendor.looks = dict.fromkeys((1, 2), trouble)
    settings = Reconciliation(after=20)
    async with case, case.session(reconciliation=settings, timeouts={"call": 0.1}) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_08_a_row_of_a_failed_generation_is_that_failure(case: Case) -> None:
    async def sells_and_fails(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange).failed = True
        exchange.reset()

    case.vendor.submits[1] = sells_and_fails
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        with pytest.raises(GenerationFailed, match="log"):
            await job
        assert (job.state, job.generation_id) == (JobState.FAILED, "g-1")


async def test_fault_08_a_strangers_row_is_never_adopted_however_much_it_is_like_ours(case: Case) -> None:
    async def like_ours(vendor: FaultVendor, exchange: Exchange) -> None:
        name = vendor.posts[0].headers["x-client-request-id"]
        alike = [name[:-1], f"{name}0", name.upper(), name.partition(":")[0]]
        vendor.extra = [
            ANYTHING | {"inference_id": f"s-{n}", "client_request_id": alike[n], "created": "2999"} for n in range(4)
        ]
        vendor.extra.append(ANYTHING | {"inference_id": "s-4", "client_request_id": name, "model": "another/model"})
        await says(200, {"data": vendor.extra, "pagination": {"has_more": False}})(vendor, exchange)

    case.vendor.submits[1] = resets
    case.vendor.looks[EVERY] = like_ours
    async with case, case.session() as kling:
        job = kling.submit(prompt(), key="k")
        with pytest.raises(SubmissionUncertain):
            await job
        assert (job.state, job.generation_id) == (JobState.UNCERTAIN, None)


async def test_fault_08_absence_is_answered_by_another_post_only_where_the_caller_chose_so(case: Case) -> None:
    case.vendor.submits[1] = resets
    choice = Reconciliation(after=0.6, then="resubmit")
    async with case, case.session(reconciliation=choice) as kling:
        lost = await _lost_before_another(case, kling)
        assert (await lost).generation_id == "g-2"
    assert [sale.key for sale in case.vendor.sales] == ["later", "lost"]


async def test_fault_08_a_row_under_our_name_that_does_not_fit_is_no_absence(case: Case) -> None:
    async def sells_as_another_model(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange).model = "another/model"
        exchange.reset()

    case.vendor.submits[1] = sells_as_another_model
    async with case, case.session(reconciliation=Reconciliation(after=0.6, then="resubmit")) as kling:
        lost = await _lost_before_another(case, kling)
        with pytest.raises(SubmissionUncertain):
            await lost
    assert [sale.key for sale in case.vendor.sales] == ["lost", "later"]


async def test_fault_08_even_then_a_log_that_hides_a_sale_costs_one_more_and_not_a_third(case: Case) -> None:
    async def sells_secretly(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange).hidden = True
        exchange.reset()

    case.vendor.submits = {1: sells_secretly, 3: sells_secretly, 4: sells}
    case.opted_in.add("lost")
    choice = Reconciliation(after=0.6, then="resubmit", max_resubmits=1)
    async with case, case.session(reconciliation=choice) as kling:
        lost = await _lost_before_another(case, kling)
        with pytest.raises(SubmissionUncertain):
            await lost
        again = kling.submit(prompt(), key="lost")
        with pytest.raises(SubmissionUncertain):
            await again
    assert [sale.key for sale in case.vendor.sales] == ["lost", "later", "lost"]


async def test_fault_08_without_a_later_job_in_the_log_absence_proves_nothing(case: Case) -> None:
    async def sells_secretly(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange).hidden = True
        exchange.reset()

    case.vendor.submits[1] = sells_secretly
    async with case, case.session(reconciliation=Reconciliation(after=0.1, then="resubmit")) as kling:
        with pytest.raises(SubmissionUncertain):
            await kling.submit(prompt())
    assert len(case.vendor.posts) == 1


def _bought_and_lost(case: Case) -> Any:
    """A session that may send again what the log does not show, and a vendor whose first answer is lost."""
    case.vendor.submits[1] = sold(resets)
    return case.session(reconciliation=Reconciliation(after=0.4, then="resubmit"))


async def _lost_before_another(case: Case, kling: KlingSession) -> Job:
    """Submit one whose answer is to be lost, and wait for another, which was submitted later, to be made."""
    lost = kling.submit(prompt(), key="lost")
    await case.vendor.arrival("submit")
    await kling.submit(prompt("later"), key="later")
    return lost


def changed(change: Callable[[list[dict[str, Any]], dict[str, Any]], object]) -> Act:
    """The log as it is, with a change to the rows of a page or to what it says of further ones."""

    async def act(vendor: FaultVendor, exchange: Exchange) -> None:
        rows = vendor.rows()
        pagination: dict[str, Any] = {"has_more": False, "total": len(rows), "limit": 100, "offset": 0}
        change(rows, pagination)
        await says(200, {"data": rows, "pagination": pagination})(vendor, exchange)

    return act


@pytest.mark.parametrize(
    "change",
    [
        lambda rows, said: (rows.pop(), said.update(has_more=True, total=None)),
        lambda rows, said: (rows.clear(), said.update(has_more=True)),
        lambda rows, said: (rows.pop(), said.pop("has_more")),
        lambda rows, said: (rows.pop(), said.clear()),
        lambda rows, said: (rows.pop(), said.update(has_more="true")),
        lambda rows, _: rows.pop(),
        lambda rows, said: (rows.pop(), said.update(has_more=True, total=200)),
        lambda rows, said: (rows.pop(), said.update(total=None, offset=100)),
        lambda rows, said: (rows.pop(), rows.append(None), said.update(total=None)),
        lambda rows, said: (rows[-1].update(client_request_id=5), said.update(total=None)),
        lambda rows, said: (rows.pop(), said.update(total="2")),
        lambda rows, said: (rows.pop(), said.update(total=None, limit="1")),
        lambda rows, _: rows[-1].update(client_request_id=None),
        lambda rows, _: rows[-1].update(client_request_id="", inference_id=None, model=None, created="lately"),
    ],
    ids=[
        "circle",
        "empty",
        "no more",
        "nothing",
        "text",
        "short",
        "limit",
        "offset",
        "null row",
        "number for a name",
        "text for a total",
        "text for a limit",
        "no name",
        "no name and little else",
    ],
)
async def test_fault_08_a_log_that_does_not_show_everything_proves_nothing(case: Case, change: Any) -> None:
    """Not even where a later job of ours is in it, and the caller chose to have it sent again."""
    case.vendor.looks[EVERY] = changed(change)
    async with case, _bought_and_lost(case) as kling:
        lost = await _lost_before_another(case, kling)
        with pytest.raises(SubmissionUncertain):
            await lost
    assert len(case.vendor.posts) == 2


async def test_fault_08_the_first_page_shown_again_in_place_of_the_last_proves_nothing(case: Case) -> None:
    """Only what a page says of its place heeds the offset, and so nothing is said to follow."""

    async def heeds_no_offset(vendor: FaultVendor, exchange: Exchange) -> None:
        if len(vendor.sales) < 2:  # alone, the first sale's row would be the first page's
            await page(502)(vendor, exchange)
            return
        offset = int(parse_qs(urlsplit(exchange.target).query)["offset"][0])
        rows = vendor.rows()
        said = {"offset": offset, "limit": 1, "total": len(rows), "has_more": offset + 1 < len(rows)}
        await says(200, {"data": rows[:1], "pagination": said})(vendor, exchange)

    case.vendor.looks[EVERY] = heeds_no_offset
    async with case, _bought_and_lost(case) as kling:
        lost = await _lost_before_another(case, kling)
        with pytest.raises(SubmissionUncertain):
            await lost
    assert len(case.vendor.posts) == 2


async def test_fault_08_an_earlier_page_left_over_on_a_connection_is_not_this_one(case: Case) -> None:
    """It is of a time when our row lagged, and would prove that nothing was bought."""
    connections: list[int] = []
    names: list[str] = []

    async def answers_the_first_again(vendor: FaultVendor, exchange: Exchange) -> None:
        connections.append(exchange.connection)
        names.append(exchange.headers["x-client-request-id"])
        is_stale = exchange.connection == connections[0]
        rows = vendor.rows()[:-1] if is_stale else vendor.rows()
        page = {"data": rows, "pagination": {"has_more": False}}
        await says(200, page, x_client_request_id=names[0] if is_stale else names[-1])(vendor, exchange)

    case.vendor.looks[EVERY] = answers_the_first_again
    async with case, _bought_and_lost(case) as kling:
        lost = await _lost_before_another(case, kling)
        assert (await lost).generation_id == "g-1"
    assert len(case.vendor.posts) == 2


async def test_fault_08_what_others_bought_without_a_name_is_no_sign_of_our_own(case: Case) -> None:
    mine, now = "klingai/v2.1-master-text-to-video", datetime.now(UTC).isoformat()
    nameless = ANYTHING | {"client_request_id": None, "created": now}
    case.vendor.extra = [
        nameless | {"inference_id": "s-1", "model": "another/model"},
        nameless | {"inference_id": "s-2", "model": mine, "created": "2026-01-01T00:00:00Z"},
        nameless | {"inference_id": "s-3", "model": mine, "status": "failed"},
    ]

    async def with_its_date(vendor: FaultVendor, exchange: Exchange) -> None:
        said = {"data": vendor.rows(), "pagination": {"has_more": False}}
        await says(200, said, date=formatdate(usegmt=True))(vendor, exchange)

    case.vendor.looks[EVERY] = with_its_date
    case.vendor.submits[1] = resets
    async with case, case.session(reconciliation=Reconciliation(after=0.6, then="resubmit")) as kling:
        lost = await _lost_before_another(case, kling)
        assert (await lost).generation_id == "g-2"
    assert [sale.key for sale in case.vendor.sales] == ["later", "lost"]


@pytest.mark.parametrize("told", [None, "", 1.5, {}, []], ids=["null", "empty", "fraction", "object", "list"])
async def test_fault_08_a_row_under_our_name_is_never_absence_whatever_its_id(case: Case, told: object) -> None:
    case.vendor.looks[EVERY] = changed(lambda rows, _: rows[-1].update(inference_id=told))
    async with case, _bought_and_lost(case) as kling:
        lost = await _lost_before_another(case, kling)
        with pytest.raises(SubmissionUncertain):
            await lost
    assert len(case.vendor.posts) == 2


async def test_fault_08_an_id_that_comes_as_a_number_is_adopted(case: Case) -> None:
    async def sells_by_number(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange).generation_id = "1000000007"
        exchange.reset()

    case.vendor.submits[1] = sells_by_number
    case.vendor.looks[EVERY] = changed(lambda rows, _: rows[-1].update(inference_id=1000000007))
    async with case, case.session(reconciliation=PATIENT) as kling:
        assert (await kling.submit(prompt())).generation_id == "1000000007"


async def test_fault_08_rows_that_vanish_while_pages_are_read_prove_nothing(case: Case) -> None:
    """Our row is pulled back onto a page that was read already."""

    strangers = [ANYTHING | {"inference_id": f"s-{n}", "client_request_id": f"s:{n}"} for n in range(30)]

    async def shrinks(vendor: FaultVendor, exchange: Exchange) -> None:
        offset = int(parse_qs(urlsplit(exchange.target).query)["offset"][0])
        *later, ours = vendor.rows()
        newer = [*later, *strangers][: 9 if offset == 0 else 6]
        log = [*newer, ours, *strangers[9:]]
        shown = log[offset : offset + 9]
        await says(200, {"data": shown, "pagination": {"has_more": offset + 9 < len(log)}})(vendor, exchange)

    case.vendor.looks[EVERY] = shrinks
    async with case, _bought_and_lost(case) as kling:
        lost = await _lost_before_another(case, kling)
        with pytest.raises(SubmissionUncertain):
            await lost
    assert len(case.vendor.posts) == 2


@pytest.mark.parametrize(
    "trouble",
    [stated(429, "too many"), stated(500, "try later"), page(502), resets, says(200, b"{")],
    ids=["429", "500", "502", "reset", "cut"],
)
async def test_fault_08_a_page_that_is_refused_is_asked_for_again_where_it_stood(case: Case, trouble: Act) -> None:
    """Another program reads the log as well, so that every second request is one too many."""
    asked: list[str] = []

    async def refuses_every_second(vendor: FaultVendor, exchange: Exchange) -> None:
        asked.extend(parse_qs(urlsplit(exchange.target).query)["offset"])
        await (trouble if len(asked) % 2 == 0 else shows_the_log)(vendor, exchange)

    case.vendor.submits[1] = sold(resets)
    case.vendor.strangers, case.vendor.page = 35, 10
    case.vendor.looks[EVERY] = refuses_every_second
    async with case, case.session(reconciliation=PATIENT) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert asked == ["0", "9", "9", "18", "18", "27", "27"]


@pytest.mark.parametrize(
    "told",
    ["KlingAI/V2.1-Master-Text-To-Video", "v2.1-master-text-to-video", "kling/v2.1-master-text-to-video", "new/name"],
)
async def test_fault_08_a_model_is_known_by_its_alias_and_in_any_spelling(case: Case, told: str) -> None:
    names = {"id": "new/name", "aliases": ["klingai/v2.1-master-text-to-video"]}
    case.vendor.models = [names]
    case.vendor.looks[EVERY] = changed(lambda rows, _: rows[-1].update(model=told))
    case.vendor.submits[1] = sold(resets)
    async with case, case.session(reconciliation=PATIENT) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"


@pytest.mark.parametrize("hours", [-20, -3, 3, 20])
async def test_fault_08_a_vendor_whose_clock_is_hours_off_is_not_taken_for_one_that_sold_nothing(
    case: Case, hours: int
) -> None:
    async def dates_wrongly(vendor: FaultVendor, exchange: Exchange) -> None:
        for sale in vendor.sales:
            sale.at = time.time() + hours * 3600
        await shows_the_log(vendor, exchange)

    case.vendor.looks[EVERY] = dates_wrongly
    async with case, _bought_and_lost(case) as kling:
        lost = await _lost_before_another(case, kling)
        assert (await lost).generation_id == "g-1"
    assert len(case.vendor.posts) == 2
