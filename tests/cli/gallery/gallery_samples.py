"""Journals, films and pages to test galleries with."""

from __future__ import annotations

import asyncio
import json
from html.parser import HTMLParser
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kling_async import JobState, Record, TextToVideo, Usage, Video
from kling_async.cli.gallery.entries import Entry, EntryState, VideoFile
from kling_async.cli.gallery.page import GalleryPage
from kling_async.journal.sqlite.journal import SQLiteJournal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

HOSTILE = (
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "' onmouseover='window.pwned=1",
    "<!--<script>",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; &amp;",
    "a \u202egnp.exe \u2066isolate \u0000\u0007\u001b[31m\u0085 \u2028 end",
    "javascript:window.pwned=1",
)


def film(path: Path, more: bytes = b"") -> Path:
    """A film of 640 by 360 pixels and two seconds; more bytes at its end make it another file that plays the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    free = (len(more) + 8).to_bytes(4) + b"free" + more
    path.write_bytes(files("kling_async.sandbox").joinpath("films/16x9-0.mp4").read_bytes() + free)
    return path


def record(number: int, file: Path | None = None, **changes: Any) -> Record:
    """A job that completed, downloaded to a file if there is one; or one in another state, without a video."""
    state = changes.get("state", JobState.COMPLETED)
    video = Video("https://example.com/v.mp4?signature=secret", usage=Usage(credits_used=28.0, usd_spent=0.28))
    request = changes.pop("request", TextToVideo(f"prompt {number}"))
    usual: dict[str, Any] = {
        "key": f"key-{number}",
        "state": state,
        "request": request,
        "digest": b"" if request is None else request.digest(),
        "generation_id": f"generation-{number}",
        "queued_at": 1000.0 + number,
        "submitted_at": 1001.0 + number,
        "accepted_at": 1002.0 + number,
        "settled_at": 1100.0 + number,
        "video": video if state is JobState.COMPLETED else None,
        "file": None if file is None else str(file),
        "file_size": None if file is None else file.stat().st_size,
    }
    return Record(**(usual | changes))


def write_journal(path: Path, records: Iterable[Record]) -> Path:
    """A journal's file with these records."""

    async def write() -> None:
        journal = SQLiteJournal(path)
        await journal.open()
        for one in records:
            journal.append(one)
        await journal.close()

    asyncio.run(write())
    return path


def entry(number: int = 0, **changes: Any) -> Entry:
    usual: dict[str, Any] = {
        "name": f"key-{number}",
        "state": EntryState.READY,
        "prompt": f"prompt {number}",
        "model": "a/b",
    }
    return Entry(**(usual | changes))


def page_of(entries: Sequence[Entry], source: str | None = "batch.db") -> GalleryPage:
    links = {one.file.path: f"media/{one.file.path.name}" for one in entries if one.file is not None}
    return GalleryPage("batch.db", source, entries, links, 1_795_000_000.0)


def video_file(path: Path, width: int | None = 640, height: int | None = 360) -> VideoFile:
    return VideoFile(path, 1000, width, height, 2.0)


class Reading(HTMLParser):
    """What a parser finds in a page: elements with their attributes, texts, and the data between script tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._within = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as the base class has it
        self._within = ""

    def handle_data(self, data: str) -> None:
        {"script": self.scripts, "style": self.styles}.get(self._within, self.texts).append(data)

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.scripts[0])
        return rows

    @property
    def policy(self) -> str:
        return next(
            str(attributes["content"])
            for _, attributes in self.elements
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )
