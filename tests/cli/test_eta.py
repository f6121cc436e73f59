from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kling_async import LearnedDuration, Request, TextToVideo
from kling_async.cli.progress.tracker import EtaEstimator

MODEL = "klingai/v2.5-turbo/pro/text-to-video"
REQUEST = TextToVideo("a fox", model=MODEL)


KIND = LearnedDuration(model=MODEL, duration=None, median=100.0, p90=125.0, generations=3.5)


def estimator() -> EtaEstimator:
    found = EtaEstimator()
    found.learn([KIND])
    return found


def usual() -> float:
    return KIND.median


def test_what_the_session_goes_by_counts_for_each_kind() -> None:
    forecast = EtaEstimator()
    forecast.learn([KIND, evolve(KIND, duration=10, median=200.0)])
    assert forecast.seconds(REQUEST) == 100.0
    assert forecast.seconds(TextToVideo("a fox", model=MODEL, duration=10)) == 200.0


@pytest.mark.parametrize("request_", [None, Request(model="somebody/new-model")])
def test_an_unknown_kind_takes_as_long_as_the_others(request_: Request | None) -> None:
    assert EtaEstimator().seconds(request_) == 240
    assert estimator().seconds(request_) == 100.0


def test_with_nothing_under_way_and_nothing_waiting_nothing_is_left() -> None:
    assert estimator().left(0, 0, []) == 0


def test_with_all_waiting_nothing_tells_how_long() -> None:
    assert estimator().left(5, 0, []) is None


def test_jobs_side_by_side_take_as_long_as_the_slowest() -> None:
    one = estimator().left(0, 1, [(REQUEST, 0.0)])
    assert one is not None
    assert one == pytest.approx(usual())
    several = estimator().left(0, 3, [(REQUEST, 0.0), (REQUEST, 50.0), (REQUEST, 99.0)])
    many = estimator().left(0, 300, [(REQUEST, 0.0)])
    assert several is not None
    assert many is not None
    assert one < several < 1.5 * usual() < many < 2 * usual()


def test_a_queue_takes_its_turns() -> None:
    newest = [(REQUEST, 0.0)] * 10
    short, long = estimator().left(0, 10, newest), estimator().left(20, 10, newest)
    assert short is not None
    assert long == pytest.approx(short + 2 * usual())


def test_what_is_overdue_ends_as_fast_as_others_do() -> None:
    assert estimator().left(0, 60, [(REQUEST, 1e6)] * 32, finishing=4.0) == pytest.approx(15.0)


def test_what_is_on_time_is_expected_on_time_however_few_have_finished() -> None:
    fresh = estimator().left(0, 60, [(REQUEST, 0.5 * usual())] * 32)
    assert fresh is not None
    assert estimator().left(0, 60, [(REQUEST, 0.5 * usual())] * 32, finishing=0.01) == fresh


@given(st.floats(0, 3), st.floats(0, 3))
def test_time_that_passes_brings_no_jump(share: float, other: float) -> None:
    one = estimator().left(0, 60, [(REQUEST, share * usual())], finishing=1.0)
    two = estimator().left(0, 60, [(REQUEST, other * usual())], finishing=1.0)
    assert one is not None
    assert two is not None
    assert abs(one - two) <= abs(share - other) * 2 * usual() + 1e-6


def test_what_is_overdue_is_not_said_to_be_done_where_nothing_ends() -> None:
    assert estimator().left(0, 1, [(REQUEST, 1e6)]) == pytest.approx(0.1 * usual())


def test_jobs_that_wait_while_the_events_say_nothing_runs_are_no_trouble() -> None:
    left = estimator().left(3, 0, [(REQUEST, 0.0)])
    assert left is not None
    assert left > 3 * usual()


def test_as_many_run_at_once_as_it_takes_to_finish_what_is_seen_to_finish() -> None:
    seen = estimator().left(40, 1, [(REQUEST, 0.0)], finishing=4 / usual())
    assert seen == pytest.approx(10 * usual() + usual())
