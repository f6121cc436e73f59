"""Errors in answers: the vendor's envelope, gateways' pages, and error objects of any shape made readable."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from kling_async.api.parsing import is_list, is_object, parse_json, text
from kling_async.errors import APIError, GatewayError, OutOfCredits, PermissionDenied, RateLimited, error_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.messages import HttpResponse

EXCERPT = 500
"""The number of characters of a text that an error shows."""

_BODY = 64 * 1024  # bytes of an error's body, beyond which it is cut
_DEPTH = 8  # levels of a nested reason that are described
_PARTS = 10  # parts of each that are described
_LINE = 200  # characters of a page, or of a redirect's target, that are shown
_SECONDS = re.compile(r"[0-9]{1,9}")
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_TOO_MANY = 429
# 501 means an unknown method, 511 comes from a network in between (RFC 9110, RFC 6585); neither comes from a
# vendor that failed.
_SERVER_ERRORS = frozenset(range(500, 600)) - {501, 511}
_ELSEWHERE = frozenset({*range(300, 400), 404, 405, 421})  # said where the API is not
_PROXY_WANTS_LOGIN = 407
_WANTS_LOGIN = "407: the proxy wants a user name and a password, as in http://user:password@proxy.example.com:3128"


def read_error(response: HttpResponse) -> APIError:
    """Return the error for an answer with an error status.

    What a status means is the vendor's to say, in its own envelope ("Errors and status codes"). Without that, only "too
    many requests" and a failing server are taken as what they are; all else is a `GatewayError`.
    """
    body = _read_error_body(response)  # whole: a refusal that repeats an image is one all the same
    status = response.status
    enveloped = _is_envelope(body, status)
    stated = body if is_object(body) else {}
    details: dict[str, Any] = {
        "status": status,
        "path": text(stated.get("path")),
        "request_id": text(stated.get("requestId")) or response.headers.get("x-request-id"),
        "body": body if len(response.body) <= _BODY else _beginning(response),
        "enveloped": enveloped,
    }
    message = f"{status}: {describe_reason(body)}"
    if status == _TOO_MANY:
        return RateLimited(message, retry_after=read_retry_after(response.headers), **details)
    if _is_gateways(message, status, enveloped=enveloped):
        return _gateways(body, response, details)
    kind = OutOfCredits if status in (402, 403) and _says(message, _OF_MONEY + _PERHAPS_OF_MONEY) else None
    return (kind or error_class(status))(message, **details)


def _is_envelope(body: object, status: int) -> bool:
    """Return whether this is the vendor's envelope: a message and a status code alone may be a gateway's."""
    return (
        is_object(body)
        and "message" in body
        and str(body.get("statusCode")) == str(status)
        and any(name in body for name in ("requestId", "path", "timestamp"))
    )


def _is_gateways(message: str, status: int, *, enveloped: bool) -> bool:
    if enveloped:  # the vendor's word for an address where it serves nothing, as under a wrong base URL
        return message.startswith(("404: Cannot POST /", "404: Cannot GET /"))
    return status not in _SERVER_ERRORS


def _gateways(body: object, response: HttpResponse, details: Mapping[str, Any]) -> GatewayError:
    location = _target(response.headers.get("location", ""))
    leads = "" if location is None else f", which redirects to {location}"
    said = describe_reason(_page_text(body) if isinstance(body, str) else body)
    message = (
        f"{response.status}: a gateway or another server answered, not the vendor's API{leads} ({_cut(said, _LINE)})"
        f"{'; is the base URL right?' if response.status in _ELSEWHERE else ''}"
    )
    wants_login = response.status == _PROXY_WANTS_LOGIN
    error = GatewayError(_WANTS_LOGIN if wants_login else message, location=location, **details)
    error.retryable = not wants_login
    return error


def _target(location: str) -> str | None:
    """Return where a redirect leads, fit to be shown: no credentials, no query, no control characters."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    target = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return _cut("".join(character for character in target if character.isprintable()), _LINE) or None


def _page_text(page: str) -> str:
    """Return a web page in a line: its title, or else its text."""
    title = _TITLE.search(page)
    shown = " ".join((title[1] if title else _TAG.sub(" ", page)).split())
    return "".join(character for character in shown if character.isprintable())


def _read_error_body(response: HttpResponse) -> object:
    try:
        return parse_json(response.body)
    except (ValueError, RecursionError):
        return _beginning(response)


def _beginning(response: HttpResponse) -> str:
    return response.body[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT]


# "Errors and status codes" gives 403 for missing credits, a plan's limit and a key's spending limit, told apart only by
# their prose.
_OF_MONEY = ("credit", "balance", "fund", "spend", "top up", "payment")
_PERHAPS_OF_MONEY = ("quota", "billing")


def _says(message: str, words: tuple[str, ...]) -> bool:
    said = message.lower()
    return any(word in said for word in words)


def without_money(refusal: OutOfCredits) -> APIError:
    """Reclassify a refusal that speaks of money where the account has some.

    It is the job that costs too much, or its model that has a quota of its own, or is not on the account's plan.
    """
    if _says(refusal.message, _OF_MONEY):
        return refusal
    details = ("status", "path", "request_id", "body", "enveloped")
    return PermissionDenied(refusal.message, **{name: getattr(refusal, name) for name in details})


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return seconds to wait, from ``Retry-After`` in either of its forms; None if absent, past or unreadable.

    A date is read against the answer's own ``Date``, so that a wrong clock on either side does not matter.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return seconds if seconds > 0 else None


_OF_CONTENT = ("moderat", "polic", "sensitive", "nsfw", "prohibit", "inappropriate", "violat", "safety", "risk control")


def is_moderation(reason: object) -> bool:
    """Return whether an error object speaks of refused content; the vendor documents no code for that."""
    return _says(describe_reason(reason), _OF_CONTENT)


def describe_reason(reason: object, depth: int = _DEPTH) -> str:
    """Return a readable sentence for an error object of any shape."""
    if not reason:
        return "no reason given"
    if depth == 0:
        return "…"
    if isinstance(reason, str):
        return _cut(reason.strip()) or "no reason given"
    if is_list(reason):
        return _cut("; ".join(describe_reason(part, depth - 1) for part in reason[:_PARTS]))
    if is_object(reason):
        return _describe_object(reason, depth)
    return _cut(str(reason))


def _describe_object(reason: Mapping[str, Any], depth: int) -> str:
    words = (text(reason.get(name)) for name in ("message", "msg", "description", "title", "reason"))
    said = next(filter(None, words), None)
    nested = next((reason[name] for name in ("error", "detail", "details", "errors") if reason.get(name)), None)
    why = None if nested is None else describe_reason(nested, depth - 1)
    if said is None:
        parts = (f"{name}: {describe_reason(value, depth - 1)}" for name, value in list(reason.items())[:_PARTS])
        return why or _cut(", ".join(parts))
    place = reason.get("loc") or reason.get("path")
    if is_list(place):
        said = f"{'.'.join(str(part) for part in place)}: {said}"
    return _cut(said if why is None else f"{said} ({why})")


def _cut(said: str, length: int = EXCERPT) -> str:
    return said if len(said) <= length else f"{said[: length - 1]}…"
