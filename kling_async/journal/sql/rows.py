"""A record as a row of plain columns, and back."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from operator import attrgetter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args

from attrs import asdict, frozen
from cattrs import Converter

from kling_async import errors
from kling_async.api.parsing import dollars
from kling_async.api.requests.codec import from_dict, to_data
from kling_async.api.requests.serialize import is_mapping
from kling_async.api.results import Video
from kling_async.errors import InvalidRequest, JournalError, KlingError
from kling_async.journal.base import JobState, Record
from kling_async.journal.media import extract_media, restore_media

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kling_async.api.requests import Request
    from kling_async.journal.media import Content


def write_video(video: Video) -> str:
    """Write a video as JSON."""
    return json.dumps(asdict(video), default=_number_of_money)


def read_video(encoded: str) -> Video:
    """Read what ``write_video`` wrote, without what a later version may have added.

    Raises:
        Exception: It is something else.
    """
    return _CONVERTER.structure(json.loads(encoded), Video)


def write_error(error: KlingError) -> str:
    """Write an error as JSON: its class, message and attributes, without cause and traceback.

    An attribute that is not JSON is written as its repr, so that no outcome is lost for it.
    """
    attributes = {name: _json_or_repr(value) for name, value in vars(error).items()}
    return json.dumps({"class": type(error).__name__, "attributes": attributes}, default=_number_of_money)


def read_error(encoded: str) -> KlingError:
    """Read what ``write_error`` wrote: an error of the same class, message and attributes.

    A class that this version does not have becomes a plain `KlingError` with the same message.

    Raises:
        Exception: It is something else.
    """
    data = json.loads(encoded)
    attributes = _checked(data["attributes"], dict)
    error = _CLASSES.get(data["class"], KlingError)(_checked(attributes["message"], str))
    own = vars(error)
    own.update(
        (name, dollars(value) if name.endswith("_usd") else value) for name, value in attributes.items() if name in own
    )
    return error


_CLASSES: dict[str, Callable[[str], KlingError]] = {
    name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, KlingError)
}


def _json_or_repr(value: object) -> object:
    try:
        json.dumps(value, default=_number_of_money)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
    return value


def _number_of_money(value: object) -> float:
    """Return an amount as JSON takes it: a number whose shortest form is the amount, as far as the vendor reckons."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _checked(value: object, cls: type[Any] | UnionType) -> Any:  # noqa: ANN401 - it is of the class that was asked for
    if not isinstance(value, cls):
        raise TypeError(f"{value!r:.80} is not what was written there")
    return value


def _number(value: object, _: object) -> float:
    return float(_checked(value, int | float))


_CONVERTER = Converter(detailed_validation=False)
_CONVERTER.register_structure_hook(str, _checked)
_CONVERTER.register_structure_hook(int, _checked)
_CONVERTER.register_structure_hook(float, _number)
_CONVERTER.register_structure_hook(Decimal, lambda value, _: dollars(_number(value, _)))

DONE = (JobState.COMPLETED, JobState.ABANDONED)
"""The states of jobs that are never sent again."""

Value: TypeAlias = str | bytes | int | float | None
"""The value of a column."""


@frozen
class Row:
    """A record ready to be written.

    Attributes:
        key: The key's column.
        fixed: The columns that never change; None if they were written before.
        changing: The other columns; after ``fixed`` they are in the order of ``COLUMNS``.
        media: The media that the row refers to, by their digests.
    """

    key: Value
    fixed: tuple[Value, ...] | None
    changing: tuple[Value, ...]
    media: Mapping[str, Content]


def write_row(record: Record, before: Record | None = None) -> Row:
    """Return the row of a record; ``before`` is a record of the same job that was written earlier.

    Raises:
        InvalidRequest: It holds what a row cannot keep: a tag or a request that is not JSON, or a time that is NaN.
    """
    media: dict[str, Content] = {}
    fixed = None if before is not None and _same_job(record, before) else _fixed(record, media)
    return Row(as_column(record.key), fixed, _changing(record), media)


def _same_job(record: Record, before: Record) -> bool:
    """Return whether the fixed columns are equal; to compare large objects by identity is enough, and quick."""
    return (
        record.request is before.request
        and record.tag is before.tag
        and record.priority == before.priority
        and record.group == before.group
        and record.digest == before.digest
        and record.endpoint == before.endpoint
        and record.queued_at == before.queued_at
    )


def _fixed(record: Record, media: dict[str, Content]) -> tuple[Value, ...]:
    data, apart = extract_media(None if record.request is None else to_data(record.request))
    media.update(apart)
    return (_column("request", _JSON, data), *_columns(record, _FIXED))


def _changing(record: Record) -> tuple[Value, ...]:
    """Write the changing columns: quickly, or column by column where an error has to name its field."""
    try:
        return tuple(
            [None if value is None else write(value) for value, write in zip(_VALUES(record), _WRITES, strict=True)]
        )
    except (TypeError, ValueError, RecursionError):
        return _columns(record, _CHANGING)


def check_tag(tag: object) -> None:
    """Raise `InvalidRequest` for a tag that a row cannot keep."""
    _column("tag", _JSON, tag)


def _columns(record: Record, kinds: Mapping[str, _Column]) -> tuple[Value, ...]:
    return tuple(_column(name, kind, getattr(record, name)) for name, kind in kinds.items())


