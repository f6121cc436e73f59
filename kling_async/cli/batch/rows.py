"""Turn the rows of a batch into requests with keys, and find every error before anything is sent."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attrs import frozen
from cyclopts import Parameter

from kling_async import ConfigurationError, InvalidRequest, from_row, to_dict
from kling_async.api.arguments import GROUP, PRIORITY, is_group, is_priority
from kling_async.api.reprs import cut, show
from kling_async.cli.batch.table import InputError, InputRow, read_table
from kling_async.cli.file_names import output_problem
from kling_async.cli.paths import current_folder, read_file, read_stdin, unusable_files, with_paths
from kling_async.cli.tags import tag_of
from kling_async.cli.text import count
from kling_async.files.uploads import check_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from kling_async import Request


@Parameter(name="*", group="Video")
@frozen(kw_only=True)
class VideoOptions:
    """The request. Files are given by their paths or URLs."""

    model: Annotated[str | None, Parameter(name=("--model", "-m"))] = None
    """The vendor's id of the model; `kling-async models` lists them. By default v2.1 master."""
    kind: str | None = None
    """What the video is made from, such as image-to-video; for a model that is not in the catalogue."""
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

    def fields(self) -> dict[str, Any]:
        """Return the options that were given as request fields; paths are relative to the current folder.

        Raises:
            ConfigurationError: An option is not of its form, or names a file that is not there.
        """
        given = {
            "model": self.model,
            "kind": self.kind,
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
        cells, paths = with_paths(known | dict(map(_setting, self.set)), current_folder())
        for name, reason in unusable_files(paths):
            raise ConfigurationError(f"{name}: {reason}")
        return cells


VIDEO_OPTIONS = VideoOptions()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise ConfigurationError(f"--set takes FIELD=VALUE, such as generate_audio=true, and not {show(text)}")
    return name.strip(), value


_STDIN = "-"


@frozen
class BatchSource:
    """A batch by its argument: a path, or ``-`` for standard input."""

    name: str

    def rows(self, options: VideoOptions) -> list[Row]:
        """Read the rows; the options fill in what a row leaves out.

        Raises:
            InvalidBatch: A row has errors.
            ConfigurationError: It cannot be read, or an option is not of its form.
        """
        usual = options.fields()
        if self.name == _STDIN:
            return read_rows(read_stdin(), "standard input", current_folder(), usual)
        path = Path(self.name)
        return read_rows(read_file(path, "the batch"), cut(self.name), path.absolute().parent, usual)

    def journal(self, *, sandbox: bool) -> Path:
        """Return the default path of the journal: beside the batch, with a name of its own for a sandbox."""
        path = Path("kling-batch") if self.name == _STDIN else Path(self.name).with_suffix("")
        return path.with_name(f"{path.name}{'.sandbox' if sandbox else ''}.db")


_MOST_SHOWN = 200
_DIGEST = 32  # hexadecimal digits: 128 bits
_KINDS = {
    frozenset[str](): "text-to-video",
    frozenset({"image_url"}): "image-to-video",
    frozenset({"image_url", "audio_url"}): "avatar",
    frozenset({"image_url", "video_url"}): "motion-control",
}
"""The kind of a row that names neither kind nor model, by its media."""
_MEDIA_FIELDS = frozenset({"image_url", "audio_url", "video_url", "image_list", "elements", "effect_scene"})


@frozen
class Row:
    """A row that can be submitted.

    Attributes:
        line: The line it begins on.
        key: Its job's key: the digest of the request, and the row's number among equal ones.
        request: The request.
        tag: The caller's label.
        output: The name for its file, if it has one.
        priority: The priority of its line.
        group: The group of its line.
    """

    line: int
    key: str
    request: Request
    tag: str | None = None
    output: str | None = None
    priority: int = 0
    group: str | None = None

    @property
    def job_tag(self) -> object:
        """The tag of its job, which also holds the file name."""
        return tag_of(self.tag, self.output)


@frozen
class InvalidBatch(Exception):
    """All errors of a batch."""

    source: str
    errors: tuple[InputError, ...]


def read_rows(content: bytes, source: str, base: Path, defaults: Mapping[str, Any]) -> list[Row]:
    """Read the rows of a batch, in order.

    Args:
        content: Its text: JSON Lines, or a table.
        source: Its name, for messages.
        base: The folder that paths in it are relative to.
        defaults: Fields for rows that leave them out.

    Raises:
        InvalidBatch: A row has errors.
    """
    reader = _Reader(base, defaults)
    read = [row for cells in read_table(content) if (row := reader.row(cells)) is not None]
    if not read and not reader.errors:
        reader.errors.append(InputError(None, "", "there are no rows in it"))
    if reader.errors:
        raise InvalidBatch(source, tuple(reader.errors))
    return read


def read_request(fields: Mapping[str, Any]) -> Request:
    """Build a request from fields; the media decide its kind where neither kind nor model is given.

    Raises:
        InvalidRequest: They are not valid for the model.
    """
    given = {name: cell for name, cell in fields.items() if not _is_blank(cell)}
    if "kind" not in given and "model" not in given:
        kind = _KINDS.get(frozenset(given.keys() & _MEDIA_FIELDS))
        given |= {} if kind is None else {"kind": kind}
    return from_row(given)


class _Reader:
    """Reads rows, and collects their errors."""

    def __init__(self, base: Path, defaults: Mapping[str, Any]) -> None:
        self.errors: list[InputError] = []
        self._base = base
        self._defaults = defaults
        self._times: Counter[str] = Counter()

    def row(self, row: InputRow | InputError) -> Row | None:
        """Return the row, or None after noting its errors."""
        if isinstance(row, InputError):
            self.errors.append(row)
            return None
        before = len(self.errors)
        values, paths = with_paths(self._completed(row.values), self._base)
        gone = dict(unusable_files(paths))
        self.errors += [row.error(name, f"{cut(name)}: {reason}") for name, reason in gone.items()]
        tag, output = self._text(row, "tag", values), self._output(row, values)
        priority, group = self._priority(row, values), self._text(row, "group", values)
        if not is_group(group):
            self.errors.append(row.error("group", f"group is {show(group)}; allowed: {GROUP}"))
        request = self._request(row, values, gone)
        if request is None or len(self.errors) > before:
            return None
        return Row(row.line, self._key(request), request, tag, output, priority, group)

    def _completed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in values.items() if not _is_blank(value)}
        usual = {name: value for name, value in self._defaults.items() if name != "model" or "kind" not in given}
        return usual | given

    def _text(self, row: InputRow, name: str, values: dict[str, Any]) -> str | None:
        value = values.pop(name, None)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return str(value)
        self.errors.append(row.error(name, f"{name} is {show(value)}; allowed: text"))
        return None

    def _priority(self, row: InputRow, values: dict[str, Any]) -> int:
        value = values.pop("priority", 0)
        with suppress(ValueError):
            value = int(value) if isinstance(value, str) else value
        if is_priority(value):
            return value
        self.errors.append(row.error("priority", f"priority is {show(value)}; allowed: {PRIORITY}"))
        return 0

    def _output(self, row: InputRow, values: dict[str, Any]) -> str | None:
        output: str | None = values.pop("output", None)
        refusal = None if output is None else output_problem(output)
        if refusal is not None:
            self.errors.append(row.error("output", cut(refusal)))
        return output

    def _request(self, row: InputRow, values: dict[str, Any], gone: Collection[str]) -> Request | None:
        """Build the request and check its files; missing ones were reported before."""
        try:
            request = read_request(values)
            check_files(request)
        except InvalidRequest as error:
            new = [problem for problem in error.problems if problem.field not in gone]
            self.errors += [row.error(problem.field, problem.message) for problem in new]
            return None
        return request

    def _key(self, request: Request) -> str:
        digest = _digest(request, self._base)
        self._times[digest] += 1
        return f"{digest}-{self._times[digest]}"


def _digest(request: Request, base: Path) -> str:
    """Digest a request; files count by relative path, so that a folder can move with its batch."""
    text = json.dumps(to_dict(request), sort_keys=True)
    relative = text.replace(json.dumps(base.absolute().as_uri())[:-1].rstrip("/") + "/", '"file:')
    return hashlib.sha256(relative.encode()).hexdigest()[:_DIGEST]


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def describe(bad: InvalidBatch) -> Iterator[str]:
    """Describe the errors of a batch, one a line, up to a limit."""
    for error in bad.errors[:_MOST_SHOWN]:
        yield f"{bad.source}, {error}" if error.line is not None else f"{bad.source}: {error}"
    if len(bad.errors) > _MOST_SHOWN:
        yield f"and {count(len(bad.errors) - _MOST_SHOWN, 'further problem')}"
    yield "Nothing was submitted."
