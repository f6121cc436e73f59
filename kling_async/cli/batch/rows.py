"""Turn the rows of a batch into requests with keys, and find every error before anything is sent."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attrs import asdict, evolve, frozen
from cyclopts import Parameter

from kling_async import ConfigurationError, InvalidRequest, to_dict
from kling_async.api.catalogue.problems import close_names
from kling_async.api.reprs import cut, show
from kling_async.api.requests.codec import columns, is_blank, problems_of, read_row
from kling_async.cli.batch.table import InputError, InputRow, read_table
from kling_async.cli.paths import current_folder, is_pipe, read_file, read_stdin
from kling_async.cli.text import count
from kling_async.files.uploads import check_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kling_async import Request, Submission
    from kling_async.api.catalogue.problems import Problem


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
        """Return the options that were given as a row's cells.

        Raises:
            ConfigurationError: An option is not of its form.
        """
        given = asdict(self) | {
            "image_url": self.image[0] if len(self.image) == 1 else None,
            "image_list": list(self.image) if len(self.image) > 1 else None,
            "tail_image_url": self.tail_image,
            "video_url": self.video,
            "audio_url": self.audio,
        }
        for option in ("image", "tail_image", "video", "audio", "set"):
            del given[option]
        return {name: value for name, value in given.items() if value is not None} | dict(map(_setting, self.set))


VIDEO_OPTIONS = VideoOptions()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise ConfigurationError(f"--set takes FIELD=VALUE, such as generate_audio=true, and not {show(text)}")
    return name.strip(), value


_STDIN = "-"


@frozen
class BatchSource:
    """A batch by its argument: a path, or ``-`` for standard input, which a pipe such as ``<(command)`` is like."""

    name: str

    @property
    def _file(self) -> Path | None:
        path = Path(self.name)
        return None if self.name == _STDIN or is_pipe(path) else path

    def rows(self, options: VideoOptions) -> list[Row]:
        """Read the rows; the options fill in what a row leaves out.

        Raises:
            InvalidBatch: A row has errors.
            ConfigurationError: It cannot be read, or an option is not of its form.
        """
        usual, file = options.fields(), self._file
        folder = current_folder() if file is None else (current_folder() / file).parent
        if self.name == _STDIN:
            return read_rows(read_stdin(), "standard input", folder, usual)
        return read_rows(read_file(Path(self.name), "the batch"), cut(self.name), folder, usual)

    def journal(self, *, sandbox: bool, is_written: bool) -> Path:
        """Return the default path of the journal: beside the batch, with a name of its own for a sandbox.

        Raises:
            ConfigurationError: It is to be written, and no file can be made there, or the current folder is gone.
        """
        path = (self._file or Path("kling-batch")).with_suffix("")
        folder = current_folder() / path.parent
        if is_written and not os.access(folder, os.W_OK | os.X_OK):
            place = cut(str(folder))
            raise ConfigurationError(f"the journal cannot be in {place}, where nothing can be written: use --journal")
        return path.with_name(f"{path.name}{'.sandbox' if sandbox else ''}.db")


_MOST_SHOWN = 200
_DIGEST = 32  # hexadecimal digits: 128 bits


@frozen
class Row:
    """A row that can be submitted.

    Attributes:
        line: The line it begins on.
        key: Its job's key: the digest of the request, and the row's number among equal ones.
        submission: Its request, with what else it says, and this key.
    """

    line: int
    key: str
    submission: Submission

    @property
    def request(self) -> Request:
        """The request."""
        return self.submission.request


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
        defaults: Fields for rows that leave them out; paths in them are relative to the current folder.

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


class _Reader:
    """Reads rows, and collects their errors; what is wrong with a header or an option is one error for all rows."""

    def __init__(self, base: Path, defaults: Mapping[str, Any]) -> None:
        self.errors: list[InputError] = []
        self._base = base
        self._defaults = defaults
        self._here = current_folder()
        self._times: Counter[str] = Counter()
        self._told: set[str] = set()
        self._meant: set[str] = set()  # columns that are there, and misspelt

    def row(self, row: InputRow | InputError) -> Row | None:
        """Return the row, or None after noting its errors."""
        if isinstance(row, InputError):
            self.errors.append(row)
            return None
        values = self._known(row)
        submission, problems = read_row(values, self._defaults, self._base, self._here)
        if submission is not None:
            bad = {problem.field.partition(".")[0] for problem in problems}
            of_files = _file_problems(submission.request)
            problems += [problem for problem in of_files if problem.field.partition(".")[0] not in bad]
        is_whole = len(values) == len(row.values)
        for problem in problems:
            if is_whole or problem.value is not None or problem.field not in self._meant:
                self._note(row, values, problem)
        if problems or submission is None or not is_whole:
            return None
        key = self._key(submission.request)
        return Row(row.line, key, evolve(submission, key=key))

    def _known(self, row: InputRow) -> Mapping[str, Any]:
        """Return a row's cells without those of columns that there are not."""
        unknown = {name for name in row.columns if name not in columns() and not is_blank(row.values.get(name))}
        for name in sorted(unknown - self._told, key=row.columns.__getitem__):
            close = close_names(name.lower(), columns())[:1]
            self._meant.update(close)
            hint = f" (did you mean {close[0]}?)" if close else "; `kling-async models` lists what each model takes"
            place = f"column {row.columns[name]}"
            self.errors.append(InputError(row.header, place, f"there is no column {cut(name)}{hint}"))
        self._told |= unknown
        return {name: cell for name, cell in row.values.items() if name not in unknown} if unknown else row.values

    def _note(self, row: InputRow, values: Mapping[str, Any], problem: Problem) -> None:
        name = problem.field.partition(".")[0]
        if name in self._defaults and is_blank(values.get(name)):
            if str(problem) not in self._told:
                self.errors.append(InputError(None, "", f"in the options, {problem}"))
            self._told.add(str(problem))
        else:
            self.errors.append(row.error(problem.field, str(problem)))

    def _key(self, request: Request) -> str:
        digest = _digest(request, self._base)
        self._times[digest] += 1
        return f"{digest}-{self._times[digest]}"


def _file_problems(request: Request) -> Sequence[Problem]:
    try:
        check_files(request)
    except InvalidRequest as error:
        return problems_of(error)
    return ()


def _digest(request: Request, base: Path) -> str:
    """Digest a request; files count by relative path, so that a folder can move with its batch."""
    text = json.dumps(to_dict(request), sort_keys=True)
    relative = text.replace(json.dumps(base.absolute().as_uri())[:-1].rstrip("/") + "/", '"file:')
    return hashlib.sha256(relative.encode()).hexdigest()[:_DIGEST]


def describe(bad: InvalidBatch) -> Iterator[str]:
    """Describe the errors of a batch, one a line, up to a limit."""
    for error in bad.errors[:_MOST_SHOWN]:
        yield f"{bad.source}, {error}" if error.line is not None else f"{bad.source}: {error}"
    if len(bad.errors) > _MOST_SHOWN:
        yield f"and {count(len(bad.errors) - _MOST_SHOWN, 'further problem')}"
    yield "Nothing was submitted."
