"""Serve the page of a journal while it is written, and send what changes as server-sent events."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from contextlib import asynccontextmanager, suppress
from time import monotonic, time
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from kling_async import JournalError
from kling_async.cli.gallery.page import render, render_card, render_head
from kling_async.cli.gallery.watch import look
from kling_async.session import boot_clock
from kling_async.transport.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from kling_async.cli.gallery.watch import Snapshot
    from kling_async.cli.journals import Place
    from kling_async.cli.terminal import Terminal

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
    await page.look()
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
