"""Requests as plain data and back, with every field checked: for JSON lines, table rows, journals and services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue.lookup import fields_of, find_model, suggest
from kling_async.api.catalogue.model import Kind
from kling_async.api.catalogue.spec import (
    Field,
    Flag,
    ListOf,
    Number,
    Object,
    OneOf,
    Problem,
    either,
    refusal,
    unknown_fields,
)
from kling_async.api.catalogue.suggestions import did_you_mean
from kling_async.api.requests import Request, request_class
from kling_async.api.requests.serialize import as_texts, field_names, is_mapping, plain, read_paths, structure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.catalogue.spec import Spec

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
    cls, parts = named_parts(data)
    if parts.get("validate") is not False:
        return structure(parts, cls)
    unknown = unknown_fields(parts, field_names(cls))
    if unknown:
        raise refusal(unknown)
    return cls(**parts)


def named_parts(data: Mapping[str, Any]) -> tuple[type[Request], dict[str, Any]]:
    """Return the class of the request that data is for, and its fields under their current names.

    Raises:
        InvalidRequest: It is no object, or does not tell what kind of request it is.
    """
    if not is_mapping(data):
        raise refusal([Problem("request", data, "an object of a request's fields")])
    cls = _class_of(data)
    parts = _renamed(cls, {name: part for name, part in data.items() if name != "kind"})
    fields = fields_of(cls.kind)
    parts = {name: fields[name].spec.read(part) if name in fields else part for name, part in parts.items()}
    return cls, parts | {name: read_paths(part) for name, part in parts.items() if name == "extra"}


def _class_of(data: Mapping[str, Any]) -> type[Request]:
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


def _renamed(cls: type[Request], parts: dict[str, Any]) -> dict[str, Any]:
    if "aspect_ratio" in parts or "aspect_ratio" not in field_names(cls):
        return parts
    return {"aspect_ratio" if name == "ratio" else name: part for name, part in parts.items()}


_ANY_KIND = either([*map(repr, _KINDS)])

_FLAGS = {"true": True, "false": False}
_SETTINGS = {"extra": Field(Object({})), "validate": Field(Flag())}


def from_row(row: Mapping[str, Any]) -> Request:
    """Return the request that a row of a table describes, such as one of `csv.DictReader`; it has passed its ``check``.

    The columns are named like the fields that `from_dict` takes, ``kind`` and ``model`` included. A blank cell is as
    good as none. Numbers are written as numbers, flags as ``true`` or ``false`` in any case, lists and objects as JSON,
    and files as ``file:`` URIs. What is not a text is taken as it is.

    Raises:
        InvalidRequest: The row is no request that its model takes. ``problems`` has all that is wrong with the row,
            each under the name of its column.
    """
    if not is_mapping(row):
        raise refusal([Problem("row", row, "a mapping of a request's fields")])
    cls, cells = named_parts({name: cell for name, cell in row.items() if not _is_blank(cell)})
    fields = {**fields_of(cls.kind), **_SETTINGS}
    parts = {name: _read(fields[name].spec, cell) if name in fields else cell for name, cell in cells.items()}
    known: dict[str, Any] = {name: part for name, part in parts.items() if name in field_names(cls)}
    request = cls(**known)
    problems = _strange(parts, field_names(cls)) + request.problems()
    if problems:
        raise refusal(problems)
    return request


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _read(spec: Spec, cell: object) -> object:
    return spec.read(_parsed(spec, cell)) if isinstance(cell, str) else cell


def _parsed(spec: Spec, cell: str) -> object:
    """Parse a cell's text by what its spec takes; the text itself where it cannot be parsed."""
    text = cell.strip()
    if isinstance(spec, Flag):
        return _FLAGS.get(text.lower(), cell)
    if isinstance(spec, Number) or (text[0] in "[{" and _is_nested(spec)):
        return _json(text, cell)
    return cell


def _is_nested(spec: Spec) -> bool:
    return isinstance(spec, ListOf | Object) or (isinstance(spec, OneOf) and any(map(_is_nested, spec.options)))


def _json(text: str, otherwise: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def _strange(parts: Mapping[Any, object], known: tuple[str, ...]) -> list[Problem]:
    """Return the columns that no request of the kind has; under None are the cells beyond the last column."""
    named = {name: part for name, part in parts.items() if name is not None}
    spare = [Problem("row", parts[None], "as many cells as there are columns")] if None in parts else []
    return spare + unknown_fields(named, known)
