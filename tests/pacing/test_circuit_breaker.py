"""Whose limit a refused submit has met, and which lines wait: each rule by itself."""

from __future__ import annotations

import math
from random import Random

from kling_async.pacing.circuit_breaker import SubmitBreakers
from kling_async.pacing.fair_queue import Line, Obstacle

X, Y, X_OF_BOB = Line(0, None, "x"), Line(0, None, "y"), Line(0, "bob", "x")


def breakers() -> SubmitBreakers:
    return SubmitBreakers(Random(1))


def suspected(now: float = 1.0) -> SubmitBreakers:
    """One where model x was refused while others wait."""
    made = breakers()
    assert not made.is_accounts(X, now, full=False, others=True)
    made.refused(X, now, now - 0.1, None)
    return made


def test_a_line_that_fails_waits_alone_and_ever_longer() -> None:
    failing = breakers()
    failing.failed(X, 1.0, 0.9)
    obstacle = failing.obstacle(X, 1.0)
    assert obstacle is not None
    assert (obstacle.cause, 1.25 <= obstacle.until <= 1.5) == (X, True)
    assert (failing.obstacle(Y, 1.0), failing.obstacle(X_OF_BOB, 1.0)) == (None, None)
    failing.failed(X, 2.0, 1.9)
    assert (failing.obstacle(X, 2.0) or obstacle).until >= 2.5


def test_after_its_pause_one_is_tried_and_the_rest_waits_for_what_becomes_of_it() -> None:
    failing = breakers()
    failing.failed(X, 1.0, 0.9)
    assert failing.obstacle(X, 2.0) is None
    failing.begun(X, 2.0)
    assert failing.obstacle(X, 2.1) == Obstacle(X, math.inf)
    failing.ended(X, 0.5)  # one that was sent before tells nothing
    assert failing.obstacle(X, 2.1) == Obstacle(X, math.inf)
    failing.passed(X, 2.0, unlimited=True)
    assert failing.obstacle(X, 2.2) is None


def test_a_refused_model_waits_in_every_group_while_another_model_is_tried() -> None:
    made = suspected()
    assert [made.obstacle(line, 1.0) is None for line in (X, X_OF_BOB, Y)] == [False, False, True]
    assert made.is_trying


def test_it_is_the_suspects_own_limit_if_another_passes() -> None:
    made = suspected()
    made.passed(Y, 1.1, unlimited=True)
    assert (made.suspect, made.is_trying) == (None, False)
    assert made.obstacle(X, 1.1) is not None


def test_it_is_the_accounts_if_another_is_refused_as_well() -> None:
    made = suspected()
    assert made.is_accounts(Y, 1.2, full=False, others=True)
    assert (made.obstacle(X, 1.2), made.obstacle(Y, 1.2), made.suspect) == (None, None, None)


def test_one_model_alone_is_taken_for_the_account_until_another_comes() -> None:
    made = breakers()
    assert made.is_accounts(X, 1.0, full=False, others=False)
    assert made.obstacle(X, 1.0) is None
    made.try_others(5.0)
    assert made.is_trying
    assert made.obstacle(X, 5.0) is not None
    made.passed(Y, 5.1, unlimited=True)
    assert made.suspect is None


def test_what_two_models_have_confirmed_is_not_doubted_at_each_refusal() -> None:
    made = suspected()
    made.is_accounts(Y, 1.2, full=False, others=True)
    assert made.is_accounts(X, 9.0, full=True, others=True)
    made.passed(X, 10.0, unlimited=True)
    assert not made.is_accounts(X, 20.0, full=True, others=True)


def test_only_a_first_refusal_that_another_follows_at_once_may_have_been_the_rates() -> None:
    assert suspected().passed(Y, 1.5, unlimited=True) == 1.0
    assert suspected().passed(Y, 9.0, unlimited=True) is None
    again = suspected()
    again.passed(Y, 1.5, unlimited=True)
    again.is_accounts(X, 3.0, full=False, others=True)
    again.refused(X, 3.0, 2.9, None)
    assert again.passed(Y, 3.1, unlimited=True) is None


def test_a_generation_that_ends_lets_its_model_try_at_once() -> None:
    made = suspected()
    made.freed("x")
    assert made.obstacle(X, 1.0) is None
