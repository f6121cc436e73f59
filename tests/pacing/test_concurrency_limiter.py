from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kling_async.pacing.concurrency_limiter import ConcurrencyLimiter


def full_at(level: int, now: float = 10.0) -> ConcurrencyLimiter:
    """A limiter that has been refused once, with so many running."""
    limiter = ConcurrencyLimiter()
    limiter.refused(now, now - 0.1, level, None, Random(0))
    return limiter


def refuse_in_a_row(limiter: ConcurrencyLimiter, running: int, times: int, seed: int = 0) -> list[float]:
    """Refuse one submit after another, each answered at once; returns how long each had to wait."""
    waits, now, rng = [], 10.0, Random(seed)
    for _ in range(times):
        waits.append(limiter.ready_at(running, 0) - now)
        now = max(now, limiter.ready_at(running, 0)) + 0.001
        limiter.refused(now, now, running, None, rng)
    return waits


def climb(limiter: ConcurrencyLimiter, running: int, times: int, now: float = 20.0) -> int:
    """Let so many submits pass, one after the other; returns how many run then."""
    for _ in range(times):
        running += 1
        limiter.accepted(now, running)
    return running


def test_it_is_open_until_a_submit_is_refused() -> None:
    limiter = ConcurrencyLimiter()
    assert limiter.ready_at(1_000, 16) == -math.inf
    assert not limiter.accepted(5.0, 1_001)
    assert limiter.level is None


def test_a_refusal_teaches_how_many_may_run() -> None:
    assert full_at(20).level == 20


def test_below_the_level_submits_go_freely_and_at_it_they_wait() -> None:
    limiter = full_at(20)
    assert limiter.ready_at(17, 2) == -math.inf
    assert limiter.ready_at(17, 3) == math.inf
    assert limiter.ready_at(20, 0) > 10.0


def test_a_job_that_ends_makes_room_for_exactly_one() -> None:
    limiter = full_at(20)
    assert limiter.ready_at(19, 0) == -math.inf
    assert limiter.ready_at(19, 1) == math.inf
    limiter.accepted(11.0, 20)
    assert limiter.ready_at(20, 0) > 10.0


def test_using_a_freed_slot_brings_no_probe_forward() -> None:
    limiter = full_at(20)
    refuse_in_a_row(limiter, 20, 6)
    before = limiter.ready_at(20, 0)
    limiter.accepted(before - 1.0, 20)
    assert limiter.ready_at(20, 0) == before


@given(seed=st.integers(min_value=0, max_value=2**32))
def test_probes_come_after_twice_as_long_each_time_up_to_four_minutes(seed: int) -> None:
    waits = refuse_in_a_row(full_at(20), 20, 12, seed)
    for wait, whole in zip(waits, [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240], strict=True):
        assert whole / 2 - 0.01 <= wait <= whole


def test_a_probe_goes_alone() -> None:
    limiter = full_at(20)
    assert math.isfinite(limiter.ready_at(20, 0))
    assert limiter.ready_at(20, 1) == math.inf


def test_where_not_even_one_may_run_it_is_still_probed() -> None:
    limiter = full_at(0)
    refuse_in_a_row(limiter, 0, 50)
    assert math.isfinite(limiter.ready_at(0, 0))


def test_a_probe_that_passes_lets_two_follow_and_then_three() -> None:
    limiter = full_at(20)
    climb(limiter, 20, 1)
    assert [limiter.ready_at(21, under_way) for under_way in range(3)] == [-math.inf, -math.inf, math.inf]
    climb(limiter, 21, 1)
    assert [limiter.ready_at(22, under_way) for under_way in range(4)] == [-math.inf] * 3 + [math.inf]


def test_one_that_passes_beyond_the_level_may_have_a_slot_whose_end_is_not_noticed_yet() -> None:
    limiter = full_at(20)
    running = climb(limiter, 20, 1)
    limiter.refused(21.0, 20.5, running, None, Random(0))
    assert limiter.level == 20
    assert limiter.ready_at(20, 0) > 21.0  # the end, once noticed, frees nothing more


def test_several_that_pass_beyond_the_level_raise_it() -> None:
    limiter = full_at(20)
    running = climb(limiter, 20, 5)
    limiter.refused(21.0, 20.5, running, None, Random(0))
    assert limiter.level == 24
    assert limiter.ready_at(25, 1) == math.inf


def test_a_probe_that_passes_halves_the_wait_for_the_next_and_no_more() -> None:
    limiter = full_at(20)
    refuse_in_a_row(limiter, 20, 6)
    assert repr(limiter) == "<ConcurrencyLimiter level 20, probed after 64 s>"
    climb(limiter, 20, 1, now=1_000.0)
    assert repr(limiter) == "<ConcurrencyLimiter level 20, probed after 32 s>"


