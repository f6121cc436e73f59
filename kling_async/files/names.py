"""File names made of untrusted text, valid on every file system."""

from __future__ import annotations

import hashlib
import os
import re
import string
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.api.results import Video

_NAME_MAX = 255  # bytes of a name on most file systems; those that count in UTF-16 take no fewer characters
SHORTEST_NAME_MAX = 143
"""Bytes of a name on the strictest file system in use, eCryptfs."""
_ROOM = len("..part.json")  # added to a name while its file comes in, and for the JSON file beside it
LONGEST = _NAME_MAX - _ROOM
"""The most bytes of a file's name in UTF-8, its number and its ending included."""

_LONGEST_PATH = 32_767  # characters, on Windows with long paths ("Maximum Path Length Limitation")
_RESERVED = re.compile("con|prn|aux|nul|(com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)
"""Names of devices on Windows, with any ending ("Naming Files, Paths, and Namespaces")."""
_PLAIN = frozenset(string.ascii_letters + string.digits + "._-")
_LONGEST_ID = 100  # characters
_JOINER = "\u200d"
_SUFFIX_OF = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "image/gif": ".gif",
}
_SUFFIXES = frozenset({*_SUFFIX_OF.values(), ".m4v"})


def safe_name(generation_id: str, video: Video) -> str:
    """Return a file name for a generation's video: the same for the same id, unique, and valid on every file system.

    An id of lower-case letters, digits, ``-``, ``_`` and ``.`` stays as it is, unless it is long or reserved on some
    system. In any other, unsafe characters are replaced and ``~`` and a digest of the id are appended, so that ids that
    differ only in case, or only in replaced characters, have different names.
    """
    return distinct(generation_id) + suffix_of(video)


def distinct(name: str) -> str:
    """Return a part of a path made of an id or a key, different for different ones on every file system."""
    stem = safe(name, _LONGEST_ID, _PLAIN.__contains__)
    if stem != name or stem != stem.lower():
        stem = f"{stem}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return stem


def is_usual(char: str) -> bool:
    """Return whether a character may be in a name: letters, digits and marks of any script, and ``_ . ~ -``."""
    return char.isalnum() or char in "_.~-" or _is_mark(char)


def safe(text: str, characters: int, is_kept: Callable[[str], bool] = is_usual) -> str:
    """Return a part of a path made of a text, ``video`` if nothing of it can be kept.

    Args:
        text: Any text.
        characters: The most characters to keep; fewer where they take more bytes than `LONGEST`.
        is_kept: Says whether a character may stay; a run of others becomes a ``-``.
    """
    plain = "".join(char if is_kept(char) else "\0" for char in unicodedata.normalize("NFC", text))
    part = re.sub("\0+", "-", plain).strip("-. ")
    part = cut(part, LONGEST, characters).rstrip("-. ") or "video"
    return f"_{part}" if _RESERVED.fullmatch(part.partition(".")[0]) else part


def cut(text: str, size: int, characters: int | None = None) -> str:
    """Return the beginning of a text, of at most ``size`` bytes in UTF-8, without cutting a letter from its marks."""
    if len(text) <= (characters or size) and _length(text) <= size:
        return text
    end, used = 0, 0
    for char in text[:characters]:
        used += _length(char)
        if used > size:
            break
        end += 1
    whole = end
    while 0 < whole < len(text) and _is_joined(text[whole - 1], text[whole]):
        whole -= 1
    return text[: whole or end]


def joined(stem: str, ending: str) -> str:
    """Return a name of a stem, cut if it is too long, and an ending."""
    return cut(stem, LONGEST - _length(ending)) + ending


def numbered(name: str, number: int) -> str:
    """Return the name, which may have folders, with a number: ``a/fox-2.mp4``."""
    path = PurePosixPath(name)
    return str(path.with_name(joined(path.stem, f"-{number}{path.suffix}")))


def folded(name: str) -> str:
    """Return a form that is equal for names that differ only in case or in how their accents are encoded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def unusable(path: Path) -> str | None:
    """Return why a path is too long for a file, or None if it is not, by the limits of its nearest existing folder."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    if _stored_length(str(whole)) + _ROOM <= SHORTEST_NAME_MAX:
        return None
    there = next(parent for parent in whole.parents if os.path.isdir(parent) or parent == parent.parent)  # noqa: PTH112 - pathlib raises for some names
    longest_name, longest_path = _limits(there)
    name = max(whole.relative_to(there).parts, key=_stored_length)
    if _stored_length(name) > longest_name:
        return f"the name {name[:40]!r}... has {_stored_length(name)} bytes; allowed: {longest_name}"
    length = _stored_length(str(whole)) + _ROOM
    if length > longest_path:
        return f"its path has {length - _ROOM} bytes; allowed: {longest_path - _ROOM}"
    return None


def _limits(folder: Path) -> tuple[int, int]:
    """Return the most bytes of a name and of a path in a folder."""
    if sys.platform != "win32":
        with suppress(OSError, ValueError):  # not every file system answers
            return os.pathconf(folder, "PC_NAME_MAX"), os.pathconf(folder, "PC_PATH_MAX") - 1
    return _NAME_MAX, _LONGEST_PATH


def _stored_length(name: str) -> int:
    return len(os.fsencode(name))


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


def _is_joined(before: str, char: str) -> bool:
    """Return whether two characters are displayed as one."""
    is_pair = "\ud800" <= before <= "\udbff" and "\udc00" <= char <= "\udfff"
    return is_pair or _is_mark(char) or _JOINER in (before, char)


def suffix_of(video: Video) -> str:
    """Return the ending for a video's file, by what is known of it."""
    kind = (video.content_type or "").partition(";")[0].strip().lower()
    if kind in _SUFFIX_OF:
        return _SUFFIX_OF[kind]
    named = (PurePosixPath(name).suffix.lower() for name in (video.file_name or "", _path(video.url)))
    return next((suffix for suffix in named if suffix in _SUFFIXES), ".mp4")


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # it is none, as the download will say
        return ""
