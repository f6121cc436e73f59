"""The wire protocol: requests as values, and what every possible answer means.

All that can be wrong about an answer's bytes is decided here, without any I/O, so that it can be tested without any.
Rules name the vendor's documentation page they come from.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import frozen

from kling_async.api.error_responses import EXCERPT, describe_reason, read_error
from kling_async.api.messages import HttpRequest, HttpResponse, Lane
from kling_async.api.parsing import amount, is_list, is_object, part, read_id, text
from kling_async.api.results import Generation, GenerationStatus, Usage, Video
from kling_async.errors import APIError, GatewayError, MalformedResponse, RateLimited, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.messages import HttpResponse

UNIVERSAL = "/v2/video/generations"
"""The endpoint that serves every model ("Video Models: Generate and fetch")."""

LEGACY = "/v2/generate/video/kling/generation"
"""The older endpoint for Kling alone; takes the same bodies, is still served."""

SANDBOX_KEY = "sandbox-"
"""What a sandbox's own keys begin with, and none of the vendor's."""

SANDBOX_PATH, SANDBOX_SPEED = "/sandbox", "x-sandbox-speed"
"""Where a sandbox says how many times as fast as the vendor's its time passes, and in which header."""

CLIENT_REQUEST_ID = "X-Client-Request-Id"
"""Names a request in the account's log; 1-128 characters of ``A-Za-z0-9._:-``, else dropped ("Request tracing")."""

PAGE = 100
"""The most rows that a page of the log or of the ledger may have."""

_INFERENCE_ID = "x-inference-id"
"""In every answer; for a generation, on submits and polls, it is the generation's id ("Request tracing")."""

_is_usual_id = re.compile(r"[A-Za-z0-9._~:/-]*").fullmatch


@frozen
class Accepted:
    """The vendor took the job and will charge for it."""

    generation_id: str


@frozen
class TryAgain:
    """Nothing was bought, and another try may succeed."""

    error: TransportError | APIError


@frozen
class Refused:
    """Nothing was bought, and the same request would be refused again."""

    error: TransportError | APIError


@frozen
class Uncertain:
    """It cannot be known on this side whether anything was bought."""

    error: TransportError | APIError


@frozen
class Unreached:
    """Nothing was bought: the vendor's application was not reached, nor would it be by any other submit."""

    error: GatewayError


@frozen
class Blocked:
    """A gateway refused. Nothing was bought if it refuses every request; otherwise that cannot be known."""

    error: GatewayError


_SUCCESS = range(200, 300)

SubmitAnswer = Accepted | TryAgain | Refused | Uncertain | Unreached | Blocked

# Decided by where a request goes (RFC 9110, 15.4 and 15.5; RFC 6585 for 511), before anything is done with it.
_MISDIRECTED = frozenset({*range(300, 400), 404, 405, 407, 421, 511})

# What a gateway says of a request's head or content. It may say so of an answer that it does not let out, too.
_REFUSING = frozenset({400, 401, 402, 403, 406, 409, 410, 411, 412, 413, 414, 415, 417, 422, 426, 428, 431, 451, 501})

# Failures that the vendor states itself, and that pass.
_PASSING = frozenset({425, 500, 503})

# The sender of these gave up waiting, and does not know the outcome.
_GAVE_UP = frozenset({408, 499})


def submit_request(endpoint: str, body: Mapping[str, Any], client_request_id: str) -> HttpRequest:
    """Return the POST that buys a generation."""
    headers = {"Content-Type": "application/json", CLIENT_REQUEST_ID: client_request_id}
    return HttpRequest("POST", endpoint, Lane.SUBMIT, headers, encode(body))


def fetch_request(endpoint: str, generation_id: str) -> HttpRequest:
    """Return the GET that asks how far a generation is. Ids hold colons and slashes, so they are encoded."""
    is_usual = _is_usual_id(generation_id)
    named = generation_id.replace(":", "%3A").replace("/", "%2F") if is_usual else quote(generation_id, safe="")
    return HttpRequest("GET", f"{endpoint}?generation_id={named}", headers={}, about=generation_id)


