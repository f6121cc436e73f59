"""Requests as plain data and back, and of rows of tables: every field is read and checked by what it is for."""

from __future__ import annotations

import json
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from kling_async.api.arguments import DURATION, GROUP, PATH, PRIORITY, Wanted, is_number
from kling_async.api.catalogue.lookup import fields_of, find_model, suggest, types_of
from kling_async.api.catalogue.model import Kind
from kling_async.api.catalogue.problems import Problem, did_you_mean, either, refusal, unknown_fields
from kling_async.api.catalogue.spec import Field, Flag, Integer, ListOf, Number, Object, OneOf, Text, read
from kling_async.api.labels import OUTPUT, is_output, tag_of
from kling_async.api.media import path_from_text
from kling_async.api.requests import Request, request_class
from kling_async.api.requests.base import Submission
from kling_async.api.requests.serialize import JSON, as_texts, field_names, is_json, is_mapping, plain, read_paths
from kling_async.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kling_async.api.catalogue.spec import Spec
    from kling_async.api.media import FilePath

_ANY = "any"
_KINDS = (*(kind.value for kind in Kind), _ANY)

_BY_MEDIA = {
    frozenset[str](): "text-to-video",
    frozenset({"image_url"}): "image-to-video",
    frozenset({"image_url", "audio_url"}): "avatar",
    frozenset({"image_url", "video_url"}): "motion-control",
}
"""The kind of a row that names neither kind nor model, by its media."""
_MEDIA = frozenset({"image_url", "audio_url", "video_url", "image_list", "elements", "effect_scene"})
_WHICH = frozenset({"kind", "model"})

_FLAGS = {"true": True, "false": False}


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
    is as good as leaving a field out, but for ``model``. With ``validate`` false only the names are looked at.

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
    fields = _fields(cls.kind)
    is_older = "aspect_ratio" in field_names(cls) and "aspect_ratio" not in data
    named = {"aspect_ratio" if name == "ratio" and is_older else name: part for name, part in data.items()}
    may_be_null = {*field_names(cls)} - {"model"}
    stated = {name: part for name, part in named.items() if part is not None or name not in may_be_null}
    parts = {name: read_one(name, fields[name].spec, part) if name in fields else part for name, part in stated.items()}
    if "extra" in parts and is_json(parts["extra"]):  # which a circle is not
        parts["extra"] = read_paths(parts["extra"])
    parts.pop("kind", None)
    return parts


@cache
def _fields(kind: Kind | None) -> dict[str, Field]:
    return {**fields_of(kind), "extra": Field(Object({})), "validate": Field(Flag())}


def _type_problems(kind: Kind | None, parts: Mapping[str, Any]) -> list[Problem]:
    more: dict[str, Any] = {"extra": {}} if "extra" in parts else {}
    problems = _types(kind).problems({**parts, **more})
    if "extra" in parts and not (is_mapping(extra := parts["extra"]) and is_json(extra)):
        problems.append(Problem("extra", extra, f"an object of {JSON}"))
    return problems


@cache
def _types(kind: Kind | None) -> Object:
    more = {"endpoint": Field(Text()), "extra": Field(Object({})), "validate": Field(Flag())}
    return Object({"model": Field(Text()), **types_of(kind), **more})


def class_of(data: Mapping[str, Any]) -> type[Request]:
    """Return the class of the request that data is for; refuse data that does not tell, or not of which model."""
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


def from_row(
    row: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None, folder: FilePath | str | None = None
) -> Submission:
    """Return the submission that a row of a table describes, such as one of `csv.DictReader`; its request is valid.

    A column is a field of `from_dict`, or ``tag``, ``output``, ``priority``, ``group`` or ``deadline`` (in seconds). A
    blank cell is as good as none. Numbers are written as numbers (5.0 is 5), flags as ``true`` or ``false`` in any
    case, lists and objects as JSON, and files as paths, ``file:`` URIs or URLs. What is not a text is taken as it is.

    A row without ``kind`` and ``model`` is for text-to-video or, by its media, image-to-video, an avatar or motion
    control. With an ``output``, a name for its video's file, the tag is an object of ``output`` and ``tag``;
    ``download`` and ``as_downloaded`` name the file by it, in the folder that ``into`` names.

    Args:
        row: The cells by the names of their columns.
        defaults: Cells for what the row leaves out; a model or a kind only if the row has neither.
        folder: The folder that the row's paths are relative to. By default, as for those of ``defaults``, the current
            folder when it is submitted.

    Raises:
        InvalidRequest: The row is no request that its model takes. ``problems`` has all that is wrong with the row,
            each under the name of its column.
    """
    if not is_mapping(row):
        raise refusal([Problem("row", row, "a mapping of a request's fields")])
    if not (defaults is None or is_mapping(defaults)):
        raise refusal([Problem("defaults", defaults, "None, or a mapping of columns to cells")])
    if folder is not None:
        PATH.check("folder", folder)
    submission, problems = read_row(row, defaults or {}, folder)
    if problems or submission is None:
        raise refusal(problems)
    return submission


