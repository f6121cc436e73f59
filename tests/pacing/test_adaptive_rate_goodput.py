"""How well a limit that nobody tells is found: 500 pending generations, in virtual time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from limited_vendor import PendingJobs

from benchmarks.limits.limiters import SlidingLog, TokenBucket
from kling_async.pacing.adaptive_rate import AdaptiveRate

if TYPE_CHECKING:
    from collections.abc import Callable

    from limited_vendor import Polled

    from benchmarks.limits.limiters import Limiter

pytestmark = pytest.mark.untraced

PHASE = 1_200.0  # seconds
SETTLING = 400.0  # of them: what comes after is the steady state
LIMITS = [5.0, 2.0, 10.0]

LIMITERS = {
    "bucket of 5": lambda: TokenBucket(5.0),
    "bucket of 20": lambda: TokenBucket(20.0),
    "window of 1 s": lambda: SlidingLog(1.0),
    "window of 10 s": lambda: SlidingLog(10.0),
}
every_limiter = pytest.mark.parametrize("limiter", LIMITERS.values(), ids=LIMITERS)
every_seed = pytest.mark.parametrize("seed", [101, 102, 103])


def poll_through(limiter: Callable[[], Limiter], seed: int, *, jobs: int = 500) -> list[Polled]:
    steps = [(index * PHASE, limit) for index, limit in enumerate(LIMITS)]
    return PendingJobs(AdaptiveRate(), limiter(), steps, Random(seed), jobs=jobs).run(PHASE * len(LIMITS))


def steady(log: list[Polled], phase: int) -> list[Polled]:
    begins = phase * PHASE + SETTLING
    return [poll for poll in log if begins <= poll.at < (phase + 1) * PHASE]


@every_limiter
@every_seed
def test_a_hidden_limit_that_moves_is_used_to_95_percent_with_one_refusal_in_a_hundred(
    limiter: Callable[[], Limiter], seed: int
) -> None:
    log = poll_through(limiter, seed)
    assert sum(not poll.passed for poll in log) <= 0.01 * len(log)
    for phase, limit in enumerate(LIMITS):
        polls = steady(log, phase)
        passed = sum(poll.passed for poll in polls)
        assert passed >= 0.95 * limit * (PHASE - SETTLING)
        assert len(polls) - passed <= 0.01 * len(polls)


def test_where_no_limit_binds_nothing_is_refused() -> None:
    log = poll_through(lambda: TokenBucket(20.0), 101, jobs=10)
    assert all(poll.passed for poll in log)
