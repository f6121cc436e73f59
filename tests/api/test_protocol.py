from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.account.billing import Opinion, second_opinion
from kling_async.api.error_responses import describe_reason, read_error, read_retry_after, without_money
from kling_async.api.messages import HttpResponse, Lane
from kling_async.api.protocol import (
    CLIENT_REQUEST_ID,
    LEGACY,
    UNIVERSAL,
    Accepted,
    Blocked,
    Refused,
    TryAgain,
    Uncertain,
    Unreached,
    encode,
    fetch_request,
    file_request,
    is_about,
    read_generation,
    read_submit,
    submit_failure,
    submit_request,
)
from kling_async.api.results import Generation, GenerationStatus, Usage, Video
from kling_async.errors import (
    APIError,
    AuthenticationError,
    BadRequest,
    ConnectFailed,
    GatewayError,
    KlingError,
    MalformedResponse,
    NotFound,
    OutOfCredits,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    ServerError,
)

ID = "ce81dc29-7bd1-4f9a-a0a5-0f0e0d0c0b0a:kling-video/v2.1/master/text-to-video"
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def answer(status: int, body: object, **headers: str) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def envelope(status: int, message: str = "no") -> dict[str, Any]:
    return {
        "message": message,
        "path": "/v2/video/generations",
        "requestId": "req-1",
        "statusCode": status,
        "timestamp": "2025-01-01T00:00:00Z",
    }


def generation(status: str, **parts: object) -> Generation:
    return read_generation(answer(200, {"id": ID, "status": status, **parts}), ID)


# What is sent.


def test_a_submit_is_a_post_of_compact_json_under_the_clients_id() -> None:
    request = submit_request(LEGACY, {"model": "m", "prompt": "Waschb\u00e4r"}, "key:nonce")
    assert (request.method, request.target, request.lane) == ("POST", LEGACY, Lane.SUBMIT)
    assert request.body == '{"model":"m","prompt":"Waschb\u00e4r"}'.encode()
    assert request.headers == {
        "Content-Type": "application/json",
        CLIENT_REQUEST_ID: "key:nonce",
    }


@pytest.mark.parametrize(
    ("generation_id", "query"),
    [
        ("1234567890", "1234567890"),
        ("-a_b~c", "-a_b~c"),
        ("uuid:kling-video/v2.1", "uuid%3Akling-video%2Fv2.1"),
        ("a b&c=d?#%", "a%20b%26c%3Dd%3F%23%25"),
        ("\u00e9", "%C3%A9"),
    ],
)
def test_a_poll_encodes_the_id(generation_id: str, query: str) -> None:
    request = fetch_request(UNIVERSAL, generation_id)
    assert (request.method, request.lane, request.body) == ("GET", Lane.CALL, None)
    assert request.target == f"/v2/video/generations?generation_id={query}"
    assert request.headers == {}


@given(st.text(st.sampled_from("aZ09._~-:/ %+&?#\n\u00e9")) | st.text(st.characters(exclude_categories=["Cs"])))
def test_no_id_can_be_anything_but_the_value_of_its_parameter(generation_id: str) -> None:
    query = fetch_request(UNIVERSAL, generation_id).target.partition("?")[2]
    assert query == f"generation_id={quote(generation_id, safe='')}"


def test_a_files_signed_url_is_not_touched() -> None:
    url = "https://cdn.example/a%2Fb.mp4?X-Sig=%2b+%20&e=1"
    request = file_request(url, {"Range": "bytes=5-"})
    assert (request.method, request.target, request.lane) == ("GET", url, Lane.FILE)
    assert request.headers == {"Range": "bytes=5-"}


def test_nan_is_never_encoded() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"cfg_scale": float("nan")})


# What an answer to a submit means.


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize("name", ["id", "generation_id"])
def test_any_success_with_an_id_is_accepted(status: int, name: str) -> None:
    assert read_submit(answer(status, {name: ID, "status": "queued"})) == Accepted(ID)


def test_an_id_of_digits_may_come_as_a_number() -> None:
    assert read_submit(answer(200, {"id": 1234567890})) == Accepted("1234567890")


def test_the_first_usable_id_counts() -> None:
    assert read_submit(answer(200, {"id": None, "generation_id": "g"})) == Accepted("g")
    assert read_submit(answer(200, {"id": True, "generation_id": "g"})) == Accepted("g")


