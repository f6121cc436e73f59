"""Names for videos' files: predictable, and no two the same."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kling_async.files.names import folded, joined, numbered, safe

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import Request

__all__ = ["Names", "free", "named", "refusal_of", "short", "usual_name"]

_NO_WORD = re.compile(r"[^a-z0-9]+")
_OF_A_ROW = re.compile(r"[0-9a-f]{32}-[0-9]+")
_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv"})
_LONGEST = 80  # characters of a part of a path
_LONGEST_SLUG = 40
_SHORT = 8  # characters of a digest: enough to find it by


def short(key: str) -> str:
    """A job's key, short enough to show: of a row's, the beginning of its digest, and which of equal rows it is."""
    if not _OF_A_ROW.fullmatch(key):
        return key
    digest, _, number = key.partition("-")
    return digest[:_SHORT] if number == "1" else f"{digest[:_SHORT]}-{number}"


def usual_name(request: Request | None, key: str) -> str:
    """A file's name, where none was asked for: the beginning of the prompt, and the key."""
    prompt: object = getattr(request, "prompt", None)
    slug = _slug(prompt) if isinstance(prompt, str) else ""
    return f"{_safe('-'.join(filter(None, [slug, short(key)])))}.mp4"


def named(output: str) -> str:
    """The name that was asked for, made safe; it may lie in folders."""
    path = PurePosixPath(output.replace("\\", "/"))
    suffix = path.suffix.lower() if path.suffix.lower() in _SUFFIXES else ""
    stem = path.name.removesuffix(path.suffix) if suffix else path.name
    return str(PurePosixPath(*map(_folder, path.parts[:-1]), joined(_safe(stem), suffix or ".mp4")))


def refusal_of(output: object) -> str | None:
    """Why this is no name for an output, or None if it is one."""
    wanted = "a name for a file inside the output folder, such as fox.mp4"
    if not isinstance(output, str) or not output.strip():
        return f"output is {output!r}; allowed: {wanted}"
    path = PurePosixPath(output.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or not path.name or ":" in path.parts[0]
    return f"output is {output!r}; allowed: {wanted}" if outside else None


class Names:
    """Gives names out, each once: the second to want one gets it with a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._times: Counter[str] = Counter()

    def pick(self, wanted: str) -> str:
        """The name, or the next of its kind: ``fox.mp4``, ``fox-2.mp4``."""
        kind, name = folded(wanted), wanted
        while folded(name) in self._taken:
            self._times[kind] += 1
            name = numbered(wanted, self._times[kind] + 1)
        self._taken.add(folded(name))
        return name


def free(path: Path, taken: set[str]) -> Path:
    """A path at which there is nothing that would be replaced: this one, or the next of its kind.

    Args:
        path: The path that is wanted.
        taken: Paths that are given out already, folded; the one that is returned comes to them.
    """
    number, candidate = 1, path
    while folded(str(candidate)) in taken or os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(numbered(path.name, number))
    taken.add(folded(str(candidate)))
    return candidate


def _safe(text: str) -> str:
    return safe(text, _LONGEST)


def _folder(text: str) -> str:
    """A folder's name, which is never that of a video's file."""
    name = _safe(text)
    return f"{name}_" if PurePosixPath(name).suffix.lower() in _SUFFIXES else name


def _slug(prompt: str) -> str:
    """The first words of a prompt."""
    plain = unicodedata.normalize("NFKD", prompt[: 4 * _LONGEST_SLUG]).encode("ascii", "ignore").decode()
    slug = _NO_WORD.sub("-", plain.lower()).strip("-")
    if len(slug) <= _LONGEST_SLUG:
        return slug
    cut = slug[: _LONGEST_SLUG + 1]
    return cut.rpartition("-")[0] or slug[:_LONGEST_SLUG]
