"""Who is served next: each promise of the fair queue, on made-up lines."""

from __future__ import annotations

import math
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from kling_async.pacing.fair_queue import AGEING, FairQueue, Line, Obstacle

if TYPE_CHECKING:
    from collections.abc import Iterable

LINES = [Line(priority, group, model) for priority in (0, 1, 5) for group in (None, "a", "b") for model in ("x", "y")]
lines = st.sampled_from(LINES)
SAME_PRIORITY = st.lists(
    st.builds(Line, st.just(0), st.sampled_from([None, *"abcd"]), st.sampled_from("uvwxyz")), min_size=1, unique=True
)


def open_queue() -> FairQueue[tuple[Line, int]]:
    return FairQueue(lambda _line, _now: None)


def backlog(queue: FairQueue[tuple[Line, int]], waiting: Iterable[Line], each: int) -> None:
    for line in waiting:
        for number in range(each):
            queue.put(line, (line, number), 0.0, 0.0)


def taken(queue: FairQueue[tuple[Line, int]], times: int, now: float = 0.0) -> list[Line]:
    found = [queue.take(now) for _ in range(times)]
    return [item[0] for item in found if item is not None]


@given(st.lists(st.floats(0, 100)))
def test_within_a_line_the_lowest_order_is_first_and_then_who_came_first(orders: list[float]) -> None:
    queue: FairQueue[tuple[float, int]] = FairQueue(lambda _line, _now: None)
    for number, order in enumerate(orders):
        queue.put(LINES[0], (order, number), order, 0.0)
    assert [queue.take(0.0) for _ in orders] == sorted(zip(orders, count(), strict=False))
    assert queue.take(0.0) is None


@given(SAME_PRIORITY, st.integers(1, 100))
def test_groups_take_turns_and_models_within_them(waiting: list[Line], times: int) -> None:
    queue = open_queue()
    backlog(queue, waiting, times)
    served = taken(queue, times)
    groups = Counter(line.group for line in served)
    models = Counter(served)
    assert max(groups.values()) - min(groups.get(line.group, 0) for line in waiting) <= 1
    for one in waiting:
        for other in waiting:
            assert one.group != other.group or abs(models[one] - models[other]) <= 1


@given(st.integers(1, 50), st.integers(3, 300))
def test_splitting_into_many_models_gains_nothing(models: int, jobs: int) -> None:
    queue = open_queue()
    backlog(queue, [Line(0, "greedy", f"m{number}") for number in range(models)], jobs)
    backlog(queue, [Line(0, "modest", "m")], 3)
    assert [line.group for line in taken(queue, 6)] == ["greedy", "modest"] * 3


def test_one_job_behind_three_hundred_of_somebody_else_is_next_but_one() -> None:
    queue = open_queue()
    backlog(queue, [Line(0, "three hundred", "m")], 300)
    taken(queue, 10)
    backlog(queue, [Line(0, "one", "m")], 1)
    assert "one" in [line.group for line in taken(queue, 2)]


def test_the_highest_priority_goes_first() -> None:
    queue = open_queue()
    backlog(queue, [Line(priority, None, "m") for priority in (0, -3, 7, 1)], 2)
    assert [line.priority for line in taken(queue, 8)] == [7, 7, 1, 1, 0, 0, -3, -3]


@given(st.integers(1, 5), st.floats(5.0, 100.0))
def test_a_priority_that_is_not_served_ages_and_is_served_once_for_each_ten_minutes_it_is_behind(
    behind: int, gap: float
) -> None:
    queue = open_queue()
    low, high = Line(0, None, "m"), Line(behind, None, "m")
    backlog(queue, [low], 10)
    served_at: list[float] = []
    for step in range(int(3 * behind * AGEING / gap) + 3):
        queue.put(high, (high, step), 0.0, step * gap)
        if taken(queue, 1, step * gap) == [low]:
            served_at.append(step * gap)
    waits = [later - earlier for earlier, later in zip([0.0, *served_at], served_at, strict=False)]
    assert len(waits) >= 2
    assert all(behind * AGEING - 1e-6 <= wait <= behind * AGEING + 2 * gap for wait in waits)


