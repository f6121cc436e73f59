"""``kling-async cost``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kling_async.cli.batch.quote import by_model, notes, quote, total, total_json
from kling_async.cli.batch.rows import VIDEO_OPTIONS, BatchSource, VideoOptions
from kling_async.cli.connect import open_session
from kling_async.cli.options import CONNECTION, AsJson, Connection
from kling_async.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kling_async import Cost
    from kling_async.cli.batch.rows import Row


def cost(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    as_json: AsJson = False,
    video: VideoOptions = VIDEO_OPTIONS,
    connection: Connection = CONNECTION,
) -> None:
    """Say what a batch would cost by the vendor's price list of today, model by model. Nothing is submitted.

    Every row is counted, those included that a journal knows already; `batch --dry-run` counts what is still to buy.
    With --json, the last line holds the total.

    Args:
        file: The batch, as for `kling-async batch`; - for standard input.
    """
    terminal = Terminal(as_json=as_json)
    rows = BatchSource(file).rows(video)
    quotes = quote(rows, asyncio.run(_asked(rows, connection)), {})
    if as_json:
        for one in quotes:
            terminal.json_result(one.to_json())
        terminal.json_result({"total": total_json(quotes)})
        return
    terminal.table(by_model(quotes))
    terminal.result(f"in all: {total(quotes)}")
    for note in notes(quotes):
        terminal.message(f"not known exactly: {note}", "yellow")


async def _asked(rows: Sequence[Row], connection: Connection) -> Cost:
    async with open_session(connection) as kling:
        return await kling.estimate([row.request for row in rows])
