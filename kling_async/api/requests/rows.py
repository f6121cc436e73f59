"""Rows of tables as submissions: every column read by what it is for."""

from __future__ import annotations

import json
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from kling_async.api.arguments import DURATION, GROUP, PATH, PRIORITY, Wanted, is_number
from kling_async.api.catalogue.model import Kind
from kling_async.api.catalogue.problems import Problem, refusal, unknown_fields
from kling_async.api.catalogue.spec import Flag, Integer, ListOf, Number, Object, OneOf, read
from kling_async.api.labels import OUTPUT, is_output, tag_of
from kling_async.api.media import path_from_text
from kling_async.api.requests import request_class
from kling_async.api.requests.base import Submission
from kling_async.api.requests.codec import class_of, read_parts
from kling_async.api.requests.serialize import field_names, is_mapping
from kling_async.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kling_async.api.catalogue.spec import Spec
    from kling_async.api.media import FilePath
    from kling_async.api.requests.base import Request

_KINDS = {
    frozenset[str](): "text-to-video",
    frozenset({"image_url"}): "image-to-video",
    frozenset({"image_url", "audio_url"}): "avatar",
    frozenset({"image_url", "video_url"}): "motion-control",
}
"""The kind of a row that names neither kind nor model, by its media."""
_MEDIA = frozenset({"image_url", "audio_url", "video_url", "image_list", "elements", "effect_scene"})
_WHICH = frozenset({"kind", "model"})

_FLAGS = {"true": True, "false": False}


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
        kind = _KINDS.get(frozenset(cells.keys() & _MEDIA))
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