@pytest.mark.parametrize(
    "body",
    [{"status": "queued"}, {"id": ""}, {"id": None}, {"id": 5.5}, [], "g", b"", HTML, b'{"id": "g', b'{"id": "\xff"}'],
)
@pytest.mark.parametrize("echo", ["", "key:nonce"])
def test_a_success_without_a_readable_id_is_uncertain(body: object, echo: str) -> None:
    """Even with an id in its header, unless that is known to be of this request."""
    headers = {"x_client_request_id": echo} if echo else {"x_inference_id": ID}
    read = read_submit(answer(200, body, **headers), "key:nonce")
    assert isinstance(read, Uncertain)
    assert isinstance(read.error, MalformedResponse)
    assert read.error.status == 200


@pytest.mark.parametrize("body", [{"status": "queued"}, b"", HTML, b'{"id": "g', {"id": "g-\ufffd"}])
def test_a_success_that_names_its_request_and_its_generation_in_its_headers_is_accepted(body: object) -> None:
    read = read_submit(answer(200, body, x_client_request_id="key:nonce", x_inference_id=ID), "key:nonce")
    assert read == Accepted(ID)


def test_of_two_ids_of_a_submit_the_documented_one_in_the_body_counts() -> None:
    headers = {"x_client_request_id": "key:nonce", "x_inference_id": "another"}
    assert read_submit(answer(200, {"id": ID}, **headers), "key:nonce") == Accepted(ID)


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_the_answer_to_another_request_says_nothing_of_this_ones_submit(status: int) -> None:
    body = {"id": ID} if status == 200 else envelope(status)
    read = read_submit(answer(status, body, x_client_request_id="another:nonce", x_inference_id=ID), "key:nonce")
    assert isinstance(read, Uncertain)
    assert "another request" in str(read.error)


ODD_JSON = {
    "byte order mark": b'\xef\xbb\xbf{"id": "g-1"}',
    "UTF-16": '{"id": "g-1"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"id": "g-1"}'.encode("utf-16-le"),
    "UTF-32": '{"id": "g-1"}'.encode("utf-32"),
    "Latin-1": '{"id": "g-1", "prompt": "Waschbär"}'.encode("latin-1"),
    "broken character": b'{"id": "g-1", "prompt": "\xff\xfe"}',
    "half a character": b'{"id": "g-1", "prompt": "\\ud83d"}',
    "NaN": b'{"id": "g-1", "cost": NaN, "most": Infinity}',
    "raw line break": b'{"id": "g-1", "prompt": "a\nb"}',
    "space around": b' \r\n{"id": "g-1"}\r\n ',
}


@pytest.mark.parametrize("what", ODD_JSON)
def test_json_that_is_odd_but_names_an_id_is_accepted(what: str) -> None:
    assert read_submit(answer(200, ODD_JSON[what])) == Accepted("g-1")


def test_a_refusal_that_begins_with_a_byte_order_mark_is_the_vendors_own() -> None:
    read = read_submit(answer(500, b"\xef\xbb\xbf" + json.dumps(envelope(500)).encode()))
    assert isinstance(read, TryAgain)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 402, 403, 404, 405, 409, 413, 422])
def test_the_vendors_own_word_refuses(status: int) -> None:
    read = read_submit(answer(status, envelope(status)))
    assert isinstance(read, Refused)
    assert isinstance(read.error, APIError)
    assert read.error.status == status


NOT_THE_VENDORS = [
    HTML,
    b"",
    b"{",
    {"message": "Forbidden"},  # AWS API Gateway
    {"statusCode": 404, "message": "Resource not found"},  # Azure API Management
    {"statusCode": 404, "message": "Route POST:/ not found", "error": "Not Found"},  # Fastify
    envelope(200),  # of another status than it came with
    [envelope(404)],
]


