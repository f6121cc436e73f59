"""The gallery's folder: the page and its media, written without touching files that no gallery wrote."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from attrs import define, field

from kling_async import ConfigurationError
from kling_async.files.names import folded, is_usual, joined, safe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

PAGE = "index.html"
MEDIA = "media"
MANIFEST = ".kling-gallery.json"

_OURS = re.compile(rf"{re.escape(PAGE)}|{MEDIA}/(?!\.)[^/\\:]+")


def read_manifest(folder: Path) -> frozenset[str]:
    """Read which files a gallery wrote into this folder: relative paths with slashes; none without a gallery."""
    try:
        file = folder / MANIFEST
        names = json.loads(file.read_bytes() if file.is_file() else b"")["files"]  # a pipe would be waited for
    except (OSError, ValueError, TypeError, LookupError):
        return frozenset()
    listed = cast("list[object]", names) if isinstance(names, list) else []
    # The folder may come from elsewhere: names that lead out of it are ignored.
    return frozenset(name for name in listed if isinstance(name, str) and _OURS.fullmatch(name))


def manifest(files: Iterable[str]) -> str:
    """Return the content of the manifest for these files."""
    return json.dumps({"about": "what kling-async gallery wrote here", "files": sorted(files)}, indent=1) + "\n"


_LONGEST = 48  # characters


def names_for(paths: Iterable[Path], taken: Collection[str] = ()) -> dict[Path, str]:
    """Choose a name for each path; names that collide or are taken get a digest of their path appended.

    So a name does not depend on the order, and is the same on every run as long as no other file wants it.
    """
    plain = {path: _safe(path) for path in paths}
    wanted = Counter(map(folded, plain.values()))
    closed = {folded(name) for name in taken}
    return {
        path: name if wanted[folded(name)] == 1 and folded(name) not in closed else _distinct(path, name)
        for path, name in plain.items()
    }


def _safe(path: Path) -> str:
    return safe(path.stem, _LONGEST) + _suffix(path)


def _suffix(path: Path) -> str:
    return "".join(filter(is_usual, path.suffix))[:8].lower()


def _distinct(path: Path, name: str) -> str:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return joined(name.removesuffix(_suffix(path)), f"~{digest}{_suffix(path)}")


@define
class Folder:
    """The folder of a gallery.

    Files that no gallery wrote stay as they are; those of an earlier gallery are replaced, and removed where they are
    no longer needed. An interrupted write is completed by the next.

    Attributes:
        path: The folder, absolute.
        files: The originals by their new names, relative to the folder; the page is not among them.
        links: The page's relative URL of each original.
    """

    path: Path
    files: Mapping[str, Path] = field(init=False, factory=dict[str, Path])
    links: Mapping[Path, str] = field(init=False, factory=dict[Path, str])
    _owned: frozenset[str] = field(init=False, default=frozenset[str]())

    def plan(self, originals: Iterable[Path]) -> None:
        """Choose the names of these files; those inside the folder are used where they are.

        Raises:
            ConfigurationError: A file that no gallery wrote is in the way; nothing was changed.
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
        """Write everything, the page last, and remove files of an earlier gallery that are no longer needed.

        Raises:
            OSError: Something cannot be written.
        """
        needed = frozenset({PAGE, *self.files})
        (self.path / MEDIA).mkdir(parents=True, exist_ok=True)
        # First, so that the next run knows the files of an interrupted one.
        _write(self.path / MANIFEST, manifest(self._owned | needed))
        for name, original in self.files.items():
            _put(original, self.path / name)
        _write(self.path / PAGE, page)
        for name in self._owned - needed:
            (self.path / name).unlink(missing_ok=True)
        _write(self.path / MANIFEST, manifest(needed))
        with suppress(OSError):  # it is not empty
            (self.path / MEDIA).rmdir()

    def _foreign(self) -> frozenset[str]:
        """Return the names in the media folder that no gallery wrote."""
        try:
            names = {path.name for path in (self.path / MEDIA).iterdir()}
        except OSError:  # there is none; whatever else is wrong shows when it is written to
            return frozenset()
        return frozenset(name for name in names if f"{MEDIA}/{name}" not in self._owned)


def _url(name: str) -> str:
    return "/".join(quote(os.fsencode(part), safe="~") for part in name.split("/"))


def _write(place: Path, text: str) -> None:
    """Replace a file atomically by this text; a link there is replaced, not followed."""
    new = _beside(place)
    new.unlink(missing_ok=True)
    new.write_text(text, encoding="utf-8", newline="\n")
    new.replace(place)


def _put(original: Path, place: Path) -> None:
    """Hard-link a file to its place, or copy it where the file system has no links."""
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
    """Return the temporary path of a file while it is written."""
    return path.with_name(f".{path.name}.new")
