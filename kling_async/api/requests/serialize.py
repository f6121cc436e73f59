"""Requests and their parts as plain JSON data, canonical or with files replaced; the converters of their classes."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard, TypeVar, cast

from attrs import evolve, fields_dict, has

from kling_async.api.catalogue.problems import join
from kling_async.api.catalogue.spec import whole
from kling_async.api.media import File, file_uri, is_file, media_type, path_from_uri
from kling_async.api.reprs import show

JSON = "JSON data, without NaN, infinities or broken characters"
"""The values that ``is_json`` accepts, in words."""

_T = TypeVar("_T")
_NAMES: dict[type[Any], tuple[str, ...]] = {}  # looked up many times for every request
_PLAIN = frozenset({str, int, float, bool, type(None)})
_Change: TypeAlias = Callable[[File, str], object]


def field_names(cls: type[Any]) -> tuple[str, ...]:
    """Return the names of a class's fields, in their order."""
    names = _NAMES.get(cls)
    if names is None:
        names = _NAMES[cls] = tuple(fields_dict(cls))
    return names


def given(value: object) -> dict[str, object]:
    """Return the fields of a value that are not None, in their order."""
    parts = ((name, getattr(value, name)) for name in field_names(type(value)))
    return {name: part for name, part in parts if part is not None}


def plain(value: object) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """Return the value as plain JSON data: objects as dicts without their Nones, tuples as lists.

    So files, given by their paths or as their contents, stay what they are; ``as_texts`` writes them out.
    """
    if type(value) in _PLAIN:  # as most are
        return value
    if is_mapping(value):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Sequence[object]", value)]
    return plain(given(value)) if has(type(value)) and not is_file(value) else value


def as_texts(data: object) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """Return plain data with its files as texts: paths as ``file:`` URIs, contents as data URIs."""
    return with_files(data, lambda file, _: data_uri(file) if isinstance(file, bytes) else file_uri(file))


def data_uri(content: bytes) -> str:
    """Return a file's content as a data URI."""
    return f"data:{media_type(content)};base64,{b64encode(content).decode()}"


def with_files(value: object, change: _Change, path: str = "") -> Any:  # noqa: ANN401 - whatever it was
    """Replace each file in a value or data by what ``change`` makes of it and its dotted name; itself without any."""
    if type(value) in _PLAIN:  # as most are
        return value
    if is_file(value):
        return change(value, path)
    if is_mapping(value):
        members = {name: with_files(member, change, join(path, name)) for name, member in value.items()}
        return members if any(members[name] is not member for name, member in value.items()) else value
    if isinstance(value, list | tuple):
        return _with_items(cast("list[object] | tuple[object, ...]", value), change, path)
    return _with_parts(value, change, path) if has(type(value)) else value


def _with_items(items: list[object] | tuple[object, ...], change: _Change, path: str) -> Sequence[object]:
    changed = [with_files(item, change, join(path, index)) for index, item in enumerate(items)]
    if all(new is old for new, old in zip(changed, items, strict=True)):
        return items
    return changed if isinstance(items, list) else tuple(changed)


def _with_parts(value: Any, change: _Change, path: str) -> object:  # noqa: ANN401 - a value of any class of attrs
    parts = given(value)
    rich = {name: part for name, part in parts.items() if type(part) not in _PLAIN}
    changed = {name: with_files(part, change, join(path, name)) for name, part in rich.items()}
    newer = {name: part for name, part in changed.items() if part is not rich[name]}
    return evolve(value, **newer) if newer else value


def canonical(data: object) -> bytes:
    """Encode data as JSON, equal data to equal bytes; files by their paths, or the SHA-256 of their contents."""
    return _canonical(data, _identity)


def _canonical(data: object, default: Callable[[object], str]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), default=default)
    return text.encode()


def _identity(value: object) -> str:
    if not is_file(value):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return f"data:sha256,{hashlib.sha256(value).hexdigest()}" if isinstance(value, bytes) else file_uri(value)


def is_json(value: object) -> bool:
    """Return whether the value can be sent, files included."""
    try:
        _canonical(plain(value), lambda part: "" if is_file(part) else _identity(part))  # hashing them takes time
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether the value is a mapping; of its names nothing is promised."""
    # What is no plain dict takes long to tell from a mapping, and is looked at for each part of every request.
    return type(value) is dict or (type(value) not in _PLAIN and isinstance(value, Mapping))


def read_paths(data: object) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """Return plain data with the paths that its ``file:`` URIs name: the reverse of ``as_texts``, for paths."""
    if is_mapping(data):
        return {name: read_paths(member) for name, member in data.items()}
    if isinstance(data, list | tuple):
        return [read_paths(item) for item in cast("Sequence[object]", data)]
    return path_from_uri(data)


# Converters of attrs. Requests can be made with anything in them: what is not recognised is left for ``check``.


def read_mapping(value: object) -> Mapping[str, Any]:
    """Return a copy of a mapping, and an empty one for None; anything else as it is."""
    if value is None:
        return {}
    return dict(value) if is_mapping(value) else cast("Mapping[str, Any]", value)


def read_value(cls: type[_T], value: object) -> _T:
    """Return a mapping of this class's field names as its value; anything else as it is."""
    if is_mapping(value) and value.keys() <= set(field_names(cls)):
        return cls(**value)
    return cast("_T", value)


def read_items(cls: type[_T], values: object) -> tuple[_T, ...] | None:
    """Return a list as a tuple, with its mappings as values of this class; anything else as it is."""
    if isinstance(values, list | tuple):
        return tuple(read_value(cls, value) for value in cast("Sequence[object]", values))
    return cast("tuple[_T, ...] | None", values)


def read_whole(value: int | str | None) -> int | None:
    """Return a whole number in any of its spellings (5, 5.0, "5") as an int; anything else as it is."""
    number = whole(value)
    return cast("int | None", value) if number is None else number


def short_repr(value: object, parts: Mapping[str, object]) -> str:
    """Return a value as the call that makes it, of these of its fields, with long texts and data URIs shortened."""
    return f"{type(value).__name__}({', '.join(f'{name}={show(part)}' for name, part in parts.items())})"


class ShortRepr:
    """A repr of the fields that are given, fit for a log."""

    __slots__ = ()

    def __repr__(self) -> str:
        return short_repr(self, given(self))
