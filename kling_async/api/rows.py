"""Rows of a table as requests: where every cell holds a text, its column says what the text stands for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kling_async.api.codec import named_parts
from kling_async.api.fields import Field, Flag, ListOf, Number, Object, OneOf, Problem, refusal, unknown_fields
from kling_async.api.loosened import fields_of
from kling_async.api.plain import field_names, is_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.fields import Spec
    from kling_async.api.requests import Request

__all__ = ["from_row"]

_FLAGS = {"true": True, "false": False}
_SETTINGS = {"extra": Field(Object({})), "validate": Field(Flag())}


def from_row(row: Mapping[str, Any]) -> Request:
    """The request that a row of a table describes, such as one of `csv.DictReader`; it has passed its ``check``.

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
    """What a cell's text stands for; the text itself where it stands for nothing that the spec could take."""
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
    """The columns that no request of the kind has; under None are the cells beyond the last column."""
    named = {name: part for name, part in parts.items() if name is not None}
    spare = [Problem("row", parts[None], "as many cells as there are columns")] if None in parts else []
    return spare + unknown_fields(named, known)
