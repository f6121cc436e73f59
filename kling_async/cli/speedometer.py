"""How fast something grows right now."""

from __future__ import annotations

from collections import deque

__all__ = ["Speedometer"]


class Speedometer:
    """The rate of a count over the last few seconds; it keeps the readings of those seconds, and no more."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._readings: deque[tuple[float, int]] = deque()

    def note(self, now: float, total: int) -> None:
        """Take a reading. Instants never go back."""
        self._readings.append((now, total))
        # One reading from before the window stays: the growth is counted from there.
        while len(self._readings) > 1 and self._readings[1][0] <= now - self._window:
            self._readings.popleft()

    @property
    def per_second(self) -> float:
        """The rate between the first and the last reading; 0 as long as there are not two."""
        if len(self._readings) < 2 or self._readings[0][0] == self._readings[-1][0]:  # noqa: PLR2004 - a rate takes two
            return 0.0
        (begun, first), (ended, last) = self._readings[0], self._readings[-1]
        return (last - first) / (ended - begun)
