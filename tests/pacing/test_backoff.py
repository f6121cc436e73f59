from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.pacing.backoff import Backoff, doubled

lengths = st.floats(min_value=0.001, max_value=1000.0)
attempts = st.integers(min_value=0, max_value=10_000)


@pytest.mark.parametrize(
    ("attempt", "expected"), [(0, 0.5), (1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (1_023, 30.0), (10_000, 30.0)]
)
def test_doubling_runs_into_the_cap_and_never_overflows(attempt: int, expected: float) -> None:
    assert doubled(attempt, base=0.5, cap=30.0) == expected


@given(attempt=attempts, base=lengths, cap=lengths)
def test_another_attempt_never_has_a_lower_ceiling(attempt: int, base: float, cap: float) -> None:
    assert doubled(attempt, base=base, cap=cap) <= doubled(attempt + 1, base=base, cap=cap) <= cap


@given(attempt=attempts, base=lengths, cap=lengths, seed=st.integers())
def test_full_jitter_stays_between_nothing_and_the_ceiling(attempt: int, base: float, cap: float, seed: int) -> None:
    wait = Backoff(base=base, cap=cap, rng=Random(seed)).wait(attempt)
    assert 0.0 <= wait <= doubled(attempt, base=base, cap=cap)


def test_full_jitter_uses_the_whole_range_evenly() -> None:
    backoff = Backoff(base=1.0, cap=60.0, rng=Random(1))
    waits = [backoff.wait(2) for _ in range(2_000)]
    quarters = [sum(low <= wait < low + 1.0 for wait in waits) for low in (0.0, 1.0, 2.0, 3.0)]
    assert sum(quarters) == 2_000
    assert all(420 < count < 580 for count in quarters)


def test_the_same_seed_waits_the_same() -> None:
    one, other = (Backoff(base=1.0, cap=60.0, rng=Random(7)) for _ in range(2))
    assert one.wait(3) == other.wait(3)
