"""What a journal knows of jobs whose files may have been fetched already, and journals that last only until then."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kling_async import read_journal

if TYPE_CHECKING:
    from kling_async import Record

__all__ = ["discard_if_passing", "file_of", "passing_journal", "records_of"]

_PASSING = re.compile(r"generate-[0-9a-f]{8}\.db")


def passing_journal(folder: Path) -> Path:
    """Where to keep a journal that is needed only until what was bought is in this folder."""
    return folder / f"generate-{secrets.token_hex(4)}.db"


def discard_if_passing(journal: Path) -> None:
    """Remove such a journal, with what stands beside it; any other stays."""
    if _PASSING.fullmatch(journal.name):
        for file in journal.parent.glob(f"{journal.name}*"):
            with suppress(OSError):  # it is in nobody's way
                file.unlink()


def records_of(journal: Path) -> dict[str, Record]:
    """The records of a journal by their keys, in the order they were queued; none if there is no such file yet.

    Raises:
        JournalError: It is no journal, or cannot be read.
    """
    if not os.path.exists(journal) or not journal.stat().st_size:  # noqa: PTH110 - Path's raises for some names
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
