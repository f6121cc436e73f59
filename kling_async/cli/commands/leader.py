"""``kling-async leader``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kling_async import read_journal
from kling_async.cli.journal_summary import shared_lines
from kling_async.cli.options import AsJson
from kling_async.cli.terminal import Terminal
from kling_async.journal.open import open_shared
from kling_async.session import boot_clock


def leader(journal: Path, /, *, release: bool = False, as_json: AsJson = False) -> None:
    """Say which of the sessions that share a journal leads.

    Args:
        journal: The journal's file.
        release: Have another one lead, also after crashes in a row that let nobody lead; the next takes over at once.
    """
    reader, terminal = read_journal(journal), Terminal(as_json=as_json)
    if release:
        asyncio.run(_release(journal))
    told = list(shared_lines(reader.sharing(boot_clock()), boot_clock())) or ["it is not shared"]
    if as_json:
        terminal.json_result({"sharing": told})
        return
    terminal.text(told)


async def _release(journal: Path) -> None:
    shared = open_shared(journal, boot_clock)
    await shared.open()
    try:
        await shared.release((await shared.lease()).token)
    finally:
        await shared.close()
