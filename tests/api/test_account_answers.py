from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import (
    AccountUsage,
    AutoTopUp,
    Balance,
    BillingDetail,
    HttpResponse,
    InvalidRequest,
    LogEntry,
    MalformedResponse,
    NotFound,
    Transaction,
)
from kling_async.api.account.billing import (
    detail_request,
    read_balance,
    read_detail,
    read_transactions,
    transactions_request,
)
from kling_async.api.account.logs import logs_request, read_logs
from kling_async.api.account.models import read_models
from kling_async.api.account.usage import (
    Quantiles,
    metrics_request,
    read_metrics,
    read_usage,
    span_query,
    usage_request,
)
from kling_async.api.parsing import dollars, format_usd, read_moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async import HttpRequest

READERS: list[Callable[[HttpResponse], object]] = [
    read_balance,
    read_detail,
    read_transactions,
    read_usage,
    read_logs,
    read_metrics,
    read_models,
]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def answer(body: object) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode())


def query(request: HttpRequest) -> tuple[str, list[tuple[str, str]]]:
    parts = urlsplit(request.target)
    assert (request.method, request.body) == ("GET", None)
    return parts.path, parse_qsl(parts.query)


# Money


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        *((0.1, "0.1"), (0.00124, "0.00124"), (999_999.999999999, "999999.999999999"), (-3, "-3"), (1e-9, "1E-9")),
        *(("0.25", "0.25"), (Decimal("1.5"), "1.5"), (10**400, str(10**400))),
    ],
)
def test_an_amount_is_exactly_what_was_written(value: object, amount: str) -> None:
    assert dollars(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value", [None, True, [], {}, "much", "", "NaN", "Infinity", float("nan"), float("inf"), "1e9999", "1e-9999"]
)
def test_what_is_no_amount_is_none(value: object) -> None:
    assert dollars(value) is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1.4", "$1.40"), ("5", "$5.00"), ("0.001240", "$0.00124"), ("100", "$100.00"), ("1E+2", "$100.00")],
)
def test_an_amount_is_shown_in_full_with_cents(amount: str, text: str) -> None:
    assert format_usd(Decimal(amount)) == text


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-12:00", 253402300799])
def test_a_moment_at_the_edge_of_the_calendar_is_none_as_other_zones_have_none(said: object) -> None:
    assert read_moment(said) is None


@pytest.mark.parametrize(("said", "cursor"), [("\ud800", None), (7, "7"), ("a b", "a b"), (True, None), ("", None)])
def test_a_cursor_is_one_that_a_url_can_hold(said: object, cursor: str | None) -> None:
    page = read_transactions(answer({"data": [{}], "pagination": {"next_cursor": said}}))
    assert page.next_cursor == cursor
    assert transactions_request(cursor=page.next_cursor).target


# The balance


def test_the_balance_is_in_dollars_and_keeps_what_else_came() -> None:
    balance = read_balance(answer({"current_balance": 123.45, "currency": "USD", "new": 1}))
    assert balance == Balance(Decimal("123.45"), "USD")
    assert balance.raw["new"] == 1


def test_the_detail_tells_whose_the_account_is_and_how_it_is_topped_up() -> None:
    settings = {"is_enabled": True, "threshold": 50, "amount": 100.5, "currency": "USD"}
    body = {"user_id": 111, "email": "u@example.com", "current_balance": -1, "autotopup_settings": settings}
    detail = read_detail(answer(body))
    assert detail == BillingDetail(
        Decimal(-1),
        None,
        "111",
        "u@example.com",
        AutoTopUp(is_enabled=True, threshold_usd=Decimal(50), amount_usd=Decimal("100.5")),
    )
    assert "example.com" not in repr(detail)
    assert query(detail_request()) == ("/v2/billing/detail", [])


def test_a_detail_without_settings_has_none() -> None:
    assert read_detail(answer({"current_balance": 1})).auto_top_up is None
    odd = read_detail(answer({"current_balance": 1, "autotopup_settings": {"is_enabled": "yes"}}))
    assert odd.auto_top_up == AutoTopUp()


# The ledger


