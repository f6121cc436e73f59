"""Fetching a finished video's file: whole or not at all, going on where an earlier try stopped."""

from __future__ import annotations

import logging
import re
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from attrs import define, field, frozen

from kling_async.api.protocol import file_request
from kling_async.engine.part import STRONG_ETAG, Mark, Part
from kling_async.errors import DownloadError, KlingError, TransportError
from kling_async.pacing.backoff import full_jitter
from kling_async.transport.urls import bare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from random import Random

    from kling_async.transport.base import StreamedResponse, Transport

__all__ = ["Stored", "download_file"]

_logger = logging.getLogger("kling_async.download")

_TRIES = 6
_WAIT = 0.5
_LONGEST_WAIT = 30.0
_SIZE_CAP = 8 * 1024**3

_EXPIRED = frozenset({401, 403, 404, 410})
_TRANSIENT = frozenset({408, 425, 429})

_NUMBER = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (?P<start>[0-9]{1,18})-[0-9]{1,18}/(?P<size>[0-9]{1,18}|\*)")


@frozen
class Stored:
    """A file that is there whole: where, how many bytes, and their SHA-256 in hexadecimal."""

    path: Path
    size: int
    digest: str


# Parts that this process is writing, so that two downloads to one path cannot mix their bytes.
_being_written: set[Path] = set()


async def download_file(
    transport: Transport,
    url: str,
    path: Path,
    *,
    expected_size: int | None = None,
    refresh: Callable[[], Awaitable[str]] | None = None,
    progress: Callable[[int, int | None], object] | None = None,
    rng: Random,
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    size_cap: int = _SIZE_CAP,
    stored: Callable[[Stored], object] = lambda _: None,
) -> Stored:
    """Fetch a file; once it is there whole and on disk, and not before, it stands under its name, replacing any other.

    Until then it grows in a hidden neighbour, ``.NAME.part``. If the host gave it a strong ETag, that stays after a
    failure, a cancellation or a crash, with a note beside it, and a later download of the same URL (its query aside)
    to the same path goes on from there. Passing trouble is tried again with growing, random waits, until six tries
    in a row have brought nothing new.

    Args:
        transport: Sends on the file lane, so without the API key.
        url: Where the file is, used as it is.
        path: Where to put it. Missing folders are made.
        expected_size: Its size in bytes, if announced; what counts if the host does not state a length of its own.
        refresh: Asked for a fresh URL when the host says that this one is no longer good (401, 403, 404, 410); again
            only after the fresh one brought something. Its own errors come through, unless they are retryable.
        progress: Called on the loop with the bytes so far and the size, if known. What it raises ends the download.
        rng: Draws the waits.
        sleep: Waits, in seconds.
        size_cap: The most bytes a file may have. 8 GiB: hundreds of times the largest video.
        stored: Called as soon as the file stands under its name, even if this is cancelled just then.

    Returns:
        What is on disk now.

    Raises:
        DownloadError: The file could not be had, or not be written. What was under its name before still is.
    """
    download = _Download(transport, url, path, expected_size, refresh, progress, rng, sleep, size_cap)
    part = download.part
    if part.path in _being_written:
        raise _failure(url, f"{path} is being downloaded already")
    _being_written.add(part.path)
    try:
        await download.run()
    finally:
        part.leave()
        _being_written.discard(part.path)
        if part.is_in_place:
            stored(Stored(path, part.size, part.digest))
    return Stored(path, part.size, part.digest)


class _Next(Enum):
    """What an answer without anything to store calls for."""

    REFRESH = "refresh"
    START_OVER = "start over"


@frozen(eq=False, repr=False)
class _Body:
    """A body worth storing: where it begins, and the whole file's size and strong ETag, as far as known."""

    offset: int
    size: int | None
    etag: str | None


