"""The lag from a generation's end to its charge in the account's ledger, as learned from what is observed.

Nobody knows whether the charge is recorded when the vendor learns of the end, or only once a poll has shown it. So it
is learned, by what a session sees itself: with a the last poll that found a generation running, an end is taken to lie
anywhere after a with equal chances, and the lag to be exponential around a mean l. With I(u) = u - l (1 - exp(-u / l)),
of ends within x seconds of a the share I(x) / x is recorded by then. There are two kinds of observations:

- *The ledger showed it first*, in a look at t, and not yet in one at t': as likely as I(t - a) - I(t' - a).
- *A poll at b found it*, and the last look, at t, had not shown it: q + (1 - q) (1 - I(t - a) / (b - a)), with q the
  share whose charge is never recorded. To learn from the first kind alone would make lags seem shorter than they are.

An end counts for that share when a poll of its generation is due. One that is never recorded is not known before; to
count those that the ledger shows at once would make the share seem small while many end, and large afterwards.

A vendor may change, so after each observation a five-hundredth of the belief goes back to what it was at first: a lag
that grows is believed after a few observations, not after as many as spoke for the old one. What is acted on is the
mean belief of the last twenty observations. A ledger that is written once a minute seems not to lag at all just then,
and hardly to lead the rest of the time; the mean comes to the latter.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, cast

from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LAGS: Final = tuple(0.25 * 2.0 ** (step / 2.0) for step in range(20))
"""The mean lags that are thought possible, in the vendor's seconds, beside that nothing comes before a poll."""

_NEVER: Final = 0.5  # how likely it is, before anything was observed, that the ledger never leads
_FORGETTING: Final = 0.002  # by each observation
_FORGETTING_SHARES: Final = 0.001  # by each end: a share so small takes hundreds to tell, and hardly changes; ...
# ... but no faster than by time: what is not recorded is found late, so of the last ends found there are too many.
_MEMORY_OF_SHARES: Final = 3600.0  # seconds
_AVERAGED: Final = (
    20.0  # observations whose beliefs are averaged: one surprise, or many at once, are not acted on alone
)
_TRUSTED: Final = 7.0  # observations, older ones counting less, that the belief is acted on after
_LEADS: Final = 2.5  # times that the ledger was first, older ones counting less: three, and a few misses since
_ENDS_BEFORE: Final = 20.0  # generations that the share without a charge is based on at first, ...
_MISSED_BEFORE: Final = 1.5  # ... and how many of them had none
_VERSION: Final = 1


