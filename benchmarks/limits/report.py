"""What was found: tables to read, and targets that are met or not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from attrs import asdict, frozen

from benchmarks.limits.scenarios import OURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.limits.scenarios import Hidden, Stepped

__all__ = ["LEAST_GOODPUT", "MOST_REFUSED", "Report", "met"]

MOST_REFUSED: Final = 0.01
LEAST_GOODPUT: Final = 0.95

_STEPPED = ("client", "the limit is a", "429s", "429s, steady", "worst phase", "goodput at 5/s", "2/s", "10/s", "")
_HIDDEN = ("client", "the limit is", "requests a job", "mean delay s", "429s", "goodput")


@frozen
class Report:
    """All of it."""

    stepped: Sequence[Stepped]
    hidden: Sequence[Hidden]

    def as_markdown(self) -> str:
        """Return a table of limits that move, and one of limits that do not."""
        moving = _table([_STEPPED, *map(_stepped_cells, self.stepped)])
        return moving + "\n" + _table([_HIDDEN, *map(_hidden_cells, self.hidden)])

    def as_data(self) -> dict[str, object]:
        """Return the same for ``json.dumps``."""
        stepped = [asdict(each) | {"met": met(each)} for each in self.stepped]
        hidden = [asdict(each) | {"delay": None if math.isnan(each.delay) else each.delay} for each in self.hidden]
        return {"stepped": stepped, "hidden": hidden}


def met(one: Stepped) -> bool:
    """Return whether both targets are met: few refusals, overall and when steady, enough admitted in every phase."""
    refused = max(one.refused, one.refused_steady)
    return refused <= MOST_REFUSED and min(one.goodput) >= LEAST_GOODPUT


def _stepped_cells(one: Stepped) -> tuple[str, ...]:
    shares = (one.refused, one.refused_steady, one.refused_worst)
    verdict = ("met" if met(one) else "**missed**") if one.client == OURS else ""
    goodput = (f"{each:.1%}" for each in one.goodput)
    return (one.client, one.limiter, *(f"{each:.2%}" for each in shares), *goodput, verdict)


def _hidden_cells(one: Hidden) -> tuple[str, ...]:
    delay = "" if math.isnan(one.delay) else f"{one.delay:.1f}"
    goodput = "" if one.goodput is None else f"{one.goodput:.1%}"
    return (one.client, one.limiter, f"{one.requests:.1f}", delay, f"{one.refused:.2%}", goodput)


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ("---",) * len(head), *rest])