@define(eq=False, repr=False)
class _Download:
    """One download: its tries, and what they have brought so far."""

    transport: Transport
    url: str
    path: Path
    expected_size: int | None
    refresh: Callable[[], Awaitable[str]] | None
    progress: Callable[[int, int | None], object] | None
    rng: Random
    sleep: Callable[[float], Awaitable[object]]
    size_cap: int
    part: Part = field(init=False)
    tries: int = 0
    """Failed ones in a row that brought nothing new."""
    furthest: int = 0
    """The most bytes there ever were: starting over and reaching less is nothing new, so every download ends."""
    refreshed: bool = False
    """Whether the URL is a fresh one that has brought nothing yet."""

    def __attrs_post_init__(self) -> None:
        self.part = Part(self.path)

    async def run(self) -> None:
        # Opened before anything is asked for: what has arrived is lost if the connection breaks before it is read.
        await self.on_disk(self.part.open, bare(self.url))
        self.furthest = self.part.size
        while not await self.attempt():
            pass
        await self.on_disk(self.part.finish)

    async def attempt(self) -> bool:
        """Try once, and say whether the file is whole."""
        before = self.furthest
        try:
            return await self.fetch()
        except KlingError as error:
            if isinstance(error, TransportError) and not error.retryable:
                raise self.failure(error.message) from error
            if not error.retryable:
                raise
            self.tries = 0 if self.furthest > before else self.tries + 1
            if self.tries == _TRIES:
                raise self.failure(f"gave up after {_TRIES} tries in vain; the last: {error.message}") from error
        await self.sleep(full_jitter(max(0, self.tries - 1), base=_WAIT, cap=_LONGEST_WAIT, rng=self.rng))
        return False

    async def fetch(self) -> bool:
        async with self.transport.stream(file_request(self.url, self.part.conditions())) as response:
            answer = _read_answer(response.status, response.headers, self.part, self.url)
            if isinstance(answer, _Body):
                await self.store(answer, response)
                return True
        if answer is _Next.START_OVER:
            self.part.start_over(None)
        else:
            await self.renew(response.status)
        return False

    async def renew(self, status: int) -> None:
        if self.refresh is None or self.refreshed:
            raise self.failure(f"the host answered {status}")
        self.url = await self.refresh()
        self.refreshed = True

    async def store(self, body: _Body, response: StreamedResponse) -> None:
        goal = self.goal(body)
        mark = None if body.etag is None else Mark(bare(self.url), body.etag)
        if body.offset == 0:
            self.part.start_over(mark)
        else:
            self.part.go_on(mark)
        async for piece in response.chunks():
            self.check_size(self.part.size + len(piece), goal)
            await self.on_disk(self.part.append, piece)
            self.advance(goal)
        if self.part.size == 0:
            raise self.failure("the file is empty")
        if goal is not None and self.part.size < goal:
            raise TransportError(f"GET {bare(self.url)}: the file broke off at {self.part.size} of {goal} bytes")

    def goal(self, body: _Body) -> int | None:
        """The size the file will have, checked against what was said of it elsewhere."""
        if body.size is None:
            return self.expected_size
        if self.expected_size not in (None, body.size):
            # A label that is off must not keep a paid video from its owner; the host knows what it serves.
            _logger.warning("%s has %d bytes; %d were announced", bare(self.url), body.size, self.expected_size)
        self.check_size(body.size, body.size)
        return body.size

    def check_size(self, size: int, goal: int | None) -> None:
        if goal is not None and size > goal:
            raise self.failure(f"the host sent more than the {goal} bytes it should have")
        if size > self.size_cap:
            raise self.failure(f"the file is larger than {self.size_cap} bytes")

    def advance(self, goal: int | None) -> None:
        if self.part.size > self.furthest:
            self.furthest = self.part.size
            self.refreshed = False
        if self.progress is not None:
            self.progress(self.part.size, goal)

    async def on_disk(self, act: Callable[..., None], *arguments: object) -> None:
        """Run what may block in a thread."""
        try:
            await to_thread.run_sync(act, *arguments)
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            reason = error.strerror if isinstance(error, OSError) else error
            raise self.failure(f"{self.path} cannot be written: {reason}") from error

    def failure(self, reason: str) -> DownloadError:
        return _failure(self.url, reason)


def _read_answer(status: int, headers: Mapping[str, str], part: Part, url: str) -> _Body | _Next:
    """What to do with an answer to the request for a part's rest, or for all.

    Raises:
        TransportError: Another try may bring more.
        DownloadError: None will.
    """
    if status in _EXPIRED:
        return _Next.REFRESH
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
        return _Next.START_OVER
    if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TransportError(f"GET {bare(url)}: the host answered {status}")
    if status != HTTPStatus.OK and not (status == HTTPStatus.PARTIAL_CONTENT and part.size):
        raise _failure(url, f"the host answered {status}")
    if (other := _not_a_file(headers)) is not None:
        raise _failure(url, f"the host sent no file, but {other}")
    if status == HTTPStatus.OK:
        return _Body(0, _digits(headers.get("content-length")), _strong_etag(headers))
    return _read_rest(headers, part)


def _read_rest(headers: Mapping[str, str], part: Part) -> _Body | _Next:
    stated = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    changed = headers.get("etag", part.etag) != part.etag
    if stated is None or int(stated["start"]) != part.size or changed:
        return _Next.START_OVER
    return _Body(part.size, _digits(stated["size"]), part.etag)


def _not_a_file(headers: Mapping[str, str]) -> str | None:
    """What came instead of a file: an error may come with status 200, and a compressed body is not the video."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if kind.startswith("text/") or kind.endswith(("json", "xml")):
        return kind
    return None if encoding == "identity" else f"something compressed with {encoding}"


def _strong_etag(headers: Mapping[str, str]) -> str | None:
    """The ETag, if it promises that the bytes are the same."""
    etag = headers.get("etag", "").strip()
    return etag if STRONG_ETAG.fullmatch(etag) else None


def _digits(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def _failure(url: str, reason: str) -> DownloadError:
    return DownloadError(f"{bare(url)}: {reason}", url=bare(url))
