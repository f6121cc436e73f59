"""The hidden neighbour that a file grows in until it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from errno import EISDIR
from pathlib import Path
from threading import Lock
from typing import IO

from attrs import asdict, frozen

__all__ = ["STRONG_ETAG", "Mark", "Part"]

STRONG_ETAG = re.compile(r'"[!#-~]*"')
"""An ETag that promises that the bytes are the same (RFC 9110, 8.8.3)."""


@frozen
class Mark:
    """What an unfinished part is a part of."""

    source: str
    etag: str


class Part:
    """The hidden neighbour a file grows in, and beside it the note of what it is a part of.

    A thread that was given up by a cancelled task may still be at work here; the lock and ``_left`` keep it from
    touching a file that was left.
    """

    def __init__(self, final: Path) -> None:
        # Not resolve(), which would follow a link to elsewhere.
        self._final = Path(os.path.abspath(final))  # noqa: PTH100 - pathlib has no such thing
        self.path = self._final.parent / f".{self._final.name}.part"
        self.size = 0
        self._sha256 = hashlib.sha256()  # of what there is
        self._note = self._final.parent / f".{self._final.name}.part.json"
        self._mark: Mark | None = None
        self._noted: Mark | None = None  # what the note on disk says
        self._stale = True  # whether what is on disk belongs to no part worth going on with
        self._file: IO[bytes] | None = None
        self.is_in_place = False  # whether it stands under its final name
        self._left = False
        self._lock = Lock()

    def open(self, source: str) -> None:
        """Make the file, or go on with one that is a part of what this source names."""
        with self._lock:
            if self._left:
                return
            if self._final.is_dir():
                raise IsADirectoryError(EISDIR, "it is a folder")
            self._final.parent.mkdir(parents=True, exist_ok=True)
            self._noted = _read_note(self._note)
            self._file = open(self.path, "ab", opener=_open_itself)  # noqa: SIM115 - it is open while it grows
            if self._noted is not None and self._noted.source == source:
                self._mark, self.size, self._stale = self._noted, self._file.tell(), False
                with open(self.path, "rb", opener=_open_itself) as earlier:
                    self._sha256 = hashlib.file_digest(earlier, "sha256")

    @property
    def etag(self) -> str | None:
        """The strong ETag of the file this is a part of, if known."""
        return None if self._mark is None else self._mark.etag

    @property
    def digest(self) -> str:
        """SHA-256 of what there is, in hexadecimal."""
        return self._sha256.hexdigest()

    def conditions(self) -> dict[str, str]:
        """The headers that ask for the rest, and for all of it if the file has changed (RFC 9110, 13.1.5)."""
        if self._mark is None or self.size == 0:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._mark.etag}

    def start_over(self, mark: Mark | None) -> None:
        """Drop all there is with the next piece, which begins what this mark names."""
        self._mark, self.size, self._stale = mark, 0, True

    def go_on(self, mark: Mark | None) -> None:
        """Take the next pieces as the rest of what is there, and this as where it comes from now."""
        self._mark = mark

    def append(self, piece: bytes) -> None:
        """Write the next piece."""
        with self._lock:
            if self._left or self._file is None:
                return
            if self._stale:
                self._file.truncate(0)
                self._sha256 = hashlib.sha256()
                self._stale = False
            if self._mark != self._noted:
                self._write_note()
            self._file.write(piece)
            self._sha256.update(piece)
            self.size += len(piece)

    def _write_note(self) -> None:
        if self._mark is None:
            self._note.unlink(missing_ok=True)
        else:
            with open(self._note, "w", encoding="utf-8", opener=_open_itself) as note:
                note.write(json.dumps(asdict(self._mark)))
        self._noted = self._mark

    def finish(self) -> None:
        """Put the whole part under its final name."""
        with self._lock:
            if self._left or self._file is None:
                return
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.path.replace(self._final)
            self.is_in_place = True
            self._note.unlink(missing_ok=True)

    def leave(self) -> None:
        """Let go of the file; keep it only if a later download could go on with it."""
        with self._lock:
            self._left = True
            if self._file is not None:
                with suppress(OSError):
                    self._file.close()
            if self._noted is None:
                with suppress(OSError, ValueError):
                    self.path.unlink(missing_ok=True)


def _open_itself(path: str, flags: int) -> int:
    """Open a file, but never what a link in its place leads to, which somebody else may have put there."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _read_note(path: Path) -> Mark | None:
    """The note of an earlier download; None if there is none, or none that makes sense."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        mark = Mark(source=str(noted["source"]), etag=str(noted["etag"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mark if STRONG_ETAG.fullmatch(mark.etag) else None
