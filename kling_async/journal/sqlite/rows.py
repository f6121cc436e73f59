"""A record as a row of plain columns, and back."""

from __future__ import annotations

import json
import math
from operator import attrgetter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from attrs import asdict, frozen
from cattrs import Converter

from kling_async import errors
from kling_async.api.requests.codec import from_dict, to_data
from kling_async.api.requests.serialize import is_mapping
from kling_async.api.results import Video
from kling_async.errors import InvalidRequest, JournalError, KlingError
from kling_async.journal.base import JobState, Record
from kling_async.journal.media import put_back, set_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import UnionType

    from kling_async.api.requests import Request
    from kling_async.journal.media import Content

__all__ = [
    "CHANGING",
    "COLUMNS",
    "Row",
    "Value",
    "as_column",
    "as_text",
    "read_error",
    "read_row",
    "read_video",
    "write_error",
    "write_row",
    "write_video",
]


def write_video(video: Video) -> str:
    """The video as JSON."""
    return json.dumps(asdict(video))


def read_video(encoded: str) -> Video:
    """The video that ``write_video`` was given; what a later version may have added is left out.

    Raises:
        Exception: It is something else.
    """
    return _CONVERTER.structure(json.loads(encoded), Video)


def write_error(error: KlingError) -> str:
    """The error as JSON: its class, its message and its attributes, but neither cause nor traceback.

    An outcome is never lost for a detail: an attribute that is not JSON is kept as its repr.
    """
    attributes = {name: _as_json_data(value) for name, value in vars(error).items()}
    return json.dumps({"class": type(error).__name__, "attributes": attributes})


def read_error(encoded: str) -> KlingError:
    """An error of the class and with the attributes of the one that ``write_error`` was given.

    One of a class this version does not know is a plain `KlingError` with the same message.

    Raises:
        Exception: It is something else.
    """
    data = json.loads(encoded)
    attributes = _checked(data["attributes"], dict)
    error = _CLASSES.get(data["class"], KlingError)(_checked(attributes["message"], str))
    own = vars(error)
    own.update((name, value) for name, value in attributes.items() if name in own)
    return error


_CLASSES: dict[str, Callable[[str], KlingError]] = {
    name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, KlingError)
}


def _as_json_data(value: object) -> object:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
    return value


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

Value: TypeAlias = str | bytes | int | float | None
"""What a column holds."""


@frozen
class Row:
    """A record ready to be written.

    Attributes:
        key: The key's column.
        fixed: What stays as it is for the whole of a job's life; None if it was written before.
        changing: The rest; together they are in the order of ``COLUMNS``.
        media: The media that the row refers to, by their digests.
    """

    key: Value
    fixed: tuple[Value, ...] | None
    changing: tuple[Value, ...]
    media: Mapping[str, Content]


def write_row(record: Record, before: Record | None = None) -> Row:
    """The row of a record; ``before`` is a record of the same job that was written earlier.

    Raises:
        InvalidRequest: It holds what a row cannot keep: a tag or a request that is not JSON, or a time that is NaN.
    """
    media: dict[str, Content] = {}
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


def _fixed(record: Record, media: dict[str, Content]) -> tuple[Value, ...]:
    data, apart = set_apart(None if record.request is None else to_data(record.request))
    media.update(apart)
    return (_column("request", _JSON, data), *_columns(record, _FIXED))


def _changing(record: Record) -> tuple[Value, ...]:
    """What changes, several times in every job's life: quickly, or so that an error names its field."""
    try:
        return tuple(
            [None if value is None else write(value) for value, write in zip(_VALUES(record), _WRITES, strict=True)]
        )
    except (TypeError, ValueError, RecursionError):
        return _columns(record, _CHANGING)


def _columns(record: Record, kinds: Mapping[str, _Kind]) -> tuple[Value, ...]:
    return tuple(_column(name, kind, getattr(record, name)) for name, kind in kinds.items())


def _column(name: str, kind: _Kind, value: object) -> Value:
    try:
        return None if value is None else kind.write(value)
    except (TypeError, ValueError, RecursionError) as error:
        allowed = "numbers, and JSON data without NaN or infinities"
        message = f"{name} cannot be recorded: {error}; allowed: {allowed}"
        raise InvalidRequest(message, field=name, value=value, allowed=allowed) from None


