"""What happens, as typed values: progress bars, logs and metrics are built on these and on nothing private."""

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

__all__ = [
    "Accepted",
    "Completed",
    "DownloadFailed",
    "Downloaded",
    "Downloading",
    "Event",
    "EventBus",
    "Failed",
    "Interrupted",
    "Polled",
    "Queued",
    "Retrying",
    "Submitted",
    "Subscription",
    "Throttled",
]


@frozen(eq=False, repr=False)
class Event:
    """Something that happened to a job.

    Attributes:
        at: When, in the loop's time (seconds).
        job: To which job.
    """

    at: float
    job: Job

    # Written once, for all kinds: attrs would compile them for each, whenever the package is imported.
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
    """The vendor took it; what it costs is owed from now on."""

    generation_id: str


@frozen(eq=False, repr=False)
class Polled(Event):
    """The vendor said how far it is.

    Attributes:
        status: How far it is.
        polls: The number of polls of this job, this one included.
        expected_at: When it will be done, as likely before as after, in the loop's time; None once it has ended.
    """

    status: GenerationStatus
    polls: int
    expected_at: float | None


@frozen(eq=False, repr=False)
class Retrying(Event):
    """A submit or a poll told nothing and bought nothing, and will be tried again.

    Attributes:
        error: What went wrong.
        again_at: When it will be tried again, in the loop's time.
    """

    error: KlingError
    again_at: float


@frozen(eq=False, repr=False)
class Throttled(Event):
    """The vendor refused a request for asking too much (429). The job is as it was; the session slows down.

    Attributes:
        submit: Whether it was a submit, so that submits alone are held, or a poll, so that everything is.
        until: When requests go on, in the loop's time.
    """

    submit: bool
    until: float


@frozen(eq=False, repr=False)
class Completed(Event):
    """The video is there.

    Attributes:
        video: It.
        shown_by_ledger: Whether the account's ledger had shown its charge, so that it was polled for that.
    """

    video: Video
    shown_by_ledger: bool = False


@frozen(eq=False, repr=False)
class Failed(Event):
    """There will be no video: the vendor refused the request or failed to make it."""

    error: KlingError


@frozen(eq=False, repr=False)
class Interrupted(Event):
    """The job settled although its generation's life goes on; it can be resumed."""

    error: KlingError


@frozen(eq=False, repr=False)
class Downloading(Event):
    """Its file begins to come in: `Downloaded` or `DownloadFailed` follows."""

    path: Path


@frozen(eq=False, repr=False)
class DownloadFailed(Event):
    """Its file did not come, or the caller gave it up; what was bought is still there to be fetched."""

    path: Path
    error: KlingError


@frozen(eq=False, repr=False)
class Downloaded(Event):
    """Its file is on disk, whole."""

    path: Path
    size: int


class Subscription:
    """An async iterator over events, from the moment of ``subscribe()`` until the session closes.

    It buffers a bounded number of events. A reader that falls behind loses the oldest ones, and ``missed`` counts them.
    """

    def __init__(self, buffer: int) -> None:
        self._events: deque[Event] = deque(maxlen=buffer)
        self._news = asyncio.Event()  # wakes every reader, so that all of them see the end
        self._closed = False
        self.missed = 0

    def close(self) -> None:
        """End the iteration, after what is buffered. Closing again does nothing."""
        self._closed = True
        self._news.set()

    def push(self, event: Event) -> None:
        """Take an event, at the cost of the oldest if the buffer is full."""
        if self._closed:
            return
        if len(self._events) == self._events.maxlen:
            self.missed += 1
        self._events.append(event)
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Subscription {state} {len(self._events)} buffered, {self.missed} missed>"


class EventBus:
    """Hands events to whoever subscribed. A subscription that is dropped is forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: WeakSet[Subscription] = WeakSet()
        self._closed = False
        self.has_subscribers = False  # whether anybody ever listened: most sessions need not make any event

    def subscribe(self, buffer: int) -> Subscription:
        """Begin to listen, now."""
        self.has_subscribers = True
        subscription = Subscription(buffer)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        return subscription

    def emit(self, make: Callable[[float], Event]) -> None:
        """Hand out an event; it is made only if somebody listens."""
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
