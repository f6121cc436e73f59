"""Read and check the boxes of an MP4 file on disk (parsing is in ``api.mp4``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.api import mp4

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO


def file_problem(path: Path, expected_size: int | None) -> str | None:
    """Return what is wrong with an MP4 file, or None if it is whole.

    It is whole if it has its size, and is a row of boxes from its first byte to its last: the file type at first, and
    among the others the index and the pictures.

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    if expected_size is not None and size != expected_size:
        return f"it has {size:,} bytes, not {expected_size:,}"
    with path.open("rb") as file:
        return mp4.find_defect(reader(file), size)


def reader(file: BinaryIO) -> Callable[[int, int], bytes]:
    """Return a function that reads bytes of an open file by offset and length."""

    def read(at: int, length: int) -> bytes:
        file.seek(at)
        return file.read(length)

    return read
