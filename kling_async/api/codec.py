"""Requests as plain data and back, strictly: one door for JSON lines, table rows, journals and services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue import Kind, find_model
from kling_async.api.fields import Problem, either, refusal, unknown_fields
from kling_async.api.plain import field_names, is_mapping, plain
from kling_async.api.requests import ImageToVideo, Request, TextToVideo
from kling_async.api.spelling import did_you_mean
from kling_async.api.structure import structure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["from_dict", "to_dict"]

_ANY = "any"
_CLASSES: Mapping[str, type[Request]] = {
    Kind.TEXT_TO_VIDEO.value: TextToVideo,
    Kind.IMAGE_TO_VIDEO.value: ImageToVideo,
    _ANY: Request,
}


def to_dict(request: Request) -> dict[str, Any]:
    """The request as plain JSON data, from which ``from_dict`` makes an equal one.

    Holds ``kind``, ``model``, and under its field's name whatever else is given.
    """
    kind = _ANY if request.kind is None else request.kind.value
    return {"kind": kind, **plain(request.stated())}


def from_dict(data: Mapping[str, Any]) -> Request:
    """The request that plain data describes; whether its model takes it is for the request's own ``check`` to say.

    ``kind`` may be left out where the catalogue knows the model. ``ratio`` is the vendor's older name for
    ``aspect_ratio``. Null is as good as leaving a field out. With ``validate`` false only the names are looked at.

    Raises:
        InvalidRequest: A field is unknown, missing or of the wrong type. The attributes tell the first such field, the
            message all of them.
    """
    if not is_mapping(data):
        raise refusal([Problem("request", data, "an object of a request's fields")])
    cls = _class_of(data)
    parts = _renamed(cls, {name: part for name, part in data.items() if name != "kind"})
    return _unjudged(cls, parts) if parts.get("validate") is False else structure(parts, cls)


def _class_of(data: Mapping[str, Any]) -> type[Request]:
    kind = data.get("kind")
    if kind is None:
        kind = _kind_of(data.get("model"))
    cls = _CLASSES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise refusal([Problem("kind", kind, either([*map(repr, _CLASSES)]) + did_you_mean(str(kind), _CLASSES))])
    return cls


def _kind_of(model_id: object) -> str | None:
    model = find_model(model_id) if isinstance(model_id, str) else None
    return None if model is None else model.kind.value


def _renamed(cls: type[Request], parts: dict[str, Any]) -> dict[str, Any]:
    if "aspect_ratio" in parts or "aspect_ratio" not in field_names(cls):
        return parts
    return {"aspect_ratio" if name == "ratio" else name: part for name, part in parts.items()}


def _unjudged(cls: type[Request], parts: dict[str, Any]) -> Request:
    unknown = unknown_fields(parts, field_names(cls))
    if unknown:
        raise refusal(unknown)
    return cls(**parts)
