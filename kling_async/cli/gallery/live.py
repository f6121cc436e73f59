"""The page of a journal while it is written: its snapshots, served, and what changes sent as server-sent events."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web
from attrs import frozen

from kling_async import JobState, JournalError, LearnedDuration, read_journal
from kling_async.cli.gallery.entries import EntryState, entry_of, folder_beside, visible
from kling_async.cli.gallery.page import GalleryPage, Outlook, render, render_card, render_head, title_of
from kling_async.cli.journals import JournalSummary, shown, worker_lines
from kling_async.cli.progress.tracker import EtaEstimator
from kling_async.cli.text import clock, percentile
from kling_async.journal.open import journal_exists
from kling_async.session import boot_clock
from kling_async.transport.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence

    from kling_async import Record
    from kling_async.cli.journals import Place
    from kling_async.cli.terminal import Terminal


@frozen(eq=False)
class Snapshot:
    """A journal's page at one moment.

    Attributes:
        page: The page.
        version: Grows with each snapshot that differs from the one before.
        versions: The version since which each entry is as it is.
        rows: The entries as plain data.
        records: The records that they are of.
    """

    page: GalleryPage
    version: int
    versions: Sequence[int]
    rows: Sequence[dict[str, Any]]
    records: Sequence[Record]

    def changed_since(self, version: int) -> list[int]:
        """Return the places of the entries that have changed since a version."""
        return [place for place, changed in enumerate(self.versions) if changed > version]


def look(journal: Place, before: Snapshot | None, *, now: float, boot: float) -> Snapshot:
    """Read a journal, and return its snapshot; the one before if nothing has changed.

    Args:
        journal: Its file, or the URL of its database.
        before: The snapshot before, if there is one.
        now: The wall-clock time.
        boot: The time by the clock that sessions share.

    Raises:
        JournalError: It cannot be read.
    """
    if (before is None or not before.records) and is_to_come(journal):
        return advance(before, journal, (), outlook((), (), now), now)
    reader = read_journal(journal)
    in_use = reader.has_owner()  # asked first: whoever ends now leaves nothing open
    records = list(reader.records())
    sharing = reader.sharing(boot)
    is_worked_on = in_use is not False if sharing is None else sharing.lease.is_held(boot)
    workers = worker_lines(JournalSummary.of(records, sharing, in_use=in_use), boot, shown(journal))
    return advance(before, journal, records, outlook(records, workers, now, is_worked_on=is_worked_on), now)


def is_to_come(journal: Place) -> bool:
    """Return whether there is no journal yet where one can be made."""
    return isinstance(journal, Path) and journal.parent.is_dir() and not journal_exists(journal)


def advance(
    before: Snapshot | None, journal: Place, records: Sequence[Record], outlook: Outlook, now: float
) -> Snapshot:
    """Return the snapshot of records; the one before if nothing has changed.

    Where records have gone, as after a journal was pruned, it is a first one.
    """
    old = () if before is None else before.records
    if [record.key for record in records[: len(old)]] != [record.key for record in old]:
        before, old = None, ()
    known = () if before is None else tuple(zip(old, before.page.entries, before.rows, before.versions, strict=True))
    entries = [
        known[place][1]
        # A file that is missing may just be getting its name.
        if place < len(known) and known[place][0] == record and known[place][1].state is not EntryState.MISSING
        else entry_of(record, folder_beside(journal))
        for place, record in enumerate(records)
    ]
    links = {entry.file.path: f"video/{place}" for place, entry in enumerate(entries) if entry.file is not None}
    page = GalleryPage(title_of(journal), shown(journal), entries, links, now, outlook)
    rows = page.rows()
    version = 1 if before is None else 1 + before.version
    versions = [
        known[place][3] if place < len(known) and row == known[place][2] else version for place, row in enumerate(rows)
    ]
    if before is not None and version not in versions and outlook == before.page.outlook:
        return before
    return Snapshot(page, version, versions, rows, records)


_WINDOW = 60.0  # seconds over which the rate is taken
_NEWEST = 32  # jobs, those accepted last, that the estimate uses


def outlook(records: Sequence[Record], sharing: Iterable[str], now: float, *, is_worked_on: bool = True) -> Outlook:
    """Say how far the jobs are, and, if they are worked on, how fast they end and when all will have.

    Args:
        records: The jobs.
        sharing: What else is to be told.
        now: The wall-clock time.
        is_worked_on: Whether anybody works on them.
    """
    ended = sum(record.state.is_terminal for record in records)
    begun = [record.submitted_at for record in records if record.submitted_at is not None]
    lately = sum(record.settled_at is not None and record.settled_at > now - _WINDOW for record in records)
    per_second = lately / max(1.0, min(_WINDOW, now - min(begun, default=now)))
    return Outlook(
        ended,
        len(records),
        _said(records, ended, per_second if is_worked_on else None, now),
        tuple(map(visible, sharing)),
    )


def _said(records: Sequence[Record], ended: int, per_second: float | None, now: float) -> str:
    if ended == len(records):
        return "all done" if records else "nothing yet"
    if per_second is None:
        return f"{len(records) - ended:,} open"
    left, rate = _left(records, per_second, now), per_second * 60
    parts = [f"{len(records) - ended:,} open"]
    parts += [f"about {clock(left)} left"] if left is not None else []
    parts += [f"{rate:.0f} a minute" if rate >= 10 else f"{rate:.1f} a minute"] if rate else []  # noqa: PLR2004 - two digits are enough
    return ", ".join(parts)


def _left(records: Sequence[Record], per_second: float, now: float) -> float | None:
    """Estimate the seconds until all have ended, by how those took that have; None before any has."""
    estimator = EtaEstimator()
    estimator.learn(learned := tuple(_learned(records)))
    if not learned:
        return None
    running = [record for record in records if record.state is JobState.PENDING]
    newest = sorted(running, key=lambda record: record.accepted_at or 0.0)[-_NEWEST:]
    queued = sum(record.state is JobState.QUEUED for record in records)
    ages = [(record.request, max(0.0, now - (record.accepted_at or now))) for record in newest]
    return estimator.left(queued, len(running), ages, per_second)


def _learned(records: Sequence[Record]) -> Iterator[LearnedDuration]:
    """Yield how long each kind has taken."""
    took: dict[tuple[str, int | None], list[float]] = {}
    for record in records:
        if record.state is JobState.COMPLETED and record.request and record.settled_at and record.accepted_at:
            kind = (record.request.model, record.request.duration_seconds)
            took.setdefault(kind, []).append(max(1e-3, record.settled_at - record.accepted_at))
    for (model, duration), seconds in took.items():
        middle, late = (percentile(sorted(seconds), share) for share in (0.5, 0.9))
        yield LearnedDuration(model=model, duration=duration, median=middle, p90=late, generations=len(seconds))


_EVERY = 1.0  # seconds from one look to the next
_SHARE = 10  # a look takes a tenth of the time at most: it holds up the process that writes the journal
_HEARTBEAT = 15.0  # seconds until a line without news shows whether anybody still listens
_AT_ONCE = 200  # cards in a message
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class LivePage:
    """The page of a journal, served read-only.

    At an address of this machine, requests must name this machine as their host, so that no website can have a browser
    read the page by a name of its own. At any other address, the path holds a secret.

    Args:
        journal: The journal's file, or the URL of its database.
        terminal: Where it is told that the journal cannot be read at the moment.
        secret: The beginning of all paths; empty for none.
    """

    def __init__(self, journal: Place, terminal: Terminal, secret: str = "") -> None:
        self._journal = journal
        self._terminal = terminal
        self._secret = secret
        self._run = ""  # versions of another run, or from before records have gone, mean nothing
        self._snapshot: Snapshot | None = None
        self._changed = asyncio.Condition()
        self._looking = asyncio.Lock()
        self._listeners = 0

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(middlewares=[self._guard])
        begin = f"/{self._secret}" if self._secret else ""
        app.router.add_get(f"{begin}/", self._page)
        app.router.add_get(f"{begin}/events", self._events)
        app.router.add_get(begin + r"/video/{place:\d{1,9}}", self._video)
        return app

    async def look(self) -> Snapshot:
        """Read the journal, and wake those who listen if it has changed.

        Raises:
            JournalError: It cannot be read.
        """
        async with self._looking:
            snapshot = await asyncio.to_thread(look, self._journal, self._snapshot, now=time(), boot=boot_clock())
            if snapshot is not self._snapshot:
                self._run = secrets.token_hex(4) if snapshot.version == 1 else self._run
                self._snapshot = snapshot
                async with self._changed:
                    self._changed.notify_all()
            return snapshot

    async def follow(self) -> None:
        """Look again and again while somebody listens, until cancelled."""
        problem = ""
        while True:
            began = monotonic()
            try:
                if self._listeners:
                    await self.look()
                problem = ""
            except JournalError as error:  # such as a file that is being moved
                if str(error) != problem:
                    self._terminal.message(f"warning: {error}", "yellow")
                problem = str(error)
            await asyncio.sleep(max(_EVERY, _SHARE * (monotonic() - began)))

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not (self._secret or is_loopback(request.url.host or "")):
            raise web.HTTPForbidden(text="this page is for this machine alone")
        return await handler(request)

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        try:
            snapshot = await self.look()
        except JournalError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error
        text = await asyncio.to_thread(render, snapshot.page, live=f"{self._run}-{snapshot.version}")
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        headers = _HEADERS | {"Content-Type": "text/event-stream"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        self._listeners += 1
        try:
            with suppress(ConnectionResetError):  # it has gone
                await self._tell(response, request.headers.get("Last-Event-ID") or request.query.get("after", ""))
        finally:
            self._listeners -= 1
        return response

    async def _tell(self, response: web.StreamResponse, after: str) -> None:
        """Send what has changed since a version, and again whenever something has."""
        run, _, number = after.partition("-")
        seen = int(number) if number.isdecimal() else 0
        while run == self._run:
            snapshot = self._snapshot
            if snapshot is not None and snapshot.version > seen:
                for message in self._messages(snapshot, seen):
                    await response.write(message.encode())
                seen = snapshot.version
            try:
                async with asyncio.timeout(_HEARTBEAT), self._changed:
                    if self._snapshot is snapshot:
                        await self._changed.wait()
            except TimeoutError:
                await response.write(b":\n\n")
        await response.write(b"event: restart\ndata:\n\n")

    def _messages(self, snapshot: Snapshot, seen: int) -> Iterator[str]:
        changed = snapshot.changed_since(seen)
        last = max(0, (len(changed) - 1) // _AT_ONCE * _AT_ONCE)
        for start in range(0, last + 1, _AT_ONCE):
            cards = [
                {"place": place, "card": render_card(snapshot.page, place), "entry": snapshot.rows[place]}
                for place in changed[start : start + _AT_ONCE]
            ]
            page = snapshot.page
            data = json.dumps({"head": render_head(page), "shape": page.shape, "cards": cards})
            name = f"id: {self._run}-{snapshot.version}\n" if start == last else ""
            yield f"event: update\n{name}data: {data}\n\n"

    async def _video(self, request: web.Request) -> web.StreamResponse:
        place, snapshot = int(request.match_info["place"]), self._snapshot
        is_there = snapshot is not None and place < len(snapshot.page.entries)
        file = snapshot.page.entries[place].file if snapshot is not None and is_there else None
        if file is None or not file.path.is_file():
            raise web.HTTPNotFound
        name = f"inline; filename*=UTF-8''{quote(file.path.name, errors='replace')}"
        headers = {"Cache-Control": "private, no-cache", "Content-Disposition": name}  # kept, and asked about each time
        return web.FileResponse(file.path, headers=_HEADERS | headers)


@asynccontextmanager
async def served(journal: Place, host: str, port: int, terminal: Terminal) -> AsyncGenerator[str]:
    """Serve the page of a journal while the context lasts; the value is its address.

    Raises:
        JournalError: The journal cannot be read.
        OSError: The address cannot be had.
    """
    secret = "" if is_loopback(host) else secrets.token_urlsafe(16)
    page = LivePage(journal, terminal, secret)
    if not (await page.look()).records and is_to_come(journal):
        terminal.message(f"there is no {shown(journal)} yet: the page is empty until a batch begins", "yellow")
    runner = web.AppRunner(page.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    follow = asyncio.create_task(page.follow())
    try:
        await web.TCPSite(runner, host, port).start()
        yield _address(host, runner.addresses[0][1], secret)
    finally:
        follow.cancel()
        await runner.cleanup()


def _address(host: str, port: int, secret: str) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - for people to type
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/{f'{secret}/' if secret else ''}"
