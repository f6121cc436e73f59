from __future__ import annotations

import json
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.errors import ConfigurationError
from kling_async.pacing.recording_lag import LAGS, RecordingLag

GAP = 4.0  # seconds from one own poll to the next


def observed(
    mean: float, ends: int, *, look_gap: float = 0.5, unrecorded: float = 0.0, lag: RecordingLag | None = None
) -> RecordingLag:
    """After so many ends of generations that are polled every four seconds, with looks in between."""
    rng, found = Random(3), RecordingLag() if lag is None else lag
    for number in range(ends):
        end = rng.uniform(0.0, GAP)
        shown = end + (rng.expovariate(1.0 / mean) if mean else 0.0) if rng.random() >= unrecorded else math.inf
        look = rng.uniform(0.0, look_gap)
        while look < shown and look + look_gap < GAP:
            look += look_gap
        if look < shown:
            found.polled_first(look, GAP)
        else:
            found.shown_first(look - look_gap, look)
        found.ended(GAP * number, recorded=shown < math.inf)
        found.advance(GAP * number)
    return found


def test_nothing_is_believed_before_anything_was_seen() -> None:
    lag = RecordingLag()
    assert not lag.leads
    assert not lag.is_trusted
    assert lag.mean is None
    assert lag.never == 0.5
    assert lag.unrecorded == pytest.approx(0.075)


def test_three_leads_are_a_lead_and_seven_observations_are_trusted() -> None:
    lag = RecordingLag()
    for number in range(1, 8):
        assert lag.leads is (number > 3)
        assert not lag.is_trusted
        lag.shown_first(1.0, 2.0)
        lag.advance(number * GAP)
    lag.shown_first(1.0, 2.0)
    assert lag.is_trusted


def test_one_look_is_not_trusted_however_much_it_shows() -> None:
    lag = RecordingLag()
    for _ in range(500):
        lag.shown_first(1.0, 2.0)
    assert lag.leads
    assert not lag.is_trusted


def test_what_a_look_shows_and_what_polls_found_before_it_count_in_the_proportion_they_were_made_in() -> None:
    many, few = RecordingLag(), RecordingLag()
    for number in range(20):
        for lag, times in ((many, 300), (few, 1)):
            for _ in range(times):
                lag.polled_first(2.0, GAP)
                lag.shown_first(1.0, 2.0)
                lag.shown_first(1.0, 2.0)
            lag.advance(100.0 * number)
    assert many.mean == pytest.approx(few.mean, rel=0.05)


@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("ends_a_second", [0.5, 3.0, 30.0])
def test_a_ledger_written_once_a_minute_seems_neither_prompt_nor_useless(ends_a_second: float, scale: float) -> None:
    """Polled every 30 s, an end is told first if it comes in the last 15 s of a minute, by and large."""
    lag, rng, beliefs = RecordingLag(scale), Random(2), list[float]()
    for second in range(600):
        into = second % 60
        for _ in range(round(ends_a_second) or second % 2):
            if into == 0:
                for _ in range(15):  # of the last half minute: half of them were found by polls
                    after = rng.uniform(0.0, 30.0)
                    lag.shown_first((after - 1.0) / scale, after / scale)
            else:
                end = rng.uniform(0.0, 30.0)
                lag.polled_first((29.0 if end < into else 30.0 - into) / scale, 30.0 / scale)
        lag.advance(second / scale)
        if second > 120:
            beliefs.append(lag.within(0.5) * scale)
    assert min(beliefs) > 10.0
    assert max(beliefs) < 200.0


def test_a_ledger_that_never_leads_is_believed_not_to() -> None:
    lag = RecordingLag()
    for number in range(50):
        lag.polled_first(3.5, GAP)
        lag.advance(number * GAP)
    assert not lag.leads
    assert sum(weight for mean, weight in lag if mean < 30.0) < 0.05
    assert lag.never > 0.8


@pytest.mark.parametrize("mean", [0.5, 2.0, 10.0])
def test_the_mean_lag_is_found(mean: float) -> None:
    found = observed(mean, 300).mean
    assert found is not None
    assert 0.6 * mean < found < 2.5 * mean


def test_a_look_before_the_last_own_poll_says_nothing_and_is_not_counted() -> None:
    lag = RecordingLag()
    for _ in range(50):
        lag.polled_first(-1.0, GAP)
        lag.polled_first(0.0, GAP)
        lag.shown_first(3.0, 3.0)
    assert lag.never == 0.5
    assert not lag.leads


def test_a_lag_that_grows_is_believed_after_some_dozens_of_ends() -> None:
    lag = observed(0.5, 300)
    assert lag.mean is not None
    assert lag.mean < 1.0
    for number in range(70):
        lag.polled_first(3.8, GAP)
        lag.advance((300.0 + number) * GAP)
    assert lag.within(0.5) > 5.0 or lag.never > 0.5


def test_one_surprise_changes_little() -> None:
    lag = observed(0.5, 300)
    before = lag.never
    lag.polled_first(3.9, GAP)
    assert lag.never < before + 0.05


def test_shares_without_a_charge_are_counted_and_what_is_awaited_counts_as_without() -> None:
    lag = observed(1.0, 1000, unrecorded=0.2)
    assert lag.unrecorded == pytest.approx(0.2, abs=0.04)
    before = lag.unrecorded
    lag.awaited = 50
    assert lag.unrecorded > before


