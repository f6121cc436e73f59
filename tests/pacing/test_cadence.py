from __future__ import annotations

import math
from datetime import timedelta
from random import Random
from statistics import NormalDist

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.catalogue import typical_seconds
from kling_async.api.results import Status
from kling_async.errors import ConfigurationError
from kling_async.pacing.cadence import Cadence, Polling

MODEL = "klingai/v2.1-master-text-to-video"


@frozen
class Watched:
    accepted_at: float = 0.0
    polled_at: float | None = None
    model: str = MODEL
    duration: int | None = 5
    status: Status = Status.GENERATING


instants = st.floats(min_value=0.0, max_value=1e6)
quantiles = st.floats(min_value=0.001, max_value=0.999)
models = st.sampled_from([MODEL, "kling-video/v1.6/standard/text-to-video", "somebody/unheard-of"])
durations = st.sampled_from([None, 5, 10])


def ask(cadence: Cadence, watched: Watched, now: float, seed: int = 0) -> float:
    return cadence.next_poll(watched, now, Random(seed))


def test_the_first_poll_comes_when_one_in_twenty_is_expected_to_be_done() -> None:
    first = ask(Polling().cadence(), Watched(accepted_at=100.0), 100.0)
    assert typical_seconds(MODEL, 5) == 220.0
    assert first == pytest.approx(100.0 + 123.7, abs=0.1)


def test_polls_come_eight_seconds_apart_give_or_take_a_fifth() -> None:
    cadence, watched = Polling().cadence(), Watched(polled_at=200.0)
    gaps = [ask(cadence, watched, 200.0, seed) - 200.0 for seed in range(500)]
    assert min(gaps) == pytest.approx(6.4, abs=0.1)
    assert max(gaps) == pytest.approx(9.6, abs=0.1)
    assert sum(gaps) / len(gaps) == pytest.approx(8.0, abs=0.15)


def test_a_generation_that_should_be_done_is_asked_about_at_once() -> None:
    assert ask(Polling().cadence(), Watched(accepted_at=0.0), 5_000.0) == 5_000.0


def test_an_overdue_poll_is_due_now() -> None:
    assert ask(Polling().cadence(), Watched(polled_at=10.0), 60.0) == 60.0


def test_without_jitter_every_interval_is_the_same() -> None:
    cadence = Polling(interval=timedelta(seconds=5), jitter=0).cadence()
    assert {ask(cadence, Watched(polled_at=10.0), 10.0, seed) for seed in range(20)} == {15.0}


def test_the_scale_shortens_the_first_sleep_and_nothing_else() -> None:
    plain, scaled = Polling(jitter=0).cadence(), Polling(jitter=0, scale=60).cadence()
    assert ask(scaled, Watched(), 0.0) == pytest.approx(ask(plain, Watched(), 0.0) / 60)
    assert ask(scaled, Watched(polled_at=9.0), 9.0) == ask(plain, Watched(polled_at=9.0), 9.0) == 17.0


@given(quantile=quantiles, model=models, duration=durations)
def test_the_share_done_by_the_first_poll_is_the_quantile(quantile: float, model: str, duration: int | None) -> None:
    watched = Watched(model=model, duration=duration)
    first = ask(Polling(quantile=quantile).cadence(), watched, 0.0)
    deviations = math.log(first / typical_seconds(model, duration)) / 0.35
    assert NormalDist().cdf(deviations) == pytest.approx(quantile, rel=1e-6)


@given(accepted_at=instants, now=instants, seeds=st.tuples(st.integers(), st.integers()))
def test_the_long_sleep_has_no_jitter(accepted_at: float, now: float, seeds: tuple[int, int]) -> None:
    cadence, watched = Polling().cadence(), Watched(accepted_at=accepted_at)
    assert ask(cadence, watched, now, seeds[0]) == ask(cadence, watched, now, seeds[1])


@given(
    interval=st.floats(min_value=0.01, max_value=100.0),
    jitter=st.floats(min_value=0.0, max_value=0.99),
    min_gap=st.floats(min_value=0.01, max_value=100.0),
    polled_at=instants,
    seed=st.integers(),
)
def test_polls_keep_to_the_interval_and_never_come_closer_than_the_least_gap(
    interval: float, jitter: float, min_gap: float, polled_at: float, seed: int
) -> None:
    cadence = Polling(interval=interval, jitter=jitter, min_gap=min_gap).cadence()
    gap = ask(cadence, Watched(polled_at=polled_at), polled_at, seed) - polled_at
    assert max(min_gap, interval * (1 - jitter)) - 1e-6 <= gap <= max(min_gap, interval * (1 + jitter)) + 1e-6


@given(accepted_at=instants, polled_at=st.none() | instants, now=instants, model=models, duration=durations)
def test_no_poll_is_ever_due_in_the_past(
    accepted_at: float, polled_at: float | None, now: float, model: str, duration: int | None
) -> None:
    watched = Watched(accepted_at, polled_at, model, duration)
    assert now <= ask(Polling().cadence(), watched, now) < math.inf


def test_a_cadence_shows_its_settings() -> None:
    polling = Polling(interval=3)
    assert repr(polling.cadence()) == f"<SleepThenInterval {polling}>"


def test_durations_are_kept_as_seconds() -> None:
    polling = Polling(interval=timedelta(seconds=4), min_gap=2, not_found_grace=timedelta(minutes=1))
    assert (polling.interval, polling.min_gap, polling.not_found_grace) == (4.0, 2.0, 60.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("quantile", value) for value in (0, 1, -0.1, math.nan, "0.5", True)),
        *(("jitter", value) for value in (-0.1, 1, math.nan, None, False)),
        *(("scale", value) for value in (0, -60, math.inf, math.nan, "fast", True)),
        *(("interval", value) for value in (0, -1, math.inf, "5", True)),
        *(("min_gap", value) for value in (0, math.nan)),
        ("not_found_grace", -1),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_value(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Polling(**{name: value})  # type: ignore[arg-type]
    assert caught.value.message.startswith(f"{name} is {value!r}; it takes ")


def test_no_grace_at_all_is_a_choice() -> None:
    assert Polling(not_found_grace=0).not_found_grace == 0.0
