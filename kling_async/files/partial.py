"""The hidden partial file that a download grows in, with one writer at a time among all processes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from attrs import asdict, frozen

from kling_async.api import mp4
from kling_async.files.content import HEAD, STRONG_ETAG, is_video
from kling_async.files.names import SHORTEST_NAME_MAX, folded

if TYPE_CHECKING:
    from io import BufferedRandom

_INFO_SUFFIX = ".json"
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}
)
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_OPENINGS = 100
_LOCKED_BYTE = 2**31 - 2  # Windows locks a range of bytes against reading and writing: one beyond any video


@frozen
class ResumeInfo:
    """The file that a partial file belongs to: its URL without a query, and its strong ETag."""

    source: str
    etag: str


class PartialFile:
    """The hidden partial file, and beside it a JSON file with its `ResumeInfo`.

    ``.NAME.part`` is locked for as long as this writes it: by the kernel and on the file itself, so against other
    sessions and processes under any path, and no longer than the process lives. A partial file that a dead writer left
    is resumed. On a file system without locks a partial file has a unique name, and is not resumed.

    The thread of a cancelled task may still run here; the lock and ``_closed`` keep it from touching a closed file.
    """

    def __init__(self, final: Path) -> None:
        # Not resolve(), which would follow a link to elsewhere.
        self._final = Path(os.path.abspath(final))  # noqa: PTH100 - pathlib has no such thing
        self.path: Path = self._final.parent / _hidden(self._final.name)
        self.size: int = 0
        self._sha256 = hashlib.sha256()  # of the bytes so far
        self._info_path = Path(f"{self.path}{_INFO_SUFFIX}")
        self._resume_info: ResumeInfo | None = None
        self._saved_info: ResumeInfo | None = None  # as on disk
        self._is_stale = True  # whether the bytes on disk are to be dropped
        self._file: BufferedRandom | None = None
        self._replaced: os.stat_result | None = None  # the file under the final name at the beginning
        self.is_in_place: bool = False  # whether it has its final name
        self._closed = False
        self._lock = Lock()

    def open(self, source: str) -> None:
        """Make the file, or resume one of the same source.

        Raises:
            BlockingIOError: Another writer has it.
            OSError: It cannot be made or opened.
        """
        with self._lock:
            if self._closed:
                return
            if self._final.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            self._final.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._open_locked()
            self._replaced = _status(self._final)
            self._saved_info = _load_info(self._info_path)
            if self._saved_info is not None and self._saved_info.source == source:
                self._resume_info, self._is_stale = self._saved_info, False
                self._sha256 = hashlib.file_digest(self._file, "sha256")
                self.size = self._file.seek(0, os.SEEK_END)

    def _open_locked(self) -> BufferedRandom:
        """Open the partial file as its only writer.

        If it was renamed or removed between being opened and being locked, it is opened again. If it has a second name,
        a writer died between linking it to its final name and removing this one.
        """
        for _ in range(_OPENINGS):
            file = os.fdopen(_open_regular(self.path), "r+b")
            try:
                _lock(file)
                if _is_at(file, self.path):
                    if os.fstat(file.fileno()).st_nlink <= 1:
                        return file
                    self.path.unlink()
            except OSError as error:
                file.close()
                if error.errno in _NO_LOCKS:
                    return self._open_unique()
                raise
            file.close()
        raise BlockingIOError(errno.EAGAIN, "its partial file is changed by others all the time")

    def _open_unique(self) -> BufferedRandom:
        self.path = self.path.with_name(f".{secrets.token_hex(8)}.part")
        self._info_path = Path(f"{self.path}{_INFO_SUFFIX}")
        return self.path.open("x+b")

    @property
    def etag(self) -> str | None:
        """The strong ETag of the file it belongs to, if known."""
        return None if self._resume_info is None else self._resume_info.etag

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes so far, in hexadecimal."""
        return self._sha256.hexdigest()

    def conditions(self) -> dict[str, str]:
        """Return the headers that ask for the rest, or for all if the file has changed (RFC 9110, 13.1.5)."""
        if self._resume_info is None or self.size == 0:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._resume_info.etag}

    def start_over(self, info: ResumeInfo | None) -> None:
        """Drop all bytes before the next piece, which is the beginning of the file that this names."""
        self._resume_info, self.size, self._is_stale = info, 0, True

    def resume_as(self, info: ResumeInfo | None) -> None:
        """Append the next pieces to the bytes on disk, which belong to the file that this names."""
        self._resume_info = info

    def append(self, piece: bytes) -> None:
        """Append a piece."""
        with self._lock:
            if self._closed or self._file is None:
                return
            if self._is_stale:
                self._file.seek(0)
                self._file.truncate()
                self._sha256 = hashlib.sha256()
                self._is_stale = False
            if self._resume_info != self._saved_info:
                self._save_info()
            self._file.write(piece)
            self._sha256.update(piece)
            self.size += len(piece)

    def _save_info(self) -> None:
        if self._resume_info is None:
            self._delete_info()
            return
        with os.fdopen(_open_regular(self._info_path, os.O_TRUNC), "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(self._resume_info)))
        self._saved_info = self._resume_info

    def inspect(self) -> tuple[bool, bool | None]:
        """Return whether it begins like a video, and whether it is complete by its MP4 boxes (None if unknown)."""
        with self._lock:
            return is_video(self._read(0, HEAD)), mp4.is_whole(self._read, self.size)

    def _read(self, at: int, length: int) -> bytes:
        if self._closed or self._file is None:
            return b""
        self._file.seek(at)
        piece = self._file.read(length)
        self._file.seek(0, os.SEEK_END)
        return piece

    def finish(self) -> None:
        """Rename the complete file to its final name, after checking that the bytes on disk are those written.

        A file that was there when the partial file was opened is replaced; one that appeared since is not. Without hard
        links, which alone appear or fail in one step, that is checked just before the rename.

        Raises:
            OSError: The bytes on disk differ, or a file has appeared; the partial file stays.
        """
        with self._lock:
            if self._closed or self._file is None:
                return
            self._file.flush()
            os.fsync(self._file.fileno())
            self._check(self._file)
            if sys.platform == "win32":
                self._file.close()  # an open file cannot be renamed there
            self._publish()

    def _check(self, file: BufferedRandom) -> None:
        """Check that no other program has changed the partial file."""
        file.seek(0)
        on_disk = hashlib.file_digest(file, "sha256").hexdigest()
        if on_disk == self.digest and os.fstat(file.fileno()).st_size == self.size and _is_at(file, self.path):
            return
        self._delete_info()
        raise OSError(errno.EBUSY, "what is on disk is not what was written there; something else has changed it")

    def _publish(self) -> None:
        """Give the partial file its final name; its JSON file is removed while the lock still keeps others out."""
        there = _status(self._final)
        if there is None and _link(self.path, self._final):
            self.is_in_place = True
            with suppress(OSError):
                self._delete_info()
                self.path.unlink()
            return
        if there is not None and (self._replaced is None or not _is_same(there, self._replaced)):
            raise _exists_error()
        self._delete_info()
        if there is None:
            self.path.rename(self._final)  # which fails on Windows if there is something
        else:
            self.path.replace(self._final)
        self.is_in_place = True

    def _delete_info(self) -> None:
        self._info_path.unlink(missing_ok=True)
        self._saved_info = None

    def close(self) -> None:
        """Close the file; keep it only if a later download could resume it."""
        with self._lock:
            self._closed = True
            if self._file is None:
                return
            is_litter = self._saved_info is None and not self.is_in_place
            with suppress(OSError):
                if is_litter and sys.platform != "win32":
                    self.path.unlink(missing_ok=True)  # while it is still locked
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                if is_litter and sys.platform == "win32":
                    self.path.unlink(missing_ok=True)


def has_content(path: Path, size: int, digest: str) -> bool:
    """Return whether there is a file of this size and SHA-256; a partial file's name that it still has is removed."""
    try:
        if not path.is_file() or path.stat().st_size != size:  # which a pipe is not, and would never end
            return False
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == digest:
            _drop_partial_name(path)
    except (OSError, ValueError):  # a name that no file can have is a ValueError
        return False
    return found == digest


def _drop_partial_name(final: Path) -> None:
    """Remove the names that a writer left which died after it had linked its partial file to the final name."""
    part = final.parent / _hidden(final.name)
    there = _status(part)
    if there is not None and os.path.samestat(there, final.lstat()):
        with suppress(OSError):
            Path(f"{part}{_INFO_SUFFIX}").unlink(missing_ok=True)
            part.unlink()


def _hidden(name: str) -> str:
    """Return the partial file's name: made of the file's name, or of its digest if that would be too long."""
    part = f".{name}.part"
    if len(f"{part}{_INFO_SUFFIX}".encode("utf-8", "surrogatepass")) <= SHORTEST_NAME_MAX:
        return part
    return f".{hashlib.sha256(folded(name).encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.part"


def _open_regular(path: Path, flags: int = 0) -> int:
    """Open a file for reading and writing, but never through a symbolic link, nor a pipe or a device."""
    opened = os.open(path, _FLAGS | flags, 0o666)
    if stat.S_ISREG(os.fstat(opened).st_mode):
        return opened
    os.close(opened)
    raise FileExistsError(errno.EEXIST, f"{path.name} is there, and is no file")


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BufferedRandom) -> None:
        file.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from None
        finally:
            file.seek(0)

else:
    import fcntl

    def _lock(file: BufferedRandom) -> None:
        """Lock a file for as long as it is open here.

        Raises:
            BlockingIOError: Another process or session has locked it.
            OSError: The file system has no locks.
        """
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(file: BufferedRandom, path: Path) -> bool:
    """Return whether this open file is the one under a path."""
    there, ours = _status(path), os.fstat(file.fileno())
    return there is not None and os.path.samestat(there, ours)


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether a file is the same one as before, and unchanged."""
    unchanged = (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    return unchanged and os.path.samestat(one, other)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _link(part: Path, final: Path) -> bool:
    """Link a file to its final name, which fails if there is one, in one step; return False without hard links."""
    if sys.platform == "win32":  # renaming is safe there
        return False
    try:
        os.link(part, final)
    except FileExistsError:
        raise _exists_error() from None
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def _exists_error() -> FileExistsError:
    return FileExistsError(errno.EEXIST, "a file has appeared there meanwhile, and is left as it is")


def _load_info(path: Path) -> ResumeInfo | None:
    """Read the JSON file of an earlier download; None if there is none that can be used."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        info = ResumeInfo(source=str(saved["source"]), etag=str(saved["etag"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return info if STRONG_ETAG.fullmatch(info.etag) else None
