"""Names for videos' files, from what their jobs are: the name that was asked for, or the prompt and the key."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kling_async.api.labels import label_of
from kling_async.files.names import distinct, folded, joined, numbered, safe

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async.api.requests import Request

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv"})

_NO_WORD = re.compile(r"[^a-z0-9]+")
_OF_A_ROW = re.compile(r"[0-9a-f]{32}-[0-9]+")
_LONGEST = 80  # characters of a part of a path
_LONGEST_SLUG = 40
_SHORT = 8  # characters of a digest: enough to find it by


def name_of(request: Request | None, key: str, tag: object, suffix: str = ".mp4") -> str:
    """Return the name for a job's file, relative to any folder: the one in its tag, or `default_name`."""
    output = label_of(tag).output
    return default_name(request, key, suffix) if output is None else requested_name(output)


def short_key(key: str) -> str:
    """Shorten a row's key to the beginning of its digest and its number among equal rows; others stay."""
    if not _OF_A_ROW.fullmatch(key):
        return key
    digest, _, number = key.partition("-")
    return digest[:_SHORT] if number == "1" else f"{digest[:_SHORT]}-{number}"


def default_name(request: Request | None, key: str, suffix: str = ".mp4") -> str:
    """Build a file name from the beginning of the prompt and the key; of a row's key, from its beginning."""
    prompt: object = getattr(request, "prompt", None)
    slug = _slug(prompt) if isinstance(prompt, str) else ""
    return joined("-".join(filter(None, [slug, distinct(short_key(key))])), suffix)


def requested_name(output: str) -> str:
    """Make the name that was asked for safe; it may contain folders."""
    path = PurePosixPath(output.replace("\\", "/"))
    suffix = path.suffix.lower() if path.suffix.lower() in VIDEO_SUFFIXES else ""
    stem = path.name.removesuffix(path.suffix) if suffix else path.name
    return str(PurePosixPath(*map(_folder, path.parts[:-1]), joined(safe(stem, _LONGEST), suffix or ".mp4")))


class NameAllocator:
    """Gives out each name once; later requests for it are numbered."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._times: Counter[str] = Counter()

    def allocate(self, wanted: str) -> str:
        """Return the name, numbered if it is taken: ``fox.mp4``, ``fox-2.mp4``."""
        kind, name = folded(wanted), wanted
        while folded(name) in self._taken:
            self._times[kind] += 1
            name = numbered(wanted, self._times[kind] + 1)
        self._taken.add(folded(name))
        return name


def free_path(path: Path, taken: set[str]) -> Path:
    """Return the path, numbered if something exists there.

    Args:
        path: The path that is wanted.
        taken: Paths given out before, folded; the returned one is added.
    """
    number, candidate = 1, path
    while folded(str(candidate)) in taken or os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(numbered(path.name, number))
    taken.add(folded(str(candidate)))
    return candidate


def _folder(text: str) -> str:
    """Return a safe folder name that does not end like a video's file."""
    name = safe(text, _LONGEST)
    return f"{name}_" if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES else name


def _slug(prompt: str) -> str:
    """Return the first words of a prompt as a slug."""
    plain = unicodedata.normalize("NFKD", prompt[: 4 * _LONGEST_SLUG]).encode("ascii", "ignore").decode()
    slug = _NO_WORD.sub("-", plain.lower()).strip("-")
    if len(slug) <= _LONGEST_SLUG:
        return slug
    cut = slug[: _LONGEST_SLUG + 1]
    return cut.rpartition("-")[0] or slug[:_LONGEST_SLUG]
