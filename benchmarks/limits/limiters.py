"""How vendors count."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from attrs import define, field

from kling_async.sandbox.capacity import SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["LIMITERS", "Limiter", "SlidingLog", "TokenBucket"]


class Limiter(Protocol):
    """Lets requests in, or not."""

    def admit(self, now: float, limit: float) -> bool:
        """Count one more if there is room now, and return whether there was. ``limit`` is per second."""
        ...


@define
class _FixedWindow:
    """So many within each window of the clock; the next window begins anew."""

    seconds: float
    _window: int = field(default=0, init=False)
    _admitted: int = field(default=0, init=False)

    def admit(self, now: float, limit: float) -> bool:
        window = int(now / self.seconds)
        if window != self._window:
            self._window, self._admitted = window, 0
        if self._admitted >= limit * self.seconds:
            return False
        self._admitted += 1
        return True


@define
class SlidingLog:
    """As many within any window of so many seconds as the limit makes of it."""

    seconds: float
    _admitted: deque[float] = field(factory=deque[float], init=False)

    def admit(self, now: float, limit: float) -> bool:
        """Count one more if the window that ends now has room, and return whether it had."""
        while self._admitted and self._admitted[0] <= now - self.seconds:
            self._admitted.popleft()
        if len(self._admitted) >= limit * self.seconds:
            return False
        self._admitted.append(now)
        return True


@define
class TokenBucket:
    """As many per second as the limit says, and after a rest this many at once."""

    capacity: float
    _tokens: float = field(default=math.inf, init=False)
    _at: float = field(default=0.0, init=False)

    def admit(self, now: float, limit: float) -> bool:
        """Take a token if there is one, and return whether there was."""
        self._tokens = min(self.capacity, self._tokens + (now - self._at) * limit)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@define
class _Sandbox:
    """The library's own stand-in's."""

    _limit: float = field(default=math.nan, init=False)
    _window: SlidingWindow = field(factory=lambda: SlidingWindow.per_second(1.0), init=False)

    def admit(self, now: float, limit: float) -> bool:
        if limit != self._limit:
            self._limit, self._window = limit, SlidingWindow.per_second(limit)
        return self._window.admit(now)


LIMITERS: Final[Mapping[str, Callable[[], Limiter]]] = {
    "the sandbox's": _Sandbox,
    "fixed window of 1 s": lambda: _FixedWindow(1.0),
    "sliding window of 1 s": lambda: SlidingLog(1.0),
    "sliding window of 10 s": lambda: SlidingLog(10.0),
    "bucket of 5": lambda: TokenBucket(5.0),
    "bucket of 10": lambda: TokenBucket(10.0),
    "bucket of 1": lambda: TokenBucket(1.0),
    "sliding window of 60 s": lambda: SlidingLog(60.0),
}
"""By how they are called. The last two are known to be hard: one forgives nothing, the other tells a minute late."""
