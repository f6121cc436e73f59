"""The account's log: what is asked, and what a page of any shape is taken for."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import APIError, HttpResponse, KlingError, MalformedResponse
from kling_async.api.account import balance_request, read_balance
from kling_async.api.logs import LogRow, logs_request, read_logs

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(["created", "status", "model", "inference_id", "client_request_id"])
rows = st.lists(st.dictionaries(names, anything) | anything, max_size=4)
pages = st.fixed_dictionaries({"data": rows, "pagination": st.dictionaries(st.just("has_more"), anything)}) | anything


def page(*rows: object, has_more: object = False) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps({"data": rows, "pagination": {"has_more": has_more}}).encode())


def row(**changes: object) -> dict[str, object]:
    return {
        "created": "2026-03-01T10:00:00.250Z",
        "status": "succeeded",
        "origin": "api",
        "model": "klingai/v2-master-text-to-video",
        "request_id": None,
        "inference_id": "g1",
        "client_request_id": "row-1:abc",
    } | changes


def test_a_page_is_asked_for_by_a_window_in_utc_and_an_offset() -> None:
    start, end = datetime(2026, 3, 1, 10, 0, tzinfo=UTC), datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
    request = logs_request(start, end, 200)
    path, query = urlsplit(request.target).path, parse_qs(urlsplit(request.target).query)
    assert (request.method, path, request.body) == ("GET", "/v2/logs", None)
    assert query == {
        "start": ["2026-03-01T10:00:00.000Z"],
        "end": ["2026-03-01T11:30:00.000Z"],
        "limit": ["100"],
        "offset": ["200"],
    }


def test_a_row_tells_what_it_was_for_and_how_it_went() -> None:
    read = read_logs(
        page(row(), row(status="failed", inference_id="g2", created="nonsense", model=None), has_more=True)
    )
    assert read.rows == (
        LogRow(
            "g1",
            "row-1:abc",
            "klingai/v2-master-text-to-video",
            succeeded=True,
            created=datetime(2026, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC),
        ),
        LogRow("g2", "row-1:abc", None, succeeded=False, created=None),
    )
    assert (read.size, read.has_more) == (2, True)


@pytest.mark.parametrize("left_out", [row(client_request_id=None), row(inference_id=""), {}, 7, None, "row"])
def test_rows_that_cannot_be_anybodys_are_left_out_and_counted(left_out: object) -> None:
    read = read_logs(page(left_out, row()))
    assert ([kept.inference_id for kept in read.rows], read.size) == (["g1"], 2)


def test_a_page_without_rows_is_the_last_whatever_it_says() -> None:
    assert not read_logs(page(has_more=True)).has_more


@pytest.mark.parametrize("has_more", [None, "true", 1, []])
def test_only_a_plain_yes_means_that_there_is_more(has_more: object) -> None:
    assert not read_logs(page(row(), has_more=has_more)).has_more


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": []}', b'{"data": {}, "pagination": {}}', b"\xff"])
def test_what_is_no_page_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponse):
        read_logs(HttpResponse(200, {}, body))


def test_an_error_is_an_error() -> None:
    with pytest.raises(APIError, match="500"):
        read_logs(HttpResponse(500, {}, b"{}"))


@given(pages, st.sampled_from([200, 204, 401, 429, 503]))
def test_no_page_raises_anything_but_this_librarys_errors(body: object, status: int) -> None:
    response = HttpResponse(status, {}, json.dumps(body).encode())
    try:
        read = read_logs(response)
    except KlingError:
        return
    assert len(read.rows) <= read.size


@given(anything)
def test_no_balance_raises_anything_but_this_librarys_errors(body: object) -> None:
    with suppress(KlingError):
        assert isinstance(read_balance(HttpResponse(200, {}, json.dumps(body).encode())), float)


def test_the_balance_is_asked_for_plainly() -> None:
    assert (balance_request().method, balance_request().target) == ("GET", "/v2/billing")
    assert read_balance(HttpResponse(200, {}, b'{"current_balance": -3, "currency": "USD"}')) == -3.0
