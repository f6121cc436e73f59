from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import pytest
from hazards import MODEL, learner
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.results import GenerationStatus
from kling_async.pacing.completion_feed import CompletionFeed
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.queues import PollQueue
from kling_async.pacing.recording_lag import RecordingLag
from kling_async.pacing.schedules import HazardSchedule
from kling_async.pacing.tracking import still_running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kling_async.pacing.tracking import GenerationTracker

RATE = 0.02  # of those under way, the share that ends per second


def proven() -> RecordingLag:
    """A ledger that was seen to lead by a second or so, again and again."""
    lag = RecordingLag()
    for number in range(200):
        lag.shown_first(number % 4, number % 4 + 0.5)
        lag.advance(float(number))
        lag.ended(number * 0.5, recorded=True)
    return lag


class Session:
    """So many generations under way, all accepted at 0 s."""

    def __init__(
        self, jobs: int, *, lag: RecordingLag | None = None, requests: int = 10_000, least: float = 1.0
    ) -> None:
        self.requests = requests
        self.price = PollCost(least)
        self.feed = CompletionFeed(self.price, lambda: self.requests, lag=lag)
        self.learner = learner(RATE)
        self.poll_queue: PollQueue[str] = PollQueue(
            HazardSchedule(self.price, jitter=0.0, feed=self.feed), self.price, self.feed
        )
        self.courses = {f"g{number}": self.learner.track(MODEL, 5, 0.0) for number in range(jobs)}
        for name, tracker in self.courses.items():
            self.poll_queue.put(tracker, name)

    def round(self, now: float, rate: float = math.inf) -> None:
        while not self.poll_queue.review(now, rate):
            pass

    def learns_nothing(self) -> None:
        """Have what looks do not show count for nothing."""
        for tracker in self.courses.values():
            tracker.plain = True

    def look(self, now: float, *pages: Sequence[str]) -> list[str]:
        """Which a look shows whose pages are these, so far as they are asked for."""
        self.feed.begin_look(now)
        found: list[str] = []
        for number, page in enumerate(pages):
            found += self.feed.page(page, self.courses.get, last=number == len(pages) - 1)
            if not self.feed.goes_on:
                break
        for name in found:
            self.poll_queue.show(self.courses[name], name)
        return found

    def polled(self, now: float, name: str, *, completed: bool = True) -> None:
        tracker = self.courses.pop(name)
        self.poll_queue.drop(tracker)
        self.feed.polled(tracker, name, now, completed=completed)


def gap(tracker: GenerationTracker, feed: CompletionFeed | None) -> float:
    return HazardSchedule(PollCost(1.0), jitter=0.0, feed=feed).earliest(tracker) - tracker.seen


# Before the ledger leads


def test_there_is_a_look_when_there_should_be_something_to_see() -> None:
    session = Session(10)
    session.round(5.0)
    assert session.feed.next_look_at == 5.0
    assert not session.feed.leading


@pytest.mark.parametrize(
    ("jobs", "requests", "at"),
    [(3, 10_000, 30.0), (10, 100, 30.0), (10, 10_000, 0.5)],
    ids=["too few", "too few requests so far", "nothing can have ended"],
)
def test_there_is_no_look_where_it_would_be_wasted(jobs: int, requests: int, at: float) -> None:
    session = Session(jobs, requests=requests)
    session.round(at)
    assert session.feed.next_look_at == math.inf


def test_looks_that_show_nothing_get_ever_rarer() -> None:
    session = Session(10)
    costs: list[int] = []
    for number in range(6):
        now, before = 10.0 * (number + 1), session.requests
        session.round(now)
        while session.feed.next_look_at == math.inf:
            session.requests += 10
            session.round(now)
        costs.append(session.requests - before)
        session.look(now, ["foreign"])
    assert costs == sorted(costs)
    assert costs[0] == 0
    assert sum(costs) > 5 * 200