@pytest.mark.parametrize("body", NOT_THE_VENDORS)
@pytest.mark.parametrize(
    ("meaning", "statuses"),
    [
        (Unreached, [300, 301, 302, 303, 304, 307, 308, 399, 404, 405, 407, 421, 511]),
        (Blocked, [400, 401, 402, 403, 406, 409, 410, 411, 413, 414, 415, 417, 422, 426, 428, 431, 451, 501]),
        (Uncertain, [0, 1, 100, 101, 103, 199, 408, 425, 444, 460, 494, 499]),
        (Uncertain, [500, 502, 503, 504, 520, 524, 599]),
        (Uncertain, [600, 999]),
    ],
)
def test_what_is_not_the_vendors_word_never_refuses(meaning: type, statuses: list[int], body: object) -> None:
    for status in statuses:
        read = read_submit(answer(status, body))
        assert type(read) is meaning, status
        assert isinstance(read, Uncertain | Unreached | Blocked)
        assert isinstance(read.error, ServerError if 500 <= status < 600 and status not in (501, 511) else GatewayError)
        assert read.error.retryable is (status != 407)  # a proxy that wants a login wants it of the next try, too


@pytest.mark.parametrize("status", [302, 403, 404, 405])
def test_what_has_been_through_the_vendors_application_may_have_been_bought(status: int) -> None:
    assert isinstance(read_submit(answer(status, HTML, x_inference_id="g")), Uncertain)


def test_the_vendors_word_for_an_address_where_it_serves_nothing_concerns_every_submit() -> None:
    wrong = envelope(404, "Cannot POST /v1/v2/video/generations")
    assert isinstance(read_submit(answer(404, wrong, x_inference_id="i")), Unreached)
    assert isinstance(read_submit(answer(404, envelope(404, "Model x does not exist or is deprecated"))), Refused)


@pytest.mark.parametrize("status", [408, 499, 502, 504, 520, 100, 0, 600])
def test_a_status_of_a_given_up_wait_or_an_unknown_one_is_uncertain_in_any_envelope(status: int) -> None:
    assert isinstance(read_submit(answer(status, envelope(status))), Uncertain)


@given(
    st.integers(0, 999),
    st.sampled_from(NOT_THE_VENDORS) | st.binary(max_size=50),
    st.sampled_from([{}, {"x_inference_id": ID}, {"location": "https://a.example"}]),
)
def test_no_status_or_header_makes_an_answer_without_the_envelope_a_refusal(
    status: int, body: object, headers: dict[str, str]
) -> None:
    read = read_submit(answer(status, body, **headers))
    assert not isinstance(read, Refused)
    assert not isinstance(read, TryAgain) or status == 429
    if not 200 <= status < 300:
        with pytest.raises(RateLimited if status == 429 else (GatewayError, ServerError)):
            read_generation(answer(status, body, **headers), ID)


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://www.example.com/login?next=%2Fv2&key=secret#top", "https://www.example.com/login"),
        ("https://me:secret@host.example/a", "https://host.example/a"),
        ("/elsewhere?secret", "/elsewhere"),
        ("//host.example/a\x1b[31m", "//host.example/a[31m"),
        ("https://a.example/" + "x" * 10_000, "https://a.example/" + "x" * 181 + "\u2026"),
        ("http://[", None),
        ("", None),
    ],
)
def test_where_a_redirect_leads_is_shown_without_secrets_and_within_bounds(location: str, shown: str | None) -> None:
    error = read_error(answer(302, HTML, location=location))
    assert isinstance(error, GatewayError)
    assert error.location == shown
    assert shown is None or f"redirects to {shown} (" in error.message
    assert error.message.endswith("is the base URL right?")


def test_a_page_is_told_by_its_title() -> None:
    page = b"<html><head><title>\n Attention\x1b Required! </title><style>body {}</style></head><h1>Sorry</h1></html>"
    error = read_error(answer(403, page))
    assert error.message == ("403: a gateway or another server answered, not the vendor's API (Attention Required!)")
    assert error.body == page.decode()


@pytest.mark.parametrize(
    ("said", "cls"),
    [
        ("You have run out of credits", OutOfCredits),
        ("Top up your balance to go on with billing", OutOfCredits),
        ("The quota of this model is used up", PermissionDenied),
        ("Not on your plan, see billing", PermissionDenied),
    ],
)
def test_words_of_money_mean_less_where_there_is_some(said: str, cls: type) -> None:
    refusal = read_error(answer(403, envelope(403, said)))
    assert isinstance(refusal, OutOfCredits)
    meant = without_money(refusal)
    assert type(meant) is cls
    assert (meant.message, meant.status, meant.enveloped) == (refusal.message, 403, True)


