"""Files that rows name: a plain path is as good as a URL, relative to a folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from kling_async.api.arguments import is_text
from kling_async.api.media import bare_base64
from kling_async.api.reprs import cut
from kling_async.cli.files import flaw_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["missing", "with_paths"]

_MEDIA = frozenset(
    {
        "audio_url",
        "frontal_image_url",
        "image_list",
        "image_url",
        "last_image_url",
        "mask",
        "reference_image_urls",
        "static_mask",
        "tail_image_url",
        "video_url",
    }
)
"""The fields that take files, by their last names."""
_NESTED = frozenset({"dynamic_masks", "elements", "image_list", "image_url"})
"""The fields that may hold JSON with files in it, where a table's cell holds a text."""
_URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:")  # two letters at least: one is a drive of Windows'

_LONGEST_PATH = 4096  # characters: more than any system takes


def with_paths(cells: Mapping[str, Any], base: Path) -> tuple[dict[str, Any], list[tuple[str, Path]]]:
    """Cells with ``file:`` URIs for the paths in them, and those paths with the dotted names of where they are.

    Args:
        cells: Fields by their names.
        base: The folder that relative paths are relative to.
    """
    walk = _Walk(base)
    return {name: walk.part(_parsed(name, part), name, name) for name, part in cells.items()}, walk.paths


def missing(paths: list[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    """What is wrong with the files, by the names of where they are named."""
    for name, path in paths:
        wrong = flaw_of(path)
        if wrong:
            yield name, f"{cut(str(path))}: {wrong}"


class _Walk:
    """One way through a row's cells."""

    def __init__(self, base: Path) -> None:
        self.paths: list[tuple[str, Path]] = []
        self._base = base

    def part(self, value: object, name: str, place: str) -> object:
        if isinstance(value, str):
            return self._text(value, place) if name in _MEDIA and value.strip() else value
        if isinstance(value, list):
            items = cast("list[object]", value)
            return [self.part(item, name, f"{place}.{number}") for number, item in enumerate(items)]
        if isinstance(value, Mapping):
            members = cast("Mapping[str, object]", value)
            return {member: self.part(part, member, f"{place}.{member}") for member, part in members.items()}
        return value

    def _text(self, text: str, place: str) -> str:
        text = text.strip()
        if _URL.match(text) or text.startswith("file:/"):
            return text
        relative = unquote(text.removeprefix("file:")) if text.startswith("file:") else text
        if len(text) > _LONGEST_PATH or not is_text(relative) or "\0" in relative or bare_base64(text) is not None:
            return text  # for the request to judge
        path = Path(os.path.abspath(self._base / relative))  # noqa: PTH100 - links stay as they are
        self.paths.append((place, path))
        return path.as_uri()


def _parsed(name: str, cell: object) -> object:
    if name not in _NESTED or not isinstance(cell, str) or cell.strip()[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell  # for the request to judge