def test_after_a_look_that_shows_something_first_the_next_is_as_near_as_ever() -> None:
    session = Session(10)
    for number in range(4):
        session.requests += 10_000
        session.round(10.0 + number)
        session.look(10.0 + number, ["g1"] if number == 3 else [])
    session.requests += 200 - 4 * 9  # those that nine under way still take count as well
    session.courses.pop("g1")
    session.round(20.0)
    assert session.feed.next_look_at == 20.0


@given(
    steps=st.lists(st.tuples(st.integers(0, 400), st.floats(0.1, 60.0), st.booleans()), max_size=30),
    jobs=st.integers(4, 50),
)
def test_looks_that_show_nothing_first_are_within_one_in_two_hundred_requests(
    steps: list[tuple[int, float, bool]], jobs: int
) -> None:
    session, now, looks = Session(jobs, requests=jobs), 0.0, 0
    for requests, wait, is_poll in steps:
        now, session.requests = now + wait, session.requests + requests
        if is_poll and len(session.courses) > 1:
            session.polled(now, next(iter(session.courses)))
        session.round(now)
        while session.feed.next_look_at <= now:
            session.requests += 1
            session.look(now, ["foreign"])
            looks += 1
        to_come = 4 * jobs  # so many more each is certain to take
        assert looks <= 1 + (session.requests + to_come) / 200.0


def test_a_poll_that_finds_an_end_is_followed_by_a_look_as_soon_as_that_is_affordable() -> None:
    session = Session(10, requests=100)
    session.round(10.0)
    assert session.feed.next_look_at == math.inf
    session.requests = 300
    session.polled(12.0, "g0")
    assert session.feed.next_look_at == 12.0


def test_while_a_look_is_under_way_there_is_no_other() -> None:
    session = Session(10)
    session.round(10.0)
    session.feed.begin_look(10.0)
    session.round(11.0)
    assert session.feed.next_look_at == math.inf


# Leads


def test_what_is_shown_before_any_poll_leads_and_is_due_before_all_others() -> None:
    session = Session(10)
    session.round(20.0)
    assert session.look(20.0, ["g7", "stranger", "g3"]) == ["g7", "g3"]
    assert session.feed.told_first == 2
    assert session.poll_queue.has_shown
    assert session.poll_queue.next_at() == -math.inf
    assert [session.poll_queue.take(20.0), session.poll_queue.take(20.0)] == ["g7", "g3"]
    assert not session.poll_queue.has_shown


def test_what_is_shown_counts_as_recorded_once_its_own_poll_would_have_been_due() -> None:
    session = Session(10, least=2.0)
    due = HazardSchedule(session.price, jitter=0.0).due(session.courses["g1"])
    before = session.feed.lag.unrecorded
    session.courses["g2"].unanswered = True  # a poll may have recorded this one
    session.look(1.0, ["g1", "g2"])
    session.look(due - 0.01, [])
    assert session.feed.lag.unrecorded == before
    session.look(due + 0.01, [])
    assert session.feed.lag.unrecorded == pytest.approx(1.5 / 21.0)


def test_what_a_poll_may_have_recorded_is_due_at_once_but_leads_nothing() -> None:
    session = Session(10)
    session.poll_queue.drop(session.courses["g1"])  # its poll is under way
    session.courses["g2"].unanswered = True
    assert session.look(20.0, ["g1", "g2"]) == ["g1", "g2"]
    assert session.feed.told_first == 0
    assert session.poll_queue.take(20.0) == "g2"
    session.poll_queue.put(session.courses["g1"], "g1")  # that poll was too early
    assert session.poll_queue.take(20.0) == "g1"


def test_what_the_vendor_still_calls_running_is_polled_as_before() -> None:
    session = Session(10)
    session.look(20.0, ["g1"])
    tracker = session.courses["g1"]
    assert session.poll_queue.take(20.0) == "g1"
    session.learner.running(tracker, 19.0, GenerationStatus.GENERATING, Random(1))
    assert tracker.shown == 20.0
    session.learner.running(tracker, 20.0, GenerationStatus.GENERATING, Random(1))
    assert tracker.shown is None
    session.poll_queue.put(tracker, "g1")
    assert not session.poll_queue.has_shown