def test_an_entry_of_the_ledger_is_read_as_it_is_published() -> None:
    row = {
        "created_at": "2026-08-17T10:00:00.000Z",
        "direction": "CHARGE",
        "type": "MODEL_USAGE",
        "amount": {"usd": 1.56, "credits": 3_120_000},
        "model": "klingai/v2-master-text-to-video",
        "reference_id": "V1StGXR8Z5jdHi6BmyT8k",
    }
    page = read_transactions(answer({"data": [row], "pagination": {"next_cursor": "eyJ2", "has_more": True}}))
    entry = Transaction(
        created=datetime(2026, 8, 17, 10, tzinfo=UTC),
        direction="CHARGE",
        type="MODEL_USAGE",
        usd=Decimal("1.56"),
        credits=3_120_000.0,
        model="klingai/v2-master-text-to-video",
        reference_id="V1StGXR8Z5jdHi6BmyT8k",
    )
    assert (page.rows, page.next_cursor) == ((entry,), "eyJ2")
    assert entry.is_charge


def test_a_top_up_is_no_charge_and_has_no_model() -> None:
    row = {"created_at": 1_800_000_000, "direction": "TOPUP", "type": "BONUS", "amount": 5, "model": None}
    (entry,) = read_transactions(answer({"data": [row, "odd"], "pagination": {}})).rows
    assert (entry.is_charge, entry.usd, entry.model, entry.reference_id) == (False, None, None, None)
    assert entry.created == datetime.fromtimestamp(1_800_000_000, UTC)


@pytest.mark.parametrize(
    "pagination",
    [{"next_cursor": None, "has_more": False}, {"next_cursor": "c", "has_more": False}, {"next_cursor": ""}, {}],
)
def test_the_last_page_of_the_ledger_has_no_next(pagination: dict[str, Any]) -> None:
    assert read_transactions(answer({"data": [{}], "pagination": pagination})).next_cursor is None


def test_an_empty_page_is_the_last_whatever_it_says() -> None:
    pagination = {"next_cursor": "c", "has_more": True}
    assert read_transactions(answer({"data": [], "pagination": pagination})).next_cursor is None


