"""``kling-async sandbox``: a vendor to try things with, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from attrs import fields_dict

from kling_async import ConfigurationError
from kling_async.api.reprs import show
from kling_async.cli.figures import count
from kling_async.sandbox import Faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kling_async.cli.terminal import Terminal
    from kling_async.sandbox import Ledger, Sandbox

__all__ = ["how_to_use", "read_faults", "serve"]

_FAULTS = fields_dict(Faults)


def read_faults(given: Iterable[str]) -> Faults:
    """The faults that were given as ``name=value``.

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
    """Serve, and say how to use it; cancel it to end.

    Raises:
        OSError: The port cannot be had.
    """
    async with sandbox:
        for line in how_to_use(sandbox):
            terminal.tell(line)
        terminal.say("Serving until Ctrl-C.", "dim")
        try:
            await asyncio.Event().wait()
        finally:
            terminal.say(_takings(sandbox.ledger))


def _takings(ledger: Ledger) -> str:
    polls = sum(map(len, ledger.polls.values()))
    return (
        f"{count(len(ledger.purchases), 'generation')} bought, {count(polls, 'poll')}, {ledger.throttled} refused (429)"
    )


def how_to_use(sandbox: Sandbox, *, windows: bool = os.name == "nt") -> list[str]:
    """How to use a sandbox: its address and key for the environment, and a program that needs nothing else."""
    setting = '$env:{}="{}"' if windows else "export {}={}"
    return [
        setting.format("AIMLAPI_BASE_URL", sandbox.url),
        setting.format("AIMLAPI_API_KEY", sandbox.api_key),
        "",
        "import asyncio",
        "from kling_async import KlingSession, Polling, TextToVideo",
        "",
        "async def main():",
        f"    polling = Polling(scale={sandbox.speed:g})  # it is {sandbox.speed:g} times as fast as the vendor",
        "    async with KlingSession(polling=polling) as kling:",
        '        video = await kling.submit(TextToVideo("a white raccoon in a sequoia forest"))',
        '        print(await kling.download(video, into="videos"))',
        "",
        "asyncio.run(main())",
        "",
    ]
