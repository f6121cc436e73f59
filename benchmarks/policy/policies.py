"""What is compared: schedules, by name and by what turns them up and down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.policy.durations import quantile
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.schedules import BackoffSchedule, FixedSchedule, HazardSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.policy.durations import Distribution
    from kling_async.pacing.schedules import PollSchedule
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["BACKOFF", "FIXED", "RUNWAY", "SLEEP", "Policy", "SleepThen", "ours", "rivals"]

FIXED: Final = "fixed"
BACKOFF: Final = "backoff, full jitter"
SLEEP: Final = "sleep, then intervals"
RUNWAY: Final = "Runway"

_SHARES: Final = (0.01, 0.02, 0.05, 0.1)
_FEW_SHARES: Final = (0.05, 0.1)


@frozen
class Policy:
    """A way to decide when to ask.

    Attributes:
        name: What it is called.
        knob: What was chosen, for the reader.
        make: Makes it anew, around a price that only ours goes by.
        seconds_per_poll: What a poll is worth.
        draws: How many plans stand for all that chance may make of it.
    """

    name: str
    knob: str
    make: Callable[[PollCost], PollSchedule]
    seconds_per_poll: float = 0.05
    draws: int = 1

    def price(self) -> PollCost:
        """Return the price it begins with."""
        return PollCost.of(self.seconds_per_poll)


@frozen
class SleepThen:
    """Sleeps for a share of the typical duration, then asks at intervals. It is told the share that serves it best."""

    share: float
    interval: float

    def earliest(self, tracker: GenerationTracker) -> float:
        """After the sleep, or an interval after the last answer."""
        return tracker.seen + (self.interval if tracker.polls else self.share * tracker.run_estimator.bins.unit)

    def due(self, tracker: GenerationTracker) -> float:
        """Return the same."""
        return self.earliest(tracker)

    def demand(self, tracker: GenerationTracker, now: float) -> float:  # noqa: ARG002 - the protocol's
        """Return None."""
        return 0.0


def ours(prices: Sequence[float]) -> list[Policy]:
    """Return the library's schedule, at several prices: seconds of delay that a poll is worth."""
    return [Policy("learned", f"{each:g} s a poll", HazardSchedule, each, draws=8) for each in prices]


def rivals(
    law: Distribution, intervals: Sequence[float], *, typical: float | None = None, few: bool = False
) -> list[Policy]:
    """Return the others, each at all these intervals, but Runway's SDK, whose own is fixed.

    Sleep-then-intervals sleeps until a share of those ended that really end so early, for it is told the truth.
    ``typical`` is what the learner's grid goes by, if that is not the law's median. With ``few`` it sleeps for one in
    twenty or one in ten alone: that is best wherever polls are scarce.
    """
    unit = law.median if typical is None else typical
    found = [_plain(RUNWAY, "6 ± 1.5 s", FixedSchedule(interval=6.0, jitter=0.25), draws=8)]
    sleeps = {share: quantile(law, share) / unit for share in (_FEW_SHARES if few else _SHARES)}
    for each in intervals:
        found += [
            _plain(FIXED, f"{each:g} s", FixedSchedule(interval=each)),
            _plain(BACKOFF, f"up to {2 * each:g} s", BackoffSchedule(base=1.0, cap=2 * each), draws=6),
        ]
        found += [
            _plain(SLEEP, f"{share:.0%}, then {each:g} s", SleepThen(sleep, each)) for share, sleep in sleeps.items()
        ]
    return found


def _plain(name: str, knob: str, schedule: PollSchedule, draws: int = 1) -> Policy:
    return Policy(name, knob, lambda _: schedule, draws=draws)
