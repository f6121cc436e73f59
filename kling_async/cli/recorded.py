"""What a journal knows of jobs whose files may have been fetched already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kling_async import read_journal

if TYPE_CHECKING:
    from kling_async import Record

__all__ = ["file_of", "records_of"]


def records_of(journal: Path) -> dict[str, Record]:
    """The records of a journal by their keys, in the order they were queued; none if there is no such file yet.

    Raises:
        JournalError: It is no journal, or cannot be read.
    """
    if not journal.exists() or not journal.stat().st_size:
        return {}
    return {record.key: record for record in read_journal(journal).records()}


def file_of(record: Record, *folders: Path) -> Path | None:
    """A record's file, if it is still there and whole: where it was put, or by its name in one of these folders."""
    if record.file is None:
        return None
    path = Path(record.file)
    places = [path, *(folder / path for folder in folders), *(folder / path.name for folder in folders)]
    return next((place for place in places if _is_whole(place, record.file_size)), None)


def _is_whole(path: Path, size: int | None) -> bool:
    try:
        return path.is_file() and size in (None, path.stat().st_size)
    except (OSError, ValueError):  # a name that no file can have is a ValueError
        return False
