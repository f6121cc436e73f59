"""What a gallery is made of: a journal, or a folder of videos."""

from __future__ import annotations

import os
from pathlib import Path

from kling_async import read_journal
from kling_async.cli.gallery.entry import Entry, Outcome
from kling_async.cli.gallery.footage import look_at, videos
from kling_async.cli.gallery.records import entry_of
from kling_async.cli.gallery.texts import visible

__all__ = ["read_entries"]


def read_entries(source: Path) -> list[Entry]:
    """The entries of a journal, in the order in which they were queued, or those of a folder's videos, by name.

    Raises:
        JournalError: It is neither, or cannot be read.
        OSError: The folder cannot be read, or a video in it.
    """
    if source.is_dir():
        return [_entry_of(path, source) for path in videos(source)]
    beside = Path(os.path.realpath(source)).parent
    return [entry_of(record, beside) for record in read_journal(source).records()]


def _entry_of(path: Path, folder: Path) -> Entry:
    """The entry of a file of which nothing else is known."""
    name = visible(path.relative_to(folder).as_posix())
    return Entry(name, Outcome.READY, settled_at=path.stat().st_mtime, footage=look_at(path))
