"""What all events have, and the bus that hands each one to those who watch its job or the whole session."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast
from weakref import WeakSet, WeakValueDictionary

from attrs import asdict, field, frozen, has

from kling_async.errors import KlingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attrs import AttrsInstance

    from kling_async.engine.tasks import Clock

_LOCAL = ("at", "job")  # what means nothing outside the process
_INSTANTS = ("expected_at", "retry_at", "until")  # in the loop's time, as `at` is


@frozen(eq=False, repr=False)
class Event:
    """An event in a session's life.

    Attributes:
        at: When it happened, in the loop's time (seconds), which never goes back.
        time: When it happened, by the wall clock, in UTC.
    """

    at: float
    time: datetime = field(kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as data for ``json.dumps``, such as for a log or for server-sent events.

        ``event`` is its kind, such as ``"polled"`` or ``"download_failed"``; all else is as its attributes are named,
        but for ``at`` and ``job``. Moments are texts in ISO 8601, in UTC; errors are their class and message; amounts
        of money are numbers. A tag that JSON does not know is the text that ``str`` makes of it.
        """
        values = {name: value for name, value in _values(self).items() if name not in _LOCAL}
        for name in _INSTANTS:
            if (instant := values.get(name)) is not None:
                values[name] = self.time + timedelta(seconds=instant - self.at)
        kind = re.sub("(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        return {"event": kind, **{name: _plain(value) for name, value in values.items()}}

    # Written once for all kinds: attrs would compile them for each kind at every import of the package.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and type(other) is type(self) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self), self.at))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in _values(self).items())})"


def _values(event: Event) -> dict[str, Any]:
    return asdict(event, recurse=False, filter=lambda attribute, _: attribute.eq is not False)


def _plain(value: object) -> object:  # noqa: PLR0911 - one for each kind of value
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, KlingError):
        return {"type": type(value).__name__, "message": value.message}
    if has(type(value)):
        return _plain(asdict(cast("AttrsInstance", value), recurse=False))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in cast("Sequence[object]", value)]
    return str(value)


E_co = TypeVar("E_co", bound=Event, covariant=True)


class Subscription(Generic[E_co]):
    """An async iterator over events, from the moment of ``subscribe()`` or ``events()`` on.

    It buffers a bounded number of events. A reader that falls behind loses the oldest, and ``missed`` counts them. One
    that is no longer referred to costs nothing more.
    """

    def __init__(self, buffer: int, last: tuple[type[Event], ...], audience: WeakSet[Subscription[Any]]) -> None:
        self._events: deque[E_co] = deque(maxlen=buffer)
        self._last = last  # the kinds of events that end it
        self._audience = audience  # kept alive by those in it
        self._changed = asyncio.Event()  # wakes all readers, so that each sees the end
        self._closed = False
        self.missed: int = 0
        audience.add(self)

    def close(self) -> None:
        """End the iteration after the buffered events. Closing again does nothing."""
        self._closed = True
        self._audience.discard(self)
        self._changed.set()

    def push(self, event: Any) -> None:  # noqa: ANN401 - what the bus has for it
        """Add an event; if the buffer is full, the oldest is dropped."""
        if self._closed:
            return
        if len(self._events) == self._events.maxlen:
            self.missed += 1
        self._events.append(event)
        self._changed.set()
        if isinstance(event, self._last):
            self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E_co:
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
    """Hands each event to the subscriptions to its job and to the whole session, at no cost for those to other jobs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._to_all: WeakSet[Subscription[Any]] = WeakSet()
        self._by_key: WeakValueDictionary[str, WeakSet[Subscription[Any]]] = WeakValueDictionary()
        self._closed = False
        self._is_used = False  # true once there was a subscription: most sessions make no events

    def subscribe(self, buffer: int, key: str | None = None, last: tuple[type[Event], ...] = ()) -> Subscription[Any]:
        """Return a subscription to the events from now on, or to those of one job, until one of these last kinds."""
        self._is_used = True
        audience = self._to_all if key is None else self._by_key.setdefault(key, WeakSet())
        subscription = Subscription[Any](buffer, last, audience)
        if self._closed:
            subscription.close()
        return subscription

    def is_watched(self, key: str) -> bool:
        """Return whether somebody gets the events of this job."""
        return self._is_used and (len(self._to_all) > 0 or len(self._by_key.get(key, ())) > 0)

    def emit(self, kind: type[Event], key: str = "", **values: Any) -> None:  # noqa: ANN401 - the event's own
        """Hand out an event, of the job with this key or of none, made only if somebody gets it."""
        if not self._is_used:
            return
        audience = (*self._to_all, *self._by_key.get(key, ()))
        if audience:
            now = self._clock.now()
            event = kind(at=now, time=self._clock.to_datetime(now), **values)
            for subscription in audience:
                subscription.push(event)

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        for audience in (self._to_all, *self._by_key.values()):
            for subscription in tuple(audience):
                subscription.close()
