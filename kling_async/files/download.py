"""Fetching a finished video's file: whole or not at all, going on where an earlier try stopped."""

from __future__ import annotations

import errno
import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread
from attrs import define, field, frozen

from kling_async.api.error_responses import read_retry_after
from kling_async.api.protocol import file_request
from kling_async.errors import DownloadError, KlingError, StorageError, TransportError
from kling_async.files.content import Answer, Body, Incoming, NoVideo, read_answer
from kling_async.files.partial import PartialFile, ResumeInfo
from kling_async.pacing.backoff import doubled
from kling_async.transport.urls import bare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from random import Random

    from kling_async.transport.base import StreamedResponse, Transport

__all__ = ["Retries", "Stored", "download_file"]

_logger = logging.getLogger("kling_async.download")

_WAIT = 0.5
_LONGEST_WAIT = 30.0
_LONGEST_RETRY_AFTER = 300.0
_PIECE = 2**20  # bytes that come at once, at most
_SIZE_CAP = 8 * 1024**3
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""What the next file would meet, too."""

T = TypeVar("T")


@frozen
class Stored:
    """A file that is there whole: where, how many bytes, and their SHA-256 in hexadecimal."""

    path: Path
    size: int
    digest: str


@define(eq=False)
class Retries:
    """When a download is tried again: ever more slowly, until nothing new has come for too long.

    Attributes:
        rng: Draws the waits.
        give_up_after: How long to go on while nothing new comes, in seconds.
        sleep: Waits, in seconds.
        now: The time in seconds, from any origin.
    """

    rng: Random
    give_up_after: float = 600.0
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep
    now: Callable[[], float] = anyio.current_time
    _tries: int = field(init=False, default=0)  # failed ones in a row that brought nothing new
    _since: float = field(init=False, default=0.0)  # when something new came last

    def begin(self) -> None:
        """Count from here: nothing has failed yet, or something new has come."""
        self._tries, self._since = 0, self.now()

    def next_wait(self, asked: float) -> float | None:
        """How long to wait after a failed try, ``asked`` at least; None if it was the last, made as the time was up."""
        left = self._since + self.give_up_after - self.now()
        if left <= 0:
            return None
        usual = doubled(self._tries, base=_WAIT, cap=_LONGEST_WAIT) * self.rng.uniform(0.5, 1.0)
        self._tries += 1
        return min(max(usual, min(asked, _LONGEST_RETRY_AFTER)), left)


async def download_file(
    transport: Transport,
    url: str,
    path: Path,
    *,
    expected_size: int | None = None,
    refresh: Callable[[], Awaitable[str]] | None = None,
    progress: Callable[[int, int | None], object] | None = None,
    retries: Retries,
    turn: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    size_cap: int = _SIZE_CAP,
    stored: Callable[[Stored], object] = lambda _: None,
) -> Stored:
    """Fetch a file; once it is there whole and on disk, and not before, it stands under its name.

    It replaces what stood there at first, but not what has appeared meanwhile. Until then it grows in a hidden
    neighbour, ``.NAME.part``, which one writer has at a time, among all processes. If the host gave it a strong ETag,
    that stays after a failure, a cancellation or a crash, with a note beside it, and a later download of the same URL
    (its query aside) to the same path goes on from there.

    A file that is not there (401, 403, 404, 410, 202, 204, 409, 425, an empty body) is asked for once more by a fresh
    URL. That in vain, and passing trouble, are tried again ever more slowly for as long as ``retries`` allow, and not
    before the host's ``Retry-After``, up to 300 s. Whether a body is the video and whole is told by its bytes
    rather than by its labels.

    Args:
        transport: Sends on the file lane, so without the API key.
        url: Where the file is, used as it is.
        path: Where to put it. Missing folders are made.
        expected_size: Its size in bytes, if announced; what counts if neither the host states a length of its own nor
            the bytes tell whether they are all.
        refresh: Asked for a fresh URL when the file is not there; again only after the fresh one brought something.
            Its own errors come through, unless they are retryable.
        progress: Called on the loop with the bytes so far and the size, if known. What it raises ends the download.
        retries: When to try again, and for how long.
        turn: Entered for each try, so that others may have theirs while this one waits.
        size_cap: The most bytes a file may have. 8 GiB: hundreds of times the largest video.
        stored: Called as soon as the file stands under its name, even if this is cancelled just then.

    Returns:
        What is on disk now.

    Raises:
        DownloadError: The file could not be had, or not be written. What was under its name before still is.
        StorageError: It could not be written, nor could any other.
    """
    expected_size = expected_size if expected_size and expected_size > 0 else None
    download = _Download(transport, url, path, expected_size, refresh, progress, retries, turn, size_cap)
    part = download.part
    try:
        await download.run()
    finally:
        part.leave()
        if part.is_in_place:
            stored(Stored(path, part.size, part.digest))
    return Stored(path, part.size, part.digest)


@define(eq=False, repr=False)
class _Download:
    """One download: its tries, and what they have brought so far."""

    transport: Transport
    url: str
    path: Path
    expected_size: int | None
    refresh: Callable[[], Awaitable[str]] | None
    progress: Callable[[int, int | None], object] | None
    retries: Retries
    turn: Callable[[], AbstractAsyncContextManager[object]]
    size_cap: int
    part: PartialFile = field(init=False)
    is_open: bool = False
    """Whether the part is."""
    furthest: int = 0
    """The most bytes there ever were: starting over and reaching less is nothing new, so every download ends."""
    refreshed: bool = False
    """Whether the URL is a fresh one that has brought nothing yet."""
    ranges: bool = True
    """Whether the host may be asked for a part of the file."""
    is_rest: bool = False
    """Whether what comes is the rest of a part."""
    asked_wait: float = 0.0
    """How long the host wants not to be asked again."""
    ended_at: int | None = None
    """Where the last body of an unknown length ended, short of the announced size."""

    def __attrs_post_init__(self) -> None:
        self.part = PartialFile(self.path)

    async def run(self) -> None:
        while not await self.attempt():
            pass
        await self.on_disk(self.part.finish)

    async def attempt(self) -> bool:
        """Try once, and say whether the file is whole."""
        before, self.asked_wait = self.furthest, 0.0
        try:
            async with self.turn():
                await self.open()
                return await self.fetch()
        except KlingError as error:
            if isinstance(error, TransportError) and not error.retryable:
                raise self.failure(error.message) from error
            if isinstance(error, DownloadError) or not error.retryable:
                raise
            if self.furthest > before:
                self.retries.begin()
            wait = self.retries.next_wait(self.asked_wait)
            if wait is None:
                reason = (
                    f"gave up after {self.retries.give_up_after:g} s without anything new; the last: {error.message}"
                )
                raise self.failure(reason, retryable=True) from error
        await self.retries.sleep(wait)
        return False

    async def open(self) -> None:
        """Have the part before anything is asked for: what comes while nobody reads it is lost if the host hangs up."""
        if self.is_open:
            return
        await self.on_disk(self.part.open, bare(self.url))
        self.is_open, self.furthest = True, self.part.size
        self.retries.begin()

    async def fetch(self) -> bool:
        conditions = self.part.conditions() if self.ranges else {}
        have = self.part.size if conditions else 0
        async with self.transport.stream(file_request(self.url, conditions)) as response:
            answer = read_answer(response.status, response.headers, have, self.part.etag)
            if isinstance(answer, Body):
                return await self.store(answer, response)
            self.asked_wait = read_retry_after(response.headers) or 0.0
        return await self.go_on(answer, f"the host answered {response.status}", is_part=bool(have))

    async def go_on(self, answer: Answer, told: str, *, is_part: bool) -> bool:
        """Make ready for another try after an answer without anything to store.

        Raises:
            TransportError: Another try may bring more, later.
            DownloadError: None will.
        """
        if answer is Answer.ABSENT and await self.renew():
            return False
        if answer is Answer.MISFIT:
            self.part.start_over(None)
        elif is_part and answer in (Answer.ABSENT, Answer.NO_RANGES):
            self.ask_for_all()
        elif answer is Answer.FINAL:
            raise self.failure(told)
        else:
            raise TransportError(f"GET {bare(self.url)}: {told}")
        return False

    def ask_for_all(self) -> None:
        """Begin anew, and ask for no part any more."""
        self.part.start_over(None)
        self.ranges = False

    async def renew(self) -> bool:
        """Ask for a fresh URL, if that may help."""
        if self.refresh is None or self.refreshed:
            return False
        self.url = await self.refresh()
        self.refreshed = True
        return True

    async def store(self, body: Body, response: StreamedResponse) -> bool:
        """Store what comes, and say whether the file is whole."""
        self.is_rest, had = body.offset > 0, self.part.size
        if self.is_rest:
            self.part.go_on(self.mark(body))
        incoming = Incoming(body, expected_size=self.expected_size, size_cap=self.size_cap + _PIECE)
        try:
            came = await self.write_all(body, incoming, response)
        except NoVideo as other:
            if await self.renew():
                return False
            raise self.failure(f"the host sent no file, but {other}", retryable=True) from None
        if not came:
            return await self.go_on(Answer.ABSENT, "the file is empty", is_part=False)
        if self.is_rest and self.part.size == had:
            raise self.misfit()
        await self.check_end(None if incoming.is_decoded else body.size)
        return True

    async def write_all(self, body: Body, incoming: Incoming, response: StreamedResponse) -> bool:
        """Write a body to its part, and say whether anything came."""
        came, taken = body.offset > 0, body.offset
        async for piece in response.chunks():
            taken += len(piece)
            self.check_size(taken, None)
            for content in incoming.feed(piece):
                await self.write(content, body, incoming, is_first=not came)
                came = True
        for content in incoming.finish():
            await self.write(content, body, incoming, is_first=not came)
            came = True
        return came

    async def write(self, content: bytes, body: Body, incoming: Incoming, *, is_first: bool) -> None:
        if is_first:
            self.begin(body, incoming)
        self.check_size(self.part.size + len(content), incoming.goal)
        await self.on_disk(self.part.append, content)
        self.advance(incoming.goal or self.expected_size)

    def begin(self, body: Body, incoming: Incoming) -> None:
        """Have the part begin anew with what a whole body brings."""
        self.part.start_over(None if incoming.is_decoded else self.mark(body))
        goal = incoming.goal
        if goal is not None and self.expected_size not in (None, goal):
            # A label that is off must not keep a paid video from its owner; the host knows what it serves.
            _logger.warning("%s has %d bytes; %d were announced", bare(self.url), goal, self.expected_size)
        if goal is not None:
            self.check_size(goal, goal)

    def mark(self, body: Body) -> ResumeInfo | None:
        return None if body.etag is None else ResumeInfo(bare(self.url), body.etag)

    def check_size(self, size: int, goal: int | None) -> None:
        if goal is not None and size > goal and self.is_rest:
            raise self.misfit()
        if goal is not None and size > goal:
            raise self.failure(f"the host sent more than the {goal} bytes it should have")
        if size > self.size_cap:
            raise self.failure(f"the file is larger than {self.size_cap} bytes")

    async def check_end(self, stated: int | None) -> None:
        """Make sure that a body which has ended was whole.

        Raises:
            TransportError: It was not.
        """
        size, expected = self.part.size, self.expected_size
        if stated is not None and size < stated:
            raise self.broke_off(stated)
        begins_well, is_whole = await self.on_disk(self.part.judge)
        if is_whole is False and self.is_rest:
            raise self.misfit()
        if is_whole is False and (stated is None or (expected or 0) > size):
            raise self.broke_off(expected)
        if is_whole or stated is not None or expected is None or size >= expected:
            return
        # Where nothing but the announced size could tell, two bodies that end at one place are right about it.
        if not begins_well or self.ended_at != size:
            self.ended_at = size
            raise self.broke_off(expected)

    def misfit(self) -> TransportError:
        """A rest that does not fit the part it was asked for: a host that counts wrongly is asked for the whole."""
        self.ask_for_all()
        return TransportError(f"GET {bare(self.url)}: the rest that came does not fit what there was")

    def broke_off(self, size: int | None) -> TransportError:
        whole = "" if size is None else f" of {size}"
        return TransportError(f"GET {bare(self.url)}: the file broke off at {self.part.size}{whole} bytes")

    def advance(self, goal: int | None) -> None:
        if self.part.size > self.furthest:
            self.furthest = self.part.size
            self.refreshed = False
        if self.progress is not None:
            self.progress(self.part.size, goal)

    async def on_disk(self, act: Callable[..., T], *arguments: object) -> T:
        """Run what may block in a thread."""
        try:
            return await to_thread.run_sync(act, *arguments)
        except BlockingIOError as error:
            reason = f"{self.path} is being downloaded already, by this process or another"
            raise self.failure(reason, retryable=True) from error
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            raise self.unwritable(error) from error

    def unwritable(self, error: OSError | ValueError) -> DownloadError:
        number, told = (error.errno, error.strerror) if isinstance(error, OSError) else (None, str(error))
        reason = f"{self.path} cannot be written: {told}"
        if number in _UNWRITABLE:
            return self.failure(reason, StorageError)
        return self.failure(reason, retryable=number == errno.EBUSY)

    def failure(
        self, reason: str, kind: type[DownloadError] = DownloadError, *, retryable: bool | None = None
    ) -> DownloadError:
        return kind(f"{bare(self.url)}: {reason}", url=bare(self.url), retryable=retryable)
