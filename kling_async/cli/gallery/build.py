"""Build a gallery: read the entries, plan the folder, write it."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from kling_async.cli.gallery.entries import read_entries
from kling_async.cli.gallery.folder import PAGE, Folder
from kling_async.cli.gallery.page import GalleryPage, render
from kling_async.cli.gallery.texts import visible
from kling_async.cli.journals import Place, name_of, shown


@frozen
class Gallery:
    """A written gallery.

    Attributes:
        page: Its page.
        content: What is on it.
    """

    page: Path
    content: GalleryPage


def build(source: Place, folder: Path, *, now: float) -> Gallery:
    """Write the gallery of a journal, or of a folder of videos, into a folder.

    It only reads its source, so a session may own the journal meanwhile; it needs no network and no API key.

    Args:
        source: The journal, or the folder.
        folder: The folder to write; it is made if there is none. An earlier gallery there is updated, and no other
            file in it is changed.
        now: The time, in seconds since the epoch.

    Raises:
        ConfigurationError: A file that no gallery wrote is in the way; nothing was changed.
        JournalError: The source does not exist, is no journal, or cannot be read.
        OSError: Something cannot be read or written.
    """
    entries = read_entries(source)
    place = Folder(Path(os.path.realpath(folder)))
    place.plan(entry.file.path for entry in entries if entry.file is not None)
    is_folder = isinstance(source, Path) and source.is_dir()
    journal = None if is_folder else shown(source)
    page = GalleryPage(title_of(source), journal, entries, place.links, now)
    place.write(render(page))
    return Gallery(folder / PAGE, page)


def title_of(source: Place) -> str:
    """Return the title of a source's page."""
    return visible(Path(os.path.realpath(source)).name if isinstance(source, Path) else name_of(source))
