"""The command: play every scenario, and show what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import policy
from benchmarks.policy.batches import play_batches
from benchmarks.policy.report import Report
from benchmarks.policy.singles import play_singles
from benchmarks.policy.size import FULL, QUICK
from benchmarks.policy.streams import play_drift, play_queue, play_steady
from benchmarks.policy.targets import targets

if TYPE_CHECKING:
    from benchmarks.policy.size import Size


def main() -> None:
    """Play, print the tables, and write what is asked for."""
    wanted = _arguments()
    report = play(QUICK if wanted.quick else FULL)
    text = report.as_markdown()
    sys.stdout.write(text)
    if wanted.markdown is not None:
        wanted.markdown.write_text(text, "utf-8")
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(report.as_data(), allow_nan=False) + "\n", "utf-8")
    if wanted.svg is not None:
        from benchmarks.plots.policy import draw  # noqa: PLC0415 - needs what only plots need

        draw(report, wanted.svg)


def play(size: Size) -> Report:
    """Everything."""
    rows, curves = play_singles(size)
    _say("single generations are played")
    rows += play_batches(size)
    _say("batches are played")
    rows += [*play_steady(size), *play_queue(size)]
    _say("streams are played")
    more_rows, more_curves = play_drift(size)
    rows, curves = rows + more_rows, curves + more_curves
    return Report(rows, curves, targets(rows, curves))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


class _Arguments(argparse.Namespace):
    quick: bool
    json: Path | None
    markdown: Path | None
    svg: Path | None


def _arguments() -> _Arguments:
    first, _, rest = (policy.__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser("python -m benchmarks.policy", description=first, epilog=rest)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="just enough to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there, as data")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw there; needs the extra `bench`")
    return parser.parse_args(namespace=_Arguments())


if __name__ == "__main__":
    main()