def test_the_ledger_is_asked_for_by_time_kind_and_the_cursor_as_it_came() -> None:
    request = transactions_request(
        start=datetime(2026, 8, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        end=NEW_YEAR,
        direction="CHARGE",
        type="MODEL_USAGE",
        cursor="a+/=b",
    )
    assert query(request) == (
        "/v2/billing/transactions",
        [
            ("from", "2026-08-01T00:00:00.000Z"),
            ("to", "2026-01-01T00:00:00.000Z"),
            ("direction", "CHARGE"),
            ("type", "MODEL_USAGE"),
            ("limit", "100"),
            ("cursor", "a+/=b"),
        ],
    )
    assert query(transactions_request()) == ("/v2/billing/transactions", [("limit", "100")])


# Stretches of time


def test_a_stretch_of_time_is_a_period_or_from_a_start_to_an_end() -> None:
    assert span_query(None, None, None) == {"period": "24h"}
    assert span_query("7d", None, None) == {"period": "7d"}
    assert span_query(None, NEW_YEAR, NEW_YEAR + timedelta(days=1)) == {
        "start": "2026-01-01T00:00:00.000Z",
        "end": "2026-01-02T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("period", "start", "end", "field"),
    [
        ("1w", None, None, "period"),
        ("0h", None, None, "period"),
        ("7d", NEW_YEAR, None, "period"),
        (None, NEW_YEAR, None, "end"),
        (None, None, NEW_YEAR, "start"),
        (None, NEW_YEAR, NEW_YEAR, "end"),
    ],
)
def test_what_is_no_stretch_of_time_is_refused_by_its_name(
    period: str | None, start: datetime | None, end: datetime | None, field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        span_query(period, start, end)
    assert caught.value.field == field


def test_what_was_used_is_read_as_it_is_published() -> None:
    told = {
        "api_key_prefix": None,
        "start": "2026-07-26T22:15:00.000Z",
        "end": "2026-07-27T22:15:00",
        "spend": 13.704199,
        "currency": "USD",
        "requests": 9643,
    }
    assert read_usage(answer(told)) == AccountUsage(
        usd=Decimal("13.704199"),
        requests=9643,
        start=datetime(2026, 7, 26, 22, 15, tzinfo=UTC),
        end=datetime(2026, 7, 27, 22, 15, tzinfo=UTC),
        currency="USD",
    )
    assert read_usage(answer({"spend": {"usd": 1.5}, "requests": True})) == AccountUsage(Decimal("1.5"))
    assert query(usage_request({"period": "7d"})) == ("/v2/usage", [("period", "7d")])


# The log


def test_a_row_of_the_log_is_read_as_it_is_published() -> None:
    row = {
        "created": "2026-07-02T03:04:05.000Z",
        "status": "succeeded",
        "origin": "api",
        "model": "klingai/v2-master-text-to-video",
        "cost": {"usd": 0.25, "credits": 500_000},
        "tokens": {"input": 0, "output": 0, "total": 0},
        "request_id": "req-1",
        "inference_id": "inf-1",
        "client_request_id": "row:1:nonce",
    }
    page = read_logs(answer({"data": [row, None], "pagination": {"has_more": True}}))
    assert page.rows == (
        LogEntry(
            created=datetime(2026, 7, 2, 3, 4, 5, tzinfo=UTC),
            status="succeeded",
            origin="api",
            model="klingai/v2-master-text-to-video",
            usd=Decimal("0.25"),
            credits=500_000.0,
            tokens=0.0,
            inference_id="inf-1",
            request_id="req-1",
            client_request_id="row:1:nonce",
        ),
    )
    assert (page.rows[0].key, page.size, page.has_more) == ("row:1", 2, True)


@pytest.mark.parametrize("name", [None, "", "order-1", ":nonce"])
def test_a_row_sent_under_another_kind_of_name_has_no_key(name: str | None) -> None:
    assert LogEntry(None, None, client_request_id=name).key is None


def test_filters_of_the_log_are_repeated_and_never_joined() -> None:
    request = logs_request({"period": "7d"}, 200, models=["a/b", "c"], statuses=["succeeded", "failed"])
    assert query(request) == (
        "/v2/logs",
        [
            *(("period", "7d"), ("model", "a/b"), ("model", "c"), ("status", "succeeded"), ("status", "failed")),
            *(("limit", "100"), ("offset", "200")),
        ],
    )


# Metrics


def test_metrics_are_read_as_they_are_published_in_the_vendors_milliseconds() -> None:
    spread = {"p50": 1830, "p75": 2450.5, "p90": 3900, "p99": 9100}
    told = {
        "window_seconds": 300,
        "generated_at": "2026-08-19T12:00:05.000Z",
        "models": [
            {"alias": "a/b", "endpoint": "/v2/video/generations", "metrics": {"duration_ms": spread, "tps": {}}},
            {"alias": "c", "endpoint": "/x", "metrics": {}},
            {"id": "d", "duration_ms": {"p50": 5}},
            {"endpoint": "/nameless"},
        ],
    }
    metrics = read_metrics(answer(told))
    assert metrics.window_seconds == 300
    assert metrics.generated_at == datetime(2026, 8, 19, 12, 0, 5, tzinfo=UTC)
    assert [entry.model for entry in metrics.models] == ["a/b", "c", "d"]
    first, second = metrics.find("a/b"), metrics.find("c")
    assert first is not None
    assert (first.duration_ms, first.endpoint) == (Quantiles(1830, 2450.5, 3900, 9100), "/v2/video/generations")
    assert second is not None
    assert second.duration_ms is None
    assert metrics.models[2].duration_ms == Quantiles(p50=5)
    assert metrics.find("nothing") is None


def test_metrics_are_asked_for_with_a_parameter_for_each_model() -> None:
    assert query(metrics_request(["a/b", "c"])) == ("/models/metrics", [("aliases", "a/b"), ("aliases", "c")])
    assert metrics_request(()).target == "/models/metrics"


# Whatever else may come


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("body", [{}, {"data": {}, "models": 1, "current_balance": "x", "spend": []}])
def test_an_answer_of_another_shape_is_malformed(read: Callable[[HttpResponse], object], body: object) -> None:
    with pytest.raises(MalformedResponse):
        read(answer(body))


@pytest.mark.parametrize("read", READERS)
def test_an_error_status_is_its_error(read: Callable[[HttpResponse], object]) -> None:
    with pytest.raises(NotFound):
        read(HttpResponse(404, {}, b'{"message": "no", "statusCode": 404, "path": "/"}'))


NAMES = [
    *("data", "models", "pagination", "next_cursor", "has_more", "current_balance", "currency", "spend", "usd"),
    *("credits", "amount", "cost", "tokens", "total", "autotopup_settings", "user_id", "created", "created_at"),
    *("reference_id", "inference_id", "id", "aliases", "info", "pricing", "kind", "units", "variants", "when"),
    *("price", "per", "unit", "name", "metrics", "duration_ms", "p50", "alias", "modalities", "input", "tags"),
    *("window_seconds"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**400)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "fixed", "variants", "second", "0.5", "2026-01-01T00:00:00Z", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=8),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_any_json_is_read_or_is_malformed(body: dict[str, Any]) -> None:
    for read in READERS:
        try:
            read(answer(body))
        except MalformedResponse:
            continue