def test_who_is_shown_and_dropped_never_comes() -> None:
    session = Session(10)
    session.look(20.0, ["g1"])
    session.poll_queue.drop(session.courses["g1"])
    assert not session.poll_queue.has_shown
    assert session.poll_queue.next_at() > 0.0


def test_what_only_polls_bring_about_never_leads() -> None:
    session = Session(30)
    for number in range(30):
        session.polled(10.0 + number, f"g{number}")
        session.look(10.5 + number, [f"g{each}" for each in range(number, -1, -1)])
    assert session.feed.told_first == 0
    assert not session.feed.lag.leads


def test_what_is_never_recorded_is_counted_after_a_while() -> None:
    session = Session(40, lag=proven())
    session.look(1.0, ["old"])
    before = session.feed.lag.unrecorded
    session.polled(10.0, "g0", completed=False)
    session.polled(10.0, "g1")
    session.look(11.0, ["g1", "old"])
    awaited = session.feed.lag.unrecorded
    assert awaited > before
    session.look(99.0, ["g1"])
    assert session.feed.lag.awaited == 1
    session.look(101.0, ["g1"])
    assert session.feed.lag.awaited == 0
    assert session.feed.lag.unrecorded == pytest.approx(awaited, rel=0.01)


# Once it leads


def test_looks_come_as_often_as_they_are_worth_and_polls_are_thinned() -> None:
    session = Session(500, lag=proven())
    usual = gap(session.courses["g0"], None)
    session.round(20.0)
    assert session.feed.leading
    assert session.feed.wants_round
    session.round(20.0)
    assert not session.feed.wants_round
    assert session.feed.next_look_at == 20.0
    session.look(20.0, ["g1"])
    assert session.feed.next_look_at == 21.0  # what a poll is worth allows no more
    assert gap(session.courses["g0"], session.feed) > 2.0 * usual
    session.courses["g0"].plain = True
    assert gap(session.courses["g0"], session.feed) == usual


@pytest.mark.parametrize(("ends_a_second", "gap"), [(2.0, 1.0), (10.0, 1.0), (20.0, 0.5), (100.0, 0.4)])
def test_the_more_a_look_shows_the_sooner_it_may_come(ends_a_second: float, gap: float) -> None:
    assert CompletionFeed(PollCost(1.0), lambda: 0)._gap_for(ends_a_second) == pytest.approx(gap)
    assert CompletionFeed(PollCost(0.5), lambda: 0)._gap_for(ends_a_second) >= 0.35 / math.sqrt(ends_a_second)


@pytest.mark.parametrize(
    ("worth", "gap"), [(0.05, 0.4), (0.15, 0.548), (0.5, 1.0)], ids=["fast", "balanced", "economy"]
)
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_the_least_gap_between_looks_is_the_best_for_one_end_a_second(worth: float, gap: float, scale: float) -> None:
    feed = CompletionFeed(PollCost.of(worth / scale), lambda: 0, scale=scale)
    assert feed._gap_for(8.0 * scale) == pytest.approx(gap / scale, rel=1e-3)


def test_fewer_under_way_are_looked_for_more_rarely() -> None:
    session = Session(10, lag=proven())
    session.round(20.0)
    session.round(20.0)
    session.look(20.0, [])
    assert session.feed.next_look_at == pytest.approx(20.0 + 1.0 / math.sqrt(10 * RATE), rel=0.2)


def test_three_are_polled_as_if_there_were_no_ledger() -> None:
    session = Session(3, lag=proven())
    session.round(20.0)
    assert not session.feed.leading
    assert session.feed.next_look_at == math.inf
    assert gap(session.courses["g0"], session.feed) == gap(session.courses["g0"], None)


def test_those_that_wait_to_be_taken_up_count_for_nothing() -> None:
    session = Session(10, lag=proven())
    for tracker in session.courses.values():
        session.learner.running(tracker, 10.0, GenerationStatus.QUEUED, Random(1))
    session.round(20.0)
    assert not session.feed.leading


