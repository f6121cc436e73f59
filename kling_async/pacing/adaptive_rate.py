"""The request rate, learned: cut when the vendor says "too many" (429), and slowly tried upwards again.

The vendor publishes no limits, so they can only be met. A limit that was met is remembered as a *level*, the rate that
the vendor seems to allow::

    cut        rate = 0.85 * level
    return     rate = level * (1 - 0.15 * (1 - t/120)**24)    t < 120 s: quickly back, then long just below the level
    climb      rate = level * (1 + u/300) + most * (u/60)**3   u = t - 120 s: slowly past it, then faster

The shape is that of TCP's CUBIC (Ha, Rhee and Xu, 2008) with a far flatter plateau, as a refusal costs a pause, and
time spent just below the level costs next to nothing. ``t`` is counted in requests that passed, each worth the time
that its place took: a session that asks for little, or that is paused, learns nothing and climbs nowhere.

The level is three tenths of the way from the rate that was accepted of late to the rate that was refused. They
differ where the rate was rising. A limit on every second is then nearer to the one refused; a bucket of tokens hides
for a while that its limit is passed, and its limit is nearer to the one accepted.
"""

from __future__ import annotations

import math
from collections import deque

from kling_async.pacing.rate_limiter import Gcra

_MOST = 50.0  # requests per second, at most, once a session without a cap was refused
_CUT = 0.85
_COOLDOWN = 10.0  # seconds from a cut until a request that is sent may cause another
_RETURN = 120.0  # seconds from a cut back to its level; with a refusal at every return, 2 requests/s lose under 1 %
_FLATNESS = 24
_CLIMB = 60.0  # seconds from a level up to the most, wherever the level is
_LOOK = 300.0  # seconds in which the linear term of the climb alone would double the rate
_TOWARDS_REFUSED = 0.3  # of the way from the rate accepted to the rate refused
_FULLEST_CUT = 0.5  # of the rate: how far a level falls at once, whatever was counted
_MEMORY = 30.0  # seconds: over how long accepted requests are counted
_ENOUGH = 100  # requests: the newest so many tell a rate to a percent
_SHORTEST = 1.0  # seconds: limits count by the second or longer, so a shorter stretch tells no rate


class AdaptiveRate(Gcra):
    """Spaces requests evenly at a rate that follows the vendor's refusals.

    It never exceeds ``burst + most * t`` requests in any t seconds. Pauses are for a ``Cooldown``
    beside it. A long Retry-After then neither deepens a cut nor delays the way back up.

    Attributes:
        level: Requests per second that the vendor seemed to allow at the last cut; until one, the rate begun with.
        is_binding: Whether requests wait for the rate or for a pause, so that those accepted tell something of it.
    """

    __slots__ = ("_climbed", "_cut_at", "_full_burst", "_least", "_meter", "_most", "is_binding", "level")

    def __init__(self, *, most: float = _MOST, burst: int = 5, initial: float = 10.0, least: float = 0.1) -> None:
        """Begin at ``initial`` requests per second, within ``least`` and ``most``.

        ``most`` is the caller's cap, and wins over both others. ``math.inf`` means no pacing at all until the first
        refusal; from then on the most is 50 per second.

        Raises:
            ConfigurationError: ``burst`` or the rate to begin at is not taken by ``Gcra``.
        """
        super().__init__(most if most == math.inf else min(max(initial, least), most), burst)
        self.level: float = self.rate
        self.is_binding: bool = False
        self._most = most
        self._least = min(least, most)
        self._full_burst = burst
        self._climbed = _RETURN  # seconds' worth of accepted requests since the cut; none is to be returned from yet
        self._cut_at = -math.inf
        self._meter = _RateMeter()

    def saturated(self, now: float) -> None:
        """Begin to measure: from ``now`` on requests wait, for the rate or for a pause."""
        if not self.is_binding:
            self.is_binding = True
            self._meter.start(now)

    def idle(self, now: float) -> None:
        """Stop measuring: from ``now`` on nothing is due, or waits for something else than the rate."""
        if self.is_binding:
            self.is_binding = False
            self._meter.stop(now)

    def accepted(self, now: float, sent_at: float) -> None:
        """Count a request that was answered, and not with 429: raises the rate if it was sent since the cut."""
        if sent_at <= self._cut_at or not self.is_binding:
            return
        self._meter.count(now)
        if self.rate < self._most:
            self._climbed += 1 / self.rate
            self._follow(now, self._recovered_rate())

    def refused(self, now: float, sent_at: float) -> None:
        """Count a request that was answered with 429: cuts the rate to 0.85 of its new level.

        That follows from the last 100 requests accepted while the rate was binding, but not from before the last
        cut, nor from longer than 30 s ago; and it is at least half of the rate. A request sent before a cut, or within
        10 s after it, causes no other.
        """
        if sent_at < self._cut_at + _COOLDOWN:
            return
        if self._most == math.inf:
            self._most = _MOST
        refused = min(self.rate, self._most)
        accepted = min(self._meter.per_second(now), refused)
        level = accepted + _TOWARDS_REFUSED * (refused - accepted)
        self.level = max(level, _FULLEST_CUT * refused, self._least)
        self._climbed = 0.0
        self._cut_at = now
        self._meter.reset(now)
        self.burst = 1  # a limit by the second counts a burst on top of the rate
        self._follow(now, max(self._least, _CUT * self.level))

    def _recovered_rate(self) -> float:
        beyond = self._climbed - _RETURN
        if beyond < 0.0:
            return max(self._least, self.level * (1.0 - (1.0 - _CUT) * (beyond / _RETURN) ** _FLATNESS))
        looked = self.level * (1.0 + beyond / _LOOK)
        return min(self._most, looked + self._most * (beyond / _CLIMB) ** 3)

    def _follow(self, now: float, rate: float) -> None:
        self.set_rate(now, rate)
        if rate >= self._most:
            self.burst: int = self._full_burst

    def __repr__(self) -> str:
        return f"<AdaptiveRate {self.rate:.3g}/s, level {self.level:.3g}/s, most {self._most:.3g}/s>"


class _RateMeter:
    """Measures the rate of accepted requests, on a clock that runs only while requests wait for the rate."""

    __slots__ = ("_elapsed", "_from", "_instants", "_since")

    def __init__(self) -> None:
        self._since: float | None = None  # the caller's instant at which the clock was started
        self._elapsed = 0.0  # seconds it had run until then
        self._from = 0.0  # the start of the measurement, by this clock
        self._instants: deque[float] = deque(maxlen=_ENOUGH)  # of accepted requests, by this clock

    def start(self, now: float) -> None:
        self._since = now

    def stop(self, now: float) -> None:
        self._elapsed = self._read(now)
        self._since = None

    def count(self, now: float) -> None:
        self._instants.append(self._read(now))

    def per_second(self, now: float) -> float:
        clock = self._read(now)
        while self._instants and self._instants[0] < clock - _MEMORY:
            self._instants.popleft()
        full = len(self._instants) == _ENOUGH  # then what came before its oldest is forgotten
        begun = self._instants[0] if full else max(self._from, clock - _MEMORY)
        return len(self._instants) / max(clock - begun, _SHORTEST)

    def reset(self, now: float) -> None:
        self._from = self._read(now)
        self._instants.clear()

    def _read(self, now: float) -> float:
        return self._elapsed if self._since is None else self._elapsed + max(0.0, now - self._since)
