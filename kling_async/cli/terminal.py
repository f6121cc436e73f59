"""Where output goes: results to standard output, everything else to standard error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from attrs import field, frozen
from rich.console import Console
from rich.text import Text

from kling_async.cli.figures import one_line

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["LogLines", "Terminal"]


def _console(stream: TextIO) -> Console:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        # A prompt may hold what the terminal's encoding does not; that is no reason to end.
        reconfigure(errors="replace")
    return Console(file=stream, highlight=False, markup=False, emoji=False)


@frozen
class Terminal:
    """The streams of a command. On a terminal they are in colour, unless ``NO_COLOR`` is set.

    Attributes:
        out: For results.
        err: For progress and messages.
    """

    out: Console = field(factory=lambda: _console(sys.stdout))
    err: Console = field(factory=lambda: _console(sys.stderr))

    def say(self, message: str, style: str = "") -> None:
        """A message for the person in front: never cut, wrapped only by the terminal."""
        self.err.print(Text(message, style), soft_wrap=True)

    def tell(self, line: str = "") -> None:
        """A line of the result, as it is."""
        self.out.print(Text(line), soft_wrap=True)

    @property
    def is_live(self) -> bool:
        """Whether a person sees messages appear, on a terminal that can overwrite them."""
        return self.err.is_interactive and self.err.file.isatty()


class LogLines(logging.Handler):
    """Shows the library's warnings as messages, in one line each."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        self._terminal.say(f"{record.levelname.lower()}: {one_line(record.getMessage())}", "yellow")
