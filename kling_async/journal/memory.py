"""The journal of a session that keeps nothing beyond its own end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from kling_async.journal.base import Record

__all__ = ["MemoryJournal"]


class MemoryJournal:
    """Records in a dictionary: as durable as the process. Another session may be opened on it after the first."""

    lease = math.inf

    def __init__(self) -> None:
        self._by_key: dict[str, Record] = {}
        self._key_of: dict[str, str] = {}  # generation id → key
        self._retained: str | None = None

    async def open(self) -> None:
        """Nothing has to be opened."""

    async def load_open(self) -> Sequence[Record]:
        """The records that are not terminal: none, unless it served a session before."""
        return [record for record in self._by_key.values() if not record.state.is_terminal]

    async def renew(self) -> None:
        """Nobody else could take what is held."""

    async def release(self, keys: Sequence[str]) -> None:
        """Nobody else could take what is let go of."""

    def get(self, key: str) -> Record | None:
        """The newest record under this key."""
        return self._by_key.get(key)

    def find(self, generation_id: str) -> Record | None:
        """The newest record of this generation."""
        key = self._key_of.get(generation_id)
        return None if key is None else self._by_key[key]

    async def history(self) -> AsyncIterator[Record]:
        """The newest record of every key, in the order they were queued."""
        for record in tuple(self._by_key.values()):
            yield record

    def append(self, record: Record) -> None:
        """Keep a record."""
        self._by_key[record.key] = record
        if record.generation_id is not None:
            self._key_of[record.generation_id] = record.key

    async def commit(self, record: Record) -> None:
        """Keep a record; nothing more lasting can be promised here."""
        self.append(record)

    async def flush(self) -> None:
        """Nothing more lasting can be promised here."""

    async def load_learned(self) -> str | None:
        """The text that was last retained."""
        return self._retained

    async def save_learned(self, text: str) -> None:
        """Keep a text in place of the one before."""
        self._retained = text

    async def close(self) -> None:
        """Keep everything, for a session that may be opened on it next."""

    def __repr__(self) -> str:
        return f"<MemoryJournal {len(self._by_key)} records>"
