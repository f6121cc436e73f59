"""The questions a session asks about its account, over a scripted vendor in virtual time."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from account_vendor import MASTER, AccountVendor, price_list, priced
from scripted import answer, envelope, prompt, session
from virtual import virtual

from kling_async import (
    AuthenticationError,
    Balance,
    HttpResponse,
    InvalidRequest,
    JobState,
    Limits,
    MalformedResponse,
    RequestTimeout,
    ServerError,
    SessionClosed,
    TextToVideo,
    models,
)

if TYPE_CHECKING:
    from kling_async import KlingSession

BALANCE = answer(200, {"current_balance": 12.5, "currency": "USD"})


def vendor(**answers: Any) -> AccountVendor:
    """A vendor that answers these; double underscores in names stand for slashes."""
    paths = {
        "/" + name.replace("__", "/"): value if isinstance(value, list) else [value] for name, value in answers.items()
    }
    return AccountVendor(answers=paths)


@virtual
async def test_the_balance_and_its_detail_are_read() -> None:
    detail = answer(200, {"current_balance": 3, "autotopup_settings": {"is_enabled": True}})
    async with session(vendor(v2__billing=BALANCE, v2__billing__detail=detail)) as kling:
        assert await kling.balance() == Balance(Decimal("12.5"), "USD")
        told = await kling.billing_detail()
        assert told.auto_top_up is not None
        assert told.auto_top_up.is_enabled


@virtual
async def test_questions_take_their_turns_with_the_polls() -> None:
    async with session(vendor(v2__billing=BALANCE), limits=Limits(requests_per_second=1, burst=1)) as kling:
        await kling.balance()
        before = asyncio.get_running_loop().time()
        await kling.balance()
        assert asyncio.get_running_loop().time() - before >= 1


@virtual
async def test_passing_trouble_is_tried_again_and_what_is_left_of_it_raised() -> None:
    trouble = [envelope(503, "busy"), RequestTimeout("slow"), envelope(429, "many", retry_after="7"), BALANCE]
    asked = vendor(v2__billing=trouble)
    async with session(asked) as kling:
        assert (await kling.balance()).usd == Decimal("12.5")
        assert 7 <= asyncio.get_running_loop().time() < 15
        asked.answers["/v2/billing"] = [envelope(500, "oops")]
        with pytest.raises(ServerError):
            await kling.balance()
        assert asked.times("/v2/billing") == 8


@virtual
async def test_lasting_trouble_is_raised_at_once() -> None:
    asked = vendor(v2__billing=envelope(401, "who are you"))
    async with session(asked) as kling:
        with pytest.raises(AuthenticationError):
            await kling.balance()
        assert asked.times("/v2/billing") == 1


@virtual
async def test_a_closed_session_asks_nothing() -> None:
    async with session(vendor(v2__billing=BALANCE)) as kling:
        rows = kling.transactions()
    with pytest.raises(SessionClosed):
        await kling.balance()
    with pytest.raises(SessionClosed):
        kling.logs()
    with pytest.raises(SessionClosed):
        await anext(rows)


@virtual
async def test_usage_is_asked_for_by_period_or_by_start_and_end() -> None:
    asked = vendor(v2__usage=answer(200, {"spend": 1.25, "requests": 2}))
    async with session(asked) as kling:
        assert (await kling.usage("7d")).usd == Decimal("1.25")
        day = datetime(2026, 1, 1, tzinfo=UTC)
        await kling.usage(start=day, end=day + timedelta(days=1))
        with pytest.raises(InvalidRequest):
            await kling.usage("7d", start=day)
    assert [query for _, query in asked.asked] == [
        {"period": "7d"},
        {"start": "2026-01-01T00:00:00.000Z", "end": "2026-01-02T00:00:00.000Z"},
    ]


# The ledger


def charge(generation_id: str, usd: float = 1.4) -> dict[str, Any]:
    return {
        "created_at": "2026-01-01T00:00:00Z",
        "direction": "CHARGE",
        "type": "MODEL_USAGE",
        "amount": {"usd": usd, "credits": round(usd * 2_000_000)},
        "model": MASTER,
        "reference_id": generation_id,
    }


def ledger(*rows: dict[str, Any], cursor: str | None = None) -> HttpResponse:
    return answer(200, {"data": rows, "pagination": {"next_cursor": cursor, "has_more": cursor is not None}})


@virtual
async def test_the_ledger_is_read_page_by_page_by_its_cursor() -> None:
    asked = vendor(v2__billing__transactions=[ledger(charge("a"), charge("b"), cursor="c+/="), ledger(charge("c"))])
    async with session(asked) as kling:
        rows = [row.reference_id async for row in kling.transactions(direction="CHARGE")]
    assert rows == ["a", "b", "c"]
    assert [query.get("cursor") for _, query in asked.asked] == [None, "c+/="]
    assert {query["direction"] for _, query in asked.asked} == {"CHARGE"}


@virtual
async def test_the_ledger_is_read_no_further_than_it_is_iterated() -> None:
    asked = vendor(v2__billing__transactions=ledger(charge("a"), cursor="on"))
    async with session(asked) as kling:
        rows = kling.transactions()
        await anext(rows)
        await rows.aclose()
        assert asked.times("/v2/billing/transactions") == 1


@virtual
async def test_pages_that_lead_in_a_circle_end_with_an_error() -> None:
    asked = vendor(v2__billing__transactions=ledger(charge("a"), cursor="again"))
    async with session(asked) as kling:
        with pytest.raises(MalformedResponse, match="circle"):
            _ = [row async for row in kling.transactions()]
        assert asked.times("/v2/billing/transactions") == 2


# The log


def logged(name: str, **more: Any) -> dict[str, Any]:
    return {"inference_id": name, "status": "succeeded", "client_request_id": f"{name}:x"} | more


def log_pages(rows: list[dict[str, Any]], *, grow: int = 0) -> Any:
    """A log of two rows a page, to which so many rows are added before each page but the first."""
    served = 0

    def page(query: dict[str, str]) -> HttpResponse:
        nonlocal served
        if served:
            for n in range(grow):
                rows.insert(0, logged(f"new-{served}-{n}"))
        served += 1
        offset = int(query["offset"])
        pagination = {"has_more": offset + 2 < len(rows)}
        return answer(200, {"data": rows[offset : offset + 2], "pagination": pagination})

    return page


@virtual
async def test_the_log_is_read_page_by_page_with_its_filters() -> None:
    asked = vendor(v2__logs=log_pages([logged(name) for name in "abcde"]))
    async with session(asked) as kling:
        rows = [row.key async for row in kling.logs("7d", models=MASTER, statuses=["succeeded"])]
    assert rows == list("abcde")
    assert [query["offset"] for _, query in asked.asked] == ["0", "2", "4"]
    assert {(query["period"], query["model"], query["status"]) for _, query in asked.asked} == {
        ("7d", MASTER, "succeeded")
    }


@virtual
async def test_rows_that_are_pushed_to_a_later_page_come_once() -> None:
    asked = vendor(v2__logs=log_pages([logged(name) for name in "abcde"], grow=1))
    async with session(asked) as kling:
        rows = [row.inference_id async for row in kling.logs()]
    assert [name for name in rows if name in set("abcde")] == list("abcde")
    assert len(rows) == len(set(rows))


@virtual
async def test_rows_without_an_id_are_all_told() -> None:
    asked = vendor(v2__logs=log_pages([{"status": "failed"}, {"status": "failed"}]))
    async with session(asked) as kling:
        assert len([row async for row in kling.logs()]) == 2


@virtual
async def test_a_long_log_is_read_within_the_vendors_limit() -> None:
    asked = vendor(v2__logs=log_pages([logged(str(n)) for n in range(1000)]))
    async with session(asked) as kling:
        times = [asyncio.get_running_loop().time() async for _ in kling.logs()]
    pages = times[::2]
    assert len(pages) == 500
    assert all(later - earlier > 60 for earlier, later in zip(pages, pages[200:], strict=False))


@virtual
async def test_a_stretch_of_time_is_checked_before_anything_is_asked() -> None:
    async with session(vendor()) as kling:
        with pytest.raises(InvalidRequest):
            kling.logs("1y")


# Models and prices


@virtual
async def test_metrics_are_asked_for_by_name() -> None:
    asked = vendor(models__metrics=answer(200, {"models": [{"alias": MASTER, "metrics": {}}]}))
    async with session(asked) as kling:
        found = await kling.metrics(MASTER)
        assert found.find(MASTER) is not None
    assert asked.asked == [("/models/metrics", {"aliases": MASTER})]


@virtual
async def test_the_list_of_models_is_asked_for_by_its_etag_once_it_is_known() -> None:
    asked = vendor(v1__models=[price_list(priced()), HttpResponse(304, {}, b""), price_list(etag='W/"2"')])
    async with session(asked) as kling:
        first = await kling.list_models(include="pricing")
        assert await kling.list_models(include="pricing") is first
        assert len(await kling.list_models(include="pricing")) == 0
        await kling.list_models(include="pricing", ids=[MASTER])
    assert asked.etags == [None, 'W/"1"', 'W/"1"', None]
    assert asked.asked[-1][1] == {"include": "pricing", "id": MASTER}


@virtual
async def test_the_models_are_klings_videos_alone() -> None:
    asked = vendor(v1__models=price_list(priced(), priced("google/veo-2")))
    async with session(asked) as kling:
        assert [model.id for model in await kling.list_kling_models()] == [MASTER]


@virtual
async def test_refreshing_reports_what_is_different() -> None:
    known = [model.id for model in models()]
    asked = vendor(v1__models=price_list(*(priced(name) for name in known[1:]), priced("klingai/v9-video")))
    async with session(asked) as kling:
        found = await kling.catalogue_changes()
    assert ([model.id for model in found.new], found.gone) == (["klingai/v9-video"], (known[0],))


@virtual
async def test_prices_are_asked_for_once_and_again_only_after_an_hour() -> None:
    asked = vendor(v1__models=[price_list(priced()), HttpResponse(304, {}, b"")])
    async with session(asked) as kling:
        costs = await asyncio.gather(*(kling.estimate(prompt(duration=5)) for _ in range(5)))
        assert {cost.usd for cost in costs} == {Decimal("1.4")}
        assert asked.times("/v1/models") == 1
        await asyncio.sleep(3601)
        assert (await kling.estimate([prompt(duration=5), prompt(duration=10)])).usd == Decimal("4.2")
        await kling.estimate([])
        assert asked.etags == [None, 'W/"1"']


@virtual
async def test_the_cost_of_what_cannot_be_submitted_is_not_estimated() -> None:
    async with session(vendor(v1__models=price_list(priced()))) as kling:
        with pytest.raises(InvalidRequest):
            await kling.estimate([prompt(), TextToVideo("")])


# Jobs beside the ledger


async def run(kling: KlingSession, *names: str) -> None:
    await asyncio.gather(*(kling.submit(prompt(duration=5), key=name).settled() for name in names))


@virtual
async def test_jobs_are_held_against_the_ledger_by_generation_id() -> None:
    rows = ledger(charge("g1:kling/x", 1.5), charge("stranger", 9), charge("g1"))
    asked = vendor(v2__billing__transactions=rows, v1__models=price_list(priced()))
    async with session(asked) as kling:
        jobs = [kling.submit(prompt(duration=5), key=name) for name in "ab"]
        queued = kling.submit(prompt(), key="c")
        queued.abandon()  # so that it never has a generation
        await asyncio.gather(*(job.settled() for job in jobs))
        costs = await kling.reconcile_costs([*jobs, queued])
    first, second = costs.rows
    assert (first.key, first.generation_id, first.state) == ("a", "g1", JobState.COMPLETED)
    assert (first.model, first.estimated_usd, first.charged_usd) == (MASTER, Decimal("1.4"), Decimal("2.9"))
    assert len(first.charges) == 2
    assert (second.charged_usd, second.reported_usd) == (None, None)
    assert costs.uncharged == (second,)
    assert [entry.reference_id for entry in costs.unexplained] == ["stranger"]
    assert str(costs) == ("$2.90 charged for 1 of 2 generations; 1 completed without a charge, 1 charges for others")
    (query,) = (query for path, query in asked.asked if path == "/v2/billing/transactions")
    assert (query["direction"], query["type"]) == ("CHARGE", "MODEL_USAGE")
    assert query["from"] == datetime.fromtimestamp(1_800_000_000 - 3600, UTC).isoformat(
        timespec="milliseconds"
    ).replace("+00:00", "Z")


@virtual
async def test_what_a_journal_knows_is_held_against_the_ledger_too() -> None:
    asked = vendor(v2__billing__transactions=ledger(charge("g2")), v1__models=price_list(priced()))
    usage = {"usage": {"usd_spent": 1.4}}
    url = {"url": "https://cdn.example/x.mp4"}
    failed = answer(200, {"id": "g1", "status": "error", "error": "no"})
    asked.on_poll = lambda name, _: (
        failed if name == "g1" else answer(200, {"id": name, "status": "completed", "video": url, "meta": usage})
    )
    async with session(asked) as kling:
        await run(kling, "a", "b")
        kling.submit(prompt(), key="c").abandon()
        costs = await kling.reconcile_costs(
            [record async for record in kling.history()], start=datetime(2026, 1, 1, tzinfo=UTC)
        )
    assert [(row.key, row.state, row.reported_usd, row.charged_usd) for row in costs.rows] == [
        ("a", JobState.FAILED, None, None),
        ("b", JobState.COMPLETED, Decimal("1.4"), Decimal("1.4")),
    ]
    assert (costs.uncharged, costs.charged_usd) == ((), Decimal("1.4"))
    assert next(query["from"] for path, query in asked.asked if "transactions" in path) == "2026-01-01T00:00:00.000Z"


@virtual
async def test_a_generation_resumed_by_its_id_is_looked_for_in_the_whole_ledger() -> None:
    asked = vendor(v2__billing__transactions=ledger(charge("bought-before")))
    async with session(asked) as kling:
        job = await kling.resume("bought-before").settled()
        reports = [
            await kling.reconcile_costs([job]),
            await kling.reconcile_costs([record async for record in kling.history()]),
        ]
    for report in reports:
        (row,) = report.rows
        assert (row.model, row.estimated_usd, row.charged_usd) == (None, None, Decimal("1.4"))
    assert not any("from" in query for _, query in asked.asked)


@virtual
async def test_without_generations_the_ledger_is_not_read() -> None:
    asked = vendor(v2__billing__transactions=ledger())
    async with session(asked) as kling:
        costs = await kling.reconcile_costs([])
    assert (costs.rows, asked.asked) == ((), [])


@virtual
async def test_no_answer_shows_the_key() -> None:
    asked = vendor(v2__billing=answer(200, {"current_balance": None}))
    async with session(asked, api_key="a-secret-key") as kling:
        with pytest.raises(MalformedResponse) as caught:
            await kling.balance()
    assert "a-secret-key" not in json.dumps([str(caught.value), repr(vars(caught.value))])
