"""The command: measure, and show what was found."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import benchmarks
from benchmarks import cpu, decision, imports, journal, memory, stall
from benchmarks.figure import FULL, QUICK
from benchmarks.table import as_data, as_table, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.figure import Figure, Size

_MEASUREMENTS: dict[str, Callable[[Size], list[Figure]]] = {
    "cpu": cpu.measure,
    "decision": decision.measure,
    "memory": memory.measure,
    "stall": stall.measure,
    "import": imports.measure,
    "journal": journal.measure,
}


def main() -> None:
    """Run what was asked for; every figure is printed, whether or not it meets its target."""
    wanted = _arguments()
    size = QUICK if wanted.quick else FULL
    figures: list[Figure] = []
    for name in wanted.names or _MEASUREMENTS:
        sys.stderr.write(f"measuring {name} …\n")
        figures += _MEASUREMENTS[name](size)
    sys.stdout.write(f"{as_table(figures)}\n{summary(figures)}\n")
    if wanted.quick:
        sys.stdout.write("a quick run: these figures are too rough to quote\n")
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(as_data(figures, quick=wanted.quick), indent=2) + "\n", "utf-8")


class _Arguments(argparse.Namespace):
    names: list[str]
    quick: bool
    json: Path | None


def _arguments() -> _Arguments:
    first, _, rest = (benchmarks.__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser("python -m benchmarks", description=first, epilog=rest)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="measurement", help=f"some of: {', '.join(_MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="just enough to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    wanted = parser.parse_args(namespace=_Arguments())
    if unknown := set(wanted.names) - _MEASUREMENTS.keys():
        parser.error(f"there is no measurement called {', '.join(sorted(unknown))}")
    return wanted


if __name__ == "__main__":
    main()