@pytest.mark.parametrize(("shown", "age", "a_second"), [(0, 0.0, 0.0), (60, 0.0, 4.0), (60, 15.0, 4.0 / math.e)])
def test_looks_take_no_more_from_polls_than_what_they_show_of_late(shown: int, age: float, a_second: float) -> None:
    session = Session(500, lag=proven())
    session.learns_nothing()
    session.round(20.0 - age)
    session.look(19.5 - age, [])
    session.look(20.0 - age, [f"g{number}" for number in range(shown)])
    assert session.feed.begin_round()
    for tracker in session.courses.values():
        session.feed.count(tracker, 20.0)
    left = session.feed.end_round(20.0, 100.0)
    assert left == pytest.approx(100.0 - a_second - 1.0 / session.feed._gap, abs=0.01)


def test_what_looks_and_their_finds_take_is_not_there_for_polls() -> None:
    session = Session(500, lag=proven())
    session.learns_nothing()
    session.round(20.0)
    session.look(19.5, [])
    session.look(20.0, [f"g{number}" for number in range(300)])  # 20 a second
    assert session.feed.begin_round()
    for tracker in session.courses.values():
        session.feed.count(tracker, 20.0)
    thinning = session.feed.thinning
    assert thinning is not None
    finds = 500 * RATE * thinning.shown[thinning.place(1.0 / math.sqrt(RATE))]
    assert session.feed.end_round(20.0, 100.0) == pytest.approx(100.0 - finds - 1.0)
    assert session.feed.end_round(20.0, 100.0, scale=2.0) == pytest.approx(100.0 - 2.0 * finds - 2.0 * finds / 10.0)
    assert session.feed.end_round(20.0, 5.0) == 0.5
    assert session.feed.end_round(20.0, math.inf) == math.inf


def test_what_looks_do_not_show_counts_as_running_until_a_poll_says_otherwise() -> None:
    session = Session(10, lag=proven())
    session.round(20.0)
    session.round(20.0)
    session.look(60.0, [])
    session.round(60.0)
    tracker = session.courses["g0"]
    assert 20.0 < tracker.lived < 60.0
    assert tracker.seen == 0.0
    lived = sum(tracker.run_estimator.seen()[1])
    session.learner.ended(tracker, 70.0)
    assert sum(tracker.run_estimator.seen()[1]) < lived  # when it ended nobody knows, so that of nine others is left


def test_an_end_that_is_shown_is_learned_where_the_look_was() -> None:
    session = Session(1)
    tracker = session.courses["g0"]
    tracker.lived, tracker.shown = 48.0, 50.0
    session.learner.ended(tracker, 80.0)
    ends = tracker.run_estimator.seen()[0]
    assert ends[tracker.run_estimator.bins.bin(49.0)] > 0.9


@given(steps=st.lists(st.tuples(st.booleans(), st.floats(0.1, 60.0)), min_size=1, max_size=8), shown=st.booleans())
def test_exposure_that_looks_teach_is_counted_once_and_taken_back_when_a_poll_finds_an_end(
    steps: list[tuple[bool, float]], *, shown: bool
) -> None:
    looked, polled = (learner(RATE) for _ in range(2))
    one, other = (each.track(MODEL, 5, 0.0) for each in (looked, polled))
    now = 0.0
    for is_poll, wait in steps:
        now += wait
        if is_poll:
            looked.running(one, now, GenerationStatus.GENERATING, Random(1))
            polled.running(other, now, GenerationStatus.GENERATING, Random(1))
        else:
            still_running(one, now - 1.0)
        assert sum(one.run_estimator.seen()[1]) == pytest.approx(max(one.seen, one.lived))
        assert one.lived <= max(now, 0.0)
    if not shown:
        looked.ended(one, now + 1.0)
        polled.ended(other, now + 1.0)
        assert one.run_estimator.seen()[1] == pytest.approx(other.run_estimator.seen()[1], abs=1e-6)
        return
    one.shown = now
    before = sum(one.run_estimator.seen()[1])
    looked.ended(one, now + 30.0)
    assert sum(one.run_estimator.seen()[1]) - before <= now - max(one.seen, one.lived) + 1e-6


# Pages


def leading() -> Session:
    session = Session(40, lag=proven())
    session.look(1.0, ["old"])
    session.round(20.0)
    session.round(20.0)
    return session