OTHERS: dict[str, Decimal | KlingError] = {
    "enough": Decimal(5),
    "none": Decimal(0),
    "debt": Decimal(-1),
    "bad key": read_error(answer(401, envelope(401))),
    "broke": read_error(answer(403, envelope(403, "no credits"))),
    "forbidden": read_error(answer(403, envelope(403, "not with a management key"))),
    "page": read_error(answer(401, HTML)),
    "wrong path": read_error(answer(404, envelope(404, "Cannot GET /v1/v2/billing"))),
    "site": MalformedResponse("m", status=200, excerpt=" <!doctype html>"),
    "cut": MalformedResponse("m", status=200, excerpt='{"current_'),
    "down": read_error(answer(503, envelope(503))),
    "lost": RequestTimeout("m"),
}


@pytest.mark.parametrize(
    ("refusal", "confirmed", "denied"),
    [
        ("bad key", "bad key", "enough, none, debt, broke, forbidden"),
        ("broke", "none, debt, broke", "enough"),
        ("page", "page, wrong path, site", "enough, none, debt, bad key, broke, forbidden"),
    ],
)
def test_a_refusal_of_everything_is_confirmed_by_the_balance_or_not(refusal: str, confirmed: str, denied: str) -> None:
    error = OTHERS[refusal]
    assert isinstance(error, APIError)
    opinions: dict[Opinion, set[str]] = {opinion: set() for opinion in Opinion}
    for name, balance in OTHERS.items():
        opinions[second_opinion(error, balance)].add(name)
    assert opinions[Opinion.CONFIRMED] == set(confirmed.split(", "))
    assert opinions[Opinion.DENIED] == set(denied.split(", "))


@pytest.mark.parametrize("body", [envelope(429), HTML])
def test_too_many_requests_bought_nothing_and_may_be_tried_again(body: object) -> None:
    read = read_submit(answer(429, body, retry_after="7"))
    assert isinstance(read, TryAgain)
    assert isinstance(read.error, RateLimited)
    assert read.error.retry_after == 7.0


@pytest.mark.parametrize("status", [425, 500, 503])
def test_a_server_error_in_the_vendors_own_envelope_bought_nothing(status: int) -> None:
    assert isinstance(read_submit(answer(status, envelope(status))), TryAgain)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, HTML),
        (503, HTML),
        (503, {"error": "no"}),
        (502, envelope(502)),
        (504, envelope(504)),
        (520, envelope(520)),
        (524, HTML),
    ],
)
def test_any_other_server_error_is_uncertain(status: int, body: object) -> None:
    read = read_submit(answer(status, body))
    assert isinstance(read, Uncertain)
    assert isinstance(read.error, ServerError)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ConnectFailed("m"), TryAgain),
        (ConnectFailed("m", tls=True), Refused),
        (RequestTimeout("m", sent=False), TryAgain),
        (RequestTimeout("m"), Uncertain),
        (MalformedResponse("m"), Uncertain),
    ],
)
def test_a_submit_without_an_answer_is_uncertain_unless_it_never_left(error: Any, meaning: type) -> None:
    assert submit_failure(error) == meaning(error)


# What an answer to a poll means.


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("queued", GenerationStatus.QUEUED),
        ("waiting", GenerationStatus.QUEUED),
        ("generating", GenerationStatus.GENERATING),
        ("active", GenerationStatus.GENERATING),
        ("processing", GenerationStatus.GENERATING),
        ("in_progress", GenerationStatus.GENERATING),
        ("completed", GenerationStatus.COMPLETED),
        ("complete", GenerationStatus.COMPLETED),
        ("succeeded", GenerationStatus.COMPLETED),
        ("error", GenerationStatus.FAILED),
        ("failed", GenerationStatus.FAILED),
        ("canceled", GenerationStatus.FAILED),
        (" Completed ", GenerationStatus.COMPLETED),
        ("dreaming", GenerationStatus.UNKNOWN),
        ("", GenerationStatus.UNKNOWN),
    ],
)
def test_a_status_is_normalised_and_kept_as_it_came(word: str, status: GenerationStatus) -> None:
    read = generation(word)
    assert (read.id, read.status, read.raw_status) == (ID, status, word)
    assert read.status.is_running is (status not in (GenerationStatus.COMPLETED, GenerationStatus.FAILED))


