"""The paths a journal can have: ordinary files, whose names leave room for those that SQLite puts beside them."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG

from kling_async.errors import ConfigurationError

_BESIDE = ("", "-owner", "-journal", "-wal", "-shm")  # what is opened along with a journal, by us or by SQLite
_LONGEST_PATH = 512 - len("-journal")  # bytes; as SQLite is built for all systems but Windows (MAX_PATHNAME)
_LONGEST_NAME = 255 - len("-journal")  # bytes; likewise of the common file systems


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a journal, links resolved, so that links to one file are one journal.

    Raises:
        ConfigurationError: No file has that path.
    """
    try:
        return Path(path).resolve()
    except (ValueError, RuntimeError, OSError) as error:  # NUL, links in a circle, a folder one is in that is gone
        raise ConfigurationError(f"journal {os.fspath(path)!r:.500}: no file has such a path: {error}") from None


def unusable_reason(path: Path) -> str | None:
    """Return which path keeps a journal from being there, and why; None if it can be there.

    Nothing is opened: opening a pipe would wait for its writer.
    """
    name, whole = len(os.fsencode(path.name)), len(os.fsencode(path))
    if os.name == "posix" and (name > _LONGEST_NAME or whole > _LONGEST_PATH):
        return (
            f"{path!s:.500}: the path has {whole} bytes, {name} of them in its name;"
            f" allowed: {_LONGEST_PATH}, and {_LONGEST_NAME} in its name"
        )
    return next(filter(None, (_not_a_file(Path(f"{path}{suffix}")) for suffix in _BESIDE)), None)


def _not_a_file(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None if S_ISREG(mode) else f"{path}: it is no ordinary file, but {_kind(path)}"


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "a pipe" if path.is_fifo() else "a device or a socket"
