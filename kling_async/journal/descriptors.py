"""Descriptors of files that SQLite may have open in this process, too.

When a process closes any descriptor of a file, it loses every POSIX record lock it has on it, those of SQLite included
(SQLite, "How To Corrupt An SQLite Database File", 2.2). So these are closed only once no connection to their file is
left. A forked child closes its copies at once: it would hold its parent's locks for as long as it lives.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Identity", "close_descriptor", "identity_of", "in_use", "open_descriptor", "out_of_use"]

Identity = tuple[int, int]
"""What a file is by, whatever its names: its device and its number there."""

_mutex = Lock()  # also keeps a fork from coming between an opening and its being known
_open: set[int] = set()
_connections: Counter[Identity] = Counter()
_waiting: defaultdict[Identity, list[int]] = defaultdict(list)  # to be closed with the last connection to their file


def identity_of(file: Path | int) -> Identity:
    """The identity of a file, by its path or by a descriptor."""
    found = os.stat(file)  # noqa: PTH116 - also of a descriptor
    return found.st_dev, found.st_ino


def open_descriptor(path: Path, flags: int = 0) -> int:
    """Open a file to be locked."""
    with _mutex:
        descriptor = os.open(path, os.O_RDWR | flags, 0o644)
        _open.add(descriptor)
        return descriptor


def close_descriptor(descriptor: int) -> None:
    """Close a descriptor as soon as that takes no locks from SQLite; what it has locked itself was unlocked before."""
    with _mutex:
        file = identity_of(descriptor)
        if _connections[file]:
            _waiting[file].append(descriptor)
        else:
            _close(descriptor)


def in_use(file: Identity) -> None:
    """Take note of a connection to this file, before it takes any lock."""
    with _mutex:
        _connections[file] += 1


def out_of_use(file: Identity) -> None:
    """Take note that such a connection is closed."""
    with _mutex:
        _connections[file] -= 1
        if _connections[file] <= 0:
            del _connections[file]
            for descriptor in _waiting.pop(file, ()):
                _close(descriptor)


def _close(descriptor: int) -> None:
    _open.discard(descriptor)
    os.close(descriptor)


def _let_go() -> None:
    for descriptor in tuple(_open):
        _close(descriptor)
    _waiting.clear()
    _connections.clear()  # SQLite's are of no use here, and none of them has a lock
    _mutex.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_mutex.acquire, after_in_parent=_mutex.release, after_in_child=_let_go)
