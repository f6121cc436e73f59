"""Requests as plain data and back, with every field checked: for JSON lines, journals and services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue.lookup import fields_of, find_model, suggest
from kling_async.api.catalogue.model import Kind
from kling_async.api.catalogue.problems import Problem, either, refusal, unknown_fields
from kling_async.api.catalogue.suggestions import did_you_mean
from kling_async.api.requests import Request, request_class
from kling_async.api.requests.serialize import as_texts, field_names, is_mapping, plain, read_paths, structure

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANY = "any"
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
        InvalidRequest: A field is unknown, missing or of the wrong type. The attributes tell the first such field, the
            message all of them.
    """
    if not is_mapping(data):
        raise refusal([Problem("request", data, "an object of a request's fields")])
    cls = class_of(data)
    fields = fields_of(cls.kind)
    named = renamed(cls, {name: part for name, part in data.items() if name != "kind"})
    parts: dict[str, Any] = {
        name: fields[name].spec.read(part) if name in fields else part for name, part in named.items()
    }
    parts |= {name: read_paths(part) for name, part in parts.items() if name == "extra"}
    if parts.get("validate") is not False:
        return structure(parts, cls)
    unknown = unknown_fields(parts, field_names(cls))
    if unknown:
        raise refusal(unknown)
    return cls(**parts)


def class_of(data: Mapping[str, Any]) -> type[Request]:
    """Return the class of the request that data is for.

    Raises:
        InvalidRequest: It does not tell what kind of request it is.
    """
    kind, model_id = data.get("kind"), data.get("model")
    if kind is None and isinstance(model_id, str):
        return request_class(_kind_of(model_id))
    if not isinstance(kind, str) or kind not in _KINDS:
        raise refusal([Problem("kind", kind, _ANY_KIND + did_you_mean(str(kind), _KINDS))])
    return Request if kind == _ANY else request_class(Kind(kind))


def _kind_of(model_id: str) -> Kind:
    model = find_model(model_id)
    if model is None:
        close = f" (did you mean {either(suggest(model_id))}?)" if suggest(model_id) else ""
        allowed = f"an id in the catalogue{close}; beside any other its kind: {_ANY_KIND}"
        raise refusal([Problem("model", model_id, allowed)])
    return model.kind


def renamed(cls: type[Request], parts: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a request under their current names."""
    if "aspect_ratio" in parts or "aspect_ratio" not in field_names(cls):
        return parts
    return {"aspect_ratio" if name == "ratio" else name: part for name, part in parts.items()}


_ANY_KIND = either([*map(repr, _KINDS)])
