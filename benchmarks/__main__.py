"""The command: measure, and show what was found."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import benchmarks
from benchmarks import cpu, database, decision, downloads, imports, journal, lines, memory, sharing, stall
from benchmarks.command import parser_for
from benchmarks.figure import FULL, QUICK
from benchmarks.table import as_data, as_markdown, as_table, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.figure import Figure, Size

_MEASUREMENTS: dict[str, Callable[[Size], list[Figure]]] = {
    "cpu": cpu.measure,
    "decision": decision.measure,
    "lines": lines.measure,
    "memory": memory.measure,
    "stall": stall.measure,
    "import": imports.measure,
    "journal": journal.measure,
    "sharing": sharing.measure,
    "database": database.measure,
    "downloads": lambda size: downloads.measure(downloads.QUICK if size is QUICK else downloads.FULL),
}

_PROGRAMS: dict[str, list[str]] = {"policy": [], "limits": [], "peers": ["--only", "kling_async", "aiohttp-10s"]}
"""The benchmarks that are programs of their own, and what makes a quick run of each shorter still."""

_OUTPUTS = {"json": "json", "markdown": "md", "svg": "svg"}


def main() -> None:
    """Run what was asked for; every figure is printed, whether or not it meets its target."""
    wanted = _arguments()
    figures = _measured(wanted)
    sys.stdout.write(f"{as_table(figures)}\n{summary(figures)}\n")
    if wanted.quick:
        sys.stdout.write("a quick run: these figures are too rough to quote\n")
    data = json.dumps(as_data(figures, quick=wanted.quick), indent=2) + "\n"
    if wanted.json is not None:
        wanted.json.write_text(data, "utf-8")
    if wanted.results is not None:
        wanted.results.mkdir(parents=True, exist_ok=True)
        (wanted.results / "costs.json").write_text(data, "utf-8")
        (wanted.results / "costs.md").write_text(as_markdown(figures), "utf-8")
        for program in _PROGRAMS:
            _run(program, wanted.results, quick=wanted.quick)


def _measured(wanted: _Arguments) -> list[Figure]:
    size = QUICK if wanted.quick else FULL
    figures: list[Figure] = []
    for name in wanted.names or _MEASUREMENTS:
        sys.stderr.write(f"measuring {name} …\n")
        figures += _MEASUREMENTS[name](size)
    return figures


def _run(program: str, results: Path, *, quick: bool) -> None:
    """Run a benchmark of its own, which leaves its tables and its plot there."""
    sys.stderr.write(f"running benchmarks.{program} …\n")
    outputs = [part for kind, end in _OUTPUTS.items() for part in (f"--{kind}", str(results / f"{program}.{end}"))]
    shorter = ["--quick", *_PROGRAMS[program]] if quick else []
    if quick or find_spec("matplotlib") is None:
        outputs = outputs[:-2]  # the plot
    command = [sys.executable, "-m", f"benchmarks.{program}", *outputs, *shorter]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own


class _Arguments(Namespace):
    names: list[str]
    quick: bool
    json: Path | None
    results: Path | None


def _arguments() -> _Arguments:
    parser = parser_for(benchmarks)
    parser.add_argument("names", nargs="*", metavar="measurement", help=f"some of: {', '.join(_MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="just enough to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="run all there is, and write it all there")
    wanted = parser.parse_args(namespace=_Arguments())
    if unknown := set(wanted.names) - _MEASUREMENTS.keys():
        parser.error(f"there is no measurement called {', '.join(sorted(unknown))}")
    return wanted


if __name__ == "__main__":
    main()
