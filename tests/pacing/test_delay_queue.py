from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kling_async.pacing.queues import DelayQueue


def test_the_earliest_comes_first_and_equals_come_in_the_order_they_went_in() -> None:
    queue = DelayQueue[str]()
    for due, item in [(2.0, "late"), (1.0, "first"), (1.0, "second"), (0.5, "early"), (1.0, "third")]:
        queue.put(due, item)
    assert [queue.take_due(2.0) for _ in range(6)] == ["early", "first", "second", "third", "late", None]


def test_an_item_comes_at_its_instant_and_not_before() -> None:
    queue = DelayQueue[str]()
    queue.put(1.0, "item")
    assert queue.take_due(math.nextafter(1.0, 0.0)) is None
    assert queue.take_due(1.0) == "item"


def test_what_is_put_at_infinity_is_kept_for_good() -> None:
    queue = DelayQueue[str]()
    queue.put(math.inf, "never")
    assert queue.take_due(1e300) is None
    assert len(queue) == 1


def test_an_instant_that_is_no_number_is_refused_and_changes_nothing() -> None:
    queue = DelayQueue[str]()
    queue.put(1.0, "fine")
    with pytest.raises(ValueError, match="'broken' cannot be due at NaN"):
        queue.put(math.nan, "broken")
    assert queue.take_due(math.inf) == "fine"


def test_items_are_never_compared_nor_hashed() -> None:
    class Opaque:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise AssertionError

    queue, items = DelayQueue[Opaque](), [Opaque() for _ in range(20)]
    for item in items:
        queue.put(1.0, item)
    assert all(queue.take_due(1.0) is item for item in items)


def test_a_queue_shows_its_live_state() -> None:
    queue = DelayQueue[str]()
    assert repr(queue) == "<DelayQueue of 0, next due inf>"
    queue.put(2.5, "item")
    assert repr(queue) == "<DelayQueue of 1, next due 2.5>"


class AgendaMachine(RuleBasedStateMachine):
    """A queue against a plain list: nothing early, nothing lost, nothing twice, fair among equals."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = DelayQueue[int]()
        self.waiting: list[tuple[float, int]] = []
        self.now = 0.0
        self.count = 0

    # Few different instants, so that equals are common.
    @rule(due=st.integers(min_value=0, max_value=8).map(float))
    def put(self, due: float) -> None:
        self.queue.put(due, self.count)
        self.waiting.append((due, self.count))
        self.count += 1

    @rule(by=st.integers(min_value=0, max_value=3))
    def wait(self, by: int) -> None:
        self.now += by

    @rule()
    def go_round_again(self) -> None:
        self.now = 0.0

    @rule()
    def take(self) -> None:
        taken = self.queue.take_due(self.now)
        due = [entry for entry in self.waiting if entry[0] <= self.now]
        if not due:
            assert taken is None
            return
        assert taken == min(due)[1]
        self.waiting.remove(min(due))

    @invariant()
    def holds_as_many_as_wait(self) -> None:
        assert len(self.queue) == len(self.waiting)

    @invariant()
    def knows_what_comes_next(self) -> None:
        assert self.queue.next_due == min((due for due, _ in self.waiting), default=math.inf)

    def teardown(self) -> None:
        rest = [self.queue.take_due(math.inf) for _ in self.waiting]
        assert rest == [item for _, item in sorted(self.waiting)]
        assert self.queue.take_due(math.inf) is None


AgendaMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestAgendaMachine = AgendaMachine.TestCase
