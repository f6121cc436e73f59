"""The journal of a session without a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from kling_async.journal.base import Record


class MemoryJournal:
    """Records in a dictionary: as durable as the process. Another session may be opened on it after the first."""

    def __init__(self) -> None:
        self._by_key: dict[str, Record] = {}
        self._key_of: dict[str, str] = {}  # generation id → key
        self._retained: str | None = None

    async def open(self) -> None:
        """Do nothing."""

    async def load_open(self) -> Sequence[Record]:
        """Return the records that are not terminal; there are some only after an earlier session."""
        return [record for record in self._by_key.values() if not record.state.is_terminal]

    def get(self, key: str) -> Record | None:
        """Return the newest record under this key."""
        return self._by_key.get(key)

    def find(self, generation_id: str) -> Record | None:
        """Return the newest record of this generation."""
        record = self._by_key.get(self._key_of.get(generation_id, ""))
        return record if record is not None and record.generation_id == generation_id else None

    async def history(self) -> AsyncIterator[Record]:
        """Yield the newest record of every key, in the order they were queued."""
        for record in tuple(self._by_key.values()):
            yield record

    def append(self, record: Record) -> None:
        """Keep a record."""
        self._by_key[record.key] = record
        if record.generation_id is not None:
            self._key_of[record.generation_id] = record.key

    async def commit(self, record: Record) -> None:
        """Keep a record, as ``append`` does."""
        self.append(record)

    async def flush(self) -> None:
        """Do nothing: every record is kept at once."""

    async def load_learned(self) -> str | None:
        """Return the text that was last saved."""
        return self._retained

    async def save_learned(self, text: str) -> None:
        """Save a text in place of the one before."""
        self._retained = text

    async def close(self) -> None:
        """Keep everything, for a session that may be opened on it next."""

    def __repr__(self) -> str:
        return f"<MemoryJournal {len(self._by_key)} records>"