class Waiting(RuleBasedStateMachine):
    """Nothing is lost or served twice; no closed line is served, and no open one waits for more than others' turns."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue: FairQueue[tuple[Line, int]] = FairQueue(self.closed)
        self.numbers = count()
        self.waiting: dict[tuple[Line, int], None] = {}
        self.until: dict[Line, float] = {}  # lines that back off
        self.full: set[str] = set()  # models at their limit
        self.passed_over: Counter[Line] = Counter()  # how often others of its priority went while it could have gone

    def closed(self, line: Line, now: float) -> Obstacle | None:
        if self.until.get(line, 0.0) > now:
            return Obstacle(line, self.until[line])
        return Obstacle(line.model) if line.model in self.full else None

    def is_open(self, line: Line) -> bool:
        return self.closed(line, self.now) is None

    @rule(line=lines)
    def put(self, line: Line) -> None:
        item = (line, next(self.numbers))
        self.waiting[item] = None
        self.queue.put(line, item, 0.0, self.now)

    @rule(after=st.floats(0.0, 50.0))
    def time_passes(self, after: float) -> None:
        self.now += after

    @rule(line=lines, wait=st.floats(5.0, 100.0))
    def back_off(self, line: Line, wait: float) -> None:
        self.until[line] = self.now + wait
        self.passed_over[line] = 0

    @rule(line=lines)
    def pass_early(self, line: Line) -> None:
        self.until.pop(line, None)
        self.queue.wake(line, every=True)

    @rule(model=st.sampled_from("xy"))
    def reach_the_limit(self, model: str) -> None:
        self.full.add(model)
        for line in LINES:
            if line.model == model:
                self.passed_over[line] = 0

    @rule(model=st.sampled_from("xy"), every=st.booleans())
    def free_a_slot(self, model: str, *, every: bool) -> None:
        self.full.discard(model)
        for _ in range(1 if every else len(LINES)):
            self.queue.wake(model, every=every)

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        item = self.queue.take(self.now)
        could = {line for line, _ in self.waiting if self.is_open(line)}
        if item is None:
            assert not could
            return
        assert item[0] in could
        assert item == min(other for other in self.waiting if other[0] == item[0])
        del self.waiting[item]
        for line in could:
            if line.priority == item[0].priority:
                self.passed_over[line] += 1
        self.passed_over[item[0]] = 0
        assert (
            max(self.passed_over.values()) <= 6 * 2
        )  # a full turn of the groups and models, and one in which it entered

    def teardown(self) -> None:
        """Whatever still waits comes out in the end."""
        self.now += 1000.0
        self.full.clear()
        for model in "xy":
            self.queue.wake(model, every=True)
        assert len(self.queue) == len(self.waiting)
        for _ in range(len(self.waiting)):
            assert self.queue.next_at() <= self.now
            self.take()
        assert (len(self.queue), self.queue.next_at(), list(self.queue.lines)) == (0, math.inf, [])


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


def test_a_line_that_is_woken_and_cannot_go_wakes_the_next() -> None:
    """The place that has become free must not be lost on one that something else holds up."""
    obstacles: dict[Line, Obstacle] = {}
    queue: FairQueue[tuple[Line, int]] = FairQueue(lambda line, _: obstacles.get(line))
    first, second = Line(0, "a", "m"), Line(0, "b", "m")
    backlog(queue, [first, second], 1)
    obstacles.update({first: Obstacle("model"), second: Obstacle("model")})
    assert queue.take(0.0) is None
    obstacles.update({first: Obstacle("group")})
    del obstacles[second]
    queue.wake("model")
    assert taken(queue, 1) == [second]
    assert queue.next_at() == math.inf


def test_it_shows_how_much_waits() -> None:
    queue = open_queue()
    backlog(queue, LINES[:2], 3)
    assert (len(queue), repr(queue)) == (6, "<FairQueue of 6 in 2 lines>")
