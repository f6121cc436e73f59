"""Where a batch comes from: a file, or standard input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.api.reprs import cut
from kling_async.cli.files import here, read_file, read_stdin
from kling_async.cli.rows import read_rows

if TYPE_CHECKING:
    from kling_async.cli.rows import Row
    from kling_async.cli.wishes import Wishes

__all__ = ["Source"]

_STDIN = "-"


@frozen
class Source:
    """A batch, by what was typed for it: a path, or ``-`` for standard input."""

    name: str

    def rows(self, wishes: Wishes) -> list[Row]:
        """Its rows, each with what it leaves out as wished.

        Raises:
            BadRows: Some of it cannot be used.
            ConfigurationError: It cannot be read, or a wish is not of its form.
        """
        usual = wishes.cells()
        if self.name == _STDIN:
            return read_rows(read_stdin(), "standard input", here(), usual)
        path = Path(self.name)
        return read_rows(read_file(path, "the batch"), cut(self.name), path.absolute().parent, usual)

    def journal(self, *, sandbox: bool) -> Path:
        """Where its journal is, if nothing else was asked for: beside it, and apart for what a sandbox makes."""
        path = Path("kling-batch") if self.name == _STDIN else Path(self.name).with_suffix("")
        return path.with_name(f"{path.name}{'.sandbox' if sandbox else ''}.db")
