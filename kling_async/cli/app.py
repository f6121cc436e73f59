"""The command line: the list of commands, and the exit code and message for each kind of error."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.completion import ShellDetectionError

from kling_async import ConfigurationError, InvalidRequest, KlingError, __version__
from kling_async.api.reprs import cut
from kling_async.cli.batch.rows import InvalidBatch, describe
from kling_async.cli.exit_codes import Exit
from kling_async.cli.signals import exit_code
from kling_async.cli.terminal import LogLines, Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOGUE = """
Exit codes: 0 all done, 1 something failed, 2 wrong usage and nothing was done, 3 it stopped early and can go on,
130 interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.

The API key is read from the environment variable AIMLAPI_API_KEY, or from a file with --key-file. Without one,
everything can be tried with --sandbox. Results go to standard output, progress and messages to standard error.
"""


def _shown(default: object) -> object:
    """Return the default that help shows: None for options that are off or empty."""
    return None if default is False or default in ((), "") else default


app: App = App(
    name="kling-async",
    help="Run many Kling AI video generations at once through AI/ML API.",
    help_epilogue=_EPILOGUE,
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # see run()
    default_parameter=Parameter(negative="", show_default=_shown),
)

_HELP = ("--help", "-h")
_COMPLETION = "--install-completion"


@app.command(name=_COMPLETION)
def install_completion(shell: Literal["bash", "zsh", "fish"] | None = None, /) -> None:
    """Have the shell complete commands and options at the Tab key.

    Args:
        shell: The shell; by default the one that this runs in.
    """
    _load_all()
    try:
        written = app.install_completion(shell=shell)
    except ShellDetectionError:
        raise ConfigurationError(f"say which shell: kling-async {_COMPLETION} bash") from None
    Terminal().text([f"{written} is written, and works from the next shell on"])


_COMMANDS = {
    "Make videos": ("batch:generate", "batch:batch", "batch:resume"),
    "Look after them": ("journal:status", "account:fetch", "batch:download", "gallery:gallery", "journal:prune"),
    "Share a journal": ("journal:worker", "journal:leader"),
    "Know before you pay": ("account:models", "account:balance", "account:cost", "account:logs"),
    "Try it out": ("sandbox:demo", "sandbox:sandbox"),
}
for _order, (_title, _places) in enumerate(_COMMANDS.items()):
    _group = Group(_title, sort_key=_order)
    for _place in _places:
        # By its place alone: a command and what it needs are loaded when it is called.
        app.command(f"kling_async.cli.commands.{_place}", name=_place.partition(":")[2], group=_group)


def run(arguments: Sequence[str]) -> int:
    """Run the command line, and return its exit code; an error is printed in one line."""
    terminal = Terminal()
    log = LogLines(terminal)
    logging.getLogger("kling_async").addHandler(log)
    try:
        return _dispatch(arguments, terminal)
    except KeyboardInterrupt as interrupt:
        terminal.message("interrupted", "yellow")
        return exit_code(interrupt)
    finally:
        logging.getLogger("kling_async").removeHandler(log)


def _load_all() -> None:
    """Load every command: the list of commands shows the first line of each one's docstring."""
    for places in _COMMANDS.values():
        for place in places:
            app[place.partition(":")[2]]  # which loads it


def _dispatch(arguments: Sequence[str], terminal: Terminal) -> int:
    if not arguments or arguments[0] in _HELP:
        _load_all()
    try:
        if any("\0" in argument for argument in arguments):
            raise ConfigurationError("an argument holds a NUL, which no path can")
        # Without its value it is a flag; cyclopts would take the next word for its value.
        words = ["--retry-failed=true" if word == "--retry-failed" else word for word in arguments]
        result = app(words, console=terminal.out, exit_on_error=False, result_action="return_value")
    except CycloptsError:  # cyclopts has said what is wrong
        return Exit.USAGE
    except InvalidBatch as bad:
        for line in describe(bad):
            terminal.message(line, "red")
        return Exit.USAGE
    except KlingError as error:
        terminal.message(f"kling-async: {error}", "red")
        return Exit.USAGE if isinstance(error, ConfigurationError | InvalidRequest) else Exit.FAILED
    except BrokenPipeError:  # whoever reads has enough, as `head` has
        return Exit.OK
    except OSError as error:
        about = "" if error.filename is None else f"{cut(str(error.filename))}: "  # without the error's number
        terminal.message(f"kling-async: {about}{error.strerror or error}", "red")
        return Exit.FAILED
    return Exit.OK if result is None else result
