"""How large and how long a video is, by the index of its file (ISO/IEC 14496-12, which mp4 and mov share)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.api import mp4
from kling_async.cli.film import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Measure", "measure"]

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