def file_request(url: str, headers: Mapping[str, str]) -> HttpRequest:
    """Return the GET for a file. Its URL is signed: not a byte of it is re-encoded."""
    return HttpRequest("GET", url, Lane.FILE, headers)


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a body as the bytes that are sent: UTF-8, no spaces, NaN refused."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def read_submit(response: HttpResponse, client_request_id: str = "") -> SubmitAnswer:
    """Classify an answer to a submit, sent under this name, by what it means for the caller's money.

    "Errors and status codes" states that a failed request is not charged. That word counts only in the vendor's own
    envelope: a gateway's answer says nothing about what happened behind it, unless it shows that there was nothing.
    """
    if client_request_id and _echo(response) not in (None, client_request_id):
        return Uncertain(malformed(response, "the submit was answered with the answer to another request"))
    if _is_success(response.status):
        return _read_accepted(response, client_request_id)
    error = read_error(response)
    if isinstance(error, RateLimited):
        return TryAgain(error)
    return _read_gateway(error, response) if isinstance(error, GatewayError) else _read_stated(error)


def _read_gateway(error: GatewayError, response: HttpResponse) -> SubmitAnswer:
    if error.enveloped:
        return Unreached(error)
    if "x-inference-id" in response.headers:  # the vendor's application adds it to every answer ("Request tracing")
        return Uncertain(error)
    if error.status in _MISDIRECTED:
        return Unreached(error)
    return Blocked(error) if error.status in _REFUSING else Uncertain(error)


def _read_stated(error: APIError) -> SubmitAnswer:
    if error.enveloped and error.status in _PASSING:
        return TryAgain(error)
    final = error.enveloped and error.status in range(300, 500) and error.status not in _GAVE_UP
    return Refused(error) if final else Uncertain(error)


def submit_failure(error: TransportError) -> SubmitAnswer:
    """Classify the lack of an answer to a submit by what it means for the caller's money."""
    if error.sent:
        return Uncertain(error)
    return TryAgain(error) if error.retryable else Refused(error)


def _echo(response: HttpResponse) -> str | None:
    """Return the name that the answered request was sent under, repeated by the vendor ("Request tracing")."""
    return text(response.headers.get(CLIENT_REQUEST_ID.lower()))


def _read_accepted(response: HttpResponse, client_request_id: str) -> SubmitAnswer:
    unreadable = None
    try:
        generation_id = _named(_read_object(response))
    except MalformedResponse as error:
        generation_id, unreadable = None, error
    if generation_id is None and client_request_id and _echo(response) == client_request_id:
        # The log's row would name the same id, and be found by the same name.
        generation_id = _stated(response)
    if generation_id is None:
        return Uncertain(unreadable or malformed(response, "the submit was answered without a generation id"))
    return Accepted(generation_id)


def _named(answer: Mapping[str, Any]) -> str | None:
    """Return the generation that an answer's body names: "id" is documented, "generation_id" was seen instead of it."""
    return read_id(answer.get("id")) or read_id(answer.get("generation_id"))


def read_status(response: HttpResponse, generation_id: str) -> tuple[GenerationStatus, str]:
    """Read an answer to a poll, as far as it tells whether the generation has ended; return the vendor's word as well.

    Raises:
        GatewayError: It was not the vendor that answered, so nothing is known.
        APIError: It answered with an error status.
        MalformedResponse: The answer is unreadable, has no status, or is not known to be about this generation.
    """
    if response.status in _ABOUT_ONE:
        _check_subject(response, _stated(response) or generation_id, generation_id)
    answer = read_answer(response)
    if response.known_about != generation_id:
        _check_subject(response, _named(answer) or _stated(response), generation_id)
    raw = answer.get("status")
    if not isinstance(raw, str):
        raise malformed(response, "the answer has no status")
    return _STATUSES.get(raw) or _STATUSES.get(raw.strip().lower(), GenerationStatus.UNKNOWN), raw


def read_generation(response: HttpResponse, generation_id: str) -> Generation:
    """Read the whole of an answer to a poll; raises what `read_status` does."""
    status, raw = read_status(response, generation_id)
    answer = read_answer(response)
    if status is GenerationStatus.COMPLETED:
        return Generation(generation_id, status, raw, video=_read_video(answer, response, generation_id))
    if status is GenerationStatus.FAILED:
        reason = answer.get("error")
        usage = _read_usage(answer, response)
        is_charged = bool(usage.credits_used or usage.usd_spent)
        failure = describe_reason(reason)
        return Generation(generation_id, status, raw, failure=failure, reason=reason, is_charged=is_charged)
    return Generation(generation_id, status, raw)


# The documented words ("Fetch the video") are queued, generating, completed and error. The vendor's older samples also
# wait on waiting and active, one page's prose writes complete, and its other video pages use the rest.
_STATUSES: Mapping[str, GenerationStatus] = {
    word: status
    for status, words in {
        GenerationStatus.QUEUED: "queued waiting pending",
        GenerationStatus.GENERATING: "generating active processing in_progress",
        GenerationStatus.COMPLETED: "completed complete succeeded",
        GenerationStatus.FAILED: "error failed canceled cancelled",
    }.items()
    for word in words.split()
}


