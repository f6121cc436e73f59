"""Events as typed values, the basis of progress displays, traces and metrics, and the bus that hands them out."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

from attrs import asdict, frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_async.api.results import GenerationStatus, Video
    from kling_async.engine.job import Job
    from kling_async.engine.tasks import Clock
    from kling_async.errors import KlingError


@frozen(eq=False, repr=False)
class Event:
    """An event in a job's life.

    Attributes:
        at: When it happened, in the loop's time (seconds).
        job: The job it happened to.
    """

    at: float
    job: Job

    # Written once for all kinds: attrs would compile them for each kind at every import of the package.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and type(other) is type(self) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self), self.at, self.job))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in _values(self).items())})"


def _values(event: Event) -> dict[str, object]:
    return asdict(event, recurse=False)


@frozen(eq=False, repr=False)
class Queued(Event):
    """The job waits for its turn to be submitted."""


@frozen(eq=False, repr=False)
class Submitted(Event):
    """A POST for it was begun.

    Attributes:
        attempt: The number of POSTs begun for it, this one included.
    """

    attempt: int


@frozen(eq=False, repr=False)
class Accepted(Event):
    """The vendor accepted it; it is charged unless it fails."""

    generation_id: str


@frozen(eq=False, repr=False)
class Polled(Event):
    """The vendor gave its status.

    Attributes:
        status: The status.
        polls: The number of polls of this job, this one included.
        expected_at: The expected (median) end, in the loop's time; None once it has ended.
    """

    status: GenerationStatus
    polls: int
    expected_at: float | None


@frozen(eq=False, repr=False)
class Retrying(Event):
    """A submit or a poll failed without an outcome, and is tried again.

    Attributes:
        error: Why it failed.
        retry_at: When it is tried again, in the loop's time.
    """

    error: KlingError
    retry_at: float


@frozen(eq=False, repr=False)
class Throttled(Event):
    """The vendor refused a request because of a rate limit (429). The job is as it was; the session slows down.

    Attributes:
        is_submit: True for a submit, after which submits pause; False for a poll, after which all requests do.
        until: When requests go on, in the loop's time.
    """

    is_submit: bool
    until: float


@frozen(eq=False, repr=False)
class Completed(Event):
    """The video is there.

    Attributes:
        video: It.
        shown_by_ledger: Whether the account's ledger had shown its charge, so that it was polled for that.
        ledger_lag: How many seconds after an end the ledger shows its charge on average; None while it does not lead.
        told_first: How many completions it has shown before any poll did, this one included.
    """

    video: Video
    shown_by_ledger: bool = False
    ledger_lag: float | None = None
    told_first: int = 0


@frozen(eq=False, repr=False)
class Failed(Event):
    """The vendor refused the request, or failed to make the video."""

    error: KlingError


@frozen(eq=False, repr=False)
class Interrupted(Event):
    """The job settled although its generation's life goes on; it can be resumed."""

    error: KlingError


@frozen(eq=False, repr=False)
class Downloading(Event):
    """The download of its file has begun; `Downloaded` or `DownloadFailed` follows."""

    path: Path


@frozen(eq=False, repr=False)
class DownloadFailed(Event):
    """The download failed or was cancelled; it can be begun again."""

    path: Path
    error: KlingError


@frozen(eq=False, repr=False)
class Downloaded(Event):
    """Its file is complete on disk."""

    path: Path
    size: int


class Subscription:
    """An async iterator over events, from the moment of ``subscribe()`` until the session closes.

    It buffers a bounded number of events. A reader that falls behind loses the oldest, and ``missed`` counts them.
    """

    def __init__(self, buffer: int) -> None:
        self._events: deque[Event] = deque(maxlen=buffer)
        self._changed = asyncio.Event()  # wakes all readers, so that each sees the end
        self._closed = False
        self.missed = 0

    def close(self) -> None:
        """End the iteration after the buffered events. Closing again does nothing."""
        self._closed = True
        self._changed.set()

    def push(self, event: Event) -> None:
        """Add an event; if the buffer is full, the oldest is dropped."""
        if self._closed:
            return
        if len(self._events) == self._events.maxlen:
            self.missed += 1
        self._events.append(event)
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Subscription {state} {len(self._events)} buffered, {self.missed} missed>"


class EventBus:
    """Hands events to all subscriptions; one that is garbage-collected gets no more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: WeakSet[Subscription] = WeakSet()
        self._closed = False
        self.has_subscribers = False  # true once there was one: most sessions make no events

    def subscribe(self, buffer: int) -> Subscription:
        """Return a subscription to the events from now on."""
        self.has_subscribers = True
        subscription = Subscription(buffer)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        return subscription

    def emit(self, make: Callable[[float], Event]) -> None:
        """Hand out an event, made only if there are subscriptions."""
        if not self._subscriptions:
            return
        event = make(self._clock.now())
        for subscription in tuple(self._subscriptions):
            subscription.push(event)

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.close()
