"""What an answer says went wrong, made readable: the vendor's error envelope, and its error objects of any shape."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from kling_async.api.loose import is_list, is_object, parse_json, text
from kling_async.errors import APIError, OutOfCredits, RateLimited, error_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.messages import HttpResponse

__all__ = ["EXCERPT", "describe_reason", "read_error", "read_retry_after"]

EXCERPT = 500
"""How many characters of a text are shown in an error."""

_BODY = 64 * 1024  # how many bytes of an error's body are read
_DEPTH = 8  # how deep a reason may nest before the rest is left out
_PARTS = 10  # how many parts of one are described
_SECONDS = re.compile(r"[0-9]{1,9}")


def read_error(response: HttpResponse) -> APIError:
    """The error an answer with an error status stands for."""
    body = _read_error_body(response)
    status = response.status
    kind = error_class(status)
    enveloped = is_object(body) and "message" in body and ("statusCode" in body or "requestId" in body)
    message = f"{status}: {describe_reason(body)}"
    if status in (402, 403) and _speaks_of_money(message):
        kind = OutOfCredits
    details: dict[str, Any] = {
        "status": status,
        "path": text(body.get("path")) if is_object(body) else None,
        "request_id": (text(body.get("requestId")) if is_object(body) else None)
        or response.headers.get("x-request-id"),
        "body": body,
        "enveloped": enveloped,
    }
    if kind is RateLimited:
        return RateLimited(message, retry_after=read_retry_after(response.headers), **details)
    return kind(message, **details)


def _read_error_body(response: HttpResponse) -> object:
    beginning = response.body[:_BODY]
    try:
        return parse_json(beginning)
    except (ValueError, RecursionError):
        return beginning.decode("utf-8", "replace")[:EXCERPT]


def _speaks_of_money(message: str) -> bool:
    # "Errors and status codes" gives 403 for missing credits, a plan's limit and a key's spending limit, told apart
    # only by their prose.
    said = message.lower()
    return any(word in said for word in ("credit", "balance", "fund", "spend", "billing", "top up", "payment", "quota"))


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``Retry-After`` in either of its forms; None if absent, past or unreadable.

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


def describe_reason(reason: object, depth: int = _DEPTH) -> str:
    """A readable sentence for an error object of any shape."""
    if not reason:
        return "no reason given"
    if depth == 0:
        return "…"
    if isinstance(reason, str):
        return _shorten(reason.strip()) or "no reason given"
    if is_list(reason):
        return _shorten("; ".join(describe_reason(part, depth - 1) for part in reason[:_PARTS]))
    if is_object(reason):
        return _describe_object(reason, depth)
    return _shorten(str(reason))


def _describe_object(reason: Mapping[str, Any], depth: int) -> str:
    said = _first_text(reason, "message", "msg", "description", "title", "reason")
    nested = next((reason[name] for name in ("error", "detail", "details", "errors") if reason.get(name)), None)
    why = None if nested is None else describe_reason(nested, depth - 1)
    if said is None:
        return why or _describe_fields(reason, depth)
    place = reason.get("loc") or reason.get("path")
    if is_list(place):
        said = f"{'.'.join(str(part) for part in place)}: {said}"
    return _shorten(said if why is None else f"{said} ({why})")


def _describe_fields(reason: Mapping[str, Any], depth: int) -> str:
    fields = list(reason.items())[:_PARTS]
    return _shorten(", ".join(f"{name}: {describe_reason(value, depth - 1)}" for name, value in fields))


def _first_text(values: Mapping[str, Any], *names: str) -> str | None:
    return next((said for name in names if (said := text(values.get(name))) is not None), None)


def _shorten(said: str) -> str:
    return said if len(said) <= EXCERPT else f"{said[: EXCERPT - 1]}…"
