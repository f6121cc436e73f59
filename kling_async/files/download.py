"""Downloads one file: complete or not at all, resumed where an earlier try broke off."""

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
    from collections.abc import Awaitable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from random import Random

    from kling_async.transport.base import StreamedResponse, Transport

_logger = logging.getLogger("kling_async.download")

_WAIT = 0.5  # seconds, as the next two
_LONGEST_WAIT = 30.0
_LONGEST_RETRY_AFTER = 300.0
_PIECE = 2**20  # the most bytes that come at once
_SIZE_CAP = 8 * 1024**3
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""Errors that the next file would meet as well."""

T = TypeVar("T")


@frozen
class StoredFile:
    """A complete file on disk: its path, its bytes, and their SHA-256 in hexadecimal."""

    path: Path
    size: int
    digest: str


@define(eq=False)
class Retries:
    """Decides when a download is tried again: after growing waits, until nothing new has come for too long.

    Attributes:
        rng: Draws the waits.
        give_up_after: The seconds to go on while nothing new comes.
        sleep: Waits for some seconds.
        now: Returns the time in seconds, from any origin.
    """

    rng: Random
    give_up_after: float = 600.0
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep
    now: Callable[[], float] = anyio.current_time
    _tries: int = field(init=False, default=0)  # failed tries in a row that brought nothing new
    _since: float = field(init=False, default=0.0)  # when something new came last

    def begin(self) -> None:
        """Start counting, as something new has come."""
        self._tries, self._since = 0, self.now()

    def next_wait(self, asked: float) -> float | None:
        """Return the seconds to wait after a failed try, ``asked`` at least; None if that try was the last."""
        left = self._since + self.give_up_after - self.now()
        if left <= 0:
            return None
        usual = doubled(self._tries, base=_WAIT, cap=_LONGEST_WAIT) * self.rng.uniform(0.5, 1.0)
        self._tries += 1
        return min(max(usual, min(asked, _LONGEST_RETRY_AFTER)), left)


async def download_file(  # noqa: PLR0913 - by keyword, and most with defaults
    transport: Transport,
    url: str,
    path: Path,
    *,
    expected_size: int | None = None,
    refresh: Callable[[], Awaitable[str]] | None = None,
    progress: Callable[[int, int | None], object] | None = None,
    retries: Retries,
    slot: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    size_cap: int = _SIZE_CAP,
    on_complete: Callable[[StoredFile], Awaitable[object]] | None = None,
    on_stored: Callable[[StoredFile], object] = lambda _: None,
) -> StoredFile:
    """Download a file; only once it is complete on disk does it have its name.

    It replaces a file that was there at the beginning, but not one that has appeared since. Until then it grows in a
    hidden partial file beside it, ``.NAME.part``, which one writer among all processes has at a time. If the host gave
    a strong ETag, the partial file stays after a failure, a cancellation or a crash, with a JSON file beside it, and a
    later download of the same URL (its query aside) to the same path resumes it.

    If the file is not there (401, 403, 404, 410, 202, 204, 409, 425, an empty body), a fresh URL is asked for once.
    After that, and after errors that may pass, it is tried again with growing waits for as long as ``retries`` allow,
    and not before the host's ``Retry-After``, up to 300 s. The bytes of a body decide whether it is a complete video;
    the headers count only where the bytes do not tell.

    Args:
        transport: Sends on the file lane, so without the API key.
        url: The file's URL, used as it is.
        path: The file to write. Missing folders are made.
        expected_size: Its size in bytes, if announced; it counts if neither the host states a length nor the bytes
            tell whether they are complete.
        refresh: Called for a fresh URL when the file is not there; again only after the fresh one brought something.
            Its errors are raised, unless they are retryable.
        progress: Called on the loop with the bytes so far and the size, if known. An error it raises ends the download.
        retries: Decides when to try again, and for how long.
        slot: Entered for each try, so that other downloads have the slot while this one waits.
        size_cap: The most bytes a file may have. 8 GiB: hundreds of times the largest video.
        on_complete: Awaited once the file is complete, before it has its name: a crash leaves no file that is unknown.
        on_stored: Called as soon as the file has its name, even if this is cancelled just then.

    Returns:
        The complete file.

    Raises:
        DownloadError: The file could not be fetched or not be written. A file that was there before still is.
        StorageError: No file can be written.
    """
    expected_size = expected_size if expected_size and expected_size > 0 else None
    download = _Download(transport, url, path, expected_size, refresh, progress, retries, slot, size_cap)
    part = download.part
    try:
        while not await download.attempt():
            pass
        if on_complete is not None:
            await on_complete(StoredFile(path, part.size, part.digest))
        await download.on_disk(part.finish)
    finally:
        part.close()
        if part.is_in_place:
            on_stored(StoredFile(path, part.size, part.digest))
    return StoredFile(path, part.size, part.digest)


@define(eq=False, repr=False)
class _Download:
    """One download: its tries, and the bytes so far."""

    transport: Transport
    url: str
    path: Path
    expected_size: int | None
    refresh: Callable[[], Awaitable[str]] | None
    progress: Callable[[int, int | None], object] | None
    retries: Retries
    slot: Callable[[], AbstractAsyncContextManager[object]]
    size_cap: int
    part: PartialFile = field(init=False)
    is_open: bool = False  # whether the partial file is
    furthest: int = 0  # the most bytes there ever were: reaching less after a new start is no progress
    is_refreshed: bool = False  # whether the URL is a fresh one that has brought nothing yet
    has_ranges: bool = True  # whether the host may be asked for a range
    is_resumed: bool = False  # whether the body continues what the partial file has
    retry_after: float = 0.0  # seconds the host has asked to wait
    ended_at: int | None = None  # where the last body of unknown length ended, short of the announced size

    def __attrs_post_init__(self) -> None:
        self.part = PartialFile(self.path)

    async def attempt(self) -> bool:
        """Try once, and return whether the file is complete."""
        before, self.retry_after = self.furthest, 0.0
        try:
            async with self.slot():
                await self.open()
                return await self.fetch()
        except KlingError as error:
            if isinstance(error, TransportError) and not error.retryable:
                raise self.failure(error.message) from error
            if isinstance(error, DownloadError) or not error.retryable:
                raise
            if self.furthest > before:
                self.retries.begin()
            wait = self.retries.next_wait(self.retry_after)
            if wait is None:
                gave_up = f"gave up after {self.retries.give_up_after:g} s without anything new"
                raise self.failure(f"{gave_up}; the last: {error.message}", retryable=True) from error
        await self.retries.sleep(wait)
        return False

    async def open(self) -> None:
        """Open the partial file before sending: a host may hang up while nothing is read."""
        if self.is_open:
            return
        await self.on_disk(self.part.open, bare(self.url))
        self.is_open, self.furthest = True, self.part.size
        self.retries.begin()

    async def fetch(self) -> bool:
        conditions = self.part.conditions() if self.has_ranges else {}
        have = self.part.size if conditions else 0
        async with self.transport.stream(file_request(self.url, conditions)) as response:
            answer = read_answer(response.status, response.headers, have, self.part.etag)
            if isinstance(answer, Body):
                return await self.store(answer, response)
            self.retry_after = read_retry_after(response.headers) or 0.0
        return await self.recover(answer, f"the host answered {response.status}", is_range=bool(have))

    async def recover(self, answer: Answer, reason: str, *, is_range: bool) -> bool:
        """Prepare another try after a response without anything to store.

        Raises:
            TransportError: A later try may bring more.
            DownloadError: No try will.
        """
        if answer is Answer.ABSENT and await self.refresh_url():
            return False
        if answer is Answer.MISFIT:
            self.part.start_over(None)
        elif is_range and answer in (Answer.ABSENT, Answer.NO_RANGES):
            self.restart_without_ranges()
        elif answer is Answer.FINAL:
            raise self.failure(reason)
        else:
            raise TransportError(f"GET {bare(self.url)}: {reason}")
        return False

    def restart_without_ranges(self) -> None:
        self.part.start_over(None)
        self.has_ranges = False

    async def refresh_url(self) -> bool:
        """Ask for a fresh URL, unless the present one is fresh; return whether there is a new one."""
        if self.refresh is None or self.is_refreshed:
            return False
        self.url = await self.refresh()
        self.is_refreshed = True
        return True

    async def store(self, body: Body, response: StreamedResponse) -> bool:
        """Store the body, and return whether the file is complete."""
        self.is_resumed, size_before = body.offset > 0, self.part.size
        if self.is_resumed:
            self.part.resume_as(self.resume_info(body))
        incoming = Incoming(body, expected_size=self.expected_size, size_cap=self.size_cap + _PIECE)
        try:
            came = await self.write_all(body, incoming, response)
        except NoVideo as other:
            if await self.refresh_url():
                return False
            raise self.failure(f"the host sent no file, but {other}", retryable=True) from None
        if not came:
            return await self.recover(Answer.ABSENT, "the file is empty", is_range=False)
        if self.is_resumed and self.part.size == size_before:
            raise self.mismatch()
        await self.check_end(None if incoming.is_decoded else body.size)
        return True

    async def write_all(self, body: Body, incoming: Incoming, response: StreamedResponse) -> bool:
        """Write a body to the partial file, and return whether anything came."""
        came, taken = body.offset > 0, body.offset
        async for piece in response.chunks():
            taken += len(piece)
            self.check_size(taken, None)
            came = await self.write(incoming.feed(piece), body, incoming, came=came)
        return await self.write(incoming.finish(), body, incoming, came=came)

    async def write(self, contents: Iterable[bytes], body: Body, incoming: Incoming, *, came: bool) -> bool:
        for content in contents:
            if not came:
                self.begin(body, incoming)
            came = True
            self.check_size(self.part.size + len(content), incoming.final_size)
            await self.on_disk(self.part.append, content)
            self.report_progress(incoming.final_size or self.expected_size)
        return came

    def begin(self, body: Body, incoming: Incoming) -> None:
        """Start the partial file anew with a whole body."""
        self.part.start_over(None if incoming.is_decoded else self.resume_info(body))
        goal = incoming.final_size
        if goal is not None and self.expected_size not in (None, goal):
            # A wrong size in the vendor's answer must not cost a paid video; the host knows what it serves.
            _logger.warning("%s has %d bytes; %d were announced", bare(self.url), goal, self.expected_size)
        if goal is not None:
            self.check_size(goal, goal)

    def resume_info(self, body: Body) -> ResumeInfo | None:
        return None if body.etag is None else ResumeInfo(bare(self.url), body.etag)

    def check_size(self, size: int, goal: int | None) -> None:
        if goal is not None and size > goal:
            if self.is_resumed:
                raise self.mismatch()
            raise self.failure(f"the host sent more than the {goal} bytes it should have")
        if size > self.size_cap:
            raise self.failure(f"the file is larger than {self.size_cap} bytes")

    async def check_end(self, stated: int | None) -> None:
        """Raise `TransportError` unless the body that has ended was complete."""
        size, expected = self.part.size, self.expected_size
        if stated is not None and size < stated:
            raise self.broke_off(stated)
        begins_well, is_whole = await self.on_disk(self.part.inspect)
        if is_whole is False and self.is_resumed:
            raise self.mismatch()
        if is_whole is False and (stated is None or (expected or 0) > size):
            raise self.broke_off(expected)
        if is_whole or stated is not None or expected is None or size >= expected:
            return
        # If only the announced size says that more is to come, two bodies that end at the same byte outweigh it.
        if not begins_well or self.ended_at != size:
            self.ended_at = size
            raise self.broke_off(expected)

    def mismatch(self) -> TransportError:
        """Drop a partial file that the range does not continue; a host that counts wrongly is asked for the whole."""
        self.restart_without_ranges()
        return TransportError(f"GET {bare(self.url)}: the rest that came does not fit what there was")

    def broke_off(self, size: int | None) -> TransportError:
        whole = "" if size is None else f" of {size}"
        return TransportError(f"GET {bare(self.url)}: the file broke off at {self.part.size}{whole} bytes")

    def report_progress(self, goal: int | None) -> None:
        if self.part.size > self.furthest:
            self.furthest = self.part.size
            self.is_refreshed = False
        if self.progress is not None:
            self.progress(self.part.size, goal)

    async def on_disk(self, act: Callable[..., T], *arguments: object) -> T:
        """Run a blocking function in a thread."""
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
