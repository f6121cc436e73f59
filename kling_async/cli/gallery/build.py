"""Making a gallery: reading, planning, writing."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from attrs import frozen

from kling_async.cli.gallery.entries import read_entries
from kling_async.cli.gallery.folder import PAGE, Folder
from kling_async.cli.gallery.page import GalleryPage, render
from kling_async.cli.gallery.texts import visible

__all__ = ["Gallery", "build"]


@frozen
class Gallery:
    """A gallery that was written.

    Attributes:
        page: Its page.
        sheet: What is on it.
    """

    page: Path
    sheet: GalleryPage


def build(source: Path, folder: Path, *, now: float) -> Gallery:
    """Write the gallery of a journal, or of a folder of videos, into a folder.

    It only reads its source, so a session may own the journal meanwhile; it needs no network and no API key.

    Args:
        source: The journal's file, or the folder.
        folder: Where to; it is made if there is none. An earlier gallery there is brought up to date, and nothing else
            in it is changed.
        now: The time, in seconds since the epoch.

    Raises:
        ConfigurationError: In the folder, something that no gallery wrote is in the way; nothing was changed.
        JournalError: There is no such source, or it is no journal, or unreadable.
        OSError: Something cannot be read or written.
    """
    entries = read_entries(source)
    place = Folder(Path(os.path.realpath(folder)))
    place.plan(entry.footage.path for entry in entries if entry.footage is not None)
    command_source = None if source.is_dir() else visible(_quoted(str(source)))
    sheet = GalleryPage(visible(Path(os.path.realpath(source)).name), command_source, entries, place.links, now)
    place.write(render(sheet))
    return Gallery(folder / PAGE, sheet)


def _quoted(path: str, *, windows: bool = os.name == "nt") -> str:
    """A path as it is typed in a command."""
    return subprocess.list2cmdline([path]) if windows else shlex.quote(path)
