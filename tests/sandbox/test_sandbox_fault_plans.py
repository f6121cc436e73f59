from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import untyped

from kling_async.errors import ConfigurationError
from kling_async.sandbox import Faults
from kling_async.sandbox.faults import FaultInjector, SeededRandom


def struck(faults: Faults, fault: str, times: int = 10, *, seed: int = 1) -> list[int]:
    strikes = FaultInjector(faults, SeededRandom(seed))
    return [n for n in range(1, times + 1) if strikes.fires(fault, "poll")]


def test_nothing_goes_wrong_by_default() -> None:
    strikes = FaultInjector(Faults(), SeededRandom(1))
    names = [part.name for part in attrs.fields(Faults) if isinstance(getattr(Faults(), part.name), dict)]
    assert len(names) == 17
    assert not any(
        strikes.fires(name, kind) for name in names for kind in ("submit", "poll", "account", "ledger", "file")
    )


def test_a_schedule_strikes_on_its_occasions_and_no_others() -> None:
    assert struck(Faults(server_error={1, 4, 5}), "server_error") == [1, 4, 5]


def test_a_function_is_asked_about_each_occasion() -> None:
    assert struck(Faults(server_error=lambda n: n % 3 == 0), "server_error") == [3, 6, 9]


@pytest.mark.parametrize(("rate", "expected"), [(0, []), (1, [1, 2, 3]), (True, [1, 2, 3])])
def test_the_rates_nought_and_one_mean_never_and_always(rate: float, expected: list[int]) -> None:
    assert struck(Faults(server_error=rate), "server_error", 3) == expected


@given(st.sampled_from([0.05, 0.2, 0.5, 0.9]), st.integers(0, 20))
def test_a_rate_strikes_that_share_of_occasions(rate: float, seed: int) -> None:
    assert len(struck(Faults(slow=rate), "slow", 400, seed=seed)) / 400 == pytest.approx(rate, abs=0.13)


def test_the_same_seed_strikes_the_same_occasions() -> None:
    faults = Faults(server_error=0.5)
    assert struck(faults, "server_error", 50) == struck(faults, "server_error", 50)
    assert struck(faults, "server_error", 50) != struck(faults, "server_error", 50, seed=2)


def test_a_fault_for_one_kind_of_request_leaves_the_others_alone() -> None:
    strikes = FaultInjector(Faults(server_error={"submit": 1}), SeededRandom(1))
    assert strikes.fires("server_error", "submit")
    assert not strikes.fires("server_error", "poll")


def test_occasions_are_counted_for_each_kind_of_request() -> None:
    strikes = FaultInjector(Faults(server_error={2}), SeededRandom(1))
    assert not strikes.fires("server_error", "submit")
    assert not strikes.fires("server_error", "poll")
    assert strikes.fires("server_error", "poll")


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate: float) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        Faults(slow=rate)


def test_what_is_no_trigger_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="slow is None; it takes a rate"):
        Faults(slow=untyped(None))


def test_a_kind_of_request_the_fault_does_not_concern_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not concern 'poll', only submit"):
        Faults(drop_after={"poll": 1})


@pytest.mark.parametrize("name", ["slow_seconds", "not_found_polls", "not_found_seconds", "log_lag"])
def test_a_negative_amount_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is -1"):
        Faults(**dict[str, Any]({name: -1}))


def test_the_repr_tells_what_goes_wrong_and_nothing_else() -> None:
    assert repr(Faults(drop_after={2}, log_lag=5)) == "Faults(drop_after={'submit': {2}}, log_lag=5)"
    assert repr(Faults()) == "Faults()"


def test_faults_can_be_evolved() -> None:
    faults = attrs.evolve(Faults(drop_after={2}, slow=0.5), slow=0)
    assert struck(faults, "slow", 3) == []
    assert FaultInjector(Faults(drop_after={1}), SeededRandom(1)).fires("drop_after", "submit")
