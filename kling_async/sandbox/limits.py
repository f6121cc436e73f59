"""Admission: the API key, and the limits behind 429."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import TYPE_CHECKING

from kling_async.sandbox.exchange import ErrorResponse

if TYPE_CHECKING:
    from kling_async.sandbox.settings import Settings


class SlidingWindow:
    """At most so many requests in any stretch of so many seconds. Refused ones do not count."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._admitted: deque[float] = deque(maxlen=count)

    @classmethod
    def per_second(cls, rate: float) -> SlidingWindow:
        """Make a limit of this many a second; below one a second it is one in a longer time."""
        count = max(1, int(rate))
        return cls(count, count / rate)

    def admit(self, now: float) -> bool:
        """Count one more if there is room for it now, and return whether there was."""
        if len(self._admitted) == self._count and now - self._admitted[0] < self._seconds:
            return False
        self._admitted.append(now)
        return True


_LOG_CALLS, _LOG_SECONDS = 200, 60.0  # the one limit the vendor publishes ("Logs")


class RequestLimits:
    """Checks requests against the settings as they are at that moment. Every refusal is an ``ErrorResponse``."""

    def __init__(self, settings: Settings) -> None:
        self.is_revoked = False
        self._settings = settings
        self._rate = settings.requests_per_second
        self._requests = SlidingWindow.per_second(self._rate or 1)
        self._log_calls = SlidingWindow(_LOG_CALLS, _LOG_SECONDS / settings.speed)

    def check_key(self, authorization: str | None) -> None:
        """Refuse a request without the key, or after the key was revoked."""
        if self.is_revoked or authorization != f"Bearer {self._settings.api_key}":
            raise ErrorResponse(401, "Unauthorized: the API key is missing, unknown or revoked")

    def admit_request(self, now: float) -> None:
        """Refuse a request beyond the rate limit."""
        if self._rate != self._settings.requests_per_second:
            self._rate = self._settings.requests_per_second
            self._requests = SlidingWindow.per_second(self._rate or 1)
        if self._rate is not None and not self._requests.admit(now):
            raise self.too_many("Too Many Requests")

    def admit_generation(self, running: int) -> None:
        """Refuse a submit while as many generations as allowed are unfinished."""
        most = self._settings.max_concurrent
        if most is not None and running >= most:
            raise self.too_many(f"Too many concurrent generations: {running} are unfinished")

    def admit_log_call(self, now: float) -> None:
        """Refuse a request beyond the log's own limit."""
        if not self._log_calls.admit(now):
            raise self.too_many("Too Many Requests")

    def too_many(self, message: str) -> ErrorResponse:
        """Return a 429, with ``Retry-After`` only if the settings ask for it."""
        wait = self._settings.retry_after
        text = wait if isinstance(wait, str) or wait is None else str(ceil(wait))
        return ErrorResponse(429, message, headers={} if text is None else {"Retry-After": text})
