"""``kling-async gallery``."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.types import Port

from kling_async import ConfigurationError
from kling_async.cli.gallery.folder import PAGE
from kling_async.cli.gallery.live import served
from kling_async.cli.gallery.page import build
from kling_async.cli.journals import JournalArgument, Place, name_of
from kling_async.cli.options import AsJson
from kling_async.cli.paths import check_folder
from kling_async.cli.signals import run_told
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count

if TYPE_CHECKING:
    from kling_async.cli.gallery.page import GalleryPage


_LIVE = "While it runs"


def gallery(
    source: JournalArgument,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    serve: Annotated[bool, Parameter(group=_LIVE)] = False,
    host: Annotated[str, Parameter(group=_LIVE)] = "127.0.0.1",
    port: Annotated[Port, Parameter(group=_LIVE)] = 8643,
    as_json: AsJson = False,
) -> int | None:
    """Write a folder with a page to look at the videos: of a journal, with all that is known of them, or of a folder.

    Open the index.html in it with any browser: it needs no network and no server, and the folder can be moved, zipped
    or put on a web server as it is. Running the command again brings it up to date. A journal is only read, also while
    a batch is running.

    Args:
        source: A journal's file or the URL of its database, or a folder of videos.
        output: The folder to write to; by default one called after the source, such as batch-gallery for batch.db.
            Files in it that no gallery wrote are left alone.
        serve: Write nothing, but serve the page of a journal until Ctrl-C, and keep it up to date while a batch runs:
            states, when it will be done, cost, who leads, and each video as it lands. It can be looked at, no more.
        host: The address to serve at. The page is for this machine alone, unless another one is given; then its
            address holds a secret, and whoever has it can see the page.
        port: The port to serve at; 0 takes a free one.
    """
    terminal = Terminal(as_json=as_json)
    if serve:
        if (isinstance(source, Path) and source.is_dir()) or output is not None:
            raise ConfigurationError("--serve takes a journal, and writes no folder")
        return run_told(_serve(source, host, port, terminal), terminal)
    folder = output or Path(f"{name_of(source) or 'videos'}-gallery")
    check_folder(folder)
    made = build(source, folder, now=time())
    to_come = Counter(filter(None, map(made.command, made.entries)))
    for command, number in to_come.items():
        terminal.message(f"{count(number, 'video')} to come with: {command}", "yellow")
    terminal.message(", ".join(f"{figure} {what}" for figure, what in made.totals))
    page = str(folder / PAGE)
    terminal.answer({"page": page, **facts(made), "to_come_with": dict(to_come)}, page)
    return None


async def _serve(journal: Place, host: str, port: int, terminal: Terminal) -> None:
    async with served(journal, host, port, terminal) as address:
        terminal.answer({"url": address}, address)
        terminal.message("Serving until Ctrl-C.", "dim")
        await asyncio.Event().wait()


def facts(page: GalleryPage) -> dict[str, Any]:
    """Describe what is on the page."""
    files = {entry.file.path: entry.file.size for entry in page.entries if entry.file is not None}
    return {
        "videos": len(page.entries),
        "states": {state.value: number for state, number in page.states},
        "file_size": sum(files.values()),
        "usd": sum((entry.cost.usd_spent or Decimal(0) for entry in page.entries), Decimal(0)),
        "credits": sum(entry.cost.credits_used or 0.0 for entry in page.entries),
    }
