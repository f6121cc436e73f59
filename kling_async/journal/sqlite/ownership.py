"""One owner at a time for a journal, among all sessions and processes of a machine.

The owner of ``batch.db`` holds a lock on that file, which covers every name, link or path of it; and on
``batch.db-owner``, in which it signs, which covers a file that is put in its place. The operating system releases both
when the process ends in any way, so nothing stale is left. The second file stays, and may be deleted at any time.
Readers take neither.
"""

from __future__ import annotations

import logging
import os
import platform
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from kling_async.errors import JournalError
from kling_async.journal.sqlite.locks import close_descriptor, holder_of, identity_of, lock, open_descriptor, unlock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kling_async.journal.sqlite.locks import Identity

_T = TypeVar("_T")

_logger = logging.getLogger("kling_async.journal")

_SIGNED = b"process "  # how the second file begins
_ONCE_SIGNED = b"CREATE TABLE owner (signature TEXT"  # what was in it when it was one of SQLite's
_LONGEST = 4096  # bytes that are looked at
_LOOKS, _LOOK_GAP = 20, 0.05  # at whether the file is owned, and the seconds between them
_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = frozenset({"9p", "afs", "ceph", "cifs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "virtiofs"})


@contextmanager
def owned(path: Path) -> Generator[Identity]:
    """Own the journal's file, which exists, within the block; yields its identity.

    Raises:
        JournalError: Another session owns it; the message says which.
        OSError: The file cannot be opened, or locked.
    """
    with _locked(path, 0, partial(_in_use, path)) as descriptor:
        yield identity_of(descriptor)


@contextmanager
def owned_name(path: Path) -> Generator[None]:
    """Own the journal's name within the block, and sign as its owner.

    Raises:
        JournalError: Another session owns it, or the file for signatures is something else's.
        OSError: That file cannot be opened, or locked.
    """
    with _locked(_owner_file(path), os.O_CREAT, partial(_in_use_or_shared, path)) as descriptor:
        _check_signed(path, descriptor)
        _sign(descriptor)
        yield


@contextmanager
def shared_name(path: Path) -> Generator[None]:
    """Share the journal's name with other members within the block, so that nobody owns it.

    The journal's own file is not locked: a member's locks in it are SQLite's, and the process would lose them by
    closing any other descriptor of it.

    Raises:
        JournalError: A session owns it, or the file for signatures is something else's.
        OSError: That file cannot be opened, or locked.
    """
    with _locked(_owner_file(path), os.O_CREAT, partial(_in_use, path), shared=True) as descriptor:
        _check_signed(path, descriptor)
        for tries_left in reversed(range(_LOOKS)):  # by another name; what seems to own it may just be looking, too
            if not is_owned(path):
                break
            if not tries_left:
                raise _in_use(path, descriptor)
            Event().wait(_LOOK_GAP)
        yield


class LeaderLock:
    """A lock that a leader's process has for as long as it lives, so that its death is seen at once.

    It says nothing where its file was replaced meanwhile, or where the leader did not get it, as one that is stopped
    still has it: then only the lease counts. A lock is known by its file's inode number.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = open_descriptor(path.with_name(f"{path.name}-leader"), os.O_CREAT)
        self.number: int = identity_of(self._descriptor)[1]
        self.is_held: bool = False

    def hold(self) -> bool:
        """Take it, unless another session has it."""
        self.is_held = lock(self._descriptor)
        return self.is_held

    def is_free(self, number: int) -> bool:
        """Return whether this is the lock of that number, and no session has it."""
        if self.is_held or number != self.number or not lock(self._descriptor, shared=True):
            return False
        unlock(self._descriptor)
        return True

    def seen(self) -> tuple[int, int]:
        """Return the newest term and change of the journal that were noted in the file beside it; 0 without any."""
        try:
            term, change = map(int, os.pread(self._descriptor, _LONGEST, 0).split())
        except (OSError, ValueError):
            return 0, 0
        return term, change

    def note(self, term: int, change: int, *, is_first: bool = False) -> None:
        """Note how far the journal has come, by which a copy is told that is older; the first note of a term counts."""
        if is_first or (term, change) > self.seen():
            with suppress(OSError):  # then an older one may not be told
                os.pwrite(self._descriptor, b"%20d %20d" % (term, change), 0)

    def let_go(self) -> None:
        """Release it, so that another session can take it."""
        if self.is_held:
            unlock(self._descriptor)
            self.is_held = False

    def close(self) -> None:
        """Release it, and close its file."""
        self.let_go()
        close_descriptor(self._descriptor)


def is_dead(path: Path, number: int) -> bool:
    """Return whether the leader whose lock has this number has died, as far as can be told."""
    return number != 0 and _ask_lock(path, lambda found: found.is_free(number), otherwise=False)


def seen_by_leaders(path: Path) -> tuple[int, int]:
    """Return the newest term and change of a journal that leaders noted beside it; 0 without any."""
    return _ask_lock(path, LeaderLock.seen, otherwise=(0, 0))


def _ask_lock(path: Path, ask: Callable[[LeaderLock], _T], otherwise: _T) -> _T:
    if path.with_name(f"{path.name}-leader").exists():
        with suppress(OSError):  # another user's
            found = LeaderLock(path)
            try:
                return ask(found)
            finally:
                found.close()
    return otherwise


def _check_signed(path: Path, descriptor: int) -> None:
    found = os.read(descriptor, _LONGEST)
    if found and not found.startswith(_SIGNED) and _ONCE_SIGNED not in found:
        side = _owner_file(path)
        raise JournalError(f"journal {side}: the file is something else's, and the journal needs its name")


def is_owned(path: Path) -> bool:
    """Return whether a file has an owner, which may be this process.

    Raises:
        OSError: It cannot be opened, or locked.
    """
    try:
        with _locked(path, 0, lambda _: BlockingIOError()):
            return False
    except BlockingIOError:
        return True


def has_owner(path: Path) -> bool | None:
    """Return whether a file has an owner, without being in anybody's way; None where that cannot be told."""
    try:
        descriptor = open_descriptor(path)
    except OSError:  # as of a file that may only be read
        return None
    try:
        holder = holder_of(descriptor)
        return None if holder is None else holder > 0
    finally:
        close_descriptor(descriptor)


@contextmanager
def _locked(path: Path, flags: int, refusal: Callable[[int], Exception], *, shared: bool = False) -> Generator[int]:
    descriptor = open_descriptor(path, flags)
    try:
        if not lock(descriptor, shared=shared):
            raise refusal(descriptor)
        try:
            yield descriptor
        finally:
            unlock(descriptor)  # not by closing alone: that may have to wait
    finally:
        close_descriptor(descriptor)


def _owner_file(path: Path) -> Path:
    return path.with_name(f"{path.name}-owner")


def _in_use_or_shared(path: Path, descriptor: int) -> JournalError:
    if not lock(descriptor, shared=True):
        return _in_use(path, descriptor)
    unlock(descriptor)
    return JournalError(f"journal {path}: it is shared by other sessions; open it with shared=True, as they do")


def _in_use(path: Path, descriptor: int) -> JournalError:
    owner = _owner(_owner_file(path), holder_of(descriptor) or None)
    return JournalError(
        f"journal {path}: it is in use by {owner}, and can have one owner at a time;"
        " close that session first, make both with shared=True, or read the journal with read_journal()"
    )


def _owner(side: Path, process: int | None) -> str:
    with suppress(OSError):
        signature = side.read_text("utf-8", errors="replace").strip()
        # What the owner before this one has signed tells nothing.
        if signature.startswith(f"process {process} ") or (process is None and signature and is_owned(side)):
            return signature
    return "another process" if process is None else f"process {process} on {platform.node()}"


def _sign(descriptor: int) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with suppress(OSError):  # on a full disk, it is the owner all the same
        os.truncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} on {platform.node()} since {since}\n".encode())


def warn_of_network(path: Path, file: Identity) -> None:
    """Log a warning if other machines may share the file's system, where locks may not be seen."""
    kind = _kind_of_file_system(file[0])
    if kind in _REMOTE:
        _logger.warning("journal %s: it is on %s, so other machines may not see that it is in use", path, kind)


def refuse_network(path: Path) -> None:
    """Refuse to share a file whose system other machines may share, where locks may not be seen.

    Raises:
        JournalError: It is such a system.
    """
    kind = _kind_of_file_system(identity_of(path)[0])
    if kind in _REMOTE:
        raise JournalError(f"journal {path}: it is on {kind}, and only a file of one machine can be shared")


def _kind_of_file_system(device: int) -> str | None:
    """Return which kind of file system a device has, where the system tells."""
    if not _MOUNTS.exists():
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = (line.split() for line in _MOUNTS.read_text(errors="replace").splitlines())
    return next((mount[mount.index("-") + 1] for mount in mounts if mount[2] == number), None)
