"""What was learned as plain JSON data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from kling_async.api.arguments import is_number
from kling_async.api.reprs import show
from kling_async.errors import ConfigurationError
from kling_async.pacing.experience import Experience, Kind, Phase
from kling_async.pacing.grid import BINS, FIRST, RATIO
from kling_async.pacing.table import Table

__all__ = ["as_data", "from_data"]

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
