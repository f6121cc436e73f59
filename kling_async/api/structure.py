"""Plain data as values, strictly: a wrong type is refused and never converted to look right.

cattrs goes through the data by the classes' annotations. What it would take on trust (any sequence for a tuple,
anything for a text) is read by the specs that judge requests, so that both doors refuse in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import GenericAlias
from typing import Any, TypeVar, cast, get_args, get_origin

from attrs import has
from cattrs import BaseValidationError, Converter
from cattrs.errors import AttributeValidationNote, IterableValidationNote
from cattrs.gen import make_dict_structure_fn

from kling_async.api.fields import Flag, Integer, Number, Problem, Spec, Text, join, refusal, unknown_fields, whole
from kling_async.api.media import Media, is_file
from kling_async.api.plain import JSON, field_names, is_json, is_mapping

__all__ = ["structure"]

_V = TypeVar("_V")
_Hook = Callable[[object, object], Any]


def structure(data: object, cls: type[_V]) -> _V:
    """The value of this class that plain data describes.

    Raises:
        InvalidRequest: A field is unknown, missing or of the wrong type.
    """
    try:
        return _CONVERTER.structure(data, cls)
    except (_Refused, BaseValidationError) as error:
        raise refusal(list(_problems(error, ""))) from None


class _Refused(ValueError):
    """Data of the wrong type; the problems' fields are named from where the data stands."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems


def _problems(error: Exception, path: str) -> Iterator[Problem]:
    """The problems in what the converter raised, with whole names of fields."""
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _problems(inner, join(path, _place(inner)))
    elif isinstance(error, _Refused):
        for problem in error.problems:
            yield Problem(join(path, problem.field), problem.value, problem.allowed)
    else:
        yield Problem(path, None, "a value; there is no default")


def _place(error: Exception) -> str:
    notes: list[object] = getattr(error, "__notes__", [])
    fields = [note.name for note in notes if isinstance(note, AttributeValidationNote)]
    items = [str(note.index) for note in notes if isinstance(note, IterableValidationNote)]
    return ".".join(fields + items)


def _by(spec: Spec, read: Callable[[object], object] = lambda value: value) -> _Hook:
    """A hook that takes what the spec takes."""

    def hook(value: object, _: object) -> object:
        problems = spec.problems(value, "")
        if problems:
            raise _Refused(*problems)
        return read(value)

    return hook


def _mapping(value: object, _: object) -> Mapping[str, Any]:
    if not is_mapping(value):
        raise _Refused(Problem("", value, "an object"))
    if not is_json(value):
        raise _Refused(Problem("", value, JSON))
    return value


def _is_scene(cls: object) -> bool:
    """Whether it is a text or a value, as scenes are."""
    kinds = get_args(cls)
    return kinds[:1] == (str,) and has(kinds[-1])


def _scene_hook(cls: object) -> _Hook:
    value = get_args(cls)[-1]

    def hook(data: object, _: object) -> object:
        return data if isinstance(data, str) else _CONVERTER.structure(data, value)

    return hook


def _media(value: object, _: object) -> Media:
    if isinstance(value, str) or is_file(value):
        return value
    raise _Refused(Problem("", value, "a URL, or a file as a data URI or a file: URI"))


def _is_media(cls: object) -> bool:
    return cls in (Media, Media | None)


def _pictures(value: object, cls: object) -> Media | tuple[Media, ...]:
    if not isinstance(value, list | tuple):
        return _media(value, cls)
    return tuple(_media(item, cls) for item in cast("list[object] | tuple[object, ...]", value))


def _is_tuple(cls: Any) -> bool:  # noqa: ANN401 - annotations have no common type
    return get_origin(cls) is tuple


def _tuple_hook(cls: type[Any]) -> _Hook:
    items = _CONVERTER.get_structure_hook(GenericAlias(list, get_args(cls)[:1]))

    def hook(value: object, _: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _Refused(Problem("", value, "a list"))
        return tuple(items(value, list))

    return hook


def _value_hook(cls: type[Any]) -> _Hook:
    parts = make_dict_structure_fn(cls, _CONVERTER)

    def hook(value: object, _: object) -> object:
        if not is_mapping(value):
            raise _Refused(Problem("", value, f"an object of {', '.join(field_names(cls))}"))
        unknown = unknown_fields(value, field_names(cls))
        try:
            found = parts(value, cls)
        except BaseValidationError as error:
            raise _Refused(*unknown, *_problems(error, "")) from None
        if unknown:
            raise _Refused(*unknown)
        return found

    return hook


_CONVERTER = Converter(detailed_validation=True)
_CONVERTER.register_structure_hook(str, _by(Text()))
_CONVERTER.register_structure_hook(int, _by(Integer(), whole))
_CONVERTER.register_structure_hook(float, _by(Number()))
_CONVERTER.register_structure_hook(bool, _by(Flag()))
_CONVERTER.register_structure_hook_func(lambda cls: cls == Mapping[str, Any], _mapping)
_CONVERTER.register_structure_hook_func(_is_media, _media)
_CONVERTER.register_structure_hook_func(lambda cls: cls == Media | tuple[Media, ...] | None, _pictures)
_CONVERTER.register_structure_hook_factory(_is_scene, _scene_hook)
_CONVERTER.register_structure_hook_factory(_is_tuple, _tuple_hook)
_CONVERTER.register_structure_hook_factory(has, _value_hook)
