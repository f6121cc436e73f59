"""Names for a gallery's copies of files: like the originals', and no two the same."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from typing import TYPE_CHECKING

from kling_async.files.names import folded, is_usual, joined, safe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

__all__ = ["names_for"]

_LONGEST = 48  # characters


def names_for(paths: Iterable[Path], taken: Collection[str] = ()) -> dict[Path, str]:
    """A name for each path. Names that would be the same, or are taken, get a digest of their path in addition.

    So a name depends on no order, and stays as it is from one run to the next as long as no other file wants it.
    """
    plain = {path: _safe(path) for path in paths}
    wanted = Counter(map(folded, plain.values()))
    closed = {folded(name) for name in taken}
    return {
        path: name if wanted[folded(name)] == 1 and folded(name) not in closed else _distinct(path, name)
        for path, name in plain.items()
    }


def _safe(path: Path) -> str:
    return safe(path.stem, _LONGEST) + _suffix(path)


def _suffix(path: Path) -> str:
    return "".join(filter(is_usual, path.suffix))[:8].lower()


def _distinct(path: Path, name: str) -> str:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return joined(name.removesuffix(_suffix(path)), f"~{digest}{_suffix(path)}")
