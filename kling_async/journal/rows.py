"""A record as a row of plain columns, and back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from attrs import frozen

from kling_async.api.codec import from_dict, to_dict
from kling_async.api.plain import is_mapping
from kling_async.errors import InvalidRequest, JournalError
from kling_async.journal.base import Record, State
from kling_async.journal.media import put_back, set_apart
from kling_async.journal.outcomes import read_error, read_video, write_error, write_video

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["COLUMNS", "Row", "Value", "as_column", "as_text", "read_row", "write_row"]

Value: TypeAlias = str | bytes | int | float | None
"""What a column holds."""

_TEXT = str | bytes  # bytes where the text has half a character, which no column of text takes
_NUMBER = int | float
_FIXED = {
    "key": _TEXT,
    "request": str | None,
    "digest": bytes,
    "tag": str | None,
    "endpoint": _TEXT,
    "queued_at": _NUMBER,
}
_CHANGING = {
    "state": str,
    "attempts": int,
    "client_request_id": _TEXT | None,
    "generation_id": _TEXT | None,
    "submitted_at": _NUMBER | None,
    "accepted_at": _NUMBER | None,
    "deadline": _NUMBER | None,
    "settled_at": _NUMBER | None,
    "last_status": _TEXT | None,
    "polls": int,
    "video": str | None,
    "error": str | None,
}
_TYPES = (_FIXED | _CHANGING).values()
COLUMNS = (*_FIXED, *_CHANGING)
"""The columns of a row, in their order."""


@frozen
class Row:
    """A record ready to be written.

    Attributes:
        fixed: What stays as it is for the whole of a job's life; None if it was written before.
        changing: The rest; together they are in the order of ``COLUMNS``.
        media: The media that the row refers to, by their digests.
    """

    key: Value
    fixed: tuple[Value, ...] | None
    changing: tuple[Value, ...]
    media: Mapping[str, str]


def write_row(record: Record, before: Record | None = None) -> Row:
    """The row of a record; ``before`` is a record of the same job that was written earlier.

    Raises:
        InvalidRequest: It holds what a row cannot keep: a tag or a request that is not JSON, or a time that is NaN.
    """
    media: dict[str, str] = {}
    fixed = None if before is not None and _same_job(record, before) else _fixed(record, media)
    return Row(as_column(record.key), fixed, _changing(record), media)


def _same_job(record: Record, before: Record) -> bool:
    """Whether nothing but what changes has changed; a look at the objects themselves is enough, and quick."""
    return (
        record.request is before.request
        and record.tag is before.tag
        and record.digest == before.digest
        and record.endpoint == before.endpoint
        and record.queued_at == before.queued_at
    )


def _fixed(record: Record, media: dict[str, str]) -> tuple[Value, ...]:
    request = None
    if record.request is not None:
        data, apart = set_apart(to_dict(record.request))
        media.update(apart)
        request = _json("request", data)
    return (
        as_column(record.key),
        request,
        record.digest,
        None if record.tag is None else _json("tag", record.tag),
        as_column(record.endpoint),
        _instant("queued_at", record.queued_at),
    )


def _changing(record: Record) -> tuple[Value, ...]:
    return (
        record.state.value,
        record.attempts,
        as_column(record.client_request_id),
        as_column(record.generation_id),
        _instant("submitted_at", record.submitted_at),
        _instant("accepted_at", record.accepted_at),
        _instant("deadline", record.deadline),
        _instant("settled_at", record.settled_at),
        as_column(record.last_status),
        record.polls,
        None if record.video is None else write_video(record.video),
        None if record.error is None else write_error(record.error),
    )


def _json(field: str, value: object) -> str:
    try:
        encoded = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise _not_json(field, value, str(error)) from None
    if not _has_named_members(value):
        raise _not_json(field, value, "the names in an object are texts")
    return encoded


def _has_named_members(value: object) -> bool:
    # json writes other names as texts without a word, and they would come back as that.
    if is_mapping(value):
        members = cast("Mapping[object, object]", value).items()
        return all(isinstance(name, str) and _has_named_members(member) for name, member in members)
    if isinstance(value, list | tuple):
        return all(map(_has_named_members, cast("Sequence[object]", value)))
    return True


def _not_json(field: str, value: object, reason: str) -> InvalidRequest:
    allowed = "JSON data, which this journal keeps"
    message = f"{field} cannot be recorded: {reason}; allowed: {allowed}"
    return InvalidRequest(message, field=field, value=value, allowed=allowed)


def _instant(field: str, seconds: float | None) -> float | None:
    if seconds is not None and math.isnan(seconds):
        raise InvalidRequest(f"{field} is NaN; allowed: a number", field=field, value=seconds, allowed="a number")
    return seconds


def as_column(text: str | None) -> Value:
    """A text as a column takes it. The vendor's may hold half a character, and must be kept all the same."""
    if text is None:
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def as_text(value: Any) -> Any:  # noqa: ANN401 - None stays None
    """The text that ``as_column`` was given."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def read_row(values: Sequence[Any], fetch: Callable[[str], str]) -> Record:
    """The record that a row describes; ``fetch`` returns media by their digests.

    Raises:
        JournalError: It describes none.
    """
    try:
        return _read(values, fetch)
    except Exception as error:
        key = values[0] if values else None
        raise JournalError(f"the record of job {key!r} cannot be read: {error!r:.200}") from error


def _read(values: Sequence[Any], fetch: Callable[[str], str]) -> Record:
    for name, value, types in zip(COLUMNS, values, _TYPES, strict=True):
        if not isinstance(value, types):
            raise TypeError(f"{name} is {value!r:.80}")
    key, request, digest, tag, endpoint, queued_at, state, attempts, client_request_id, generation_id = values[:10]
    submitted_at, accepted_at, deadline, settled_at, last_status, polls, video, error = values[10:]
    return Record(
        key=as_text(key),
        state=State(state),
        request=None if request is None else from_dict(put_back(json.loads(request), request, fetch)),
        digest=digest,
        tag=None if tag is None else json.loads(tag),
        endpoint=as_text(endpoint),
        attempts=attempts,
        client_request_id=as_text(client_request_id),
        generation_id=as_text(generation_id),
        queued_at=queued_at,
        submitted_at=submitted_at,
        accepted_at=accepted_at,
        deadline=deadline,
        settled_at=settled_at,
        last_status=as_text(last_status),
        polls=polls,
        video=None if video is None else read_video(video),
        error=None if error is None else read_error(error),
    )
