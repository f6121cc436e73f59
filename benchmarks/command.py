"""The command line that all benchmarks share."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Report", "Wanted", "parser_for", "read", "show"]


class Report(Protocol):
    """The report of a benchmark."""

    def as_markdown(self) -> str:
        """Return the tables."""
        ...

    def as_data(self) -> object:
        """Return all figures, fit for JSON, which knows no NaN."""
        ...


class Wanted(Namespace):
    """The arguments of a benchmark that has tables and a plot."""

    quick: bool
    json: Path | None
    markdown: Path | None
    svg: Path | None


def parser_for(package: ModuleType) -> ArgumentParser:
    """Return a parser without options, whose help is what the package says of itself."""
    first, _, rest = (package.__doc__ or "").partition("\n")
    return ArgumentParser(
        f"python -m {package.__name__}",
        description=first,
        epilog=rest,
        formatter_class=RawDescriptionHelpFormatter,
    )


def read(package: ModuleType) -> Wanted:
    """Parse the command line of this package."""
    parser = parser_for(package)
    parser.add_argument("--quick", action="store_true", help="just enough to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there, as data")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw there; needs the extra `bench`")
    return parser.parse_args(namespace=Wanted())


def show(report: Report, wanted: Wanted) -> None:
    """Print the tables, and write tables and figures where that is asked for. Plots are each command's own."""
    text = report.as_markdown()
    sys.stdout.write(text)
    if wanted.markdown is not None:
        wanted.markdown.write_text(text, "utf-8")
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(report.as_data(), allow_nan=False) + "\n", "utf-8")
