"""``kling-async sandbox``: a vendor to try things with, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated, Any

from attrs import fields_dict
from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, Port, PositiveFloat, PositiveInt

from kling_async import ConfigurationError
from kling_async.api.reprs import show
from kling_async.cli.signals import run_told
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count
from kling_async.sandbox import Faults, Sandbox
from kling_async.transport.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kling_async.sandbox import CallRecorder

_FAULTS = fields_dict(Faults)


def read_faults(given: Iterable[str]) -> Faults:
    """Parse faults given as ``name=value``.

    Raises:
        ConfigurationError: There is no such fault, or it does not take this value.
    """
    chosen: dict[str, Any] = dict(map(_read_fault, given))  # Faults itself judges the values
    return Faults(**chosen)


def _read_fault(given: str) -> tuple[str, float | str]:
    name, _, value = given.partition("=")
    name = name.strip().replace("-", "_")
    if name not in _FAULTS:
        raise ConfigurationError(f"there is no fault {show(name)}, only {', '.join(_FAULTS)}")
    if name == "error_shape":
        return name, value
    try:
        return name, float(value)
    except ValueError:
        raise ConfigurationError(f"{show(given)} is not of the form {name}=NUMBER") from None


async def serve(sandbox: Sandbox, terminal: Terminal) -> None:
    """Serve until cancelled, and print how to use the sandbox.

    Raises:
        OSError: The port cannot be had.
    """
    async with sandbox:
        for line in how_to_use(sandbox):
            terminal.result(line)
        terminal.message("Serving until Ctrl-C.", "dim")
        try:
            await asyncio.Event().wait()
        finally:
            terminal.message(_takings(sandbox.ledger))


def _takings(ledger: CallRecorder) -> str:
    polls = sum(map(len, ledger.polls.values()))
    return (
        f"{count(len(ledger.purchases), 'generation')} bought, {count(polls, 'poll')}, {ledger.throttled} refused (429)"
    )


def how_to_use(sandbox: Sandbox, *, windows: bool = os.name == "nt") -> list[str]:
    """Return lines that set the environment variables, and a complete program that uses them."""
    setting = '$env:{}="{}"' if windows else "export {}={}"
    more = "" if is_loopback(sandbox.host) else "allow_http=True"
    return [
        setting.format("AIMLAPI_BASE_URL", sandbox.url),
        setting.format("AIMLAPI_API_KEY", sandbox.api_key),
        "",
        "import asyncio",
        "from kling_async import KlingSession, TextToVideo",
        "",
        "async def main():",
        f"    async with KlingSession({more}) as kling:",
        '        video = await kling.submit(TextToVideo("a white raccoon in a sequoia forest"))',
        '        print(await kling.download(video, into="videos"))',
        "",
        "asyncio.run(main())",
        "",
    ]


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
) -> int | None:
    """Serve a local stand-in for the vendor until Ctrl-C, and print how to use it.

    The other commands use it, too, with the two settings that it prints.

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
    return run_told(serve(vendor, terminal), terminal)
