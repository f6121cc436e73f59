"""What a look through the log covers and proves, by clocks of which none is trusted alone."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from kling_async.pacing.absence import LoggedPost, PostOrder, elapsed_at_vendor, query_spans

DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.mark.parametrize("length", [1.0, 90 * DAY, 92 * DAY, 200 * DAY, 20_000 * DAY])
def test_a_long_time_is_asked_for_in_stretches_that_the_vendor_allows(length: float) -> None:
    asked = list(query_spans(NOW - length, NOW))
    assert (asked[0][1], asked[-1][0]) == (NOW, NOW - length)
    assert all(0 < end - start < 92 * DAY for start, end in asked)
    assert all(older[1] == newer[0] for newer, older in pairwise(asked))


def test_nothing_is_asked_for_from_before_there_were_clocks() -> None:
    assert list(query_spans(-5 * DAY, DAY)) == [(0.0, DAY)]


def test_posts_are_in_the_order_of_their_times_while_the_clock_runs_on() -> None:
    order = PostOrder()
    for at in (10.0, 20.0, 10_000.0):
        order.begin(at)
    assert order.is_later(20.0, 10.0)
    assert order.is_later(10_000.0, 20.0)
    assert not order.is_later(10.0, 10.0)


def test_times_that_a_clock_has_shown_twice_prove_no_order() -> None:
    order = PostOrder()
    order.begin(100.0)
    order.begin(40.0)  # it was set back, and this POST came later
    assert not order.is_later(100.0, 40.0)
    order.begin(70.0)
    assert not order.is_later(70.0, 40.0)
    order.begin(110.0)
    assert order.is_later(110.0, 40.0)
    assert order.is_later(110.0, 100.0)


@pytest.mark.parametrize(
    ("ahead", "created", "right"),
    [(0.0, 100.0, True), (None, 9e9, True), (5.0, None, True), (7200.0, 7300.0, True), (0.0, 7300.0, False)],
)
def test_a_clock_that_was_set_since_a_post_is_noticed_by_the_vendors(
    ahead: float | None,
    created: float | None,
    right: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert LoggedPost(100.0, created).was_timed_rightly(ahead) is right


def test_time_is_measured_by_the_vendors_clock_alone() -> None:
    shown = [LoggedPost(0.0, None), LoggedPost(5.0, 1000.0), LoggedPost(7.0, 1500.0)]
    assert elapsed_at_vendor(shown, 2000.0) == 1000.0
    assert elapsed_at_vendor(shown, None) == elapsed_at_vendor([], 2000.0) == 0.0
    assert elapsed_at_vendor([LoggedPost(math.inf, None)], 2000.0) == 0.0
