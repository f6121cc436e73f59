"""``kling-async worker``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kling_async.cli.connect import open_session
from kling_async.cli.options import CONNECTION, Connection
from kling_async.cli.signals import run
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count

_LOOK_EVERY = 0.2  # seconds


def worker(journal: Path, /, *, never_lead: bool = False, connection: Connection = CONNECTION) -> None:
    """Join the sessions that share a journal until Ctrl-C: lead when nobody does, so that their jobs go on.

    Args:
        journal: The journal's file; it is made if there is none.
        never_lead: Never send the requests of others.
    """
    terminal = Terminal()
    run(
        _serve(journal, terminal, connection, never_lead=never_lead),
        lambda: terminal.final_message("interrupted at once"),
    )


async def _serve(journal: Path, terminal: Terminal, connection: Connection, *, never_lead: bool) -> None:
    async with open_session(connection, journal=journal, shared=True, hold=never_lead) as kling:
        terminal.message(f"A member of {journal} until Ctrl-C.", "dim")
        try:
            told = False
            while True:
                await asyncio.sleep(_LOOK_EVERY)
                if kling.is_leader is not told:
                    told = kling.is_leader
                    terminal.message("leads now" if told else "does not lead any more")
        finally:
            terminal.message(f"left, after {count(kling.stats().submits, 'submit')}")