@given(
    ends=st.lists(st.tuples(st.floats(0.0, 500.0), st.floats(0.0, 200.0), st.booleans()), max_size=60),
    now=st.floats(0.0, 800.0),
)
def test_what_the_ledger_shows_counts_as_if_only_polls_had_found_it(
    ends: list[tuple[float, float, bool]], now: float
) -> None:
    shown, polled = RecordingLag(), RecordingLag()
    for at, wait, recorded in sorted(ends, key=lambda each: each[0] + (0.0 if each[2] else each[1])):
        if recorded and at <= now:
            shown.spared(at + wait)
        elif not recorded and at + wait <= now:
            shown.advance(at + wait)
            shown.ended(at + wait, recorded=False)
    shown.advance(now)
    for due, recorded in sorted((at + wait, not recorded) for at, wait, recorded in ends):
        if due <= now:
            polled.ended(due, recorded=not recorded)
    assert shown.unrecorded == pytest.approx(polled.unrecorded)


def test_at_no_time_of_a_batch_the_share_without_a_charge_seems_far_from_what_it_is() -> None:
    lag, rng = RecordingLag(), Random(5)
    batch = [(rng.gauss(300.0, 50.0), rng.uniform(0.0, 100.0), rng.random() >= 0.05) for _ in range(4000)]
    told = sorted((at if recorded else at + wait, at + wait, recorded) for at, wait, recorded in batch)
    for number, (at, due, recorded) in enumerate(told):
        lag.advance(at)
        if recorded:
            lag.spared(due)
        else:
            lag.ended(at, recorded=False)
        assert number < 1000 or 0.03 < lag.unrecorded < 0.075


def test_what_is_shown_and_was_not_due_yet_counts_in_what_is_kept() -> None:
    lag = RecordingLag()
    for number in range(100):
        lag.spared(50.0 + number)
    lag.advance(99.5)
    assert lag.unrecorded == pytest.approx(1.5 / 70.0, rel=0.02)
    assert RecordingLag.from_data(lag.as_data()).unrecorded == pytest.approx(1.5 / 120.0, rel=0.02)


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_those_without_a_charge_that_a_batch_finds_last_are_not_taken_for_all(scale: float) -> None:
    lag = RecordingLag(scale)
    for number in range(10_000):
        lag.ended(number * 0.05 / scale, recorded=number < 9_800)
    assert lag.unrecorded == pytest.approx(0.02, abs=0.004)


def test_a_stream_forgets_shares_by_the_thousand() -> None:
    lag = RecordingLag()
    for number in range(8_000):
        lag.ended(number * 60.0, recorded=number < 4_000 or number % 5 > 0)
    assert lag.unrecorded == pytest.approx(0.2, abs=0.02)


def test_charges_within_a_share() -> None:
    lag = observed(2.0, 200)
    assert lag.mean is not None
    assert lag.within(0.95) == pytest.approx(3.0 * lag.mean, rel=0.01)


@given(
    observations=st.lists(
        st.tuples(st.booleans(), st.floats(-100.0, 1e4), st.floats(0.0, 1e4), st.booleans()), max_size=60
    ),
    scale=st.sampled_from([1.0, 60.0]),
)
def test_whatever_is_observed_beliefs_are_shares(
    observations: list[tuple[bool, float, float, bool]], scale: float
) -> None:
    lag = RecordingLag(scale)
    for led, one, other, recorded in observations:
        if led:
            lag.shown_first(one, other)
        else:
            lag.polled_first(one, other)
        lag.ended(one, recorded=recorded)
    weights = [weight for _, weight in lag]
    assert all(0.0 <= weight <= 1.0 for weight in weights)
    assert sum(weights) + lag.never == pytest.approx(1.0)
    assert lag.never > 0.0
    assert 0.0 < lag.unrecorded < 1.0
    assert lag.within(0.95) >= 0.0
    again = RecordingLag.from_data(json.loads(json.dumps(lag.as_data())), scale)
    assert (again.leads, again.is_trusted, again.unrecorded) == (lag.leads, lag.is_trusted, lag.unrecorded)


def test_a_stand_in_is_learned_of_at_its_own_pace() -> None:
    assert RecordingLag(60.0).means == pytest.approx([mean / 60.0 for mean in LAGS])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"version": 2}, "version"),
        ({"weights": [1.0]}, "weights"),
        ({"weights": [0.0] * 21}, "weights"),
        ({"weights": [math.nan] * 21}, "weights"),
        ({"ends": -1}, "ends"),
        ({"leads": None}, "leads"),
        ({"observed": True}, "observed"),
        ({"missed": "1"}, "missed"),
    ],
)
def test_what_was_not_learned_is_refused_by_name(change: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{where} is "):
        RecordingLag.from_data(RecordingLag().as_data() | change)


@pytest.mark.parametrize("data", [None, [], "x", {}])
def test_other_data_is_refused(data: object) -> None:
    with pytest.raises(ConfigurationError, match="version is None"):
        RecordingLag.from_data(data)


def test_it_says_what_it_believes() -> None:
    assert repr(RecordingLag()) == "<RecordingLag unknown, 7.5% never recorded>"
