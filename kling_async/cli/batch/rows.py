"""The rows of a batch as requests, each with its key; everything that is wrong is found before anything is sent."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attrs import frozen
from cyclopts import Parameter

from kling_async import ConfigurationError, InvalidRequest, from_row, to_dict
from kling_async.api.reprs import cut, show
from kling_async.cli.batch.table import InputError, InputRow, read_cells
from kling_async.cli.file_names import refusal_of
from kling_async.cli.paths import here, missing, read_file, read_stdin, with_paths
from kling_async.cli.tags import tag_of
from kling_async.cli.text import count
from kling_async.files.uploads import check_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from kling_async import Request

__all__ = ["WISHES", "BadRows", "Row", "Source", "VideoOptions", "read_request", "read_rows", "told"]


@Parameter(name="*", group="Video")
@frozen(kw_only=True)
class VideoOptions:
    """What is asked for. Files are given by their paths or URLs."""

    model: Annotated[str | None, Parameter(name=("--model", "-m"))] = None
    """The vendor's id of the model; `kling-async models` lists them. By default v2.1 master."""
    duration: int | None = None
    """The length in seconds."""
    aspect_ratio: str | None = None
    """16:9, 9:16 or 1:1."""
    negative_prompt: str | None = None
    """What not to show."""
    cfg_scale: float | None = None
    """How closely to follow the prompt, from 0 to 1."""
    image: tuple[str, ...] = ()
    """The image to begin with, a file or a URL; give several for models that take several."""
    tail_image: str | None = None
    """The image to end with."""
    video: str | None = None
    """The video to work from."""
    audio: str | None = None
    """The sound to go by."""
    set: Annotated[tuple[str, ...], Parameter(name="--set", metavar="FIELD=VALUE")] = ()
    """Any other field of the model, such as generate_audio=true; may be given several times."""

    def cells(self) -> dict[str, Any]:
        """What is wished for, by the names of the fields; paths are relative to the current folder.

        Raises:
            ConfigurationError: An option is not of its form, or names a file that is not there.
        """
        given = {
            "model": self.model,
            "duration": self.duration,
            "aspect_ratio": self.aspect_ratio,
            "negative_prompt": self.negative_prompt,
            "cfg_scale": self.cfg_scale,
            "image_url": self.image[0] if len(self.image) == 1 else None,
            "image_list": list(self.image) if len(self.image) > 1 else None,
            "tail_image_url": self.tail_image,
            "video_url": self.video,
            "audio_url": self.audio,
        }
        known = {name: value for name, value in given.items() if value is not None}
        cells, paths = with_paths(known | dict(map(_setting, self.set)), here())
        for name, reason in missing(paths):
            raise ConfigurationError(f"{name}: {reason}")
        return cells


WISHES = VideoOptions()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise ConfigurationError(f"--set takes FIELD=VALUE, such as generate_audio=true, and not {show(text)}")
    return name.strip(), value


_STDIN = "-"


@frozen
class Source:
    """A batch, by what was typed for it: a path, or ``-`` for standard input."""

    name: str

    def rows(self, wishes: VideoOptions) -> list[Row]:
        """Its rows, each with what it leaves out as wished.

        Raises:
            BadRows: Some of it cannot be used.
            ConfigurationError: It cannot be read, or a wish is not of its form.
        """
        usual = wishes.cells()
        if self.name == _STDIN:
            return read_rows(read_stdin(), "standard input", here(), usual)
        path = Path(self.name)
        return read_rows(read_file(path, "the batch"), cut(self.name), path.absolute().parent, usual)

    def journal(self, *, sandbox: bool) -> Path:
        """Where its journal is, if nothing else was asked for: beside it, and apart for what a sandbox makes."""
        path = Path("kling-batch") if self.name == _STDIN else Path(self.name).with_suffix("")
        return path.with_name(f"{path.name}{'.sandbox' if sandbox else ''}.db")


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
    flaws: tuple[InputError, ...]


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
        reader.flaws.append(InputError(None, "", "there are no rows in it"))
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
        self.flaws: list[InputError] = []
        self._base = base
        self._usual = usual
        self._times: Counter[str] = Counter()

    def row(self, cells: InputRow | InputError) -> Row | None:
        """The row, or None if there is something wrong with it."""
        if isinstance(cells, InputError):
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

    def _text(self, cells: InputRow, name: str, values: dict[str, Any]) -> str | None:
        value = values.pop(name, None)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return str(value)
        self.flaws.append(cells.flaw(name, f"{name} is {show(value)}; allowed: text"))
        return None

    def _output(self, cells: InputRow, values: dict[str, Any]) -> str | None:
        output: str | None = values.pop("output", None)
        refusal = None if output is None else refusal_of(output)
        if refusal is not None:
            self.flaws.append(cells.flaw("output", cut(refusal)))
        return output

    def _request(self, cells: InputRow, values: dict[str, Any], gone: Collection[str]) -> Request | None:
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
