"""Finding the files of videos."""

from __future__ import annotations

import os
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING

from kling_async.cli.gallery.entry import Footage
from kling_async.cli.gallery.manifest import read_manifest
from kling_async.cli.gallery.measure import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SUFFIXES", "find", "look_at", "videos"]

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv"})
"""What a video's file name ends with."""


def look_at(path: Path) -> Footage:
    """A file's footage.

    Raises:
        OSError: It cannot be read.
    """
    path = Path(os.path.realpath(path))
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(ENOENT, "there is no such file", str(path))
    size, shape = path.stat().st_size, measure(path)
    if shape is None:
        return Footage(path, size)
    return Footage(path, size, shape.width, shape.height, shape.seconds)


def find(file: str, size: int | None, beside: Path) -> Footage | str:
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
