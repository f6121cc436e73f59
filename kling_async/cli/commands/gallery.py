"""``kling-async gallery``."""

from __future__ import annotations

import os
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kling_async.cli.gallery.build import build
from kling_async.cli.paths import check_folder
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count

if TYPE_CHECKING:
    from kling_async.cli.gallery.page import GalleryPage


def gallery(source: Path, /, *, output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None) -> None:
    """Write a folder with a page to look at the videos: of a journal, with all that is known of them, or of a folder.

    Open the index.html in it with any browser: it needs no network and no server, and the folder can be moved, zipped
    or put on a web server as it is. Running the command again brings it up to date. A journal is only read, also while
    a batch is running.

    Args:
        source: A journal's file, or a folder of videos.
        output: The folder to write to; by default one called after the source, such as batch-gallery for batch.db.
            Files in it that no gallery wrote are left alone.
    """
    terminal = Terminal()
    folder = output or Path(f"{Path(os.path.realpath(source)).stem or 'videos'}-gallery")
    check_folder(folder)
    made = build(source, folder, now=time())
    for line in advice(made.content):
        terminal.message(line, "yellow")
    terminal.message(", ".join(f"{figure} {what}" for figure, what in made.content.totals))
    terminal.result(str(made.page))


def advice(page: GalleryPage) -> list[str]:
    """Return a line for each command that gets missing videos."""
    commands: dict[str, int] = {}
    for entry in page.entries:
        command = page.command(entry)
        if command is not None:
            commands[command] = commands.get(command, 0) + 1
    return [f"{count(number, 'video')} to come with: {command}" for command, number in commands.items()]
