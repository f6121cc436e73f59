"""Names for a gallery's copies of files: like the originals', no two the same, and good on every file system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

__all__ = ["names_for"]

_UNSAFE = re.compile(r"[^\w.~-]+")
_RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)
_LONGEST = 48  # characters, which are up to 192 bytes


def names_for(paths: Iterable[Path], taken: Collection[str] = ()) -> dict[Path, str]:
    """A name for each path. Names that would be the same, or are taken, get a digest of their path in addition.

    So a name depends on no order, and stays as it is from one run to the next as long as no other file wants it.
    """
    plain = {path: _safe(path) for path in paths}
    wanted = Counter(map(_folded, plain.values()))
    closed = {_folded(name) for name in taken}
    return {
        path: name if wanted[_folded(name)] == 1 and _folded(name) not in closed else _distinct(path, name)
        for path, name in plain.items()
    }


def _safe(path: Path) -> str:
    stem = _UNSAFE.sub("-", unicodedata.normalize("NFC", path.stem)).strip("-. ")[:_LONGEST].rstrip("-. ") or "video"
    return f"{'_' if _RESERVED.fullmatch(stem.partition('.')[0]) else ''}{stem}{_suffix(path)}"


def _suffix(path: Path) -> str:
    return _UNSAFE.sub("", path.suffix)[:8].lower()


def _distinct(path: Path, name: str) -> str:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return f"{name.removesuffix(_suffix(path))}~{digest}{_suffix(path)}"


def _folded(name: str) -> str:
    """What a file system may take for the same name."""
    return unicodedata.normalize("NFC", name.casefold())