def test_a_look_goes_on_until_it_meets_what_is_known() -> None:
    session = leading()
    assert session.look(20.0, ["g3", "a"], ["b", "g2"], ["old", "older"], ["g1"]) == ["g3", "g2"]
    assert not session.feed.goes_on


def test_pages_that_shift_show_nothing_twice() -> None:
    session = leading()
    assert session.look(20.0, ["g3", "g2"], ["g2", "g1"], ["g1", "old"]) == ["g3", "g2", "g1"]
    assert session.feed.told_first == 3


def test_the_first_look_has_one_page() -> None:
    session = Session(40, lag=proven())
    session.round(20.0)
    assert session.look(20.0, ["g3"], ["g2"]) == ["g3"]


def test_a_ledger_full_of_others_is_left_alone() -> None:
    session = leading()
    pages = [[f"{page}-{number}" for number in range(100)] for page in range(20)]
    session.look(20.0, *pages)
    assert not session.feed.leading
    session.round(79.0)
    assert session.feed.next_look_at == math.inf
    session.round(80.0)
    assert session.feed.leading


def test_trouble_switches_it_off_for_ever_longer_and_is_told_once() -> None:
    session, now = leading(), 20.0
    for number in range(8):
        session.feed.begin_look(now)
        assert session.feed.failed(now) is (number == 0)
        assert session.feed.wants_round is (number == 0 or session.feed.wants_round)
        off = min(3600.0, 60.0 * 2**number)
        session.round(now + off - 1.0)
        assert not session.feed.leading
        assert session.feed.thinning is None
        now += off
        session.round(now)
    assert session.feed.leading
    session.look(now, ["old"])
    session.feed.begin_look(now)
    assert session.feed.failed(now)


def test_what_a_look_showed_before_it_failed_is_not_shown_again_and_nothing_is_missed() -> None:
    session = leading()
    session.feed.begin_look(20.0)
    assert session.feed.page(["g3"], session.courses.get) == ["g3"]
    assert session.feed.goes_on
    session.feed.failed(20.0)
    session.round(80.0)
    session.round(80.0)
    assert session.look(80.0, ["g3"], ["g2"], ["old"]) == ["g2"]
    assert session.feed.told_first == 2


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["look", "poll", "fail", "round", "trouble", "lost"]), st.floats(0.0, 40.0)),
        max_size=60,
    ),
    seed=st.integers(0, 1000),
    is_proven=st.booleans(),
)
def test_nobody_is_lost_or_told_of_twice_whatever_happens(
    steps: list[tuple[str, float]], seed: int, *, is_proven: bool
) -> None:
    session, rng, now = Session(20, lag=proven() if is_proven else None), Random(seed), 0.0
    ledger = ["old"]
    told: set[str] = set()
    for step, wait in steps:
        now += wait
        name = rng.choice(list(session.courses)) if session.courses else None
        if step == "round":
            session.round(now, rng.choice([math.inf, 5.0]))
        elif step == "trouble":
            session.feed.begin_look(now)
            session.feed.failed(now)
        elif step == "look":
            if name is not None and name not in ledger:
                ledger.insert(0, name)
            found = session.look(now, ledger[:3], ledger[3:])
            assert not told.intersection(found)
            assert all(session.courses[each].shown == now for each in found)
            told.update(found)
        elif name is not None and step == "lost":
            session.courses[name].unanswered = True
        elif name is not None:
            session.polled(now, name, completed=step == "poll")
        feed = session.feed
        assert len(session.poll_queue) == len(session.courses)
        assert feed.next_look_at == math.inf or feed.next_look_at >= 0.0
        assert feed.thinning is None or feed.leading
        assert session.price.least <= session.price.now < math.inf
    taken: list[str] = []
    while (item := session.poll_queue.take(1e9)) is not None:
        taken.append(item)
    assert sorted(taken) == sorted(session.courses)


def test_it_says_how_it_stands() -> None:
    assert repr(Session(1).feed) == "<CompletionFeed not leading, <RecordingLag unknown, 7.5% never recorded>>"
