"""``kling-async balance``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kling_async.cli.connect import connected
from kling_async.cli.options import CONNECTION, AsJson, Connection
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import dollars

if TYPE_CHECKING:
    from kling_async import Balance

__all__ = ["balance"]


def balance(*, as_json: AsJson = False, connection: Connection = CONNECTION) -> None:
    """Print what is left on the account, in US dollars."""
    terminal = Terminal(as_json=as_json)
    left = asyncio.run(_asked(connection))
    if as_json:
        terminal.tell_facts({"usd": float(left.usd), "currency": left.currency})
    else:
        terminal.tell(dollars(float(left.usd)))


async def _asked(connection: Connection) -> Balance:
    async with connected(connection) as kling:
        return await kling.balance()
