"""A lock on a file that only its holder releases.

POSIX record locks, which SQLite takes, vanish when the process closes any descriptor of the file. What is taken here
belongs to one open descriptor, and lasts until that is closed: at the latest by the system, when the process ends
(Linux, "fcntl(2)", open file description locks; they are in XNU, too; Windows knows no others).

The locked bytes lie in the page that SQLite sets aside for locks, behind those it uses itself (SQLite, "Database File
Format", the lock-byte page), so that neither is ever in the other's way.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter, defaultdict
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Identity",
    "close_descriptor",
    "holder_of",
    "identity_of",
    "lock",
    "open_descriptor",
    "register_connection",
    "unlock",
    "unregister_connection",
]

Identity = tuple[int, int]
"""A file's device and inode number, the same under all its names."""

# Also keeps a fork from coming between opening a file and recording it; a signal handler may fork amid that.
_mutex = RLock()
_open: set[int] = set()
_connections: Counter[Identity] = Counter()
_waiting: defaultdict[Identity, list[int]] = defaultdict(list)  # to be closed with the last connection to their file


def identity_of(file: Path | int) -> Identity:
    """Return the identity of a file, by its path or by a descriptor."""
    found = os.stat(file)  # noqa: PTH116 - also of a descriptor
    return found.st_dev, found.st_ino


def open_descriptor(path: Path, flags: int = 0) -> int:
    """Open a file to be locked."""
    with _mutex:
        descriptor = os.open(path, os.O_RDWR | flags, 0o644)
        _open.add(descriptor)
        return descriptor


def close_descriptor(descriptor: int) -> None:
    """Close a descriptor, but not before the last connection to its file, whose POSIX locks would be lost by that."""
    with _mutex:
        file = identity_of(descriptor)
        if _connections[file]:
            _waiting[file].append(descriptor)
        else:
            _close(descriptor)


def register_connection(file: Identity) -> None:
    """Count a connection to this file, before it takes any lock."""
    with _mutex:
        _connections[file] += 1


def unregister_connection(file: Identity) -> None:
    """Count a connection to this file as closed."""
    with _mutex:
        _connections[file] -= 1
        if _connections[file] <= 0:
            del _connections[file]
            for descriptor in _waiting.pop(file, ()):
                _close(descriptor)


def _close(descriptor: int) -> None:
    _open.discard(descriptor)
    os.close(descriptor)


def _reset_after_fork() -> None:
    for descriptor in tuple(_open):
        _close(descriptor)
    _waiting.clear()
    _connections.clear()  # a child can use none of SQLite's, and none of them has a lock
    _mutex.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_mutex.acquire, after_in_parent=_mutex.release, after_in_child=_reset_after_fork)

_START = 0x4000_0000 + 512

if sys.platform == "win32":
    import msvcrt

    def lock(descriptor: int, *, shared: bool = False) -> bool:
        """Take the lock unless it is taken; returns whether it was. None can be shared here."""
        del shared
        os.lseek(descriptor, _START, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Let go of the lock that was taken with this descriptor."""
        os.lseek(descriptor, _START, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def holder_of(descriptor: int) -> int | None:
        """Return the id of the process that has the lock, 0 if none has; None where the system does not tell."""
        del descriptor  # Windows does not tell

else:
    import fcntl
    import struct

    if sys.platform == "darwin":
        _SET, _GET = 90, 92  # fcntl.h of XNU; Python does not name them
        _FLOCK = struct.Struct("qqihh")
        _FIELDS = ("start", "length", "pid", "type", "whence")
    else:
        # Other systems refuse these, and are refused in turn: there SQLite's locks and such as last exclude each other.
        _SET, _GET = getattr(fcntl, "F_OFD_SETLK", 37), getattr(fcntl, "F_OFD_GETLK", 36)
        _FLOCK = struct.Struct("hhqqi4x")
        _FIELDS = ("type", "whence", "start", "length", "pid")

    def lock(descriptor: int, *, shared: bool = False) -> bool:
        """Take the lock, or share it with others that do, unless it is taken; returns whether it was."""
        try:
            _set(descriptor, fcntl.F_RDLCK if shared else fcntl.F_WRLCK)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Let go of the lock that was taken with this descriptor."""
        _set(descriptor, fcntl.F_UNLCK)

    def holder_of(descriptor: int) -> int | None:
        """Return the id of the process that has the lock, 0 if none has; None where the system does not tell."""
        try:
            answer = fcntl.fcntl(descriptor, _GET, _range(fcntl.F_WRLCK))
        except OSError:
            return None
        found = dict(zip(_FIELDS, _FLOCK.unpack(answer), strict=True))
        return found["length"] if found["type"] != fcntl.F_UNLCK and found["start"] == _START else 0

    _FLOCK_KINDS = {
        fcntl.F_UNLCK: fcntl.LOCK_UN,
        fcntl.F_RDLCK: fcntl.LOCK_SH,
        fcntl.F_WRLCK: fcntl.LOCK_EX,
    }

    def _set(descriptor: int, kind: int) -> None:
        try:
            fcntl.fcntl(descriptor, _SET, _range(kind))
        except OSError as error:
            if error.errno != errno.EINVAL or sys.platform != "linux":
                raise
            # Kernels in a sandbox, as gVisor's, may know only these; Linux keeps them apart from SQLite's.
            fcntl.flock(descriptor, _FLOCK_KINDS[kind] | fcntl.LOCK_NB)

    def _range(kind: int) -> bytes:
        # Such locks have no process id in the kernel's books. Their length is told, so that is the id.
        given = {"type": kind, "whence": os.SEEK_SET, "start": _START, "length": os.getpid(), "pid": 0}
        return _FLOCK.pack(*(given[field] for field in _FIELDS))
