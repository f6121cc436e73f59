"""``kling-async logs``."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from kling_async.cli.connect import open_session
from kling_async.cli.options import CONNECTION, AsJson, Connection
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import dollars, one_line

if TYPE_CHECKING:
    from kling_async import LogEntry

_HEAD = ("time (UTC)", "status", "cost", "model", "key", "generation")


def logs(
    *,
    period: str = "24h",
    model: Annotated[tuple[str, ...], Parameter(name=("--model", "-m"))] = (),
    status: Literal["succeeded", "failed"] | None = None,
    limit: Annotated[PositiveInt, Parameter(name=("--limit", "-n"))] = 100,
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> None:
    """Print the requests that the account was charged for or that failed, newest first, from the vendor's own log.

    They appear there late: a generation once it has ended. The key is that of the job, if this program or this
    library sent it.

    Args:
        period: How far back: a number followed by h or d, such as 7d.
        model: Only requests for this model; may be given several times.
        status: Only those that succeeded, or that failed.
        limit: How many to print at most.
    """
    terminal = Terminal(as_json=as_json)
    entries = asyncio.run(_asked(connection, limit, {"period": period, "models": model, "statuses": status or ()}))
    if as_json:
        for entry in entries:
            terminal.json_result(_facts(entry))
        return
    terminal.table([_HEAD, *map(_cells, entries)])


async def _asked(connection: Connection, limit: int, wanted: dict[str, Any]) -> list[LogEntry]:
    entries: list[LogEntry] = []
    async with open_session(connection) as kling, aclosing(kling.logs(**wanted)) as rows:
        async for entry in rows:
            entries.append(entry)
            if len(entries) == limit:
                break
    return entries


def _facts(entry: LogEntry) -> dict[str, Any]:
    return {
        "created": None if entry.created is None else entry.created.isoformat(),
        "status": entry.status,
        "model": entry.model,
        "usd": entry.usd,
        "credits": entry.credits,
        "generation_id": entry.inference_id,
        "request_id": entry.request_id,
        "client_request_id": entry.client_request_id,
        "key": entry.key,
    }


def _cells(entry: LogEntry) -> tuple[str, ...]:
    created = "" if entry.created is None else entry.created.strftime("%Y-%m-%d %H:%M:%S")
    usd = "" if entry.usd is None else dollars(entry.usd)
    texts = (entry.status, usd, entry.model, entry.key, entry.inference_id)
    return (created, *(one_line(text or "") for text in texts))
