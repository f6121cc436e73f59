"""What a session has learned of how long generations take, by kind, and as data that the next one can begin with."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from kling_async.api.catalogue import find_model, typical_seconds
from kling_async.pacing import priors
from kling_async.pacing.grid import Grid
from kling_async.pacing.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kling_async.pacing.family import Family

__all__ = ["Experience", "Kind", "Phase"]

_TELLING: Final = 10.0  # how many generations a table must have seen for others to begin with what it learned
_MOST: Final = 500  # kinds: ids that are resumed may name anything as their models, and each table takes some kilobytes
_SHORTEST: Final = 1e-3  # seconds; no bins are laid out for less


class Phase(Enum):
    """What a generation is doing for the time that is learned."""

    QUEUED = "queued"
    GENERATING = "generating"


@frozen
class Kind:
    """What durations are learned for apart from each other.

    Attributes:
        model: The vendor's id of the model.
        duration: The length of the video in seconds, if it was asked for.
        phase: Whether it waits or works.
    """

    model: str
    duration: int | None = None
    phase: Phase = Phase.GENERATING

    @property
    def typical(self) -> float:
        """How long that usually takes to generate, in seconds, as the catalogue has it."""
        return typical_seconds(self.model, self.duration)


class Experience:
    """The tables of all kinds, made as they are asked for.

    A kind that nothing is known of begins with what was learned of the same model at another duration; for a model
    that is not in the catalogue, with the most that was learned of any; otherwise with the catalogue's figures. Shapes
    are borrowed in proportion to typical durations.
    """

    __slots__ = ("_pace", "_tables")

    def __init__(self, pace: float = 1.0) -> None:
        """``pace`` is how many times as fast as the catalogue says everything goes: 1 but for a stand-in."""
        self._pace = pace
        self._tables: dict[Kind, Table] = {}

    def table(self, kind: Kind) -> Table:
        """The table of this kind; always the same one. Beyond 500 kinds, those of unknown models share one."""
        found = self._tables.get(kind)
        if found is None and len(self._tables) >= _MOST and find_model(kind.model) is None:
            kind = Kind("", None, kind.phase)
            found = self._tables.get(kind)
        if found is None:
            found = self._tables[kind] = Table(self.grid(kind.typical), self._family(kind))
        return found

    def grid(self, typical: float) -> Grid:
        """The bins for generations that usually take this many seconds at the catalogue's pace."""
        return Grid(max(_SHORTEST, typical / self._pace))

    @property
    def pace(self) -> float:
        """How many times as fast as the catalogue says everything goes."""
        return self._pace

    def restore(self, kind: Kind, table: Table) -> None:
        """Go on from an earlier table of this kind, in place of what was there."""
        self._tables[kind] = table

    def own_family(self, kind: Kind) -> Family:
        """What is believed of a kind by itself, with nothing learned of any other."""
        if kind.phase is Phase.QUEUED:
            return priors.queued()
        return priors.generating(known=find_model(kind.model) is not None)

    def borrowed_family(self, kind: Kind, rates: Sequence[float]) -> Family:
        """What is believed of a kind, as these hazards per typical duration were learned of another."""
        return priors.borrowed(rates, known=find_model(kind.model) is not None)

    def __iter__(self) -> Iterator[tuple[Kind, Table]]:
        """Every kind asked about, and its table, in the order they came."""
        return iter(self._tables.items())

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        return f"<Experience of {len(self)} kinds>"

    def _family(self, kind: Kind) -> Family:
        lender = self._lender(kind)
        if lender is None:
            return self.own_family(kind)
        return self.borrowed_family(kind, [rate * lender.grid.unit for rate in lender.hazard.rates])

    def _lender(self, kind: Kind) -> Table | None:
        telling = [(k, t) for k, t in self if k.phase is kind.phase and t.jobs >= _TELLING]
        same = [table for k, table in telling if k.model == kind.model]
        if not same and find_model(kind.model) is None:
            same = [table for _, table in telling]
        return max(same, key=lambda table: table.jobs, default=None)
