"""One clock for two processes: the machine's, plus what the client has jumped so far."""

from __future__ import annotations

import mmap
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SharedClock"]

_OFFSET, _HELD, _RELEASE = 0, 1, 2  # places of eight bytes each, which are read and written whole


class SharedClock:
    """Instants in seconds, the same in every process that has the file open.

    The client moves it, and the vendor reads it. The other way round, the vendor tells which requests it holds on
    purpose, so that the client need not wait for those at the pace of real time.

    Args:
        path: A file, empty at first. Whoever comes first makes it.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists() or not path.stat().st_size:
            path.write_bytes(bytes(24))
        with path.open("r+b") as file:
            self._places = memoryview(mmap.mmap(file.fileno(), 24)).cast("d")
        self._monotonic = monotonic  # the real one, whatever is put in its place later

    def now(self) -> float:
        """The instant it is."""
        return self._monotonic() + self._places[_OFFSET]

    @property
    def offset(self) -> float:
        """How many seconds were jumped over so far."""
        return self._places[_OFFSET]

    def jump(self, seconds: float) -> None:
        """Be so much later at once, in every process."""
        self._places[_OFFSET] += seconds

    def hold(self, requests: int, release: float) -> None:
        """Say how many requests the vendor holds, and the instant at which it answers the first of them."""
        self._places[_RELEASE] = release
        self._places[_HELD] = requests

    @property
    def held(self) -> int:
        """How many requests the vendor holds."""
        return int(self._places[_HELD])

    @property
    def release(self) -> float:
        """When it answers the first of them."""
        return self._places[_RELEASE]
