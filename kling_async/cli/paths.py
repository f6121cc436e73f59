"""Check and read the files and folders that a command names; a pipe without a writer is not waited for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG
from tempfile import TemporaryFile

from kling_async import ConfigurationError
from kling_async.api.reprs import cut

_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)  # which Windows has not, nor pipes in folders
_PROBE = 64 * 1024  # bytes
_BINARY = getattr(os, "O_BINARY", 0)  # which only Windows has


def is_pipe(path: Path) -> bool:
    """Return whether there is a pipe at a path."""
    try:
        return path.is_fifo()
    except (OSError, ValueError):  # a name that no file can have
        return False


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
        there = next(place for place in (path, *(current_folder() / path).parents) if os.path.lexists(place))
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
