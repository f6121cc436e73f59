"""The command: run every case that is asked for, and show what was found."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

import benchmarks.peers as package
from benchmarks.command import Wanted, parser_for
from benchmarks.peers import figures as kept
from benchmarks.peers.environments import Unavailable, python_with
from benchmarks.peers.figures import Figures
from benchmarks.peers.real_time import side_by_side
from benchmarks.peers.run import CONDITIONS, Case, run
from benchmarks.peers.settings import SETTINGS
from benchmarks.peers.table import as_markdown
from benchmarks.peers.vendor.ledger import mean_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.peers.settings import Setting

_MEDIAN = 330.0  # seconds: a master model's video of 5 seconds, by the vendor's own account
_SIZES, _QUICK_SIZES, _REAL_SIZES = (1, 50, 500), (1, 10), (20,)


def main() -> None:
    """Run what was asked for. Every figure is written down as soon as it is there."""
    wanted = _arguments()
    settings = [each for each in SETTINGS if not wanted.only or each.name in wanted.only]
    if wanted.real:
        sys.stdout.write(side_by_side(settings, jobs=wanted.jobs[-1], seed=wanted.seeds[0]))
        return
    figures = _earlier(wanted)
    for cases in _cases(wanted, settings):
        _measure(cases, figures, wanted)
    sys.stdout.write(as_markdown(figures, SETTINGS))
    _write(figures, wanted)
    if wanted.svg is not None:
        _draw(figures, wanted.svg)


class _Arguments(Wanted):
    real: bool
    resume: bool
    only: list[str]
    conditions: list[str]
    jobs: list[int]
    seeds: list[int]
    budget: float
    timeout: float


def _arguments() -> _Arguments:
    parser = parser_for(package)
    names = [each.name for each in SETTINGS]
    parser.add_argument("--quick", action="store_true", help="few jobs and one seed: just enough to see that it runs")
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="NAME", help=", ".join(names))
    parser.add_argument("--conditions", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS))
    parser.add_argument("--jobs", nargs="+", type=int, metavar="N", help="1 50 500; the last for all but plain")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="1 2 3")
    parser.add_argument("--budget", type=float, default=120.0, help="real seconds of a case until no further seed")
    parser.add_argument("--timeout", type=float, default=3600.0, help="real seconds after which a run is given up")
    parser.add_argument("--resume", action="store_true", help="keep what is in the JSON file, and run only what is not")
    parser.add_argument("--real", action="store_true", help="check the clock: the same with and without it, in minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs there as they come in")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the plot there")
    wanted = parser.parse_args(namespace=_Arguments())
    wanted.jobs = sorted(wanted.jobs or (_REAL_SIZES if wanted.real else _QUICK_SIZES if wanted.quick else _SIZES))
    wanted.seeds = wanted.seeds or ([1] if wanted.quick else [1, 2, 3])
    return wanted


def _earlier(wanted: _Arguments) -> Figures:
    if wanted.resume and wanted.json is not None and wanted.json.exists():
        return kept.read(wanted.json)
    return Figures(wanted.quick)


def _cases(wanted: _Arguments, settings: Sequence[Setting]) -> Iterator[list[Case]]:
    """Yield the cases of all seeds, by what else they have in common."""
    for condition in wanted.conditions:
        for jobs in wanted.jobs if condition == "plain" else wanted.jobs[-1:]:
            for setting in settings:
                if condition == "led" and setting.client != "kling":  # nobody else reads the ledger: it is as plain
                    continue
                case = Case(setting=setting, condition=condition, jobs=jobs, median=_MEDIAN, timeout=wanted.timeout)
                yield [evolve(case, seed=seed) for seed in wanted.seeds]


def _measure(cases: Sequence[Case], figures: Figures, wanted: _Arguments) -> None:
    """Run each, until that has taken too long."""
    begun = time.perf_counter()
    for case in cases:
        if figures.has(case):
            continue
        if time.perf_counter() - begun > wanted.budget:
            return
        said = f"{case.condition}, {case.jobs} jobs, {case.setting.name}, seed {case.seed}"
        sys.stderr.write(f"{said} …\n")
        try:
            figures.add(case, run(case))
        except Unavailable as error:
            sys.stderr.write(f"{said}: {error}\n")
            figures.add(case, None, str(error))
        _write(figures, wanted)


def _write(figures: Figures, wanted: _Arguments) -> None:
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(figures.as_data(), indent=1) + "\n", "utf-8")
    if wanted.markdown is not None:
        wanted.markdown.write_text(as_markdown(figures, SETTINGS), "utf-8")


def _draw(figures: Figures, svg: Path) -> None:
    """Draw with what the plot's own environment has."""
    most, seed = figures.sizes[-1], figures.runs[0].seed
    asked = {"jobs": most, "mean_s": mean_seconds(most, seed, _MEDIAN), "points": _points(figures, most)}
    try:
        python = python_with("plot")
    except Unavailable as error:
        sys.stderr.write(f"no plot: {error}\n")
        return
    command = [str(python), str(Path(__file__).with_name("plot.py")), str(svg)]
    subprocess.run(command, input=json.dumps(asked), text=True, check=True)  # noqa: S603 - our own


def _points(figures: Figures, jobs: int) -> list[dict[str, Any]]:
    return [
        {
            "title": each.title + said,
            "label": each.label,
            "best": each.best,
            "ours": each.client == "kling",
            "led": condition == "led",
            "requests": outcome.requests_per_job,
            "delay": outcome.mean_delay_s,
            "delivered": outcome.delivered,
        }
        for condition, said in (("plain", ""), ("led", ", ledger 2 s behind"))
        for each in SETTINGS
        if (outcome := figures.outcome(each.name, condition, jobs)) is not None and outcome.mean_delay_s
    ]


if __name__ == "__main__":
    main()
