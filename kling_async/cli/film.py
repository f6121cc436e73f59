"""Whether a file is a whole video."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["flaw"]

_HEADER, _LONG_HEADER = 8, 16
_TO_THE_END, _LONG = 0, 1  # what the size of a box says instead of a size


def flaw(path: Path, expected_size: int | None) -> str | None:
    """What is wrong with an mp4 file, or None if it is whole.

    It is whole if it has its size, and is a row of boxes from its first byte to its last: the file type at first, and
    among the others the index and the pictures (ISO/IEC 14496-12).

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    if expected_size is not None and size != expected_size:
        return f"it has {size:,} bytes, not {expected_size:,}"
    with path.open("rb") as file:
        boxes = list(_boxes(file, size))
    if boxes[:1] != [b"ftyp"]:
        return "it does not begin as an mp4 file"
    if b"" in boxes:
        return "it breaks off"
    missing = [name for name in ("moov", "mdat") if name.encode() not in boxes]
    return f"it has no {' and no '.join(missing)} box" if missing else None


def _boxes(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The types of a file's boxes, in order; then an empty one, if the last box does not end with the file."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(_LONG_HEADER)
        length = int.from_bytes(header[:4])
        if length == _LONG:
            length = int.from_bytes(header[_HEADER:])
        elif length == _TO_THE_END:
            length = size - at
        if length < _HEADER or at + length > size:
            yield b""
            return
        yield header[4:_HEADER]
        at += length
