"""What a gallery wrote into its folder: only that may be replaced or removed later."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["MANIFEST", "MEDIA", "PAGE", "manifest", "read_manifest"]

PAGE = "index.html"
MEDIA = "media"
MANIFEST = ".kling-gallery.json"

_OURS = re.compile(rf"{re.escape(PAGE)}|{MEDIA}/(?!\.)[^/\\:]+")


def read_manifest(folder: Path) -> frozenset[str]:
    """The files that a gallery wrote into this folder, relative and with slashes; none if there is no gallery."""
    try:
        file = folder / MANIFEST
        names = json.loads(file.read_bytes() if file.is_file() else b"")["files"]  # a pipe would be waited for
    except (OSError, ValueError, TypeError, LookupError):
        return frozenset()
    listed = cast("list[object]", names) if isinstance(names, list) else []
    # Whoever gave the folder away may have written anything here; it is never a way to files elsewhere.
    return frozenset(name for name in listed if isinstance(name, str) and _OURS.fullmatch(name))


def manifest(files: Iterable[str]) -> str:
    """The content of the file that lists these."""
    return json.dumps({"about": "what kling-async gallery wrote here", "files": sorted(files)}, indent=1) + "\n"
