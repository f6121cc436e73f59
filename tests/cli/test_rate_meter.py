from __future__ import annotations

import pytest

from kling_async.cli.progress.tracker import RateMeter


def test_one_reading_is_no_rate() -> None:
    speed = RateMeter()
    assert speed.per_second == 0
    speed.record(3.0, 10)
    assert speed.per_second == 0


def test_two_readings_at_one_instant_are_no_rate() -> None:
    speed = RateMeter()
    speed.record(3.0, 10)
    speed.record(3.0, 20)
    assert speed.per_second == 0


def test_the_rate_is_that_of_the_window_alone() -> None:
    speed = RateMeter(window=5.0)
    for second in range(100):
        speed.record(float(second), 1000 * min(second, 50) + 2 * max(0, second - 50))
    assert speed.per_second == pytest.approx(2.0)


def test_it_keeps_the_readings_of_its_window_and_no_more() -> None:
    speed = RateMeter(window=5.0)
    for tick in range(10_000):
        speed.record(tick / 8, tick)
    assert len(speed._readings) <= 5 * 8 + 2