def read_row(values: Sequence[Any], fetch: Callable[[str], Content]) -> Record:
    """The record that a row describes; ``fetch`` returns media by their digests.

    Raises:
        JournalError: It describes none.
    """
    try:
        return _read(values, fetch)
    except Exception as error:
        key = dict(zip(COLUMNS, values, strict=False)).get("key")
        raise JournalError(f"the record of job {key!r:.120} cannot be read: {error!r:.200}") from error


def _read(values: Sequence[Any], fetch: Callable[[str], Content]) -> Record:
    request, *others = values
    fields = {name: _field(name, kind, value) for (name, kind), value in zip(_KINDS.items(), others, strict=True)}
    return Record(request=_request(request, fetch), **fields)


def _field(name: str, kind: _Kind, value: object) -> Any:  # noqa: ANN401 - of whatever type the field is
    if not isinstance(value, kind.types):
        raise TypeError(f"{name} is {value!r:.80}")
    return None if value is None else kind.read(value)


def _request(encoded: str | None, fetch: Callable[[str], Content]) -> Request | None:
    return None if encoded is None else from_dict(put_back(json.loads(encoded), encoded, fetch))


def as_column(text: str) -> Value:
    """A text as a column takes it. The vendor's may hold half a character, and must be kept all the same."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def as_text(value: str | bytes) -> str:
    """The text that ``as_column`` was given."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _as_json(value: object) -> str:
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


def _as_instant(seconds: float) -> float:
    if math.isnan(seconds):
        raise ValueError("it is not a number")
    return seconds


def _as_list(texts: tuple[str, ...]) -> str:
    return _as_json(texts) if texts else "[]"


def _as_texts(encoded: str) -> tuple[str, ...]:
    texts = json.loads(encoded)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in cast("list[object]", texts)):
        raise TypeError(f"{encoded!r:.80} is not a list of texts")
    return tuple(cast("list[str]", texts))


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - whatever it is
    return value


@frozen
class _Kind:
    """How fields of a kind are kept: as what, and how they get there and back."""

    types: type | UnionType
    write: Callable[[Any], Value] = _as_it_is
    read: Callable[[Any], Any] = _as_it_is

    @property
    def or_none(self) -> _Kind:
        return _Kind(self.types | NoneType, self.write, self.read)


_TEXT = _Kind(str | bytes, as_column, as_text)
_WHOLE = _Kind(int)
_INSTANT = _Kind(int | float, _as_instant)
_JSON = _Kind(str, _as_json, json.loads)

_FIXED: dict[str, _Kind] = {
    "key": _TEXT,
    "digest": _Kind(bytes),
    "tag": _JSON.or_none,
    "endpoint": _TEXT,
    "queued_at": _INSTANT,
}
_CHANGING: dict[str, _Kind] = {
    "state": _Kind(str, lambda state: state.value, JobState),
    "attempts": _WHOLE,
    "client_request_id": _TEXT.or_none,
    "former_request_ids": _Kind(str, _as_list, _as_texts),
    "generation_id": _TEXT.or_none,
    "submitted_at": _INSTANT.or_none,
    "accepted_at": _INSTANT.or_none,
    "deadline": _INSTANT.or_none,
    "settled_at": _INSTANT.or_none,
    "last_status": _TEXT.or_none,
    "polls": _WHOLE,
    "video": _Kind(str, write_video, read_video).or_none,
    "error": _Kind(str, write_error, read_error).or_none,
    "file": _TEXT.or_none,
    "file_size": _WHOLE.or_none,
    "file_digest": _TEXT.or_none,
}

_KINDS = _FIXED | _CHANGING

_VALUES = attrgetter(*_CHANGING)
_WRITES = tuple(kind.write for kind in _CHANGING.values())

CHANGING = tuple(_CHANGING)
"""The columns that change in a job's life."""

COLUMNS = ("request", *_KINDS)
"""All columns of a row, in their order."""
