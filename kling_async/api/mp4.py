"""The boxes of an MP4 or QuickTime file (ISO/IEC 14496-12), read through a function, so that nothing here does I/O."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[int, int], bytes]
    """The bytes at an offset, at most so many; fewer at the end."""

_HEADER, _LONG_HEADER = 8, 16
_TO_THE_END, _LONG = 0, 1  # what the size of a box says instead of a size
_MOST_BOXES = 10_000  # in a row; a real file has about ten, a fragmented one a few for each second
_MOST_BEFORE_INDEX = 1000
_LARGEST_INDEX = 16 * 1024**2
_BEGINNINGS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""The types of a file's first box: the file type, or, in old QuickTime files, one of the others."""


@frozen
class Box:
    """A box: its type, and where its content begins and ends.

    Attributes:
        kind: Four bytes; empty for what is no whole box, after which there are no others.
        start: The offset of its content.
        end: The offset after it.
        is_open: Whether it names no size, and reaches as far as the file does.
    """

    kind: bytes
    start: int
    end: int
    is_open: bool = False


def boxes(read: Read, at: int, end: int) -> Iterator[Box]:
    """Yield the boxes in a row between two offsets; last one without a kind, if it breaks off or is endless."""
    for _ in range(_MOST_BOXES):
        if at >= end:
            return
        box = _box(read(at, min(_LONG_HEADER, end - at)), at, end)
        yield box
        if not box.kind:
            return
        at = box.end
    yield Box(b"", at, at)


def _box(head: bytes, at: int, end: int) -> Box:
    header, length = _HEADER, int.from_bytes(head[:4])
    is_open = length == _TO_THE_END
    if length == _LONG:
        header, length = _LONG_HEADER, int.from_bytes(head[_HEADER:])
    elif is_open:
        length = end - at
    fits = len(head) >= header <= length <= end - at
    return Box(head[4:_HEADER] if fits else b"", at + header, at + length, is_open)


def is_whole(read: Read, size: int) -> bool | None:
    """Return whether a file of this size is a whole video; None if its boxes cannot tell, as in other formats.

    It is if it is a row of boxes from its first byte to its last, with the index and the pictures among them. A last
    box that names no size may have been cut anywhere.
    """
    row = list(boxes(read, 0, size))
    if read(4, 4) not in _BEGINNINGS or (row[-1].kind and row[-1].is_open):
        return None
    kinds = {box.kind for box in row}
    return b"" not in kinds and b"moov" in kinds and not kinds.isdisjoint({b"mdat", b"moof"})


def find_defect(read: Read, size: int) -> str | None:
    """Describe the defect of an MP4 file, or None if it is whole; one whose last box is open counts as whole."""
    kinds = [box.kind for box in boxes(read, 0, size)]
    if read(4, 4) != b"ftyp":
        return "it does not begin as an mp4 file"
    if b"" in kinds:
        return "it breaks off"
    missing = [name for name in ("moov", "mdat") if name.encode() not in kinds]
    return f"it has no {' and no '.join(missing)} box" if missing else None


def index(read: Read, size: int) -> bytes:
    """Return the content of the box ``moov``, of which the first 16 MiB; nothing if there is none."""
    for box in islice(boxes(read, 0, size), _MOST_BEFORE_INDEX):
        if box.kind == b"moov":
            return read(box.start, min(box.end - box.start, _LARGEST_INDEX))
    return b""