_ABOUT_ONE = frozenset({400, 404, 422})  # errors of one request alone, which those of limits and outages are not


def _check_subject(response: HttpResponse, answered: str | None, asked: str) -> None:
    if answered is None:
        raise malformed(response, f"asked about {asked!r}, answered without an id")
    if not _same_generation(answered, asked):
        raise malformed(response, f"asked about {asked!r}, answered about {answered[:EXCERPT]!r}")


def _stated(response: HttpResponse) -> str | None:
    """Return the generation that an answer's header names."""
    stated = response.headers.get(_INFERENCE_ID)
    return None if stated is None else read_id(stated)


def answers(response: HttpResponse, request: HttpRequest) -> bool:
    """Return whether this may be the answer to that request, by the name it was sent under and what it asks about."""
    name = request.headers.get(CLIENT_REQUEST_ID)
    if name is not None and _echo(response) not in (None, name):
        return False
    return request.about is None or is_about(response, request.about)


def is_about(response: HttpResponse, generation_id: str) -> bool:
    """Return whether a success is known to be about this generation; an error need not be about any."""
    if not _is_success(response.status):
        return True
    try:
        answered = _named(_read_object(response)) or _stated(response)
    except MalformedResponse:
        answered = _stated(response)
    if answered is None or not _same_generation(answered, generation_id):
        return False
    response.known_about = generation_id
    return True


def bare_id(generation_id: str) -> str:
    """Return the part of a generation's id by which any form of it is known: of ``UUID:model``, the first."""
    return generation_id.partition(":")[0] or generation_id


def _same_generation(answered: str, asked: str) -> bool:
    # An id may be "UUID" or "UUID:model"; both forms of one id name one generation.
    return answered == asked or answered.partition(":")[0] == asked or asked.partition(":")[0] == answered


def _read_video(answer: Mapping[str, Any], response: HttpResponse, generation_id: str) -> Video | None:
    video = answer.get("video")
    if not is_object(video):
        return None
    url = text(video.get("url"))
    if url is None:
        return None
    size = video.get("file_size")
    return Video(
        url=url,
        content_type=text(video.get("content_type")),
        file_name=text(video.get("file_name")),
        file_size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        generation_id=generation_id,
        usage=_read_usage(answer, response),
    )


def _read_usage(answer: Mapping[str, Any], response: HttpResponse) -> Usage:
    """Read the cost from the answer's ``meta.usage`` or else from the headers."""
    stated = part(part(answer, "meta"), "usage")
    credits_used, usd_spent = amount(stated.get("credits_used")), amount(stated.get("usd_spent"))
    return Usage(
        credits_used=_header_amount(response, "x-aimlapi-credits-used") if credits_used is None else credits_used,
        tokens_used=amount(stated.get("tokens_used")),
        usd_spent=_header_amount(response, "x-aimlapi-usd-spent") if usd_spent is None else usd_spent,
    )


def read_answer(response: HttpResponse) -> dict[str, Any]:
    """Return the JSON object that a successful answer is.

    Raises:
        APIError: It is an error.
        MalformedResponse: It is not a JSON object.
    """
    if not _is_success(response.status):
        raise read_error(response)
    return _read_object(response)


def _is_success(status: int) -> bool:
    return status in _SUCCESS


def _read_object(response: HttpResponse) -> dict[str, Any]:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        raise malformed(response, "the answer is not JSON") from None
    if not is_object(answer):
        raise malformed(response, "the answer is not a JSON object")
    return answer


def malformed(response: HttpResponse, message: str) -> MalformedResponse:
    """Return the error for an answer that cannot be read: its status, what is wrong, and how its body begins."""
    excerpt = response.body[:EXCERPT].decode("utf-8", "replace")
    return MalformedResponse(f"{response.status}: {message}", status=response.status, excerpt=excerpt)


def _header_amount(response: HttpResponse, name: str) -> float | None:
    try:
        return amount(float(response.headers.get(name, "")))
    except ValueError:
        return None


def read_page(response: HttpResponse, of: str) -> tuple[list[Any], dict[str, Any]]:
    """Return a page's rows, of any type, and its ``pagination`` object.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer is not a page.
    """
    answer = read_answer(response)
    rows, pagination = answer.get("data"), answer.get("pagination")
    if not is_list(rows) or not is_object(pagination):
        raise malformed(response, f"the answer is not a page of the {of}")
    return rows, pagination
