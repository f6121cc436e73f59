from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kling_async.errors import ConfigurationError
from kling_async.pacing.durations import to_data
from kling_async.pacing.schedules import BackoffSchedule, FixedSchedule, HazardSchedule
from kling_async.pacing.tracking import DurationLearner
from kling_async.settings import Polling

if TYPE_CHECKING:
    from kling_async.pacing.tracking import GenerationTracker

MODEL = "klingai/v2.1-master-text-to-video"


def begun(polling: Polling, latest: float = math.inf) -> tuple[float, GenerationTracker]:
    """When a generation accepted at instant 100 is due for its first poll, and its tracker."""
    price = polling.poll_cost()
    tracker = DurationLearner(polling.duration_models()).track(MODEL, 5, 100.0, latest)
    return polling.make_schedule(price).due(tracker), tracker


def test_durations_are_learned_unless_something_else_is_asked_for() -> None:
    polling = Polling()
    assert isinstance(polling.make_schedule(polling.poll_cost()), HazardSchedule)
    assert isinstance(Polling.fixed(10).make_schedule(polling.poll_cost()), FixedSchedule)
    assert isinstance(Polling.backoff().make_schedule(polling.poll_cost()), BackoffSchedule)


def test_profiles_are_prices_and_a_price_of_ones_own_wins() -> None:
    worth = {
        profile: Polling(profile=profile).poll_cost().least ** 2 / 2 for profile in ("fast", "balanced", "economy")
    }
    assert worth == pytest.approx({"fast": 0.05, "balanced": 0.15, "economy": 0.5})
    assert Polling(seconds_per_poll=2.0).poll_cost().least == 2.0
    assert Polling(profile="fast", seconds_per_poll=timedelta(seconds=2)).poll_cost().least == 2.0


def test_an_economical_session_asks_first_when_more_are_done() -> None:
    fast, economy = (begun(Polling(profile=profile))[0] for profile in ("fast", "economy"))
    assert 100.0 < fast < economy < 320.0


def test_a_fixed_schedule_asks_at_intervals_from_acceptance_on() -> None:
    assert begun(Polling.fixed(10))[0] == 110.0
    assert begun(Polling.fixed(timedelta(seconds=10), first=timedelta(minutes=1)))[0] == 160.0
    schedule = Polling.fixed(10, first=60, jitter=0.5).make_schedule(Polling().poll_cost())
    _, tracker = begun(Polling())
    tracker.polls, tracker.seen, tracker.jitter = 1, 160.0, 1.0
    assert schedule.due(tracker) == 175.0


def test_backing_off_doubles_the_longest_gap() -> None:
    schedule = Polling.backoff(2, timedelta(seconds=6)).make_schedule(Polling().poll_cost())
    _, tracker = begun(Polling())
    tracker.jitter = 1.0
    gaps = []
    for tracker.polls in range(4):
        gaps.append(schedule.due(tracker) - tracker.seen)
    assert gaps == [2.0, 4.0, 6.0, 6.0]


@pytest.mark.parametrize("polling", [Polling(), Polling.fixed(1000), Polling.backoff(1000, 1000)], ids=str)
def test_nothing_is_first_asked_about_after_its_deadline(polling: Polling) -> None:
    assert begun(polling, latest=101.0)[0] == 101.0


def test_a_stand_in_is_asked_as_often_as_the_vendor_only_faster() -> None:
    plain, scaled = (begun(Polling(jitter=0).at_speed(scale)) for scale in (1, 60))
    assert scaled[0] - 100.0 == pytest.approx((plain[0] - 100.0) / 60)
    for (_, tracker), scale in ((plain, 1), (scaled, 60)):
        tracker.polls, tracker.seen = 1, 100.0 + 300.0 / scale
    gaps = [
        Polling(jitter=0).at_speed(scale).make_schedule(Polling().at_speed(scale).poll_cost()).due(tracker)
        - tracker.seen
        for (_, tracker), scale in ((plain, 1), (scaled, 60))
    ]
    assert gaps[1] == pytest.approx(gaps[0] / 60)
    assert (Polling().review_every, Polling().at_speed(60).review_every) == (15.0, 0.25)


def test_what_was_learned_is_begun_with() -> None:
    learner = DurationLearner(Polling().duration_models())
    for _ in range(30):
        learner.ended(learner.track(MODEL, 5, 0.0), 40.0)
    learned = json.loads(json.dumps(to_data(learner.models)))
    assert begun(Polling(learned=learned))[0] < begun(Polling())[0]
    assert "learned" not in repr(Polling(learned=learned))


def test_what_was_not_learned_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="version is 9"):
        Polling(learned={"version": 9})


def test_durations_are_kept_as_seconds() -> None:
    polling = Polling(max_gap=timedelta(seconds=40), min_gap=2, not_found_grace=timedelta(minutes=1))
    assert (polling.max_gap, polling.min_gap, polling.not_found_grace) == (40.0, 2.0, 60.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("profile", value) for value in ("slow", None, 3)),
        *(("seconds_per_poll", value) for value in (0, -1, math.nan, "1")),
        *(("jitter", value) for value in (-0.1, 1, math.nan, None, False)),
        *(("min_gap", value) for value in (0, math.nan)),
        *(("max_gap", value) for value in (0, math.inf)),
        ("not_found_grace", -1),
        ("schedule", 10),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_value(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Polling(**{name: value})  # type: ignore[arg-type]
    assert caught.value.message.startswith(f"{name} is {value!r}; it takes ")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("interval", {"interval": 0}), ("first", {"interval": 1, "first": -1}), ("jitter", {"interval": 1, "jitter": 1})],
)
def test_a_bad_fixed_schedule_is_refused_by_name(name: str, settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name} is {settings[name]}; it takes "):
        Polling.fixed(**settings)


def test_a_bad_backoff_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"^cap is 'ever'; it takes "):
        Polling.backoff(1, "ever")  # type: ignore[arg-type]


def test_no_grace_at_all_is_a_choice() -> None:
    assert Polling(not_found_grace=0).not_found_grace == 0.0
