"""The command line: what can be asked for, and with which words."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, Port, PositiveFloat, PositiveInt  # noqa: TC002 - read by cyclopts

from kling_async import ConfigurationError, KlingError, __version__
from kling_async.cli.demo import Demo
from kling_async.cli.exits import Exit
from kling_async.cli.serve import read_faults, serve
from kling_async.cli.terminal import LogLines, Terminal
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

app = App(
    name="kling-async",
    help="Run many Kling AI video generations at once through AI/ML API.",
    help_epilogue="Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted by Ctrl-C.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # see run()
)


@app.command
def demo(
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"))] = Path("demo-videos"),
    jobs: PositiveInt = 24,
    speed: PositiveFloat = 20.0,
    seed: int = 1,
) -> int:
    """Make 24 videos at once, from a local stand-in for the vendor: no key, no bill, no network.

    It starts a sandbox on this machine, submits prompts for eight models, shows how far they are, downloads the videos
    and checks each, and ends with what it took. Exits with 0 only if every video arrived whole.

    Args:
        output: The folder for the videos; files of the same names in it are replaced.
        jobs: How many videos to make.
        speed: How many times as fast as the vendor's the sandbox's time passes.
        seed: Decides about ids and durations; the same seed gives the same again.
    """
    return Demo(output, jobs=jobs, speed=speed, seed=seed).run(Terminal())


@app.command
def sandbox(
    *,
    host: str = "127.0.0.1",
    port: Port = 8642,
    speed: PositiveFloat = 60.0,
    seed: int = 1,
    slots: PositiveInt = 100,
    max_concurrent: NonNegativeInt | None = None,
    requests_per_second: PositiveFloat | None = None,
    credits: NonNegativeFloat | None = None,  # noqa: A002 - the name of the option
    fault: Annotated[tuple[str, ...], Parameter(negative="", metavar="NAME=VALUE", show_default=False)] = (),
) -> None:
    """Serve a local stand-in for the vendor until Ctrl-C, and print how to use it.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        speed: How many times as fast as the vendor's its time passes.
        seed: Decides about ids, durations, faults and the key; the same seed gives the same again.
        slots: How many generations it works on at once; the others queue.
        max_concurrent: How many generations may be unfinished before a submit gets 429; by default any number.
        requests_per_second: How many requests may come in a second before 429; by default any number.
        credits: What the account may spend, 100 credits to the dollar; by default without end.
        fault: Something that goes wrong, and how often, from 0 to 1, such as server_error=0.05, drop_after=0.01,
            error_outcome=0.1 or truncated_file=0.1; may be given several times. A wrong name lists them all.
    """
    vendor = Sandbox(
        host=host,
        port=port,
        speed=speed,
        seed=seed,
        slots=slots,
        max_concurrent=max_concurrent,
        requests_per_second=requests_per_second,
        credits=credits,
        faults=read_faults(fault),
    )
    asyncio.run(serve(vendor, Terminal()))


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say, and return the exit code; what goes wrong is said in a line."""
    terminal = Terminal()
    log = LogLines(terminal)
    logging.getLogger("kling_async").addHandler(log)
    try:
        return _dispatch(arguments, terminal)
    except KeyboardInterrupt:
        terminal.say("interrupted", "yellow")
        return Exit.INTERRUPTED
    finally:
        logging.getLogger("kling_async").removeHandler(log)


def _dispatch(arguments: Sequence[str], terminal: Terminal) -> int:
    try:
        result = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:  # cyclopts has said what is wrong
        return Exit.USAGE
    except ConfigurationError as error:
        terminal.say(f"kling-async: {error}", "red")
        return Exit.USAGE
    except KlingError as error:
        terminal.say(f"kling-async: {error}", "red")
        return Exit.FAILED
    except OSError as error:
        terminal.say(f"kling-async: {_told(error)}", "red")
        return Exit.FAILED
    return Exit.OK if result is None else result


def _told(error: OSError) -> str:
    """What went wrong, without the system's number for it."""
    about = "" if error.filename is None else f"{error.filename}: "
    return f"{about}{error.strerror or error}"
