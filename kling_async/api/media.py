"""Files that go with a request, wherever the vendor takes a URL.

A file is an http(s) URL, a data URI, a path or its content. Paths and contents stay what they are in a request, however
long it is queued; they become data URIs only in the body that is sent.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from os import PathLike, fsdecode, fsencode, fspath
from pathlib import Path
from typing import TypeGuard
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

from attrs import frozen

from kling_async.api.file_types import FileType, Format, ending, label, picture_size, recognised

FilePath = PathLike[str]
"""A file by its path, such as a ``Path``; never a text."""

Media = str | bytes | FilePath
"""An http(s) URL, a data URI, a file's path as a ``Path``, or a file's content."""

File = bytes | FilePath
"""A local file: its content, or its path."""

HEAD = 64 * 1024
"""The part of a file by which its format is recognised, in bytes or in characters of base64; a multiple of 4."""

_TELLING = 64  # characters of base64 that show a file's format
_LONGEST_ABOUT, _LONGEST_PATH = 60, 300  # characters that are told of a data URI's beginning, and of a path
_PICTURES = frozenset(kind.label for kind in Format if kind.file is FileType.IMAGE)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_FILE_URI = re.compile(r"file:[^\s?#]+", re.IGNORECASE)
_URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:|file:/", re.IGNORECASE)  # one letter is a drive of Windows'
_IN_NO_PATH = re.compile("[\0\ud800-\udfff]")
_LONGEST_NAMED = 4096  # characters: more than any system takes
_WINDOWS = os.name == "nt"
_DRIVE = re.compile(r"/[A-Za-z]:(?=/|$)")


@frozen(eq=False, repr=False)
class LocalFile:
    """A file that was opened, as an object that stands for its path.

    Attributes:
        path: Its path.
        size: Its size in bytes.
        content: Those bytes, or the first of them that tell what it is; None before it was opened.
    """

    path: str
    size: int
    content: bytes | None = None

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"{_quoted(self.path)} ({_description(self.content or b'', self.size)})"


class Brief(str):
    """A few words in place of a file, as its own repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def is_path(value: object) -> TypeGuard[FilePath]:
    """Return whether a value stands for a file by its path. Texts do not."""
    return isinstance(value, PathLike) and isinstance(value.__fspath__(), str)


def is_file(value: object) -> TypeGuard[File]:
    """Return whether a value stands for a file that is here: by its path, or as its content."""
    return isinstance(value, bytes) or is_path(value)


def brief(file: File) -> Brief:
    """Describe a file in a few words, for messages and reprs: by its path, or by its format and size."""
    if isinstance(file, bytes):
        return Brief(f"<{_description(file, len(file))}>")
    return Brief(repr(file) if isinstance(file, LocalFile) else f"Path({_quoted(fspath(file))})")


def brief_text(text: str) -> Brief | None:
    """Describe a text that stands for a file, a data URI or bare base64, in a few words; None for any other."""
    if is_data_uri(text):
        about = text[: _LONGEST_ABOUT + 1].partition(",")[0]
        held = read_data_uri(text)
        told = "no whole base64" if held is None else _description(held.content or b"", held.size)
        return Brief(f"<{about[:_LONGEST_ABOUT]},… of {told}>")
    kind = bare_base64(text)
    return None if kind is None else Brief(f"<{kind.label} in base64 without data:{kind.media_type};base64, before it>")


def _description(content: bytes, size: int) -> str:
    kind, pixels = label(content), picture_size(content)
    sides = "" if pixels is None else f" of {pixels[0]} x {pixels[1]} pixels"
    return f"{kind}{sides}, {_count(size)}" if kind else _count(size)


def _count(size: int) -> str:
    return f"{size:,} byte{'' if size == 1 else 's'}"


def _quoted(path: str) -> str:
    half = _LONGEST_PATH // 2
    return repr(path if len(path) <= _LONGEST_PATH else f"{path[:half]}…{path[-half:]}")


def is_data_uri(text: str) -> bool:
    """Return whether a text is to be a data URI."""
    return text[:5].lower() == "data:"


def read_data_uri(text: str) -> LocalFile | None:
    """Decode the part of a data URI that tells its format; None if it is cut short (RFC 2397)."""
    about, comma, data = text.partition(",")
    if not comma:
        return None
    if not about.lower().rstrip().endswith(";base64"):
        content = unquote_to_bytes(data)
        return LocalFile(about, len(content), content)
    if "%" in data[:HEAD] or "%" in data[-8:]:
        data = unquote_to_bytes(data).decode("latin-1")
    if data[:HEAD].split() != [data[:HEAD]]:  # broken into lines
        data = "".join(data.split())
    size = len(data) // 4 * 3 - data[-2:].count("=")
    head = _decoded(data[:HEAD])
    if len(data) % 4 or head is None:
        return None
    if picture_size(head) is None and label(head) in _PICTURES:
        head = _decoded(data)  # some cameras put a lot before what tells the size
    return None if head is None else LocalFile(about, size, head)


def bare_base64(text: str) -> Format | None:
    """Return the format of a file that a text has in base64 without a data URI's beginning; None for any other text."""
    start = text[:_TELLING]
    return recognised(_decoded(start) or b"") if len(start) == _TELLING and _BASE64.fullmatch(text[:HEAD]) else None


def _decoded(data: str) -> bytes | None:
    try:
        return b64decode(data, validate=True)
    except ValueError:  # characters of no base64, or beyond ASCII
        return None


def media_type(content: bytes, path: str = "") -> str:
    """Return the media type of a file's content; only if that says nothing, that of its name."""
    found = recognised(content)
    named = next((kind for kind in Format if ending(path) in kind.endings), None)
    if found is None or (found is Format.MP4 and named is Format.M4A):  # many programs write M4A under the brand of MP4
        found = named
    return "application/octet-stream" if found is None else found.media_type


def file_uri(path: FilePath) -> str:
    """Return a path as a ``file:`` URI, in which nothing but ASCII is left; a relative one stays relative."""
    plain = Path(path)
    return plain.as_uri() if plain.is_absolute() else f"file:{quote_from_bytes(fsencode(plain.as_posix()))}"


def path_from_uri(value: object) -> object:
    """Return the path that a ``file:`` URI names, on this host; anything else as it is."""
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


def path_from_text(value: object, folder: FilePath | str | None = None) -> object:
    """Return the path that a text names as people write one: ``fox.png``, or a ``file:`` URI. Anything else as it is.

    What begins as a URL of any scheme is none, nor is base64. Relative paths are relative to the folder, if any.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _URL.match(text):
        return path_from_uri(text)
    named = unquote(text[len("file:") :]) if text[: len("file:")].lower() == "file:" else text
    if not named or len(text) > _LONGEST_NAMED or _IN_NO_PATH.search(named) or bare_base64(text) is not None:
        return value  # for the request to judge
    return Path(os.path.normpath(Path(folder or "", named)))
