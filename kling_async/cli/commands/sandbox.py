"""``kling-async sandbox``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, Port, PositiveFloat, PositiveInt  # noqa: TC002 - read by cyclopts

from kling_async.cli.interrupts import run
from kling_async.cli.serve import read_faults, serve
from kling_async.cli.terminal import Terminal
from kling_async.sandbox import Sandbox

__all__ = ["sandbox"]


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

    The other commands use it, too, with the two settings that it prints and the same --speed.

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
    terminal = Terminal()
    run(serve(vendor, terminal), lambda: terminal.end("interrupted at once"))
