from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest
from hazards import flat, learner
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.results import GenerationStatus
from kling_async.pacing.completion_feed import CompletionFeed
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.recording_lag import LAGS, RecordingLag
from kling_async.pacing.schedules import HazardSchedule
from kling_async.pacing.thinning import Thinning


def believed(mean: float | None, unrecorded: float = 0.02) -> RecordingLag:
    """One lag, known for sure, or that nothing ever leads."""
    weights = [0.0] * (len(LAGS) + 1)
    weights[-1 if mean is None else LAGS.index(mean)] = 1.0
    ends = 1e6
    data = {"version": 1, "weights": weights, "observed": 100.0, "leads": 100.0}
    lag = RecordingLag.from_data(data | {"ends": ends, "missed": unrecorded * (ends + 20.0) - 1.5})
    lag._belief = weights  # what is learned is never sure
    return lag


def cost(gap: float, usual: float, mean: float, unrecorded: float) -> float:
    """Polls at their worth and delay of one end at these gaps; without a ledger, ``usual`` would be best."""
    recorded = 1.0 - mean / gap * -math.expm1(-gap / mean)
    return usual * usual / (2.0 * gap) + unrecorded * gap / 2.0 + (1.0 - unrecorded) * mean * recorded


def test_a_ledger_that_never_leads_thins_nothing() -> None:
    thinning = Thinning(believed(None), 1.0)
    assert thinning.stretches == pytest.approx([1.0] * len(thinning.stretches))
    assert thinning.shown[50] == 0.0
    assert thinning.savings == pytest.approx([0.0] * len(thinning.savings), abs=1e-9)


def test_long_lags_thin_little_and_short_ones_much() -> None:
    stretches = [Thinning(believed(mean), 0.4).stretch(5.0) for mean in LAGS]
    assert all(one >= other for one, other in pairwise(stretches))
    assert stretches[0] > 5.0
    assert stretches[-1] < 1.02


@pytest.mark.parametrize("unrecorded", [0.01, 0.1, 0.5])
def test_own_polls_never_stop(unrecorded: float) -> None:
    thinning = Thinning(believed(LAGS[0], unrecorded), 0.4)
    for gap in (0.5, 5.0, 50.0, 500.0, 1e6):
        assert 1.0 <= thinning.stretch(gap) <= 1.0001 / math.sqrt(unrecorded)
    assert thinning.stretch(500.0) == pytest.approx(1.0 / math.sqrt(unrecorded), rel=0.02)


@pytest.mark.parametrize(("mean", "usual"), [(LAGS[4], 4.0), (LAGS[6], 7.0), (LAGS[10], 7.0), (LAGS[14], 20.0)])
def test_no_other_gap_costs_less(mean: float, usual: float) -> None:
    look_gap, unrecorded = 0.6, 0.1
    thinning = Thinning(believed(mean, unrecorded), look_gap)
    best = usual * thinning.stretch(usual)
    least = min(cost(0.05 * 1.01**step, usual, mean + look_gap / 2.0, unrecorded) for step in range(1200))
    assert cost(best, usual, mean + look_gap / 2.0, unrecorded) < 1.005 * least
    assert thinning.savings[thinning.place(usual)] == pytest.approx(usual - least, rel=0.1)


def test_without_stretching_polls_go_on_and_what_is_shown_is_still_known() -> None:
    thinning = Thinning(believed(LAGS[6], 0.1), 0.4, stretched=False)
    assert set(thinning.stretches) == {1.0}
    mean = LAGS[6] + 0.2
    gap = 8.0
    shown = 0.9 * (1.0 - mean / gap * -math.expm1(-gap / mean))
    assert thinning.shown[thinning.place(gap)] == pytest.approx(shown, rel=0.05)


@given(
    weights=st.lists(st.floats(0.0, 1.0), min_size=len(LAGS) + 1, max_size=len(LAGS) + 1).filter(
        lambda w: sum(w) > 0.1
    ),
    look_gap=st.floats(0.01, 60.0),
    missed=st.floats(0.0, 100.0),
    scale=st.sampled_from([1.0, 60.0]),
)
def test_whatever_is_believed_gaps_only_grow_and_savings_are_none_too_great(
    weights: list[float], look_gap: float, missed: float, scale: float
) -> None:
    data = {"version": 1, "weights": weights, "observed": 100.0, "leads": 9.0, "ends": 100.0, "missed": missed}
    lag = RecordingLag.from_data(data, scale)
    thinning = Thinning(lag, look_gap / scale, scale)
    assert all(1.0 <= one <= other * (1.0 + 1e-9) for one, other in pairwise(thinning.stretches))
    assert all(0.0 <= one <= other + 1e-9 for one, other in pairwise(thinning.shown))
    assert all(saving >= -1e-6 for saving in thinning.savings)
    assert all(each <= 1.0 - lag.unrecorded + 1e-9 for each in thinning.shown)


def test_a_hazard_is_polled_by_as_many_times_the_gap_as_it_is_stretched_there() -> None:
    hazard, price = flat(0.02), 0.5
    thinning = Thinning(believed(LAGS[2], 0.05), 0.4)
    stretch = thinning.stretch(price / math.sqrt(0.02))
    assert stretch > 2.0
    shown = thinning.shown[thinning.place(price / math.sqrt(0.02))]
    root, second = hazard.thinned(thinning, price)[5]
    assert root == pytest.approx(math.sqrt(0.02) * stretch)
    assert second == pytest.approx(1.0 / 3.0 + shown / 4.0)
    x = price * root
    assert hazard.first_poll(price, thinning) == pytest.approx(math.log1p(x + second * x * x) / 0.02)
    plain = hazard.next_poll(40.0, price)
    assert hazard.next_poll(40.0, price, hazard.thinned(None, price)) == plain
    assert hazard.next_poll(40.0, price, hazard.thinned(thinning, price)) > 40.0 + 2.0 * (plain - 40.0)


def test_the_longest_gap_is_stretched_as_well() -> None:
    following, price = learner(0.01), PollCost(100.0)
    tracker = following.track("klingai/v2.1-master-text-to-video", 5, 0.0)
    following.running(tracker, 1.0, GenerationStatus.GENERATING, Random(1))
    feed = CompletionFeed(price, lambda: 0)
    feed._thinning, feed._acted_on, feed.leading = Thinning(believed(LAGS[0], 0.04), 0.4), (True, True), True
    gaps = [HazardSchedule(price, jitter=0.0, feed=each).earliest(tracker) - 1.0 for each in (None, feed)]
    assert gaps[0] == pytest.approx(120.0)
    assert gaps[1] == pytest.approx(5.0 * 120.0, rel=0.02)


def test_it_says_how_much_it_thins() -> None:
    assert repr(Thinning(believed(None), 1.0)) == "<Thinning, at most 1.00 times the gaps>"
