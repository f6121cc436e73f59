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

*A vendor may record many charges together*, once a minute, say. Between two such instants nothing but polls finds ends,
then one look shows all, and neither says much about the lag, however many ends it is. So what a look shows, and what
polls have found since the look before it, counts as five observations at most, in the proportion in which they were
made. Where ends are recorded one by one, that changes nothing but how soon a lag is certain.

*A vendor may change*, so evidence, which is the logarithm of likelihoods, is forgotten: a fiftieth with each
observation, but no more than in proportion to two minutes, over which a ledger that is written once a minute has shown
both its sides. No observation rules out a lag, and whatever was observed, a two-hundredth of the belief is what it was
at first: to poll on where nothing comes is cheaper than to wait for it.
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
_UNSURE: Final = 0.005  # the share of the belief that no observation changes
_LEAST_LIKELY: Final = 1e-4  # beside the likeliest lag: what every other is granted, whatever is observed
_AT_ONCE: Final = 5.0  # observations that one look and the polls since the last one count as at most
_MEMORY: Final = 50.0  # observations, ...
_MEMORY_IN_TIME: Final = 120.0  # ... or so many seconds, if they come faster
_FORGETTING_SHARES: Final = 0.001  # by each end: a share so small takes hundreds to tell, and hardly changes; ...
# ... but no faster than by time: what is not recorded is found late, so of the last ends found there are too many.
_MEMORY_OF_SHARES: Final = 3600.0  # seconds
_TRUSTED: Final = 7.0  # observations, older ones counting less, that the belief is acted on after
_LEADS: Final = 2.5  # times that the ledger was first, older ones counting less: three, and a few misses since
_ENDS_BEFORE: Final = 20.0  # generations that the share without a charge is based on at first, ...
_MISSED_BEFORE: Final = 1.5  # ... and how many of them had none
_LEAST_KEPT: Final = 1e-12  # of what a lag was believed at first
_OBSERVED, _LED = -2, -1  # places in the evidence
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
        # By mean lag, and for never: logarithms of likelihoods; then how many were observed, and were leads.
        self._evidence = [0.0] * (len(LAGS) + 3)
        self._latest = [0.0] * (len(LAGS) + 3)  # the same since the last look, all of it
        self._belief: list[float] | None = None  # what follows from that; None: not worked out yet
        self._looked_at = -math.inf
        self._ends = self._missed = 0.0
        self._spared: list[float] = []  # a heap: when polls would have found what the ledger has shown
        self._ended_at: float | None = None  # of the last end that counts
        self.awaited = 0

    @property
    def leads(self) -> bool:
        """True if the ledger has shown ends before polls did, and still does."""
        return self._seen(_LED) >= _LEADS

    @property
    def is_trusted(self) -> bool:
        """True once enough was observed to poll less for it."""
        return self.leads and self._seen(_OBSERVED) >= _TRUSTED

    @property
    def unrecorded(self) -> float:
        """The share of ends, failures among them, that the ledger never shows; more than 0."""
        return (_MISSED_BEFORE + self._missed + self.awaited) / (_ENDS_BEFORE + self._ends + self.awaited)

    @property
    def never(self) -> float:
        """The probability that the ledger shows nothing before a poll has."""
        return self._believed()[-1]

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
            self._observe([_recorded(lag, after) - _recorded(lag, before) for lag in self.means], led=True)

    def polled_first(self, looked: float, gap: float) -> None:
        """Count an end that a poll found, ``gap`` seconds after the poll before it.

        The last look, ``looked`` seconds after the poll before, did not show it.
        """
        if 0.0 < looked <= gap:
            q = self.unrecorded
            self._observe([q + (1.0 - q) * (1.0 - _recorded(lag, looked) / gap) for lag in self.means], led=False)

    def spared(self, due: float) -> None:
        """Count an end that the ledger showed, once a poll of that generation would have been due (`advance`)."""
        heappush(self._spared, due)

    def advance(self, now: float) -> None:
        """Count a look that begins now, and the ends that polls would have found by now."""
        passed = max(0.0, now - self._looked_at) * self._scale
        kept = 1.0 - min(self._share * self._latest[_OBSERVED] / _MEMORY, passed / _MEMORY_IN_TIME)
        self._evidence = [kept * each for each in self._all()]
        self._latest = [0.0] * len(self._latest)
        self._looked_at, self._belief = now, None
        while self._spared and self._spared[0] <= now:
            self.ended(heappop(self._spared), recorded=True)

    def ended(self, at: float, *, recorded: bool) -> None:
        """Count a generation that a poll found ended; a charge that was not recorded is awaited no more."""
        passed = 0.0 if self._ended_at is None else max(0.0, at - self._ended_at)
        self._ended_at = at
        kept = 1.0 - min(_FORGETTING_SHARES, passed * self._scale / _MEMORY_OF_SHARES)
        self._ends = self._ends * kept + 1.0
        self._missed = self._missed * kept + (not recorded)

    def _observe(self, likelihoods: list[float], *, led: bool) -> None:
        likelihoods.append(0.0 if led else 1.0)
        least = _LEAST_LIKELY * max(likelihoods)
        if least > 0.0:
            observation = [*(math.log(max(least, each)) for each in likelihoods), 1.0, float(led)]
            self._latest = [some + one for some, one in zip(self._latest, observation, strict=True)]
            self._belief = None

    @property
    def _share(self) -> float:
        """Return as how much of an observation each of those since the last look counts."""
        return min(1.0, _AT_ONCE / max(1.0, self._latest[_OBSERVED]))

    def _all(self) -> list[float]:
        share = self._share
        return [old + share * new for old, new in zip(self._evidence, self._latest, strict=True)]

    def _seen(self, what: int) -> float:
        return self._evidence[what] + self._share * self._latest[what]

    def _believed(self) -> list[float]:
        if self._belief is None:
            self._belief = [
                (1.0 - _UNSURE) * each + _UNSURE * first for each, first in zip(self._learned(), _prior(), strict=True)
            ]
        return self._belief

    def _learned(self) -> list[float]:
        evidence = self._all()[:_OBSERVED]
        most = max(evidence)
        return _normalised([first * math.exp(each - most) for each, first in zip(evidence, _prior(), strict=True)])

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Yield each mean lag with its probability; the rest is the probability that the ledger never leads."""
        return zip(self.means, self._believed(), strict=False)

    def as_data(self) -> dict[str, Any]:
        """Return what was learned as data for ``json.dumps``."""
        counts = {
            "observed": self._seen(_OBSERVED),
            "leads": self._seen(_LED),
            "ends": self._ends + len(self._spared),
            "missed": self._missed,
        }
        return {"version": _VERSION, "weights": self._learned(), **counts}

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
        if len(weights) != len(LAGS) + 1:
            raise _wrong("weights", weights, f"a list of {len(LAGS) + 1} numbers")
        learned = _normalised([_amount(each, "weights") for each in weights])
        counts = [_amount(document.get(name), name) for name in ("observed", "leads")]
        found._evidence = [
            *(math.log(max(_LEAST_KEPT, each / first)) for each, first in zip(learned, _prior(), strict=True)),
            *counts,
        ]
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
