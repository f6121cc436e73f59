"""``kling-async fetch``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kling_async import GenerationStatus
from kling_async.cli.connect import open_session
from kling_async.cli.exit_codes import Exit
from kling_async.cli.json_output import generation_json
from kling_async.cli.options import CONNECTION, AsJson, Connection
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import one_line

if TYPE_CHECKING:
    from kling_async import Generation

_EXITS = {GenerationStatus.COMPLETED: Exit.OK, GenerationStatus.FAILED: Exit.FAILED}


def fetch(
    generation_id: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> int:
    """Ask once how far a generation is, and print the vendor's answer: its status, and the video's address.

    It exits with 0 if the video is made, with 1 if it failed, and with 3 while the vendor is at it.

    Args:
        generation_id: The vendor's id of the generation.
    """
    terminal = Terminal(as_json=as_json)
    generation = asyncio.run(_asked(generation_id, connection))
    if as_json:
        terminal.json_result(generation_json(generation))
    else:
        terminal.result(_told(generation))
    return _EXITS.get(generation.status, Exit.STOPPED)


async def _asked(generation_id: str, connection: Connection) -> Generation:
    async with open_session(connection) as kling:
        return await kling.fetch(generation_id)


def _told(generation: Generation) -> str:
    if generation.video is not None:
        return f"{generation.status.value}  {generation.video.url}"
    if generation.failure is not None:
        return f"{generation.status.value}  {one_line(generation.failure)}"
    return one_line(generation.raw_status) or generation.status.value
