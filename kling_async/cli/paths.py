"""Check and read the files and folders that a command names; a pipe without a writer is not waited for."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from kling_async import ConfigurationError
from kling_async.api.arguments import is_text
from kling_async.api.media import bare_base64
from kling_async.api.reprs import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)  # which Windows has not, nor pipes in folders
_PROBE = 64 * 1024  # bytes
_BINARY = getattr(os, "O_BINARY", 0)  # which only Windows has


def file_problem(path: Path) -> str:
    """Return why this is no file to send, or an empty text if it is one."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        return _reason(error)
    if not S_ISREG(status.st_mode):
        return "it is a folder" if S_ISDIR(status.st_mode) else "it is no file, but a pipe or a device"
    return "" if status.st_size else "it is empty"


def current_folder() -> Path:
    """Return the current folder.

    Raises:
        ConfigurationError: It is gone.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigurationError("the current folder is gone; change to another") from error


def read_file(path: Path, what: str) -> bytes:
    """Read a file, or a pipe with a writer, such as a shell's ``<(command)``.

    Args:
        path: Its path.
        what: Its purpose, for messages.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if not (S_ISREG(mode) or S_ISFIFO(mode)):
            raise _unusable(what, path, "it is a folder" if S_ISDIR(mode) else "it is no file, but a device")
        # A pipe that nobody writes to would be waited for.
        with open(os.open(path, os.O_RDONLY | _NON_BLOCKING | _BINARY), "rb", buffering=0) as opened:  # noqa: PTH123 - a descriptor
            content = opened.read(1)
            if content == b"" and S_ISFIFO(mode):
                raise _unusable(what, path, "it is a pipe that nobody writes to")
            os.set_blocking(opened.fileno(), True)
            return (content or b"") + opened.readall()
    except (OSError, ValueError) as error:
        raise _unusable(what, path, _reason(error)) from error


def read_stdin() -> bytes:
    """Read all of standard input.

    Raises:
        ConfigurationError: It is closed, or cannot be read.
    """
    if sys.stdin is None:
        raise ConfigurationError("standard input is closed")
    try:
        return sys.stdin.buffer.read()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"standard input cannot be read: {_reason(error)}") from error


def check_folder(path: Path) -> None:
    """Check that files can be written to a folder, or that it can be made; nothing is changed.

    Raises:
        ConfigurationError: They cannot.
    """
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # which says of most names that there can be no such folder
        there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
        mode = there.stat().st_mode
    except (OSError, ValueError) as error:
        raise _unusable("the folder", path, _reason(error)) from error
    if not S_ISDIR(mode):
        raise _unusable("the folder", path, f"{cut(str(there))} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unusable("the folder", path, f"{cut(str(there))} cannot be written to")


def make_folder(path: Path) -> None:
    """Make a folder if there is none, and check that a file can be written there.

    Raises:
        ConfigurationError: It cannot be made, or nothing can be written to it, as on a full disk.
    """
    check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path, prefix=".") as probe:
            probe.write(bytes(_PROBE))
            probe.flush()
    except OSError as error:
        raise _unusable("the folder", path, _reason(error)) from error


def _unusable(what: str, path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{what} {cut(str(path))} cannot be used: {reason}")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or cut(str(error))


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


def with_paths(fields: Mapping[str, Any], base: Path) -> tuple[dict[str, Any], list[tuple[str, Path]]]:
    """Replace paths in fields by ``file:`` URIs; also return the paths, with the dotted names of their fields.

    Args:
        fields: Fields by their names.
        base: The folder that relative paths are relative to.
    """
    walk = _PathFinder(base)
    return {name: walk.part(_parsed(name, part), name, name) for name, part in fields.items()}, walk.paths


def unusable_files(paths: list[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    """Yield the field's name and the reason for each file that cannot be sent."""
    for name, path in paths:
        wrong = file_problem(path)
        if wrong:
            yield name, f"{cut(str(path))}: {wrong}"


class _PathFinder:
    """Finds the paths in a row's fields."""

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
