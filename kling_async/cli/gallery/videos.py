"""Find video files, and read their size, dimensions and length."""

from __future__ import annotations

import os
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING

from kling_async.api import mp4
from kling_async.cli.gallery.entry import VideoFile
from kling_async.cli.gallery.folder import read_manifest
from kling_async.cli.mp4 import reader
from kling_async.files.video_names import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        index = mp4.index(reader(file), size)
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
        yield from (path for path in map(here.joinpath, sorted(files)) if _is_video(path) and path not in written)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _fail(error: OSError) -> None:
    raise error
