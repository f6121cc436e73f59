"""A gallery's folder: a page and its media, put there without touching anything that no gallery wrote."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from attrs import define, field

from kling_async import ConfigurationError
from kling_async.cli.gallery.manifest import MANIFEST, MEDIA, PAGE, manifest, read_manifest
from kling_async.cli.gallery.naming import names_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Folder"]


@define
class Folder:
    """A folder that holds a gallery, or will.

    What is in it already stays as it is, except for what an earlier gallery put there: that is replaced, and removed
    where it is no longer needed. A write that breaks off is made good by the next.

    Attributes:
        path: The folder, absolute.
        files: What is to be there, by names relative to the folder, with the originals; the page is not among them.
        links: For each original, the relative URL by which the page gets it.
    """

    path: Path
    files: Mapping[str, Path] = field(init=False, factory=dict[str, Path])
    links: Mapping[Path, str] = field(init=False, factory=dict[Path, str])
    _owned: frozenset[str] = field(init=False, default=frozenset[str]())

    def plan(self, originals: Iterable[Path]) -> None:
        """Decide under which names these files will be there; those in the folder anyway are used where they are.

        Raises:
            ConfigurationError: Something is in the way that no gallery wrote; nothing was changed.
        """
        if (self.path / MEDIA).is_symlink():
            raise ConfigurationError(f"{self.path / MEDIA} leads out of the folder; choose another folder")
        self._owned = read_manifest(self.path)
        paths = set(originals)
        inside = {path: path.relative_to(self.path).as_posix() for path in paths if path.is_relative_to(self.path)}
        outside = {path: f"{MEDIA}/{name}" for path, name in names_for(paths - inside.keys(), self._foreign()).items()}
        self.files = {name: path for path, name in outside.items()}
        self.links = {path: _url(name) for path, name in (inside | outside).items()}
        for place in (self.path / name for name in (PAGE, *self.files) if name not in self._owned):
            if os.path.lexists(place):
                raise ConfigurationError(f"{place} is there already, and no gallery wrote it; choose another folder")

    def write(self, page: str) -> None:
        """Put everything there, the page last, and remove what an earlier gallery needed and this one does not.

        Raises:
            OSError: Something cannot be written.
        """
        needed = frozenset({PAGE, *self.files})
        (self.path / MEDIA).mkdir(parents=True, exist_ok=True)
        _write(self.path / MANIFEST, manifest(self._owned | needed))  # first: what breaks off is known for what it is
        for name, original in self.files.items():
            _put(original, self.path / name)
        _write(self.path / PAGE, page)
        for name in self._owned - needed:
            (self.path / name).unlink(missing_ok=True)
        _write(self.path / MANIFEST, manifest(needed))
        with suppress(OSError):  # it is not empty
            (self.path / MEDIA).rmdir()

    def _foreign(self) -> frozenset[str]:
        """The names in the media's folder that belong to somebody else."""
        try:
            names = {path.name for path in (self.path / MEDIA).iterdir()}
        except OSError:  # there is none; whatever else is wrong shows when it is written to
            return frozenset()
        return frozenset(name for name in names if f"{MEDIA}/{name}" not in self._owned)


def _url(name: str) -> str:
    return "/".join(quote(os.fsencode(part), safe="~") for part in name.split("/"))


def _write(place: Path, text: str) -> None:
    """Make a text appear in a place, whole; a link that stands there is replaced, not followed."""
    new = _beside(place)
    new.unlink(missing_ok=True)
    new.write_text(text, encoding="utf-8", newline="\n")
    new.replace(place)


def _put(original: Path, place: Path) -> None:
    """Make a file appear in a place: by a link where the file system can, or else as a copy."""
    if _is_current(original, place):
        return
    new = _beside(place)
    new.unlink(missing_ok=True)
    try:
        new.hardlink_to(original)
    except OSError:
        shutil.copy2(original, new)
    new.replace(place)


def _is_current(original: Path, place: Path) -> bool:
    try:
        there, wanted = place.stat(), original.stat()
    except FileNotFoundError:
        return False
    return (there.st_size, there.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns)


def _beside(path: Path) -> Path:
    """Where a file grows before it stands under its name."""
    return path.with_name(f".{path.name}.new")
