"""Generations in flight by group and model, and the caller's limits on them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kling_async.pacing.fair_queue import Obstacle

if TYPE_CHECKING:
    from collections.abc import Hashable

    from kling_async.pacing.fair_queue import Line


class InFlight:
    """Counts generations in flight, and says which lines are at a limit of their group's or model's.

    Args:
        per_group: The most of each group, or of the groups that are named; None for no limit.
        per_model: The same of models.
    """

    __slots__ = ("_groups", "_models", "_per_group", "_per_model")

    def __init__(
        self, per_group: int | Mapping[str | None, int] | None = None, per_model: int | Mapping[str, int] | None = None
    ) -> None:
        self._per_group = per_group
        self._per_model = per_model
        self._groups: Counter[str | None] = Counter()
        self._models: Counter[str] = Counter()

    @property
    def models(self) -> int:
        """The number of models of which any generation is in flight."""
        return len(self._models)

    def obstacle(self, line: Line) -> Obstacle | None:
        """Return the limit that keeps this line from having one more in flight."""
        if self._per_group is None and self._per_model is None:
            return None
        group, model = limits_on(line)
        if self._per_group is not None and self._groups[line.group] >= _most(self._per_group, line.group):
            return Obstacle(group)
        if self._per_model is not None and self._models[line.model] >= _most(self._per_model, line.model):
            return Obstacle(model)
        return None

    def add(self, line: Line) -> None:
        """Count one more of this line."""
        self._groups[line.group] += 1
        self._models[line.model] += 1

    def remove(self, line: Line) -> None:
        """Count one less; lines that wait for one of its `limits_on` may be served again."""
        _subtract(self._groups, line.group)
        _subtract(self._models, line.model)

    def __repr__(self) -> str:
        return f"<InFlight {self._groups.total()} of {len(self._groups)} groups and {len(self._models)} models>"


def limits_on(line: Line) -> tuple[Hashable, Hashable]:
    """Return the causes of the obstacles that this line may meet: its group's limit, and its model's."""
    return ("group", line.group), ("model", line.model)


def _most(limits: int | Mapping[Any, int], name: str | None) -> float:
    return limits.get(name, math.inf) if isinstance(limits, Mapping) else limits


def _subtract(counts: Counter[Any], name: str | None) -> None:
    counts[name] -= 1
    if counts[name] <= 0:
        del counts[name]