def read_row(
    row: Mapping[str, Any],
    defaults: Mapping[str, Any],
    folder: FilePath | str | None = None,
    defaults_folder: FilePath | str | None = None,
) -> tuple[Submission | None, list[Problem]]:
    """Return a row's submission, None if it does not say of what kind, and all that is wrong with it: see `from_row`.

    With problems, the submission is only good to look at its request's files. ``defaults_folder`` is the folder that
    paths in ``defaults`` are relative to.
    """
    given = {name: cell for name, cell in row.items() if not is_blank(cell)}
    usual = {name: cell for name, cell in defaults.items() if name not in _WHICH or not given.keys() & _WHICH}
    cells: dict[str, Any] = usual | given
    problems: list[Problem] = []
    job: dict[str, Any] = {}
    for name in [name for name in _JOB_COLUMNS if name in cells]:
        read_cell, wanted = _JOB_COLUMNS[name]
        cell = cells.pop(name)
        job[name] = read_cell(cell)
        if not wanted.fits(job[name]):
            problems.append(Problem(name, cell, wanted.allowed))
            job[name] = None
    job["tag"] = tag_of(job.get("tag"), job.pop("output", None))
    try:
        request, found = _read_request(cells, lambda name: folder if name in given else defaults_folder)
    except InvalidRequest as error:
        return None, [*problems, *problems_of(error)]
    return Submission(request, **job), problems + found


@cache
def columns() -> frozenset[str]:
    """Return the names of all columns that there are."""
    fields = (name for kind in Kind for name in field_names(request_class(kind)))
    return frozenset({"kind", "ratio", *fields, *_JOB_COLUMNS})


def is_blank(cell: object) -> bool:
    """Return whether a cell is as good as none."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def problems_of(error: InvalidRequest) -> list[Problem]:
    """Return the problems of an error about a request."""
    return [Problem(part.field or "row", part.value, part.allowed or part.message) for part in error.problems]


def _read_request(
    cells: dict[str, Any], folder_of: Callable[[str], FilePath | str | None]
) -> tuple[Request, list[Problem]]:
    """Return the request of cells, and its problems; raise `InvalidRequest` if they do not say of what kind it is."""
    if not cells.keys() & _WHICH:
        kind = _BY_MEDIA.get(frozenset(cells.keys() & _MEDIA))
        cells = cells if kind is None else cells | {"kind": kind}
    cls = class_of(cells)
    parts = read_parts(cls, cells, lambda name, spec, cell: _read(spec, cell, folder_of(name)))
    request = cls(**{name: part for name, part in parts.items() if name in field_names(cls)})
    return request, _strange(parts, field_names(cls)) + request.problems()


def _read(spec: Spec, cell: object, folder: FilePath | str | None) -> object:
    value = _parsed(spec, cell) if isinstance(cell, str) else cell
    return read(spec, value, partial(path_from_text, folder=folder))


def _parsed(spec: Spec, cell: str) -> object:
    """Parse a cell's text by what its spec takes; the text itself where it cannot be parsed."""
    text = cell.strip()
    if isinstance(spec, Flag):
        return _FLAGS.get(text.lower(), cell)
    if isinstance(spec, Integer | Number):
        return _number(cell)
    return _json(text, cell) if text[0] in "[{" and _is_nested(spec) else cell


def _is_nested(spec: Spec) -> bool:
    return isinstance(spec, ListOf | Object) or (isinstance(spec, OneOf) and any(map(_is_nested, spec.options)))


def _json(text: str, otherwise: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def _number(cell: object) -> object:
    """Return the number that a cell's text is; spreadsheets write whole ones as 5.0, too."""
    value = _json(cell.strip(), cell) if isinstance(cell, str) else cell
    if not is_number(value):
        return cell
    return int(value) if value == int(value) else value


def _strange(parts: Mapping[Any, object], known: tuple[str, ...]) -> list[Problem]:
    """Return the columns that no request of the kind has; under None are the cells beyond the last column."""
    named = {name: part for name, part in parts.items() if name is not None}
    spare = [Problem("row", parts[None], "as many cells as there are columns")] if None in parts else []
    return spare + unknown_fields(named, known)


_JOB_COLUMNS: dict[str, tuple[Callable[[object], object], Wanted]] = {
    "tag": (lambda cell: cell, Wanted("anything", lambda _: True)),
    "output": (lambda cell: cell, Wanted(OUTPUT, is_output)),
    "priority": (_number, PRIORITY),
    "group": (lambda cell: str(cell) if is_number(cell) else cell, GROUP),
    "deadline": (_number, DURATION),
}
"""The columns that are not about the request: how they are read, and what they take."""
