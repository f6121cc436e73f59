"""The clock, checked: the same runs with it and in true real time, side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import evolve

from benchmarks.peers.run import Case, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.peers.outcome import Outcome
    from benchmarks.peers.settings import Setting

__all__ = ["side_by_side"]

_MEDIAN = 45.0  # seconds: short enough to wait for, and several polls long
_EXPECTED = 300.0  # seconds: what our first setting's model is taken to need


def side_by_side(settings: Sequence[Setting], *, jobs: int, seed: int) -> str:
    """Run each both ways with short generations; a table of both.

    Raises:
        Unavailable: One of the clients cannot be had.
    """
    columns = ("requests/job", "mean delay", "p99 delay", "took", "delivered")
    lines = [f"{'client':20}{'clock':9}" + "".join(f"{column:>14}" for column in columns)]
    for setting in settings:
        case = Case(setting=_short(setting), condition="plain", jobs=jobs, seed=seed, median=_MEDIAN)
        lines.append(_line(setting.name, "jumping", run(case)))
        lines.append(_line(setting.name, "real", run(evolve(case, real=True))))
    return "\n".join(lines) + "\n"


def _short(setting: Setting) -> Setting:
    """Return the same settings, told that generations are short if they take that into account."""
    if setting.client != "kling":
        return setting
    polling = {**setting.options.get("polling", {}), "scale": _EXPECTED / _MEDIAN}
    return evolve(setting, options={**setting.options, "polling": polling})


def _line(name: str, clock: str, outcome: Outcome) -> str:
    delays = (outcome.mean_delay_s or math.nan, outcome.p99_delay_s or math.nan)
    numbers = (outcome.requests_per_job, *delays, outcome.took_s, outcome.delivered)
    return f"{name:20}{clock:9}" + "".join(f"{number:14.2f}" for number in numbers)
