"""The table, in Markdown."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from benchmarks.peers.outcome import Outcome
from kling_async import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.peers.figures import Figures
    from benchmarks.peers.settings import Setting

__all__ = ["as_markdown"]

_NONE = "-"


def as_markdown(figures: Figures, settings: Sequence[Setting]) -> str:
    """One row a client and setting, then what the columns mean, and what could not be run."""
    sizes = figures.sizes
    most = max(sizes)
    listed = " · ".join(map(str, sizes))
    header = (
        "client",
        "setting",
        f"requests per job: {listed} jobs",
        "mean delay, s",
        "p99 delay, s",
        "CPU per job, ms",
        "peak memory, MB",
        f"of {most}: delivered / twice / lost",
        "2 % of answers lost: POSTs per job, delivered / twice / lost, mean delay",
        "limit of 5/s: delivered / twice / lost, mean delay, refused",
        "ledger 2 s behind the end: requests per job, mean and p99 delay",
    )
    rows = [header, ("---",) * 2 + ("---:",) * (len(header) - 2)]
    rows += [_row(figures, setting, sizes) for setting in settings if _was_run(figures, setting)]
    return "\n".join(["| " + " | ".join(row) + " |" for row in rows] + ["", *_notes(figures, settings), ""])


def _was_run(figures: Figures, setting: Setting) -> bool:
    return any(run.setting == setting.name for run in figures.runs)


def _row(figures: Figures, setting: Setting, sizes: Sequence[int]) -> tuple[str, ...]:
    plain = [figures.of(setting.name, "plain", size) for size in sizes]
    most = max(sizes)
    return (
        f"**{setting.title}**" if setting.client == "kling" else setting.title,
        setting.how,
        _each(plain, lambda it: it.requests_per_job),
        _each(plain, lambda it: it.mean_delay_s),
        _each(plain, lambda it: it.p99_delay_s),
        _each(plain, lambda it: it.cpu_ms_per_job),
        _each(plain, lambda it: it.peak_mb),
        _fate(plain[-1]),
        _lost(figures.of(setting.name, "lost", most)),
        _limited(figures.of(setting.name, "limited", most)),
        _led(figures.of(setting.name, "led", most)) if setting.client == "kling" else "does not read it",
    )


def _each(outcomes: Sequence[Outcome | str | None], number: Callable[[Outcome], float | None]) -> str:
    return " · ".join(_number(number(it)) if isinstance(it, Outcome) else _NONE for it in outcomes)


def _fate(outcome: Outcome | str | None) -> str:
    if not isinstance(outcome, Outcome):
        return _NONE
    return f"{outcome.delivered:,.0f} / {outcome.twice:,.0f} / {outcome.lost:,.0f}"


def _lost(outcome: Outcome | str | None) -> str:
    if not isinstance(outcome, Outcome):
        return _NONE
    return f"{outcome.posts_per_job:.2f}, {_fate(outcome)}, {_seconds(outcome.mean_delay_s)}"


def _limited(outcome: Outcome | str | None) -> str:
    if not isinstance(outcome, Outcome):
        return _NONE
    return f"{_fate(outcome)}, {_seconds(outcome.mean_delay_s)}, {100 * outcome.refused_share:.3g} %"


def _led(outcome: Outcome | str | None) -> str:
    if not isinstance(outcome, Outcome):
        return _NONE
    return f"{_number(outcome.requests_per_job)}, {_seconds(outcome.mean_delay_s)}, {_seconds(outcome.p99_delay_s)}"


def _seconds(value: float | None) -> str:
    return _NONE if value is None else f"{_number(value)} s"


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"  # noqa: PLR2004


def _notes(figures: Figures, settings: Sequence[Setting]) -> list[str]:
    seeds = sorted({run.seed for run in figures.runs})
    runs = f"Medians over the seeds {', '.join(map(str, seeds))}, where not fewer were run"
    notes = [
        "Delivered: the client came to know of the video. Twice: bought more than once. Lost: bought, but never known.",
        "Delays are those of the jobs delivered: short ones are worth little where few were.",
        f"{runs}; kling_async {__version__}, Python {platform.python_version()}, {platform.system()}.",
    ]
    if figures.quick:
        notes.append("A quick run: these figures are too rough to quote.")
    notes += [
        f"{each.name}, {run.condition}, {run.jobs} jobs, seed {run.seed}: no figures; {run.reason}"
        for each in settings
        for run in figures.runs
        if run.setting == each.name and run.reason is not None
    ]
    return [f"- {note}" for note in notes]
