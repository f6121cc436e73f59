"""Files that go with a request, wherever the vendor takes a URL.

A file is an http(s) URL, a data URI, a path or its content. Paths and contents stay what they are in a request, however
long it is queued; they become data URIs only in the body that is sent.
"""

from __future__ import annotations

import os
import re
from os import PathLike, fsdecode, fsencode, fspath
from pathlib import Path
from typing import TypeGuard
from urllib.parse import quote_from_bytes, unquote_to_bytes

from attrs import frozen

from kling_async.api.formats import Format, ending, picture_size, recognised

__all__ = [
    "Brief",
    "File",
    "FilePath",
    "LocalFile",
    "Media",
    "brief",
    "file_uri",
    "is_file",
    "is_path",
    "media_type",
    "path_from_uri",
]

FilePath = PathLike[str]
"""What stands for a file by its path, as a ``Path`` does. Texts do not."""

Media = str | bytes | FilePath
"""An http(s) URL, a data URI, a file's path as a ``Path``, or a file's content."""

File = bytes | FilePath
"""Media that are here: a file's content, or its path."""

_FILE_URI = re.compile(r"file:[^\s?#]+", re.IGNORECASE)
_WINDOWS = os.name == "nt"
_DRIVE = re.compile(r"/[A-Za-z]:(?=/|$)")


@frozen(eq=False, repr=False)
class LocalFile:
    """A file that was looked at, as an object that stands for its path.

    Attributes:
        path: Where it is.
        size: How many bytes it has.
        content: Those bytes, once they were read.
    """

    path: str
    size: int
    content: bytes | None = None

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        what = _count(self.size) if self.content is None else _description(self.content)
        return f"{self.path!r} ({what})"


class Brief(str):
    """What is told of a file in place of the file itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def is_path(value: object) -> TypeGuard[FilePath]:
    """Whether a value stands for a file by its path. Texts do not."""
    return isinstance(value, PathLike) and isinstance(value.__fspath__(), str)


def is_file(value: object) -> TypeGuard[File]:
    """Whether a value stands for a file that is here: by its path, or as its content."""
    return isinstance(value, bytes) or is_path(value)


def brief(file: File) -> Brief:
    """A file in a few words, for messages and reprs: its path, or what its content is."""
    if isinstance(file, bytes):
        return Brief(f"<{_description(file)}>")
    return Brief(repr(file) if isinstance(file, LocalFile) else f"Path({fspath(file)!r})")


def _description(content: bytes) -> str:
    kind, size = recognised(content), picture_size(content)
    pixels = "" if size is None else f" of {size[0]} x {size[1]} pixels"
    return _count(len(content)) if kind is None else f"{kind.label}{pixels}, {_count(len(content))}"


def _count(size: int) -> str:
    return f"{size:,} byte{'' if size == 1 else 's'}"


def media_type(content: bytes, path: str = "") -> str:
    """The media type of a file's content; only if that says nothing, that of its name."""
    found = recognised(content)
    named = next((kind for kind in Format if ending(path) in kind.endings), None)
    if found is None or (found is Format.MP4 and named is Format.M4A):  # many programs write M4A under the brand of MP4
        found = named
    return "application/octet-stream" if found is None else found.media_type


def file_uri(path: FilePath) -> str:
    """A path as a ``file:`` URI, in which nothing but ASCII is left; a relative one stays relative."""
    plain = Path(path)
    return plain.as_uri() if plain.is_absolute() else f"file:{quote_from_bytes(fsencode(plain.as_posix()))}"


def path_from_uri(value: object) -> object:
    """The path that a ``file:`` URI names, on this host; anything else as it is."""
    if not isinstance(value, str) or not _FILE_URI.fullmatch(value):
        return value
    place = value[len("file:") :]
    if place.startswith("//"):
        host, _, rest = place[2:].partition("/")
        if host.lower() in ("", "localhost"):
            place = f"/{rest}"
        elif not _WINDOWS:  # where it names a host
            return value
    path = fsdecode(unquote_to_bytes(place))
    return Path(path[1:] if _WINDOWS and _DRIVE.match(path) else path)