def test_a_finished_video_is_read_field_by_field() -> None:
    video = {"url": "https://cdn.example/a.mp4", "content_type": "video/mp4", "file_name": "a.mp4", "file_size": 5}
    assert generation("completed", video=video, meta={"usage": {"credits_used": 3}}).video == Video(
        url="https://cdn.example/a.mp4",
        content_type="video/mp4",
        file_name="a.mp4",
        file_size=5,
        generation_id=ID,
        usage=Usage(credits_used=3.0),
    )


def test_a_video_may_have_a_url_alone() -> None:
    assert generation("completed", video={"url": "https://a/b"}).video == Video("https://a/b", generation_id=ID)


@pytest.mark.parametrize("video", [None, {}, {"url": None}, {"url": ""}, {"url": 5}, "https://a/b", []])
def test_a_completion_without_a_url_has_no_video(video: object) -> None:
    read = generation("completed", video=video)
    assert (read.status, read.video) == (GenerationStatus.COMPLETED, None)


@pytest.mark.parametrize("size", [-1, "5", 5.5, True, None])
def test_a_size_that_makes_no_sense_is_not_known(size: object) -> None:
    video = generation("completed", video={"url": "https://a/b", "file_size": size}).video
    assert video is not None
    assert video.file_size is None


def usage_of(usage: object, **headers: str) -> Usage | None:
    body = {"id": ID, "status": "completed", "video": {"url": "https://a/b"}, "meta": {"usage": usage}}
    video = read_generation(answer(200, body, **headers), ID).video
    return None if video is None else video.usage


def test_the_cost_is_read_from_the_answer() -> None:
    usage = {"credits_used": 840000, "tokens_used": 12, "usd_spent": 0.42}
    assert usage_of(usage, x_aimlapi_credits_used="1") == Usage(840000.0, 12.0, 0.42)


def test_the_cost_is_read_from_the_headers_where_the_answer_has_none() -> None:
    headers = {"x_aimlapi_credits_used": "840000", "x_aimlapi_usd_spent": "0.42"}
    assert usage_of(None, **headers) == Usage(credits_used=840000.0, usd_spent=0.42)


@pytest.mark.parametrize("usage", [{"credits_used": -1}, {"credits_used": "many"}, {"credits_used": True}, [], None, 5])
def test_a_cost_that_makes_no_sense_is_not_known(usage: object) -> None:
    assert usage_of(usage, x_aimlapi_credits_used="nan", x_aimlapi_usd_spent="much") == Usage()


def test_a_running_generation_has_no_video_whatever_the_answer_holds() -> None:
    assert generation("generating", video={"url": "https://a/b"}).video is None


def test_a_failure_keeps_the_vendors_reason_as_it_came() -> None:
    reason = {"detail": [{"loc": ["body", "image_url"], "msg": "no face", "type": "face", "input": "x"}]}
    read = generation("error", error=reason)
    assert (read.failure, read.reason) == ("body.image_url: no face", reason)


@pytest.mark.parametrize("answered", [ID, ID.partition(":")[0]])
@pytest.mark.parametrize("place", ["id", "generation_id", "header"])
def test_an_answer_names_the_generation_in_full_or_in_part_in_its_body_or_else_in_its_header(
    answered: str, place: str
) -> None:
    named = {} if place == "header" else {place: answered}
    response = answer(200, named | {"status": "queued"}, x_inference_id=answered if place == "header" else "another")
    assert read_generation(response, ID).id == ID
    assert is_about(response, ID)


