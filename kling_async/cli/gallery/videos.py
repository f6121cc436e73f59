"""Finding the files of videos."""

from __future__ import annotations

import os
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.api import mp4
from kling_async.cli.gallery.entry import VideoFile
from kling_async.cli.gallery.folder import read_manifest
from kling_async.cli.mp4 import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SUFFIXES", "Measure", "find", "look_at", "measure", "videos"]

_FIXED_POINT = 65536
_MATRIX_AND_SIZE = 44  # bytes at the end of a track's header: nine numbers, width and height


@frozen
class Measure:
    """Width and height in pixels, as the video is to be shown, and its length in seconds, if known."""

    width: int
    height: int
    seconds: float | None = None


def measure(path: Path) -> Measure | None:
    """The measure of a video; None where the file does not say it, as in other formats or broken files.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        index = mp4.index(reading(file), path.stat().st_size)
    pictures = (size for kind, box in _boxes(index) if kind == b"trak" and (size := _picture(box)) is not None)
    found = next(pictures, None)
    return None if found is None else Measure(*found, _seconds(index))


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in a row, type and content, up to the first that is none."""
    row = mp4.boxes(lambda at, length: content[at : at + length], 0, len(content))
    return ((box.kind, content[box.start : box.end]) for box in row if box.kind)


def _picture(track: bytes) -> tuple[int, int] | None:
    """Width and height of a track that has pictures."""
    header = dict(_boxes(track)).get(b"tkhd", b"")
    if len(header) < _MATRIX_AND_SIZE:
        return None
    end = header[-_MATRIX_AND_SIZE:]
    width, height = (round(int.from_bytes(part) / _FIXED_POINT) for part in (end[-8:-4], end[-4:]))
    is_turned = not any(end[:4]) and any(end[4:8])  # the matrix lays its rows on the side
    return ((height, width) if is_turned else (width, height)) if width and height else None


def _seconds(index: bytes) -> float | None:
    """The length that the movie's header states."""
    header = dict(_boxes(index)).get(b"mvhd", b"")
    scale, length = (header[20:24], header[24:32]) if header[:1] == b"\1" else (header[12:16], header[16:20])
    units = int.from_bytes(scale)
    return int.from_bytes(length) / units if units else None


SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv"})
"""What a video's file name ends with."""


def look_at(path: Path) -> VideoFile:
    """A file's footage.

    Raises:
        OSError: It cannot be read.
    """
    path = Path(os.path.realpath(path))
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(ENOENT, "there is no such file", str(path))
    size, shape = path.stat().st_size, measure(path)
    if shape is None:
        return VideoFile(path, size)
    return VideoFile(path, size, shape.width, shape.height, shape.seconds)


def find(file: str, size: int | None, beside: Path) -> VideoFile | str:
    """The footage of a file that was downloaded, or why there is none.

    Args:
        file: Where it was put. If that is no absolute path, it is looked for from here, and then from ``beside``.
        size: How large it was then: a file of another size is not that video.
        beside: The folder of the journal that tells of it.
    """
    for place in (Path(file), beside / file):
        try:
            footage = look_at(place)
        except (OSError, ValueError):  # a name that no file can have is a ValueError
            continue
        if size in (None, footage.size):
            return footage
        return f"{file} has {footage.size:,} bytes now; {size:,} were downloaded."
    return f"{file} is not there any more, or cannot be read."


def videos(folder: Path) -> Iterator[Path]:
    """The videos in a folder and its folders, by name; hidden ones and what galleries put there are left out.

    Raises:
        OSError: A folder cannot be read.
    """
    written: set[Path] = set()
    for root, folders, files in os.walk(folder, onerror=_fail):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        written |= {here / name for name in read_manifest(here)}
        yield from (path for path in map(here.joinpath, sorted(files)) if _is_video(path) and path not in written)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _fail(error: OSError) -> None:
    raise error
