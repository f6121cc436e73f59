"""Between values and plain JSON data, without judging either."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, TypeVar, cast

from attrs import fields_dict, has

from kling_async.api.fields import show, whole

__all__ = [
    "JSON",
    "ShortRepr",
    "canonical",
    "field_names",
    "given",
    "is_json",
    "is_mapping",
    "plain",
    "read_items",
    "read_mapping",
    "read_value",
    "read_whole",
    "short_repr",
]

JSON = "JSON data, without NaN, infinities or broken characters"
"""What ``is_json`` accepts, in words."""

_T = TypeVar("_T")


def field_names(cls: type[Any]) -> tuple[str, ...]:
    """The names of a class's fields, in their order."""
    return tuple(fields_dict(cls))


def given(value: object) -> dict[str, object]:
    """The fields of a value that are not None, in their order."""
    parts = ((name, getattr(value, name)) for name in field_names(type(value)))
    return {name: part for name, part in parts if part is not None}


def plain(value: object) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """The value as plain JSON data: values as dicts without their Nones, tuples as lists, anything else as it is."""
    if is_mapping(value):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Sequence[object]", value)]
    return plain(given(value)) if has(type(value)) else value


def canonical(data: object) -> bytes:
    """JSON of which equal data has equal bytes.

    Raises:
        TypeError, ValueError, RecursionError: It is not ``JSON``.
    """
    return json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def is_json(value: object) -> bool:
    """Whether the value can be sent."""
    try:
        canonical(plain(value))
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether the value is a mapping; of its names nothing is promised."""
    return isinstance(value, Mapping)


# Requests can be made with anything in them: these read what they know, and leave the rest for ``check`` to judge.


def read_mapping(value: object) -> Mapping[str, Any]:
    """A copy of a mapping, and an empty one for None; anything else as it is."""
    if value is None:
        return {}
    return dict(value) if is_mapping(value) else cast("Mapping[str, Any]", value)


def read_value(cls: type[_T], value: object) -> _T:
    """A mapping of this class's field names as its value; anything else as it is."""
    if is_mapping(value) and value.keys() <= set(field_names(cls)):
        return cls(**value)
    return cast("_T", value)


def read_items(cls: type[_T], values: object) -> tuple[_T, ...] | None:
    """A list as a tuple, with its mappings as values of this class; anything else as it is."""
    if isinstance(values, list | tuple):
        return tuple(read_value(cls, value) for value in cast("Sequence[object]", values))
    return cast("tuple[_T, ...] | None", values)


def read_whole(value: int | str | None) -> int | None:
    """A whole number in any of its spellings (5, 5.0, "5") as an int; anything else as it is."""
    number = whole(value)
    return cast("int | None", value) if number is None else number


def short_repr(value: object, parts: Mapping[str, object]) -> str:
    """A value as the call that makes it, of these of its fields, with long texts and data URIs shortened."""
    return f"{type(value).__name__}({', '.join(f'{name}={show(part)}' for name, part in parts.items())})"


class ShortRepr:
    """A repr of the fields that are given, fit for a log."""

    __slots__ = ()

    def __repr__(self) -> str:
        return short_repr(self, given(self))