def test_it_opens_when_submits_keep_passing() -> None:
    limiter = full_at(20)
    running = climb(limiter, 20, 15)
    assert limiter.level == 20
    climb(limiter, running, 1)
    assert limiter.level is None
    assert limiter.ready_at(500, 16) == -math.inf


def test_submits_under_way_at_a_refusal_are_refused_as_one() -> None:
    limiter, rng = full_at(20, now=10.0), Random(0)
    before = limiter.ready_at(20, 0)
    for late in range(15):
        limiter.refused(10.0 + late / 100, 9.99, 20, None, rng)
    assert limiter.ready_at(20, 0) == before


def test_submits_under_way_at_a_refusal_that_pass_raise_the_level_and_are_no_probes() -> None:
    limiter = full_at(18, now=10.0)
    limiter.accepted(9.95, 19)
    limiter.accepted(9.96, 20)
    assert limiter.level == 20
    assert limiter.ready_at(20, 0) > 10.0


def test_a_slot_that_is_freed_late_is_tried_again_and_not_given_up() -> None:
    limiter = full_at(20)
    waits = refuse_in_a_row(limiter, 19, 3)
    assert max(waits[1:]) <= 1.0
    assert limiter.level == 20
    assert limiter.ready_at(18, 1) == math.inf  # one tries for all
    limiter.accepted(50.0, 20)
    assert limiter.ready_at(18, 1) <= 50.0


def test_refusals_in_a_row_below_the_level_lower_it() -> None:
    limiter = full_at(20)
    refuse_in_a_row(limiter, 12, 4)
    assert limiter.level == 20
    refuse_in_a_row(limiter, 12, 1)
    assert limiter.level == 12


def test_a_level_on_its_way_down_is_believed_at_once_until_a_submit_passes() -> None:
    limiter, rng = full_at(20), Random(0)
    refuse_in_a_row(limiter, 19, 5)
    limiter.refused(100.0, 99.0, 18, None, rng)
    assert limiter.level == 18
    limiter.accepted(110.0, 18)
    limiter.refused(120.0, 119.0, 17, None, rng)
    assert limiter.level == 18


def test_what_the_vendor_asks_for_holds_even_with_a_slot_free() -> None:
    limiter = ConcurrencyLimiter()
    limiter.refused(10.0, 9.0, 20, 60.0, Random(0))
    assert 70.0 <= limiter.ready_at(3, 0) <= 73.0
    assert 70.0 <= limiter.ready_at(20, 0) <= 73.0


@pytest.mark.parametrize("retry_after", [None, 0.0, -1.0])
def test_an_answer_that_asks_for_no_wait_holds_no_free_slot(retry_after: float | None) -> None:
    limiter = ConcurrencyLimiter()
    limiter.refused(10.0, 9.0, 20, retry_after, Random(0))
    assert limiter.ready_at(19, 0) == -math.inf


def test_a_refusal_was_the_rates_if_the_next_submit_passes_at_once() -> None:
    assert full_at(20, now=10.0).accepted(11.0, 21)


def test_a_refusal_was_the_accounts_if_submits_pass_only_after_a_while() -> None:
    assert not full_at(20, now=10.0).accepted(13.0, 21)


def test_a_refusal_was_not_the_rates_if_the_next_submit_has_a_freed_slot() -> None:
    assert not full_at(20, now=10.0).accepted(11.0, 20)


def test_a_refusal_below_the_level_was_the_rates_if_the_next_submit_passes_at_once() -> None:
    limiter = full_at(20, now=10.0)
    limiter.refused(30.0, 29.0, 15, None, Random(0))
    assert limiter.accepted(31.0, 16)
    assert not limiter.accepted(31.1, 17)


def test_a_refusal_was_the_rates_only_once() -> None:
    limiter = full_at(20, now=10.0)
    assert [limiter.accepted(11.0, running) for running in (21, 22, 23)] == [True, False, False]


def test_while_polls_pass_no_refusal_of_a_submit_was_the_rates() -> None:
    limiter = full_at(20, now=10.0)
    limiter.poll_passed_at = 8.0
    assert not limiter.accepted(11.0, 21)


def be_refused_and_pass_at_once(limiter: ConcurrencyLimiter, running: int, now: float) -> bool:
    limiter.poll_passed_at = now
    limiter.refused(now + 0.2, now + 0.1, running, None, Random(0))
    return limiter.accepted(now + 1.0, running + 1)


def test_three_refusals_after_each_of_which_one_passed_at_once_were_the_rates_whatever_polls_say() -> None:
    limiter = ConcurrencyLimiter()
    assert [be_refused_and_pass_at_once(limiter, 20 + i, 10.0 * i) for i in range(4)] == [False, False, True, True]


