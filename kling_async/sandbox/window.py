"""A limit on how many requests may come within a length of time."""

from __future__ import annotations

from collections import deque

__all__ = ["Window"]


class Window:
    """At most so many requests in any stretch of so many seconds. Refused ones do not count."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._admitted: deque[float] = deque(maxlen=count)

    @classmethod
    def per_second(cls, rate: float) -> Window:
        """A limit of this many a second; below one a second it is one in a longer stretch."""
        count = max(1, int(rate))
        return cls(count, count / rate)

    def admit(self, now: float) -> bool:
        """Whether one more may come now; if so, it counts."""
        if len(self._admitted) == self._count and now - self._admitted[0] < self._seconds:
            return False
        self._admitted.append(now)
        return True
