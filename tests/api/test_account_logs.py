"""The account's log: what is asked, and what a page of any shape is taken for."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import APIError, HttpResponse, KlingError, MalformedResponse
from kling_async.api.account.billing import balance_request, read_balance
from kling_async.api.account.logs import LogReading, are_one_model, read_logs

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(["created", "status", "model", "inference_id", "client_request_id"])
rows = st.lists(st.dictionaries(names, anything) | anything, max_size=4)
pages = st.fixed_dictionaries({"data": rows, "pagination": st.dictionaries(st.just("has_more"), anything)}) | anything


def page(*rows: object, **pagination: object) -> HttpResponse:
    body = {"data": rows, "pagination": {"has_more": False} | pagination}
    return HttpResponse(200, {"date": "Sun, 01 Mar 2026 12:00:00 GMT"}, json.dumps(body).encode())


def row(name: str | None = "row-1:abc", **changes: object) -> dict[str, object]:
    return {
        "created": "2026-03-01T10:00:00.250Z",
        "status": "succeeded",
        "model": "klingai/v2-master-text-to-video",
        "inference_id": "g1",
        "client_request_id": name,
    } | changes


def test_a_page_tells_when_it_was_sent_by_the_vendors_clock() -> None:
    assert read_logs(page()).at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    for date in ({}, {"date": "yesterday"}):
        assert read_logs(HttpResponse(200, date, page().body)).at is None


@pytest.mark.parametrize(
    ("told", "read"), [("g1", "g1"), (12, "12"), (None, None), ("", None), (1.5, None), ({"id": "g1"}, None)]
)
def test_a_row_under_a_name_is_never_left_out_whatever_its_id(told: object, read: str | None) -> None:
    (kept,) = read_logs(page(row(inference_id=told))).rows
    assert (kept.client_request_id, kept.inference_id) == ("row-1:abc", read)


@pytest.mark.parametrize("rows", [(), (row(), row()), (row(None), row(""), {})])
def test_a_page_that_agrees_with_itself_is_sound(rows: tuple[object, ...]) -> None:
    assert read_logs(page(*rows)).sound
    assert read_logs(page(*rows, total=len(rows) + 5, limit=100, offset=5), 5).sound
    assert read_logs(page(*rows, total=len(rows), has_more=None)).sound
    if rows:
        assert read_logs(page(*rows, has_more=True, total=9, limit=len(rows))).sound


@pytest.mark.parametrize("unreadable", [7, None, "row", [], row(7), row({})])  # type: ignore[arg-type]
def test_a_page_with_what_may_be_anybodys_is_not(unreadable: object) -> None:
    assert not read_logs(page(unreadable, row())).sound


@pytest.mark.parametrize(
    ("pagination", "goes_on"),
    [
        ({"has_more": True, "total": 1}, True),
        ({"has_more": True, "total": 9, "limit": 100}, True),
        ({"has_more": False, "total": 9}, True),
        ({"has_more": None, "total": 9}, True),
        ({"has_more": None}, False),
        ({"has_more": "true"}, False),
        ({"has_more": 1}, False),
        ({"offset": 100}, False),
    ],
)
def test_a_page_that_contradicts_itself_or_does_not_tell_what_follows_is_not(
    pagination: dict[str, object],
    goes_on: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    read = read_logs(page(row(), **pagination))
    assert (read.sound, read.has_more) == (False, goes_on)


def test_a_page_without_rows_is_the_last_whatever_it_says() -> None:
    for pagination in ({"has_more": True}, {"total": 5}):
        read = read_logs(page(**pagination))
        assert (read.sound, read.has_more) == (False, False)


def read_all(reading: LogReading, *pages: HttpResponse) -> list[str | None]:
    taken: list[str | None] = []
    for answer in pages:
        assert not reading.ended
        taken += [entry.inference_id for entry in reading.take(read_logs(answer, reading.offset))]
    assert reading.ended
    return taken


def rows_of(ids: str) -> list[dict[str, object]]:
    return [row(f"row-{name}:abc", inference_id=name) for name in ids]


@pytest.mark.parametrize("second", ["cde", "bcde", "xcde", "yxbcde"], ids=["still", "one came", "strange", "two came"])
def test_pages_that_overlap_are_complete_and_tell_each_row_once(second: str) -> None:
    reading = LogReading(overlap=1)
    taken = read_all(reading, page(*rows_of("abc"), has_more=True), page(*rows_of(second)))
    assert (reading.complete, reading.offset) == (True, 2 + len(second) - 1)
    assert [name for name in taken if name in set("abcde")] == list("abcde")


@pytest.mark.parametrize("second", ["de", "e", ""])
def test_a_row_that_vanished_while_pages_were_read_leaves_the_reading_incomplete(second: str) -> None:
    reading = LogReading(overlap=1)
    read_all(reading, page(*rows_of("abc"), has_more=True), page(*rows_of(second)))
    assert not reading.complete


def test_pages_that_lead_in_a_circle_end_incomplete() -> None:
    reading, same = LogReading(overlap=1), page(*rows_of("abc"), has_more=True)
    assert read_all(reading, same, same) == list("abc")
    assert not reading.complete


def test_an_unsound_page_leaves_the_reading_incomplete() -> None:
    reading = LogReading(overlap=1)
    read_all(reading, page(row(), total=9, has_more=None), page(row(), row(inference_id="g2"), total=2, has_more=False))
    assert not reading.complete


@pytest.mark.parametrize(
    "told",
    ["klingai/v2-master", "KlingAI/V2-Master", "v2-master", "other/klingai/v2-master", "source/v2-master"],
)
def test_names_of_one_model_are_told_in_several_spellings(told: str) -> None:
    assert are_one_model("klingai/v2-master", told)
    assert are_one_model(told, "klingai/v2-master")


@pytest.mark.parametrize("told", ["klingai/v2-master-pro", "klingai/v2", "klingai", "", "master"])
def test_names_of_other_models_are_not_alike(told: str) -> None:
    assert not are_one_model("klingai/v2-master", told)


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
        assert read_balance(HttpResponse(200, {}, json.dumps(body).encode())).usd.is_finite()


def test_the_balance_is_asked_for_plainly() -> None:
    assert (balance_request().method, balance_request().target) == ("GET", "/v2/billing")
    assert read_balance(HttpResponse(200, {}, b'{"current_balance": -3, "currency": "USD"}')).usd == -3