def test_two_refusals_in_a_row_between_them_speak_for_the_accounts_limit_again() -> None:
    limiter = ConcurrencyLimiter()
    told = [be_refused_and_pass_at_once(limiter, 20 + i, 10.0 * i) for i in range(2)]
    for sent_at in (20.0, 21.0):
        limiter.refused(sent_at + 0.5, sent_at, 22, None, Random(0))
    told += [be_refused_and_pass_at_once(limiter, 22 + i, 30.0 + 10.0 * i) for i in range(2)]
    assert not any(told)


@pytest.mark.parametrize(("passed", "refused"), [(8.0, 8.5), (4.9, -math.inf)])
def test_polls_that_passed_earlier_say_nothing(passed: float, refused: float) -> None:
    limiter = full_at(20, now=10.0)
    limiter.poll_passed_at = passed
    limiter.poll_refused_at = refused
    assert limiter.accepted(11.0, 21)


def test_it_shows_its_live_state() -> None:
    assert repr(ConcurrencyLimiter()) == "<ConcurrencyLimiter open>"
    assert repr(full_at(20)) == "<ConcurrencyLimiter level 20, probed after 1 s>"


class GateBesideVendor(RuleBasedStateMachine):
    """A session's submits, held by the limiter, and a vendor whose number of slots changes."""

    @initialize(slots=st.integers(min_value=0, max_value=12))
    def begin(self, slots: int) -> None:
        self.limiter, self.rng, self.now = ConcurrencyLimiter(), Random(0), 100.0
        self.slots = slots
        self.at_vendor = 0  # running there
        self.running = 0  # as the session knows it
        self.under_way: list[tuple[float, bool]] = []  # sent when, and whether it passed
        self.refused_at = -math.inf
        self.proven = 0  # how many passed beyond the level since then

    def submit(self) -> None:
        passed = self.at_vendor < self.slots
        self.at_vendor += passed
        self.under_way.append((self.now, passed))

    def answer(self, sent_at: float, *, passed: bool) -> None:
        self.now += 0.001
        news = sent_at > self.refused_at
        if passed:
            self.running += 1
            self.proven += news and self.limiter.level is not None and self.running > self.limiter.level
            self.limiter.accepted(sent_at, self.running)
            return
        self.limiter.refused(self.now, sent_at, self.running, None, self.rng)
        if news:
            self.refused_at, self.proven = self.now, 0

    @rule()
    def submit_what_may_go(self) -> None:
        for _ in range(16):
            if self.limiter.ready_at(self.running, len(self.under_way)) <= self.now:
                self.submit()

    @rule(seconds=st.floats(min_value=0.01, max_value=300.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_submit_is_answered(self, data: st.DataObject) -> None:
        sent_at, passed = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.answer(sent_at, passed=passed)

    @precondition(lambda self: self.running)
    @rule()
    def a_generation_ends(self) -> None:
        self.at_vendor -= 1
        self.running -= 1

    @rule(slots=st.integers(min_value=0, max_value=12))
    def the_vendor_changes_its_mind(self, slots: int) -> None:
        self.slots = slots

    @precondition(lambda self: not self.under_way)
    @rule()
    def waiting_fills_every_slot(self) -> None:
        """Whatever happened before, within the longest wait."""
        begun = self.now
        while self.at_vendor < self.slots:
            self.probe()
        assert self.now <= begun + 240.0 + 1.0

    @precondition(lambda self: not self.under_way and self.at_vendor >= self.slots)
    @rule()
    def a_full_account_is_left_alone(self) -> None:
        for _ in range(20):
            self.probe()
        assert self.limiter.ready_at(self.running, 0) >= self.now + 120.0

    def probe(self) -> None:
        self.now = max(self.now + 0.001, self.limiter.ready_at(self.running, 0))
        self.submit()
        sent_at, passed = self.under_way.pop()
        self.answer(sent_at, passed=passed)

    @invariant()
    def never_stuck(self) -> None:
        if not self.under_way:
            assert self.limiter.ready_at(self.running, 0) <= self.now + 240.0

    @invariant()
    def no_slot_is_lost(self) -> None:
        level = self.limiter.level
        if not self.under_way and (level is None or self.running < level):
            assert self.limiter.ready_at(self.running, 0) <= self.refused_at + 4.0

    @invariant()
    def no_slot_is_invented(self) -> None:
        level, wanted = self.limiter.level, self.running + len(self.under_way)
        if level is not None and wanted >= level and len(self.under_way) > self.proven:
            assert self.limiter.ready_at(self.running, len(self.under_way)) == math.inf


TestGateBesideVendor = GateBesideVendor.TestCase
