"""Requests as plain data and back, with every field checked: for JSON lines, journals and services."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue.lookup import fields_of, find_model, suggest, types_of
from kling_async.api.catalogue.model import Kind
from kling_async.api.catalogue.problems import Problem, did_you_mean, either, refusal, unknown_fields
from kling_async.api.catalogue.spec import Field, Flag, Object, Text, read
from kling_async.api.requests import Request, request_class
from kling_async.api.requests.serialize import JSON, as_texts, field_names, is_json, is_mapping, plain, read_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kling_async.api.catalogue.spec import Spec

_ANY = "any"
_SETTINGS = {"extra": Field(Object({})), "validate": Field(Flag())}
_KINDS = (*(kind.value for kind in Kind), _ANY)


def to_dict(request: Request) -> dict[str, Any]:
    """Return the request as plain JSON data, from which ``from_dict`` makes an equal one.

    Holds ``kind``, ``model``, and under its field's name whatever else is given; a file as a ``file:`` URI of its path,
    or its content as a data URI.
    """
    if not isinstance(request, Request):
        raise refusal([Problem("request", request, "a request, such as TextToVideo(...)")])
    data: dict[str, Any] = as_texts(to_data(request))
    return data


def to_data(request: Request) -> dict[str, Any]:
    """Return the request as ``to_dict`` has it, but with its files as they are: contents as bytes, and paths."""
    kind = _ANY if request.kind is None else request.kind.value
    return {"kind": kind, **plain(request.stated())}


def from_dict(data: Mapping[str, Any]) -> Request:
    """Return the request that plain data describes; whether its model takes it is left to its ``check``.

    ``kind`` (a kind's value, such as ``text-to-video``, or ``any`` for a plain `Request`) may be left out where the
    catalogue knows the model, and ``model`` where its kind is given: that kind's default is taken. ``ratio`` is the
    vendor's older name for ``aspect_ratio``, "5" is taken for 5, and a ``file:`` URI is read as the path it names. Null
    is as good as leaving a field out. With ``validate`` false only the names are looked at.

    Raises:
        InvalidRequest: A field is unknown, missing or of the wrong type; the message has every such field.
    """
    if not is_mapping(data):
        raise refusal([Problem("request", data, "an object of a request's fields")])
    cls = class_of(data)
    parts = read_parts(cls, data, lambda _, spec, part: read(spec, part))
    if parts.get("validate") is False:
        problems = unknown_fields(parts, field_names(cls))
    else:
        problems = _type_problems(cls.kind, parts)
    if problems:
        raise refusal(problems)
    return cls(**parts)


def read_parts(
    cls: type[Request], data: Mapping[str, Any], read_one: Callable[[str, Spec, Any], object]
) -> dict[str, Any]:
    """Return a request's fields under their current names, each as ``read_one`` reads it by its name and spec."""
    fields = {**fields_of(cls.kind), **_SETTINGS}
    is_older = "aspect_ratio" in field_names(cls) and "aspect_ratio" not in data
    named = {"aspect_ratio" if name == "ratio" and is_older else name: part for name, part in data.items()}
    parts = {name: read_one(name, fields[name].spec, named[name]) if name in fields else named[name] for name in named}
    if "extra" in parts and is_json(parts["extra"]):  # which a circle is not
        parts["extra"] = read_paths(parts["extra"])
    parts.pop("kind", None)
    return parts


def _type_problems(kind: Kind | None, parts: Mapping[str, Any]) -> list[Problem]:
    problems = _types(kind).problems({name: part for name, part in parts.items() if name != "extra"})
    extra = parts.get("extra", {})
    fits = is_mapping(extra) and is_json(extra)
    return problems if fits else [*problems, Problem("extra", extra, f"an object of {JSON}")]


@cache
def _types(kind: Kind | None) -> Object:
    return Object({"model": Field(Text()), **types_of(kind), "endpoint": Field(Text()), "validate": Field(Flag())})


def class_of(data: Mapping[str, Any]) -> type[Request]:
    """Return the class of the request that data is for.

    Raises:
        InvalidRequest: It does not tell what kind of request it is, or for any kind not of which model.
    """
    kind, model_id = data.get("kind"), data.get("model")
    if kind is None and isinstance(model_id, str):
        return request_class(_kind_of(model_id))
    if not isinstance(kind, str) or kind not in _KINDS:
        raise refusal([Problem("kind", kind, _ANY_KIND + did_you_mean(str(kind), _KINDS))])
    if kind == _ANY and model_id is None:
        raise refusal([Problem("model", None, "a value; there is no default")])
    return Request if kind == _ANY else request_class(Kind(kind))


def _kind_of(model_id: str) -> Kind:
    model = find_model(model_id)
    if model is None:
        close = f" (did you mean {either(suggest(model_id))}?)" if suggest(model_id) else ""
        allowed = f"an id in the catalogue{close}; beside any other its kind: {_ANY_KIND}"
        raise refusal([Problem("model", model_id, allowed)])
    return model.kind


_ANY_KIND = either([*map(repr, _KINDS)])
