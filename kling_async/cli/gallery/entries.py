"""The entries of a gallery, read from a journal's records or a folder's files, and made safe to show."""

from __future__ import annotations

import hashlib
import json
import math
import os
from enum import Enum
from errno import ENOENT
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self, cast

from attrs import field, frozen

from kling_async import JobState, Usage, read_journal, to_dict
from kling_async.api import mp4
from kling_async.cli.gallery.folder import read_manifest
from kling_async.cli.text import bare, tag_text
from kling_async.files.video_names import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kling_async import Record
    from kling_async.cli.journals import Place


_LONGEST = 20_000  # characters: several times the longest prompt a model takes
_UNSHOWABLE = (
    {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}  # the pictures of control characters
    | {0x7F: "\u2421"}
    | dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")
)


def visible(text: str) -> str:
    """Make control characters visible and replace what no file or browser takes; the result is not escaped."""
    return text.replace("\r\n", "\n").translate(_UNSHOWABLE)


def without_media(value: object) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """Replace every file in JSON data by a short description."""
    if isinstance(value, dict):
        return {str(name): without_media(member) for name, member in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [without_media(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, bytes):
        return _described("a file", value)
    if isinstance(value, PurePath):
        return str(value)
    return _without_uri(value) if isinstance(value, str) else value


def _without_uri(text: str) -> str:
    if text[:5].lower() == "data:":
        head, _, content = text[5:].partition(",")
        kind, *marks = head.split(";")
        return _described(kind or "a file", content.encode("utf-8", "surrogatepass"), is_base64="base64" in marks)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def _described(kind: str, content: bytes, *, is_base64: bool = False) -> str:
    length = len(content) * 3 // 4 if is_base64 else len(content)
    return f"<{kind[:60]}, {size(length)} inline, sha256 {hashlib.sha256(content).hexdigest()[:12]}>"


def flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the members of JSON data by dotted names, as texts."""
    if isinstance(value, dict):
        for part, member in cast("dict[object, object]", value).items():
            yield from flat(member, f"{name}.{part}" if name else str(part))
    else:
        yield name, label(value)


def label(value: object) -> str:
    """Format JSON data in one line: a text as it is, nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def as_json(value: object) -> str:
    """Format JSON data with indentation."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def finite(value: float | None) -> float | None:
    """Return the number, or None for one that JSON has not."""
    return value if value is not None and math.isfinite(value) else None


def size(number: float) -> str:
    """Format a number of bytes: ``512 B``, ``38 KB``, ``1.2 MB`` or ``3.4 GB``, by thousands."""
    for unit in ("B", "KB", "MB"):
        if number < 999.5:  # noqa: PLR2004 - what would be shown as 1000
            return f"{number:.1f} {unit}" if unit == "MB" and number < 10 else f"{number:.0f} {unit}"  # noqa: PLR2004 - one or two figures
        number /= 1000
    return f"{number:.1f} GB"


class EntryState(Enum):
    """The state of an entry, in the words of the page and in its order.

    Attributes:
        next_command: The command that brings the video nearer, or None.
        reason: Why there is no video, where nothing else says it.
    """

    READY = "Ready"
    NOT_DOWNLOADED = (
        "Not downloaded",
        "download",
        "The video is made and paid for; its file has not been downloaded yet.",
    )
    MISSING = "File missing", "download"
    RUNNING = "Generating", "resume", "The vendor had not finished it when the journal was last written."
    QUEUED = "Queued", "resume", "It has not been sent yet."
    UNCERTAIN = "Uncertain", "resume", "It was sent, and no answer says whether it was accepted."
    FAILED = "Failed"
    REJECTED = "Refused"
    ABANDONED = "Abandoned", None, "Its caller stopped watching it."

    next_command: str | None
    reason: str

    def __new__(cls, title: str, next_command: str | None = None, reason: str = "The vendor gave no reason.") -> Self:
        """Make a state whose value is its title."""
        state = object.__new__(cls)
        state._value_, state.next_command, state.reason = title, next_command, reason
        return state

    @property
    def is_bad(self) -> bool:
        """True if it asks for attention: nothing will bring the video, or its file is gone."""
        return self in (EntryState.FAILED, EntryState.REJECTED, EntryState.MISSING, EntryState.UNCERTAIN)


@frozen
class VideoFile:
    """A video's file.

    Attributes:
        path: Its absolute path.
        size: Its size in bytes.
        width: Its width in pixels as shown, rotation included; None where the file does not say.
        height: Their height.
        seconds: Its length.
    """

    path: Path
    size: int
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


@frozen
class Entry:
    """One video that was asked for. Texts are safe to show once they are escaped.

    Attributes:
        name: A job's key, or a file's path within its folder.
        state: How far it is, and whether its file is there.
        prompt: The prompt.
        model: The vendor's id of the model.
        tag: The caller's own label.
        parameters: The other fields of the request by dotted names.
        request: The whole request as JSON, media described rather than contained.
        generation_id: The vendor's id.
        queued_at: Wall-clock time, in seconds since the epoch, as are the others.
        submitted_at: When the last POST was begun.
        accepted_at: When the vendor accepted it.
        settled_at: When it ended.
        polls: The number of polls.
        cost: The cost that the vendor reported.
        reason: Why there is no video.
        file: Its file, if it is there.
    """

    name: str
    state: EntryState
    prompt: str = ""
    model: str = ""
    tag: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    request: str | None = None
    generation_id: str | None = None
    queued_at: float | None = None
    submitted_at: float | None = None
    accepted_at: float | None = None
    settled_at: float | None = None
    polls: int = 0
    cost: Usage = field(factory=Usage)
    reason: str = ""
    file: VideoFile | None = None

    @property
    def took(self) -> float | None:
        """Seconds from the vendor's acceptance to the end, or None."""
        began = self.accepted_at if self.accepted_at is not None else self.submitted_at
        return None if began is None or self.settled_at is None else max(0.0, self.settled_at - began)


_FIXED_POINT = 65536
_MATRIX_AND_SIZE = 44  # bytes at the end of a track's header: nine numbers, width and height


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type and content of each box in a row, up to the first broken one."""
    row = mp4.boxes(lambda at, length: content[at : at + length], 0, len(content))
    return ((box.kind, content[box.start : box.end]) for box in row if box.kind)


def _picture(track: bytes) -> tuple[int, int] | None:
    """Return width and height of a track, or None if it has no pictures."""
    header = dict(_boxes(track)).get(b"tkhd", b"")
    if len(header) < _MATRIX_AND_SIZE:
        return None
    end = header[-_MATRIX_AND_SIZE:]
    width, height = (round(int.from_bytes(part) / _FIXED_POINT) for part in (end[-8:-4], end[-4:]))
    is_turned = not any(end[:4]) and any(end[4:8])  # the matrix lays its rows on the side
    return ((height, width) if is_turned else (width, height)) if width and height else None


def _seconds(index: bytes) -> float | None:
    """Return the length that the movie header states."""
    header = dict(_boxes(index)).get(b"mvhd", b"")
    scale, length = (header[20:24], header[24:32]) if header[:1] == b"\1" else (header[12:16], header[16:20])
    units = int.from_bytes(scale)
    return int.from_bytes(length) / units if units else None


def read_video_file(path: Path) -> VideoFile:
    """Read the size, the dimensions and the length of a file; other formats and broken files do not tell the latter.

    Raises:
        OSError: It cannot be read.
    """
    path = Path(os.path.realpath(path))
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(ENOENT, "there is no such file", str(path))
    size = path.stat().st_size
    with path.open("rb") as file:

        def read(at: int, length: int) -> bytes:
            file.seek(at)
            return file.read(length)

        index = mp4.index(read, size)
    pictures = (found for kind, box in _boxes(index) if kind == b"trak" and (found := _picture(box)) is not None)
    width, height = next(pictures, (None, None))
    return VideoFile(path, size, width, height, None if width is None else _seconds(index))


def find_video_file(file: str, size: int | None, beside: Path) -> VideoFile | str:
    """Find a downloaded file, or return why it cannot be used.

    Args:
        file: Its path. A relative one is looked for in the current folder, and then in ``beside``.
        size: Its size when it was downloaded: a file of another size is not that video.
        beside: The folder of its journal.
    """
    for place in (Path(file), beside / file):
        try:
            video_file = read_video_file(place)
        except (OSError, ValueError):  # a name that no file can have is a ValueError
            continue
        if size in (None, video_file.size):
            return video_file
        return f"{file} has {video_file.size:,} bytes now; {size:,} were downloaded."
    return f"{file} is not there any more, or cannot be read."


def list_videos(folder: Path) -> Iterator[Path]:
    """Yield the videos of a folder tree by name, without hidden ones and what galleries wrote there.

    Raises:
        OSError: A folder cannot be read.
    """
    written: set[Path] = set()
    for root, folders, files in os.walk(folder, onerror=_fail):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        written |= {here / name for name in read_manifest(here)}
        names = [name for name in sorted(files) if not name.startswith(".")]
        for path in map(here.joinpath, names):
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and path not in written:
                yield path


def _fail(error: OSError) -> None:
    raise error


_STATES = {
    JobState.SUBMITTING: EntryState.RUNNING,
    JobState.PENDING: EntryState.RUNNING,
    JobState.COMPLETED: EntryState.NOT_DOWNLOADED,  # unless its file is found
}
"""Those that have another name than the job's."""
_ELSEWHERE = frozenset({"kind", "model", "prompt"})  # these have fields of their own


def entry_of(record: Record, beside: Path) -> Entry:
    """Build the entry of a record, with its file if that is still there.

    Args:
        record: The record.
        beside: The folder of its journal.
    """
    state, video_file, reason = _state(record, beside)
    request: dict[str, Any] = {} if record.request is None else without_media(to_dict(record.request))
    rest = {name: part for name, part in request.items() if name not in _ELSEWHERE}
    # Of a generation resumed by its id, the model may be the part after the colon.
    model = (record.generation_id or "").partition(":")[2] if record.request is None else record.request.model
    usage = Usage() if record.video is None else record.video.usage
    return Entry(
        name=visible(record.key),
        state=state,
        prompt=visible(_prompt(request)),
        model=visible(model),
        tag=visible(tag_text(record.tag)),
        parameters=tuple((visible(name), visible(text)) for name, text in flat(rest)),
        request=visible(as_json(request)) if request else None,
        generation_id=None if record.generation_id is None else visible(record.generation_id),
        queued_at=finite(record.queued_at) or None,
        submitted_at=finite(record.submitted_at),
        accepted_at=finite(record.accepted_at),
        settled_at=finite(record.settled_at),
        polls=record.polls,
        cost=Usage(finite(usage.credits_used), finite(usage.tokens_used), usage.usd_spent),
        reason=visible(reason),
        file=video_file,
    )


def _state(record: Record, beside: Path) -> tuple[EntryState, VideoFile | None, str]:
    """Return the entry's state, its file, and why there is none."""
    state = _STATES.get(record.state) or EntryState[record.state.name]
    if record.state is JobState.COMPLETED and record.file is not None:
        found = find_video_file(record.file, record.file_size, beside)
        return (EntryState.READY, found, "") if isinstance(found, VideoFile) else (EntryState.MISSING, None, found)
    return state, None, (record.error and bare(record.error.message)) or state.reason


def _prompt(request: dict[str, Any]) -> str:
    """Return the prompt, or those of several scenes, one a line."""
    prompt, scenes = request.get("prompt"), request.get("multi_prompt")
    if isinstance(prompt, str) or not isinstance(scenes, list):
        return prompt if isinstance(prompt, str) else ""
    return "\n".join(filter(None, map(_scene, cast("list[object]", scenes))))


def _scene(scene: object) -> str:
    text = cast("dict[str, object]", scene).get("prompt") if isinstance(scene, dict) else scene
    return text if isinstance(text, str) else ""


def read_entries(source: Place) -> list[Entry]:
    """Read the entries of a journal in queueing order, or those of a folder's videos by name.

    Raises:
        JournalError: It is neither a journal nor a folder, or cannot be read.
        OSError: The folder cannot be read, or a video in it.
    """
    if isinstance(source, Path) and source.is_dir():
        return [
            Entry(
                visible(path.relative_to(source).as_posix()),
                EntryState.READY,
                settled_at=path.stat().st_mtime,
                file=read_video_file(path),
            )
            for path in list_videos(source)
        ]
    return [entry_of(record, folder_beside(source)) for record in read_journal(source).records()]


def folder_beside(source: Place) -> Path:
    """Return the folder that files may be beside: that of the journal's file, links followed, or the present one."""
    return Path(os.path.realpath(source)).parent if isinstance(source, Path) else Path()
