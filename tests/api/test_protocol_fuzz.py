"""Whatever bytes come back, only this library's errors come out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.error_responses import describe_reason, read_error, read_retry_after
from kling_async.api.messages import HttpResponse
from kling_async.api.protocol import (
    UNIVERSAL,
    Accepted,
    SubmitAnswer,
    fetch_request,
    read_generation,
    read_submit,
)
from kling_async.api.results import Video
from kling_async.errors import APIError, KlingError

NAMES = (
    "id",
    "generation_id",
    "status",
    "video",
    "url",
    "file_size",
    "error",
    "detail",
    "loc",
    "msg",
    "message",
    "meta",
    "usage",
    "credits_used",
    "usd_spent",
    "requestId",
    "statusCode",
    "path",
    "completed",
    "queued",
    "g",
)
words = st.sampled_from(NAMES)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("g") | values,
        "status": words | values,
        "video": st.fixed_dictionaries({"url": words}) | values,
        "error": values,
        "message": values,
        "statusCode": values,
        "meta": st.fixed_dictionaries({"usage": st.fixed_dictionaries({"credits_used": values})}) | values,
    },
)
bodies = st.binary(max_size=200) | (objects | values).map(lambda value: json.dumps(value).encode())
headers = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "date",
            "location",
            "x-request-id",
            "x-aimlapi-credits-used",
            "x-aimlapi-usd-spent",
            "x-inference-id",
        ]
    ),
    st.text(max_size=40) | st.integers().map(str) | st.floats().map(str) | st.datetimes().map("{:%c}".format),
)
statuses = st.integers(0, 999) | st.just(200)
responses = st.builds(HttpResponse, statuses, headers, bodies)


def nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


@given(responses)
def test_an_answer_to_a_submit_is_one_of_six_things(response: HttpResponse) -> None:
    read = read_submit(response)
    assert isinstance(read, SubmitAnswer)
    if isinstance(read, Accepted):
        assert 200 <= response.status < 300
        assert fetch_request(UNIVERSAL, read.generation_id).target.isascii()


@given(responses)
def test_an_answer_to_a_poll_is_a_generation_or_one_of_the_librarys_errors(response: HttpResponse) -> None:
    with contextlib.suppress(KlingError):
        read = read_generation(response, "g")
        assert read.id == "g"
        assert read.video is None or read.video.url
        assert (read.failure is None) is (read.status.value != "failed")


@given(responses)
def test_an_error_answer_is_always_readable(response: HttpResponse) -> None:
    error = read_error(response)
    assert isinstance(error, APIError)
    assert error.status == response.status
    assert len(error.message) < 1000


@given(headers)
def test_a_wait_is_never_negative(given_headers: dict[str, str]) -> None:
    seconds = read_retry_after(given_headers)
    assert seconds is None or seconds >= 0


@given(values)
def test_a_reason_of_any_shape_is_described_in_bounds(reason: object) -> None:
    assert 0 < len(describe_reason(reason)) <= 500


def test_an_absurd_cost_does_not_lose_a_finished_video() -> None:
    answer = {"status": "completed", "video": {"url": "https://a/b"}, "meta": {"usage": {"credits_used": 10**400}}}
    read = read_generation(HttpResponse(200, {"x-inference-id": "g"}, json.dumps(answer).encode()), "g")
    assert read.video == Video("https://a/b", generation_id="g")


def test_a_deeply_nested_reason_is_described() -> None:
    assert describe_reason(nested(900))


def test_an_id_of_broken_characters_can_be_asked_about_or_is_none() -> None:
    read = read_submit(HttpResponse(200, {}, b'{"id": "\\ud800"}'))
    if isinstance(read, Accepted):
        fetch_request(UNIVERSAL, read.generation_id)


def test_an_absurd_wait_is_not_endless() -> None:
    assert read_retry_after({"retry-after": "9" * 400}) != float("inf")