@pytest.mark.parametrize("headers", [{}, {"x_inference_id": ""}, {"x_inference_id": "another"}])
def test_an_answer_that_names_no_generation_or_another_in_its_header_alone_tells_nothing(
    headers: dict[str, str],
) -> None:
    response = answer(200, {"status": "completed", "video": {"url": "https://a/b"}}, **headers)
    with pytest.raises(MalformedResponse, match=f"answered {'about' if headers.get('x_inference_id') else 'without'}"):
        read_generation(response, ID)
    assert not is_about(response, ID)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, MalformedResponse) for status in (400, 404, 422)),
        (401, AuthenticationError),
        (429, RateLimited),
        (503, ServerError),
    ],
)
def test_an_error_about_another_generation_tells_nothing_unless_it_concerns_everybody(
    status: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        read_generation(answer(status, envelope(status), x_inference_id="another"), ID)


def test_an_answer_about_no_generation_does_not_speak_for_the_one_asked_about() -> None:
    assert not is_about(answer(200, HTML), ID)
    assert is_about(answer(502, HTML), ID)


@pytest.mark.parametrize(
    "body", [{"id": "other", "status": "queued"}, {"id": ID}, {"id": ID, "status": 5}, [], HTML, b"", b"{"]
)
def test_an_answer_about_something_else_is_malformed(body: object) -> None:
    with pytest.raises(MalformedResponse) as caught:
        read_generation(answer(200, body), ID)
    assert caught.value.status == 200


def test_a_malformed_answer_is_quoted_in_part() -> None:
    with pytest.raises(MalformedResponse) as caught:
        read_generation(answer(200, b"x" * 100_000), ID)
    assert caught.value.excerpt == "x" * 500


def test_an_error_answer_to_a_poll_is_raised() -> None:
    with pytest.raises(NotFound, match="404: no"):
        read_generation(answer(404, envelope(404)), ID)


# What an error answer means.


def test_an_enveloped_error_is_read_field_by_field() -> None:
    error = read_error(answer(400, envelope(400, "Body validation error")))
    assert type(error) is BadRequest
    assert (error.status, error.path, error.request_id) == (400, "/v2/video/generations", "req-1")
    assert error.message == "400: Body validation error"
    assert (error.body, error.enveloped) == (envelope(400, "Body validation error"), True)


def test_an_error_from_a_gateway_is_read_as_text() -> None:
    error = read_error(answer(502, HTML, x_request_id="req-2"))
    assert type(error) is ServerError
    assert (error.request_id, error.body, error.enveloped) == ("req-2", HTML.decode(), False)


@pytest.mark.parametrize(
    ("status", "message", "cls"),
    [
        (401, "no key", AuthenticationError),
        (402, "Payment required", OutOfCredits),
        (402, "no", APIError),
        (403, "Your quota is used up", OutOfCredits),
        (403, "You have run out of credits", OutOfCredits),
        (403, "Key spending limit reached", OutOfCredits),
        (403, "Insufficient balance", OutOfCredits),
        (403, "You may not use this model", PermissionDenied),
        (404, "unknown", NotFound),
        (422, "no", BadRequest),
        (429, "slow down", RateLimited),
    ],
)
def test_an_error_has_the_class_of_its_status_and_of_its_prose(status: int, message: str, cls: type) -> None:
    assert type(read_error(answer(status, envelope(status, message)))) is cls


def test_a_status_code_as_text_makes_an_envelope_too() -> None:
    assert read_error(answer(500, {"message": "m", "statusCode": "500", "timestamp": "now"})).enveloped


def test_an_errors_body_is_bounded() -> None:
    error = read_error(answer(500, b"x" * 1_000_000))
    assert error.body == "x" * 500
    assert len(error.message) < 600


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "\u0667"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": DATE, "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
        ({"retry-after": DATE}, None),
        ({"retry-after": DATE, "date": "yesterday"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30", "date": DATE}, None),
    ],
)
def test_a_wait_is_read_from_either_form(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, "no reason given"),
        ("", "no reason given"),
        ({}, "no reason given"),
        ([], "no reason given"),
        (" bad face ", "bad face"),
        (5, "5"),
        ({"name": "Error", "message": "bad face"}, "bad face"),
        ({"message": "bad face"}, "bad face"),
        ({"error": {"message": "bad face"}}, "bad face"),
        ({"message": "refused", "details": ["a", "b"]}, "refused (a; b)"),
        ({"loc": ["body", 0], "msg": "no"}, "body.0: no"),
        ({"path": ["prompt"], "message": "too long"}, "prompt: too long"),
        ([{"msg": "a"}, "b"], "a; b"),
        ({"code": 7}, "code: 7"),
    ],
)
def test_a_reason_of_any_shape_becomes_a_readable_sentence(reason: object, text: str) -> None:
    assert describe_reason(reason) == text


def test_a_long_reason_is_shortened() -> None:
    described = describe_reason({"message": "x" * 10_000})
    assert len(described) == 500
    assert described.endswith("\u2026")


def test_an_answer_with_a_number_of_thousands_of_digits_is_read_all_the_same() -> None:
    body = b'{"id": "a", "status": "completed", "video": {"url": "https://h/a", "file_size": %b}}' % (b"9" * 5000)
    video = read_generation(HttpResponse(200, {}, body), "a").video
    assert video is not None
    assert (video.url, video.file_size) == ("https://h/a", None)
