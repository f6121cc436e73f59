"""``kling-async leader``."""

from __future__ import annotations

import asyncio

from kling_async import ConfigurationError, read_journal
from kling_async.cli.journal_summary import shared_lines, sharing_json
from kling_async.cli.journals import JournalArgument, Place, shown
from kling_async.cli.options import AsJson
from kling_async.cli.terminal import Terminal
from kling_async.journal.open import open_shared
from kling_async.session import boot_clock


def leader(journal: JournalArgument, /, *, release: bool = False, as_json: AsJson = False) -> None:
    """Say which of the sessions that share a journal leads, and since when.

    Args:
        journal: The journal's file, or the URL of its database.
        release: Have another one lead, also after crashes in a row that let nobody lead; the next takes over at once.
    """
    reader, terminal = read_journal(journal), Terminal(as_json=as_json)
    sharing = reader.sharing(boot_clock())
    if sharing is None:
        raise ConfigurationError(f"journal {shown(journal)}: no sessions share it")
    if release:
        asyncio.run(_release(journal))
        sharing = reader.sharing(boot_clock()) or sharing
    if as_json:
        terminal.json_result(sharing_json(sharing, boot_clock()))
    else:
        terminal.text(shared_lines(sharing, boot_clock(), journal=shown(journal)))


async def _release(journal: Place) -> None:
    shared = open_shared(journal, boot_clock)
    await shared.open()
    try:
        await shared.release((await shared.lease()).token)
    finally:
        await shared.close()
