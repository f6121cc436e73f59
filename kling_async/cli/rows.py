"""The rows of a batch as requests, each with its key; everything that is wrong is found before anything is sent."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async import InvalidRequest, from_row, to_dict
from kling_async.api.reprs import cut, show
from kling_async.cli.cells import Cells, Flaw, read_cells
from kling_async.cli.figures import count
from kling_async.cli.media import missing, with_paths
from kling_async.cli.names import refusal_of
from kling_async.cli.tags import tag_of
from kling_async.files.uploads import check_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from kling_async import Request

__all__ = ["BadRows", "Row", "read_request", "read_rows", "told"]

_MOST_TOLD = 200
_DIGEST = 32  # hexadecimal digits: 128 bits
_KINDS = {
    frozenset[str](): "text-to-video",
    frozenset({"image_url"}): "image-to-video",
    frozenset({"image_url", "audio_url"}): "avatar",
    frozenset({"image_url", "video_url"}): "motion-control",
}
"""What a row asks for that names neither kind nor model, by the media it brings."""
_TELLING = frozenset({"image_url", "audio_url", "video_url", "image_list", "elements", "effect_scene"})


@frozen
class Row:
    """A row that can be submitted.

    Attributes:
        line: The line it begins on.
        key: What its job is known by: the digest of what it asks for, and which of the equal rows it is.
        request: What it asks for.
        tag: The caller's label.
        output: The name for its file, if it has one.
    """

    line: int
    key: str
    request: Request
    tag: str | None = None
    output: str | None = None

    @property
    def job_tag(self) -> object:
        """The tag of its job."""
        return tag_of(self.tag, self.output)


@frozen
class BadRows(Exception):
    """What is wrong with a batch, all of it."""

    source: str
    flaws: tuple[Flaw, ...]


def read_rows(content: bytes, source: str, base: Path, usual: Mapping[str, Any]) -> list[Row]:
    """The rows of a batch, in order.

    Args:
        content: Its text: JSON Lines, or a table.
        source: Its name, for messages.
        base: The folder that paths in it are relative to.
        usual: What the fields are that a row leaves out.

    Raises:
        BadRows: Some of it cannot be used.
    """
    reader = _Reader(base, usual)
    read = [row for cells in read_cells(content) if (row := reader.row(cells)) is not None]
    if not read and not reader.flaws:
        reader.flaws.append(Flaw(None, "", "there are no rows in it"))
    if reader.flaws:
        raise BadRows(source, tuple(reader.flaws))
    return read


def read_request(cells: Mapping[str, Any]) -> Request:
    """The request that cells describe; where they name neither kind nor model, their media tell.

    Raises:
        InvalidRequest: They describe none.
    """
    given = {name: cell for name, cell in cells.items() if not _is_blank(cell)}
    if "kind" not in given and "model" not in given:
        kind = _KINDS.get(frozenset(given.keys() & _TELLING))
        given |= {} if kind is None else {"kind": kind}
    return from_row(given)


class _Reader:
    """Reads rows, and collects what is wrong with them."""

    def __init__(self, base: Path, usual: Mapping[str, Any]) -> None:
        self.flaws: list[Flaw] = []
        self._base = base
        self._usual = usual
        self._times: Counter[str] = Counter()

    def row(self, cells: Cells | Flaw) -> Row | None:
        """The row, or None if there is something wrong with it."""
        if isinstance(cells, Flaw):
            self.flaws.append(cells)
            return None
        before = len(self.flaws)
        values, paths = with_paths(self._completed(cells.values), self._base)
        gone = dict(missing(paths))
        self.flaws += [cells.flaw(name, f"{cut(name)}: {reason}") for name, reason in gone.items()]
        tag, output = self._text(cells, "tag", values), self._output(cells, values)
        request = self._request(cells, values, gone)
        if request is None or len(self.flaws) > before:
            return None
        return Row(cells.line, self._key(request), request, tag, output)

    def _completed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in values.items() if not _is_blank(value)}
        usual = {name: value for name, value in self._usual.items() if name != "model" or "kind" not in given}
        return usual | given

    def _text(self, cells: Cells, name: str, values: dict[str, Any]) -> str | None:
        value = values.pop(name, None)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return str(value)
        self.flaws.append(cells.flaw(name, f"{name} is {show(value)}; allowed: text"))
        return None

    def _output(self, cells: Cells, values: dict[str, Any]) -> str | None:
        output: str | None = values.pop("output", None)
        refusal = None if output is None else refusal_of(output)
        if refusal is not None:
            self.flaws.append(cells.flaw("output", cut(refusal)))
        return output

    def _request(self, cells: Cells, values: dict[str, Any], gone: Collection[str]) -> Request | None:
        """The request, whose files were looked into; those that are gone were told already."""
        try:
            request = read_request(values)
            check_files(request)
        except InvalidRequest as error:
            new = [problem for problem in error.problems if problem.field not in gone]
            self.flaws += [cells.flaw(problem.field, problem.message) for problem in new]
            return None
        return request

    def _key(self, request: Request) -> str:
        digest = _digest(request, self._base)
        self._times[digest] += 1
        return f"{digest}-{self._times[digest]}"


def _digest(request: Request, base: Path) -> str:
    """The digest of what is asked for: files count by their paths, so that a folder with its batch may move."""
    text = json.dumps(to_dict(request), sort_keys=True)
    relative = text.replace(json.dumps(base.absolute().as_uri())[:-1].rstrip("/") + "/", '"file:')
    return hashlib.sha256(relative.encode()).hexdigest()[:_DIGEST]


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def told(bad: BadRows) -> Iterator[str]:
    """What is wrong, a line for each, as far as anybody reads; and what follows from it."""
    for flaw in bad.flaws[:_MOST_TOLD]:
        yield f"{bad.source}, {flaw}" if flaw.line is not None else f"{bad.source}: {flaw}"
    if len(bad.flaws) > _MOST_TOLD:
        yield f"and {count(len(bad.flaws) - _MOST_TOLD, 'further problem')}"
    yield "Nothing was submitted."
