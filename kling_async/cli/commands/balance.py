"""``kling-async balance``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kling_async.cli.connect import open_session
from kling_async.cli.options import CONNECTION, AsJson, Connection
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import dollars

if TYPE_CHECKING:
    from kling_async import Balance


def balance(*, as_json: AsJson = False, connection: Connection = CONNECTION) -> None:
    """Print what is left on the account, in US dollars."""
    terminal = Terminal(as_json=as_json)
    left = asyncio.run(_asked(connection))
    if as_json:
        terminal.json_result({"usd": left.usd, "currency": left.currency})
    else:
        terminal.result(dollars(left.usd))


async def _asked(connection: Connection) -> Balance:
    async with open_session(connection) as kling:
        return await kling.balance()
