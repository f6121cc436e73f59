from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.pacing.rate_limiter import Cooldown

seeds = st.integers(min_value=0, max_value=2**32)
instants = st.floats(min_value=0.0, max_value=1e6)


def refuse_in_a_row(cooldown: Cooldown, times: int, rng: Random) -> list[float]:
    """Refuse one fresh request after another, each sent as its cooldown ends; returns how long each cooldown was."""
    lengths, now = [], 0.0
    for _ in range(times):
        cooldown.refused(now + 1.0, now, None, rng)
        lengths.append(cooldown.until - (now + 1.0))
        now = cooldown.until
    return lengths


def test_nothing_is_held_back_before_the_first_refusal() -> None:
    assert Cooldown().until == -math.inf


@given(seed=seeds)
def test_refusals_in_a_row_double_the_pause_up_to_half_a_minute(seed: int) -> None:
    lengths = refuse_in_a_row(Cooldown(), 10, Random(seed))
    for length, whole in zip(lengths, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0], strict=True):
        assert whole / 2 - 1e-9 <= length <= whole + 1e-9


def test_an_endless_row_of_refusals_overflows_nothing() -> None:
    assert max(refuse_in_a_row(Cooldown(), 3_000, Random(0))) <= 30.0 + 1e-9


@given(now=instants, retry_after=st.floats(min_value=0.001, max_value=300.0), seed=seeds)
def test_what_the_vendor_asked_for_is_waited_and_at_most_a_twentieth_more(
    now: float, retry_after: float, seed: int
) -> None:
    cooldown = Cooldown()
    cooldown.refused(now, now - 1.0, retry_after, Random(seed))
    assert now + retry_after <= cooldown.until <= now + retry_after * 1.05 + 1e-9


@pytest.mark.parametrize("retry_after", [301.0, 86_400.0, math.inf])
def test_no_answer_can_stop_a_session_for_longer_than_minutes(retry_after: float) -> None:
    cooldown = Cooldown()
    cooldown.refused(10.0, 9.0, retry_after, Random(0))
    assert 310.0 <= cooldown.until <= 325.0


@pytest.mark.parametrize("retry_after", [0.0, -5.0, math.nan])
def test_an_answer_that_asks_for_no_wait_at_all_gets_the_pause_of_one_that_does_not_say(retry_after: float) -> None:
    cooldown = Cooldown()
    cooldown.refused(10.0, 9.0, retry_after, Random(0))
    assert 10.25 <= cooldown.until <= 10.5


def test_many_requests_under_way_at_once_are_refused_as_one() -> None:
    cooldown, rng = Cooldown(), Random(0)
    cooldown.refused(10.0, 9.0, None, rng)
    until = cooldown.until
    for late in range(64):
        cooldown.refused(10.0 + late / 100, 9.0 + late / 100, None, rng)
    assert (cooldown.streak, cooldown.until) == (1, until)


def test_requests_sent_at_one_instant_and_refused_at_it_count_once() -> None:
    cooldown = Cooldown()
    for _ in range(5):
        cooldown.refused(3.0, 3.0, None, Random(0))
    assert cooldown.streak == 1


def test_an_old_request_may_lengthen_the_pause_by_what_the_vendor_asks_for() -> None:
    cooldown, rng = Cooldown(), Random(0)
    cooldown.refused(10.0, 9.0, None, rng)
    cooldown.refused(10.2, 9.5, 60.0, rng)
    assert cooldown.until >= 70.2
    assert cooldown.streak == 1


@given(
    refusals=st.lists(
        st.tuples(instants, instants, st.one_of(st.none(), st.floats(min_value=0.0, max_value=900.0))), min_size=1
    ),
    seed=seeds,
)
def test_no_refusal_ever_shortens_a_pause(refusals: list[tuple[float, float, float | None]], seed: int) -> None:
    cooldown, rng = Cooldown(), Random(seed)
    for now, sent_at, retry_after in refusals:
        before = cooldown.until
        cooldown.refused(now, sent_at, retry_after, rng)
        assert cooldown.until >= before


def test_a_request_that_passes_ends_the_streak() -> None:
    cooldown, rng = Cooldown(), Random(0)
    refuse_in_a_row(cooldown, 5, rng)
    sent_at = cooldown.until
    cooldown.accepted(sent_at)
    cooldown.refused(sent_at + 1.0, sent_at + 0.5, None, rng)
    assert cooldown.streak == 1
    assert cooldown.until - (sent_at + 1.0) <= 0.5


def test_an_answer_to_what_was_sent_before_the_pause_says_nothing_about_it() -> None:
    cooldown = Cooldown()
    cooldown.refused(10.0, 9.0, None, Random(0))
    cooldown.accepted(9.5)
    assert cooldown.streak == 1


def test_a_request_that_passes_does_not_cut_a_pause_short() -> None:
    cooldown = Cooldown()
    cooldown.refused(10.0, 9.0, 60.0, Random(0))
    until = cooldown.until
    cooldown.accepted(11.0)
    assert cooldown.until == until


def test_a_cooldown_shows_its_live_state() -> None:
    cooldown = Cooldown()
    cooldown.refused(10.0, 9.0, None, Random(0))
    assert repr(cooldown) == f"Cooldown(until={cooldown.until}, streak=1, began=10.0, _asked=-inf)"