def _column(name: str, kind: _Column, value: object) -> Value:
    try:
        return None if value is None else kind.write(value)
    except (TypeError, ValueError, RecursionError) as error:
        allowed = "numbers, and JSON data without NaN or infinities"
        message = f"{name} cannot be recorded: {error}; allowed: {allowed}"
        raise InvalidRequest(message, field=name, value=value, allowed=allowed) from None


def read_row(values: Sequence[Any], fetch: Callable[[str], Content | None]) -> Record:
    """Read a row, the values in the order of ``COLUMNS``, as a record; ``fetch`` returns media by their digests.

    What is never sent again may lack its media: then its request has their digests.

    Raises:
        JournalError: It is damaged; the message names the job.
    """
    try:
        return _read(values, fetch)
    except Exception as error:
        key = dict(zip(COLUMNS, values, strict=False)).get("key")
        raise JournalError(f"the record of job {key!r:.120} cannot be read: {error!r:.200}") from error


def _read(values: Sequence[Any], fetch: Callable[[str], Content | None]) -> Record:
    request, *others = values
    fields: dict[str, Any] = {}
    for (name, types, read), value in zip(_READS, others, strict=True):  # inlined, for hundreds of thousands of rows
        if not isinstance(value, types):
            raise TypeError(f"{name} is {value!r:.80}")
        fields[name] = value if value is None or read is None else read(value)
    may_lack = fields["state"] in DONE
    return Record(request=_request(request, fetch, may_lack=may_lack), **fields)


def _request(encoded: str | None, fetch: Callable[[str], Content | None], *, may_lack: bool) -> Request | None:
    def found(digest: str) -> Content | None:
        content = fetch(digest)
        if content is None and not may_lack:
            raise LookupError(f"the media it refers to, {digest}, is missing")
        return content

    return None if encoded is None else from_dict(restore_media(json.loads(encoded), encoded, found))


def as_column(text: str) -> Value:
    """Return a text as a column takes it: one with a lone surrogate, as the vendor may send, as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def as_text(value: str | bytes) -> str:
    """Read what ``as_column`` made of a text."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _write_json(value: object) -> str:
    encoded = _ENCODER.encode(value)
    if not _has_named_members(value):
        raise TypeError("the names in an object are texts")
    return encoded


def _has_named_members(value: object) -> bool:
    # json writes other names as texts without a word, and they would come back as that.
    if is_mapping(value):
        members = cast("Mapping[object, object]", value).items()
        return all(isinstance(name, str) and _has_named_members(member) for name, member in members)
    if isinstance(value, list | tuple):
        return all(map(_has_named_members, cast("Sequence[object]", value)))
    return True


def _write_instant(seconds: float) -> float:
    if math.isnan(seconds):
        raise ValueError("it is not a number")
    return seconds


def _write_texts(texts: tuple[str, ...]) -> str:
    return _write_json(texts) if texts else "[]"


def _read_texts(encoded: str) -> tuple[str, ...]:
    if encoded == "[]":  # as in almost every row
        return ()
    texts = json.loads(encoded)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in cast("list[object]", texts)):
        raise TypeError(f"{encoded!r:.80} is not a list of texts")
    return tuple(cast("list[str]", texts))


def _unchanged(value: Any) -> Any:  # noqa: ANN401 - whatever it is
    return value


@frozen
class _Column:
    """A kind of column: the types it has in SQLite, and how fields are written to it and read."""

    types: type | UnionType
    write: Callable[[Any], Value] = _unchanged
    read: Callable[[Any], Any] = _unchanged

    @property
    def or_none(self) -> _Column:
        return _Column(self.types | NoneType, self.write, self.read)


_TEXT = _Column(str | bytes, as_column, as_text)
_WHOLE = _Column(int)
_INSTANT = _Column(int | float, _write_instant)
_JSON = _Column(str, _write_json, json.loads)

_FIXED: dict[str, _Column] = {
    "key": _TEXT,
    "digest": _Column(bytes),
    "tag": _JSON.or_none,
    "priority": _WHOLE,
    "group": _TEXT.or_none,
    "endpoint": _TEXT,
    "queued_at": _INSTANT,
}
_CHANGING: dict[str, _Column] = {
    "state": _Column(str, lambda state: state.value, JobState),
    "attempts": _WHOLE,
    "client_request_id": _TEXT.or_none,
    "former_request_ids": _Column(str, _write_texts, _read_texts),
    "generation_id": _TEXT.or_none,
    "former_generation_ids": _Column(str, _write_texts, _read_texts),
    "submitted_at": _INSTANT.or_none,
    "accepted_at": _INSTANT.or_none,
    "deadline": _INSTANT.or_none,
    "settled_at": _INSTANT.or_none,
    "last_status": _TEXT.or_none,
    "polls": _WHOLE,
    "video": _Column(str, write_video, read_video).or_none,
    "error": _Column(str, write_error, read_error).or_none,
    "file": _TEXT.or_none,
    "file_size": _WHOLE.or_none,
    "file_digest": _TEXT.or_none,
}

_COLUMN_OF = _FIXED | _CHANGING

_READS = [
    (name, get_args(kind.types) or kind.types, None if kind.read is _unchanged else kind.read)
    for name, kind in _COLUMN_OF.items()
]
_VALUES = attrgetter(*_CHANGING)
_WRITES = tuple(kind.write for kind in _CHANGING.values())

CHANGING = tuple(_CHANGING)
"""The columns that change in a job's life."""

COLUMNS = ("request", *_COLUMN_OF)
"""All columns of a row, in their order."""
