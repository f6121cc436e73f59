from __future__ import annotations

import math

import pytest

from kling_async.errors import ConfigurationError
from kling_async.pacing.rate_limiter import Gcra
from kling_async.settings import Limits

COUNTS = ["burst", "max_in_flight", "max_submits", "max_polls", "max_downloads"]


def test_the_defaults_are_the_documented_ones() -> None:
    limits = Limits()
    assert (limits.requests_per_second, limits.submits_per_second) == (None, math.inf)
    assert (limits.burst, limits.max_in_flight) == (5, 1000)
    assert (limits.max_submits, limits.max_polls, limits.max_downloads) == (16, 64, 4)


def test_a_limit_of_each_group_is_kept_as_it_was_given() -> None:
    given: dict[str | None, int] = {"ann": 2, None: 1}
    limits = Limits(per_group=given, per_model=3)
    given["ann"] = 100
    assert (limits.per_group, limits.per_model) == ({"ann": 2, None: 1}, 3)
    assert (Limits().per_group, Limits().per_model) == (None, None)


@pytest.mark.parametrize("rate", [0.001, 1, 2.5, math.inf])
def test_a_rate_may_be_slow_whole_or_infinite(rate: float) -> None:
    assert Limits(requests_per_second=rate).requests_per_second == rate


@pytest.mark.parametrize("name", ["requests_per_second", "submits_per_second"])
@pytest.mark.parametrize("rate", [0, 0.0009, -1.0, -math.inf, math.nan, "10", True])
def test_a_bad_rate_is_refused_by_name_value_and_what_is_allowed(name: str, rate: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limits(**{name: rate})  # type: ignore[arg-type]
    assert caught.value.message == f"{name} is {rate!r}; it takes a number per second, 0.001 or more, or math.inf"


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("count", [0, -1, 1.0, math.inf, "5", None, True])
def test_a_bad_count_is_refused_by_name_value_and_what_is_allowed(name: str, count: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limits(**{name: count})  # type: ignore[arg-type]
    assert caught.value.message == f"{name} is {count!r}; it takes a whole number, 1 or more"


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 5), (10.0, 0)])
def test_the_rate_limiter_itself_takes_no_useless_rate_or_burst(rate: float, burst: int) -> None:
    with pytest.raises(ConfigurationError):
        Gcra(rate, burst)
