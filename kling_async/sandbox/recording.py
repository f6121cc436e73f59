"""The account's ledger: when the charges of completed generations are recorded, and those of other programs."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import field, frozen

from kling_async.pacing.validators import flag, non_negative_number, takes

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.sandbox.ledger import Purchase
    from kling_async.sandbox.seeded import SeededRandom

_FOREIGN_MODEL, _FOREIGN_USD = "openai/gpt-4o", Decimal("0.01")
_MOST_FOREIGN = 20_000  # older ones are no longer shown

_share = takes(lambda value: isinstance(value, int | float) and 0 <= value <= 1, "a number from 0 to 1")


@frozen(kw_only=True)
class Recording:
    """When the ledger shows the charges of generations that have completed. Durations are of the vendor's time.

    ::

        Recording(lag=2)                  # some 2 s after the end, whether or not anybody has asked
        Recording(once_polled=True)       # not before a poll has shown the end
        Recording(every=60)               # together with all others of the minute
        Recording(unrecorded=1)           # never

    The vendor does not say which of these it does. By default a charge is there at the end of its generation.

    Attributes:
        lag: The mean of the lag, in seconds; it is exponentially distributed.
        lag_growth: The seconds that this mean grows by with each second since the sandbox was made.
        every: The seconds between instants at which charges are recorded together; 0: each by itself.
        unrecorded: The share of completed generations whose charge is never recorded, from 0 to 1.
        once_polled: Whether the lag begins when a poll has first shown the end.
        foreign_per_minute: The charges of other programs on the account that are recorded each minute.
        shifts: Whether the ledger's pages are counted from its head, so that new entries shift those to come.

    Raises:
        ConfigurationError: A value is not of its range.
    """

    lag: float = field(default=0.0, validator=non_negative_number)
    lag_growth: float = field(default=0.0, validator=non_negative_number)
    every: float = field(default=0.0, validator=non_negative_number)
    unrecorded: float = field(default=0.0, validator=_share)
    once_polled: bool = field(default=False, validator=flag)
    foreign_per_minute: float = field(default=0.0, validator=non_negative_number)
    shifts: bool = field(default=False, validator=flag)


@frozen
class Entry:
    """A charge, as recorded at an instant of the sandbox's clock."""

    at: float
    generation_id: str
    model: str
    usd: Decimal
    credits: float


class BillingLedger:
    """The charges of the account, as its ledger shows them."""

    def __init__(
        self,
        recording: Callable[[], Recording],
        random: SeededRandom,
        *,
        speed: float,
        began: float,
        noticed_at: Callable[[str], float],
    ) -> None:
        """``recording`` returns the present settings; ``noticed_at``, when a poll first showed a generation's end."""
        self._recording = recording
        self._random = random
        self._speed = speed
        self._began = began
        self._noticed_at = noticed_at
        self._charged: list[tuple[Purchase, Recording]] = []

    def record(self, purchase: Purchase) -> None:
        """Record its charge in time, by the present settings, if it completes."""
        if purchase.failure is None:
            self._charged.append((purchase, self._recording()))

    def entries(self, now: float) -> list[Entry]:
        """Return the entries recorded by now, oldest first."""
        ours = (
            Entry(at, one.generation_id, one.model, one.usd, one.credits)
            for one, recording in self._charged
            if (at := self._recorded_at(one, recording)) <= now
        )
        return sorted([*ours, *self._foreign(now)], key=lambda one: one.at)

    def _recorded_at(self, purchase: Purchase, recording: Recording) -> float:
        name = purchase.generation_id
        if self._random.uniform("unrecorded", name) < recording.unrecorded:
            return math.inf
        at = self._noticed_at(name) if recording.once_polled else purchase.completed_at
        if at == math.inf:
            return at
        mean = recording.lag / self._speed + recording.lag_growth * (at - self._began)
        if mean > 0.0:
            at -= mean * math.log1p(-self._random.uniform("recording lag", name))
        every = recording.every / self._speed
        return math.ceil(at / every) * every if every else at

    def _foreign(self, now: float) -> list[Entry]:
        """Return the charges of other programs, evenly spaced since the sandbox was made."""
        rate = self._recording().foreign_per_minute * self._speed / 60.0
        count = int((now - self._began) * rate)
        return [
            Entry(self._began + (n + 1) / rate, f"foreign-{n}", _FOREIGN_MODEL, _FOREIGN_USD, float(100 * _FOREIGN_USD))
            for n in range(max(0, count - _MOST_FOREIGN), count)
        ]