class RecordingLag:
    """What is believed of the lag, and of the share of generations that never get a charge. Durations are seconds.

    Attributes:
        means: The mean lags that are thought possible.
        awaited: How many have ended a short while ago and have no charge yet; until that is recorded, or much later,
            they count as if they never got one.
    """

    def __init__(self, scale: float = 1.0) -> None:
        """Begin with nothing observed; ``scale`` is the number of times as fast as the vendor that a sandbox is."""
        self._scale = scale
        self.means: tuple[float, ...] = tuple(lag / scale for lag in LAGS)
        self._weights = _prior()  # after the last observation
        self._averaged = _prior()  # the mean of those after the last few
        self._observed = self._leads = 0.0
        self._ends = self._missed = 0.0
        self._spared: list[float] = []  # a heap: when polls would have found what the ledger has shown
        self._ended_at: float | None = None  # of the last end that counts
        self.awaited = 0

    @property
    def leads(self) -> bool:
        """True if the ledger has shown ends before polls did, and still does."""
        return self._leads >= _LEADS

    @property
    def is_trusted(self) -> bool:
        """True once enough was observed to poll less for it."""
        return self.leads and self._observed >= _TRUSTED

    @property
    def unrecorded(self) -> float:
        """The share of ends, failures among them, that the ledger never shows; more than 0."""
        return (_MISSED_BEFORE + self._missed + self.awaited) / (_ENDS_BEFORE + self._ends + self.awaited)

    @property
    def never(self) -> float:
        """The probability that the ledger shows nothing before a poll has."""
        return self._averaged[-1]

    @property
    def mean(self) -> float | None:
        """The mean lag, if the ledger leads; None before that is believed."""
        known = 1.0 - self.never
        return sum(weight * lag for lag, weight in self) / known if self.leads else None

    def within(self, share: float) -> float:
        """Return the seconds after an end within which this share of charges is recorded, if the ledger leads."""
        return -math.log1p(-share) * sum(weight * lag for lag, weight in self) / max(1e-9, 1.0 - self.never)

    def shown_first(self, before: float, after: float) -> None:
        """Count an end that a look showed so many seconds after the last own poll.

        The look before it, ``before`` seconds after that poll, did not show it.
        """
        before = max(0.0, before)
        if after > before:
            self._observe([_recorded(lag, after) - _recorded(lag, before) for lag in self.means], 0.0)
            self._leads += 1.0

    def polled_first(self, looked: float, gap: float) -> None:
        """Count an end that a poll found, ``gap`` seconds after the poll before it.

        The last look, ``looked`` seconds after the poll before, did not show it.
        """
        if 0.0 < looked <= gap:
            q = self.unrecorded
            self._observe([q + (1.0 - q) * (1.0 - _recorded(lag, looked) / gap) for lag in self.means], 1.0)

    def spared(self, due: float) -> None:
        """Count an end that the ledger showed, once a poll of that generation would have been due (`advance`)."""
        heappush(self._spared, due)

    def advance(self, now: float) -> None:
        """Count the ends that polls would have found by now."""
        while self._spared and self._spared[0] <= now:
            self.ended(heappop(self._spared), recorded=True)

    def ended(self, at: float, *, recorded: bool) -> None:
        """Count a generation that a poll found ended; a charge that was not recorded is awaited no more."""
        passed = 0.0 if self._ended_at is None else max(0.0, at - self._ended_at)
        self._ended_at = at
        kept = 1.0 - min(_FORGETTING_SHARES, passed * self._scale / _MEMORY_OF_SHARES)
        self._ends = self._ends * kept + 1.0
        self._missed = self._missed * kept + (not recorded)

    def _observe(self, likelihoods: list[float], never: float) -> None:
        likelihoods.append(never)
        joint = [weight * each for weight, each in zip(self._weights, likelihoods, strict=True)]
        total = sum(joint)
        kept = 1.0 - _FORGETTING
        if total > 0.0:
            self._weights = [
                kept * each / total + _FORGETTING * first for each, first in zip(joint, _prior(), strict=True)
            ]
        self._observed = self._observed * kept + 1.0
        new = 1.0 / min(self._observed, _AVERAGED)
        self._averaged = [mean + new * (each - mean) for mean, each in zip(self._averaged, self._weights, strict=True)]
        self._leads *= kept

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Yield each mean lag with its probability; the rest is the probability that the ledger never leads."""
        return zip(self.means, self._averaged, strict=False)

    def as_data(self) -> dict[str, Any]:
        """Return what was learned as data for ``json.dumps``."""
        counts = {
            "observed": self._observed,
            "leads": self._leads,
            "ends": self._ends + len(self._spared),
            "missed": self._missed,
        }
        return {"version": _VERSION, "weights": self._weights, **counts}

    @classmethod
    def from_data(cls, data: object, scale: float = 1.0) -> RecordingLag:
        """Read the data that `as_data` made, at any scale.

        Raises:
            ConfigurationError: It is not that, or of another version; says where it is wrong.
        """
        found = cls(scale)
        document: Mapping[str, object] = cast("Mapping[str, object]", data) if isinstance(data, Mapping) else {}
        if document.get("version") != _VERSION:
            raise _wrong("version", document.get("version"), f"the number {_VERSION}")
        given: object = document.get("weights")
        weights: list[object] = cast("list[object]", given) if isinstance(given, list) else []
        if len(weights) != len(found._weights):
            raise _wrong("weights", weights, f"a list of {len(found._weights)} numbers")
        found._weights = _normalised([_amount(each, "weights") for each in weights])
        found._averaged = list(found._weights)
        found._observed, found._leads = (_amount(document.get(name), name) for name in ("observed", "leads"))
        found._ends, found._missed = (_amount(document.get(name), name) for name in ("ends", "missed"))
        return found

    def __repr__(self) -> str:
        mean = "unknown" if self.mean is None else f"{self.mean:.2g} s"
        return f"<RecordingLag {mean}, {self.unrecorded:.1%} never recorded>"


def _prior() -> list[float]:
    return [*(((1.0 - _NEVER) / len(LAGS),) * len(LAGS)), _NEVER]


def _recorded(lag: float, gap: float) -> float:
    """Return how many of the ends within ``gap`` seconds, one a second, are recorded by the end of them."""
    return gap + lag * math.expm1(-gap / lag)


def _normalised(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    if total <= 0.0:
        raise _wrong("weights", weights, "numbers of which one is more than 0")
    return [each / total for each in weights]


def _amount(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 <= value < math.inf:
        raise _wrong(where, value, "a finite number, at least 0")
    return float(value)


def _wrong(where: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(
        f"what was learned of the ledger cannot be read: {where} is {reprlib.repr(value)}; it takes {allowed}"
    )
