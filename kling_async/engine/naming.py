"""Names for files, made of what the vendor says and trusted by no part of it."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from kling_async.api.results import Video

__all__ = ["safe_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)
_LONGEST_STEM = 100
_SUFFIX_OF = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "image/gif": ".gif",
}
_SUFFIXES = frozenset({*_SUFFIX_OF.values(), ".m4v"})


def safe_name(generation_id: str, video: Video) -> str:
    """A file name for a generation's video: always the same one, another for every id, and good on every file system.

    An id of lower-case letters, digits, ``-``, ``_`` and ``.`` stays as it is, unless it is long or means something to
    some system. Any other has what is not safe replaced and ``~`` and a digest of the id appended, so that ids that
    differ only in case, or only in what was replaced, have names that differ too.
    """
    stem = _UNSAFE.sub("-", generation_id).strip("-. ")[:_LONGEST_STEM].rstrip("-. ") or "video"
    if _RESERVED.fullmatch(stem.partition(".")[0]):
        stem = f"_{stem}"
    if stem != generation_id or stem != stem.lower():
        stem = f"{stem}~{hashlib.sha256(generation_id.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return stem + _suffix(video)


def _suffix(video: Video) -> str:
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
