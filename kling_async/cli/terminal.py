"""Where output goes: results to standard output, everything else to standard error."""

from __future__ import annotations

import errno
import json
import logging
import sys
from typing import TYPE_CHECKING

from attrs import field, frozen
from rich.console import Console
from rich.text import Text

from kling_async.cli.figures import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["LogLines", "Terminal"]


def _console(stream: TextIO) -> Console:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        # A prompt may hold what the terminal's encoding does not; that is no reason to end.
        reconfigure(errors="replace")
    return _Console(file=stream, highlight=False, markup=False, emoji=False)


class _Console(Console):
    """A console whose reader may go away, as ``head`` does."""

    def on_broken_pipe(self) -> None:
        """Keep Python from complaining at its end, and raise an error rather than leave the process."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more") from None


@frozen
class Terminal:
    """The streams of a command. On a terminal they are in colour, unless ``NO_COLOR`` is set.

    Attributes:
        out: For results.
        err: For progress and messages.
        as_json: Whether results are JSON lines, which appear while there is progress to show.
    """

    out: Console = field(factory=lambda: _console(sys.stdout))
    err: Console = field(factory=lambda: _console(sys.stderr))
    as_json: bool = False

    def say(self, message: str, style: str = "") -> None:
        """A message for the person in front: never cut, wrapped only by the terminal."""
        self.err.print(Text(message, style), soft_wrap=True)

    def tell(self, line: str = "") -> None:
        """A line of the result, as it is."""
        self.out.print(Text(line), soft_wrap=True)

    def tell_facts(self, facts: Mapping[str, object]) -> None:
        """A line of the result, as JSON: ASCII alone, so that any pipe takes it."""
        self.tell(json.dumps(facts, default=str))

    def end(self, message: str) -> None:
        """Say the last words, beneath whatever is drawn, and leave the streams as a shell wants them."""
        if self.is_live:
            self.err.show_cursor()
            self.err.file.write("\n")
        self.err.file.write(f"{message}\n")
        self.err.file.flush()
        self.out.file.flush()

    @property
    def is_live(self) -> bool:
        """Whether a person sees messages appear, on a terminal that can overwrite them."""
        shares_it = self.as_json and self.out.file.isatty()  # results would tear the picture
        return self.err.is_interactive and self.err.file.isatty() and not shares_it


class LogLines(logging.Handler):
    """Shows the library's warnings as messages, in one line each."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        self._terminal.say(f"{record.levelname.lower()}: {one_line(record.getMessage())}", "yellow")
