"""The output streams: results go to standard output, progress and messages to standard error."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import field, frozen
from rich.console import Console, ConsoleDimensions
from rich.text import Text

from kling_async.cli.text import one_line, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from typing import TextIO

_USUAL = ConsoleDimensions(80, 25)


def _console(stream: TextIO) -> Console:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        # A prompt may hold what the terminal's encoding does not; that is no reason to end.
        reconfigure(errors="replace")
    console = _Console(file=stream, highlight=False, markup=False, emoji=False)
    if 0 in console.size:  # as COLUMNS=0 has it, which says that nobody knows
        console.size = _USUAL
    return console


class _LossyStream:
    """Standard error that drops output once writing fails, as after a hangup.

    A run that spends money has to end in order all the same. After the first failure everything goes to the null
    device: what is left in the buffer would fail again at the end of the process, and change its exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._dropping():
            self._stream.flush()

    @contextmanager
    def _dropping(self) -> Generator[None]:
        try:
            yield
        except OSError:
            with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


class _Console(Console):
    """A console whose reader may go away, as ``head`` does."""

    def on_broken_pipe(self) -> None:
        """Redirect the stream, and raise ``BrokenPipeError`` rather than ``SystemExit``."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more") from None


@lru_cache(maxsize=1)
def _error_console(stream: TextIO) -> Console:
    """Return the one console of standard error: a second one would write into the first one's live display."""
    return _console(cast("TextIO", _LossyStream(stream)))


@frozen
class Terminal:
    """The output streams of a command. On a terminal they are in colour, unless ``NO_COLOR`` is set.

    Attributes:
        out: For results.
        err: For progress and messages, which are dropped where it takes none.
        as_json: Whether results are JSON lines, printed while progress is shown.
    """

    out: Console = field(factory=lambda: _console(sys.stdout))
    err: Console = field(factory=lambda: _error_console(sys.stderr))
    as_json: bool = False

    def message(self, message: str, style: str = "") -> None:
        """Print a message to standard error; a terminal's lines end between words, and a command is not broken."""
        self.err.print(Text(_fitted(message, self.err), style), soft_wrap=True)

    def result(self, line: str = "") -> None:
        """Print a line of the result to standard output, as it is.

        Raises:
            BrokenPipeError: Nobody reads it any more.
        """
        self.out.print(Text(line), soft_wrap=True)

    def text(self, lines: Iterable[str]) -> None:
        """Print a result for people: a terminal's lines end between words. It raises like ``result``."""
        for line in lines:
            self.result(self.fitted(line))

    def fitted(self, text: str) -> str:
        """Break a text between words where standard output is a terminal."""
        return _fitted(text, self.out)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Print a result as a table: a row is one line, or several on a terminal that is too narrow."""
        for line in table(rows, self.out.width if self.out.is_terminal else None):
            self.result(line)

    def json_result(self, facts: Mapping[str, object]) -> None:
        """Print a JSON line of the result, ASCII alone; amounts of money are rounded to the billionth of a dollar."""
        self.result(json.dumps(facts, default=_as_json))

    def answer(self, facts: Mapping[str, object], line: str) -> None:
        """Print a result as JSON where that was asked for, or else as a line."""
        if self.as_json:
            self.json_result(facts)
        else:
            self.result(line)

    def final_message(self, message: str) -> None:
        """Print a message below a live display, show the cursor, and flush both streams."""
        if self.is_live:
            self.err.show_cursor()
            self.err.file.write("\n")
        self.err.file.write(f"{message}\n")
        self.err.file.flush()
        self.out.file.flush()

    @property
    def is_live(self) -> bool:
        """True if standard error is a terminal that can be redrawn and no results are mixed in."""
        shares_it = self.as_json and self.out.file.isatty()  # results would break the display
        return self.err.is_interactive and self.err.file.isatty() and not shares_it


def _fitted(text: str, console: Console) -> str:
    return "\n".join(wrapped(text, console.width)) if console.is_terminal else text


def _as_json(value: object) -> object:
    return float(round(value, 9)) if isinstance(value, Decimal) else str(value)


class LogLines(logging.Handler):
    """Prints the library's warnings, one line each, but not that submits halt: progress and summary tell that."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(lambda record: record.name != "kling_async.queue")
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        self._terminal.message(f"{record.levelname.lower()}: {one_line(record.getMessage())}", "yellow")
