"""What a session has learned of how long generations take, by kind, and as data that the next one can begin with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import frozen

from kling_async.api.arguments import is_number
from kling_async.api.catalogue.lookup import find_model, typical_seconds
from kling_async.api.reprs import show
from kling_async.errors import ConfigurationError
from kling_async.pacing import priors
from kling_async.pacing.estimator import Table
from kling_async.pacing.hazard import BINS, FIRST, RATIO, Grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kling_async.pacing.priors import Family

__all__ = ["Experience", "Kind", "Phase", "as_data", "from_data"]

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


_VERSION: Final = 1
_GRID: Final = [FIRST, RATIO, BINS]
_LARGEST: Final = 1e12  # beyond any count of generations or of their lives


def as_data(experience: Experience) -> dict[str, Any]:
    """Everything learned, fit for ``json.dumps``. Kinds of which nothing was seen are left out."""
    tables = [_table_data(kind, table, experience) for kind, table in experience]
    return {"version": _VERSION, "grid": _GRID, "tables": [table for table in tables if any(table["lives"])]}


def from_data(data: object, pace: float = 1.0) -> Experience:
    """What `as_data` made, as experience again, at any pace.

    Raises:
        ConfigurationError: It is not that, or of another version; says where it is wrong.
    """
    experience = Experience(pace)
    document = _mapping(data, "it")
    if document.get("version") != _VERSION:
        raise _wrong("version", document.get("version"), f"the number {_VERSION}")
    if document.get("grid") != _GRID:
        raise _wrong("grid", document.get("grid"), f"{_GRID}")
    tables = _list(document.get("tables"))
    if tables is None:
        raise _wrong("tables", document.get("tables"), "a list")
    for number, each in enumerate(tables):
        _restore(experience, _mapping(each, f"tables[{number}]"), f"tables[{number}]")
    return experience


def _table_data(kind: Kind, table: Table, experience: Experience) -> dict[str, Any]:
    ends, lives = table.seen()
    lent = table.family.lent
    return {
        "model": kind.model,
        "duration": kind.duration,
        "phase": kind.phase.value,
        "typical": _rounded(table.grid.unit * experience.pace),
        "jobs": _rounded(table.jobs),
        "ends": [_rounded(each) for each in ends],
        "lives": [_rounded(each / table.grid.unit) for each in lives],
        "prior": None if lent is None else [_rounded(each) for each in lent],
    }


def _restore(experience: Experience, data: Mapping[str, object], where: str) -> None:
    kind = _kind(data, where)
    grid = experience.grid(_amount(data.get("typical"), f"{where}.typical", least=1e-6))
    lent = data.get("prior")
    family = experience.own_family(kind)
    if lent is not None:
        family = experience.borrowed_family(kind, _amounts(lent, f"{where}.prior", least=1e-6))
    ends = _amounts(data.get("ends"), f"{where}.ends")
    lives = [lived * grid.unit for lived in _amounts(data.get("lives"), f"{where}.lives")]
    experience.restore(kind, Table(grid, family, ends, lives, _amount(data.get("jobs"), f"{where}.jobs")))


def _kind(data: Mapping[str, object], where: str) -> Kind:
    model, duration, phase = data.get("model"), data.get("duration"), data.get("phase")
    if not isinstance(model, str):
        raise _wrong(f"{where}.model", model, "text")
    if duration is not None and (not isinstance(duration, int) or isinstance(duration, bool)):
        raise _wrong(f"{where}.duration", duration, "a whole number or null")
    if phase not in [each.value for each in Phase]:
        raise _wrong(f"{where}.phase", phase, " or ".join(each.value for each in Phase))
    return Kind(model, duration, Phase(phase))


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "an object")
    return cast("Mapping[str, object]", value)


def _list(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _amounts(value: object, where: str, least: float = 0.0) -> list[float]:
    items = _list(value)
    if items is None or len(items) != BINS:
        raise _wrong(where, value, f"a list of {BINS} numbers")
    return [_amount(each, f"{where}[{number}]", least) for number, each in enumerate(items)]


def _amount(value: object, where: str, least: float = 0.0) -> float:
    if not is_number(value) or not least <= value <= _LARGEST:
        raise _wrong(where, value, f"a number from {least} to {_LARGEST:g}")
    return float(value)


def _rounded(value: float) -> float:
    """Six digits: more was not learned."""
    return float(f"{value:.6g}")


def _wrong(where: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"what was learned cannot be read: {where} is {show(value)}; it takes {allowed}")
