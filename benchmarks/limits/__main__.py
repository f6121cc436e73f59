"""The command: play every limit, and show what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import limits
from benchmarks.limits.report import Report
from benchmarks.limits.scenes import FULL, QUICK, play_hidden, play_real, play_stepped


def main() -> None:
    """Play, print the tables, and write what is asked for."""
    wanted = _arguments()
    size = QUICK if wanted.quick else FULL
    report = Report(play_stepped(size), play_hidden(size) + play_real(size))
    text = report.as_markdown()
    sys.stdout.write(text)
    if wanted.markdown is not None:
        wanted.markdown.write_text(text, "utf-8")
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(report.as_data(), allow_nan=False) + "\n", "utf-8")
    if wanted.svg is not None:
        from benchmarks.plots.limits import draw  # noqa: PLC0415 - needs what only plots need

        draw(report, size.phase, wanted.svg)


class _Arguments(argparse.Namespace):
    quick: bool
    json: Path | None
    markdown: Path | None
    svg: Path | None


def _arguments() -> _Arguments:
    first, _, rest = (limits.__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser("python -m benchmarks.limits", description=first, epilog=rest)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="just enough to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there, as data")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw there; needs the extra `bench`")
    return parser.parse_args(namespace=_Arguments())


if __name__ == "__main__":
    main()
