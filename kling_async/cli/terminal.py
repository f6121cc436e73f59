"""Where output goes: results to standard output, everything else to standard error."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import field, frozen
from rich.console import Console
from rich.text import Text

from kling_async.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import TextIO

__all__ = ["LogLines", "Terminal"]


def _console(stream: TextIO) -> Console:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        # A prompt may hold what the terminal's encoding does not; that is no reason to end.
        reconfigure(errors="replace")
    return _Console(file=stream, highlight=False, markup=False, emoji=False)


class _Lenient:
    """Standard error, on which nobody may be left to read, as after a hangup: what it does not take is dropped.

    Whoever spends money has to end in order all the same. Where it broke once nothing more goes: what is left in its
    buffer would fail again at the end of the process, and change its exit code.
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
        """Keep Python from complaining at its end, and raise an error rather than leave the process."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more") from None


@lru_cache(maxsize=1)
def _messages(stream: TextIO) -> Console:
    """The one console of standard error: what another wrote would tear the picture that this one draws."""
    return _console(cast("TextIO", _Lenient(stream)))


@frozen
class Terminal:
    """The streams of a command. On a terminal they are in colour, unless ``NO_COLOR`` is set.

    Attributes:
        out: For results.
        err: For progress and messages, which are dropped where it takes none.
        as_json: Whether results are JSON lines, which appear while there is progress to show.
    """

    out: Console = field(factory=lambda: _console(sys.stdout))
    err: Console = field(factory=lambda: _messages(sys.stderr))
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
