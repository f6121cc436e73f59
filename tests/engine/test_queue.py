"""The order in which the queue gives waiting jobs: a state machine, and each promise by itself."""

from __future__ import annotations

import math
from asyncio import AbstractEventLoop
from random import Random
from unittest.mock import Mock

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kling_async.api.requests import TextToVideo
from kling_async.api.results import GenerationStatus
from kling_async.engine.job import ActiveJob
from kling_async.engine.queue import JobQueue
from kling_async.engine.tasks import Clock
from kling_async.journal.base import JobState, Record
from kling_async.pacing.admission import AdmissionControl
from kling_async.pacing.queues import PollQueue
from kling_async.pacing.tracking import DurationLearner
from kling_async.settings import Polling

MODEL = "made-up/model"
POLLING = Polling.fixed(10)
LEARNER = DurationLearner(POLLING.duration_models())


def queue() -> JobQueue:
    price = POLLING.poll_cost()
    clock = Clock(Mock(spec=AbstractEventLoop), lambda: 0.0)  # nothing sleeps here
    return JobQueue(PollQueue(POLLING.make_schedule(price), price), AdmissionControl(Random(1)), LEARNER, clock)


def active(state: JobState = JobState.PENDING, *, deadline: float = math.inf) -> ActiveJob:
    record = Record(
        key=f"k{id(object())}", state=state, request=TextToVideo("x"), digest=b"", endpoint="", queued_at=0.0
    )
    made = ActiveJob(record, deadline=deadline)
    if state is JobState.PENDING:
        made.tracker = LEARNER.track(MODEL, 5, 0.0, deadline)
    return made


def retry(waiting: JobQueue, failed: ActiveJob, due: float) -> None:
    failed.failures += 1
    waiting.put_retry(failed, due)


def again(waiting: JobQueue, failed: ActiveJob, due: float) -> None:
    """Have it fail for the second time in a row: first retries take nothing from the quotas."""
    failed.failures = 1
    retry(waiting, failed, due)


def polled(waiting: JobQueue, now: float) -> ActiveJob | None:
    """What is asked about next, once all retries whose turn it is are among the others."""
    while waiting.retry_at(now) <= now:
        waiting.release_retry(now)
    return waiting.take_poll(now)


def test_submits_come_out_in_the_order_they_came() -> None:
    waiting, early, late = queue(), active(JobState.QUEUED), active(JobState.QUEUED)
    waiting.put(early, 1.0)
    waiting.put(late, 2.0)
    assert waiting.submit_at() <= 2.0
    assert [waiting.take_submit(3.0), waiting.take_submit(3.0), waiting.take_submit(3.0)] == [early, late, None]


def test_a_new_job_waits_for_no_retries_and_a_first_retry_for_no_hundredth() -> None:
    waiting = queue()
    hundredths = [active(JobState.QUEUED) for _ in range(199)]
    for each in hundredths:
        each.failures = 99
        retry(waiting, each, 1.0)
    first, new = active(JobState.QUEUED), active(JobState.QUEUED)
    retry(waiting, first, 2.0)
    while waiting.retry_at(2.0) <= 2.0:
        waiting.release_retry(2.0)
    waiting.put(new, 3.0)
    assert [waiting.take_submit(3.0) for _ in range(3)][:2] == [new, first]


def test_what_is_not_to_be_submitted_any_more_just_leaves() -> None:
    waiting, settled, sent = queue(), active(JobState.QUEUED), active(JobState.QUEUED)
    for each in (settled, sent):
        waiting.put(each, 0.0)
    settled.settled = True
    sent.record = evolve(sent.record, state=JobState.PENDING)
    assert (waiting.take_submit(1.0), waiting.take_submit(1.0), waiting.has_submits) == (None, None, False)


def test_four_submits_in_a_row_leave_the_next_place_to_a_poll_that_is_due() -> None:
    waiting = queue()
    for _ in range(4):
        assert waiting.submit_goes_first(polls_due=True)
        waiting.put(active(JobState.QUEUED), 0.0)
        waiting.take_submit(0.0)
    assert not waiting.submit_goes_first(polls_due=True)
    assert waiting.submit_goes_first(polls_due=False)
    waiting.put(active(), 0.0)
    waiting.take_poll(10.0)
    assert waiting.submit_goes_first(polls_due=True)


def test_a_poll_waits_for_its_course() -> None:
    waiting, one = queue(), active()
    waiting.put(one, 0.0)
    assert waiting.polls.next_at() == 10.0
    assert waiting.take_poll(9.9) is None
    assert waiting.take_poll(10.0) is one


def test_a_retry_waits_for_its_instant_and_for_its_turn_among_retries() -> None:
    waiting = queue()
    for _ in range(51):  # one more than go at once
        again(waiting, active(), 5.0)
    assert (waiting.retry_at(0.0), polled(waiting, 4.9)) == (5.0, None)
    assert sum(polled(waiting, 5.0) is not None for _ in range(60)) == 50
    assert waiting.retry_at(5.0) == 6.0
    assert polled(waiting, 6.0) is not None


def test_polls_that_are_retries_go_behind_those_that_were_due_before() -> None:
    waiting, failed = queue(), [active() for _ in range(20)]
    for each in failed:
        retry(waiting, each, 11.0)
    due = [active() for _ in range(5)]
    for each in due:
        waiting.put(each, 0.0)
    assert [polled(waiting, 11.0) for _ in range(5)] == due


def test_two_hundred_sick_generations_hold_up_no_others_after_one_failure_each() -> None:
    waiting, sick = queue(), [active() for _ in range(200)]
    for each in sick:
        each.failures = 3
        retry(waiting, each, 1.0)
    for _ in range(60):
        polled(waiting, 1.0)
    healthy = [active() for _ in range(5)]
    for each in healthy:
        retry(waiting, each, 2.0)
    found = [polled(waiting, 2.0 + step) for step in range(6)]
    assert set(healthy) <= set(found)


def test_each_line_has_a_quota_of_retries_of_its_own() -> None:
    waiting, other = queue(), active()
    for _ in range(200):
        again(waiting, active(), 1.0)
    while polled(waiting, 1.0) is not None:
        """One line uses up what there is."""
    other.record = evolve(other.record, group="another")
    again(waiting, other, 1.5)
    assert other in [polled(waiting, 2.0), polled(waiting, 3.0)]


def test_the_last_poll_waits_for_no_other_retry() -> None:
    waiting = queue()
    for _ in range(60):
        again(waiting, active(), 5.0)
    last, hurried = active(deadline=5.0), active(deadline=7.0)
    retry(waiting, last, 5.1)
    retry(waiting, hurried, 6.0)
    taken = [polled(waiting, 5.1) for _ in range(51)]
    assert last in taken
    waiting.poll_at_deadline(hurried, 7.0)
    assert hurried in [polled(waiting, 7.0) for _ in range(3)]


def test_what_is_dropped_is_not_asked_about() -> None:
    waiting, one, other = queue(), active(), active()
    waiting.put(one, 0.0)
    retry(waiting, other, 1.0)
    waiting.discard(one)
    waiting.discard(other)
    assert (len(waiting.polls), polled(waiting, 100.0), polled(waiting, 100.0)) == (0, None, None)


class Polls(RuleBasedStateMachine):
    """No poll is begun early, none is lost, and none is under way twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue = queue()
        self.waiting: dict[ActiveJob, float] = {}  # and from when on
        self.asked: list[ActiveJob] = []

    @rule(after=st.floats(0.0, 30.0))
    def time_passes(self, after: float) -> None:
        self.now += after

    @rule()
    def accept(self) -> None:
        made = active(deadline=self.now + 200.0)
        made.tracker = LEARNER.track(MODEL, 5, self.now, made.deadline)
        self.queue.put(made, self.now)
        self.waiting[made] = self.now + 10.0

    @rule()
    def take(self) -> None:
        taken = polled(self.queue, self.now)
        if taken is not None:
            assert self.waiting.pop(taken) <= self.now
            self.asked.append(taken)

    @precondition(lambda self: self.asked)
    @rule(wait=st.floats(0.0, 300.0), running=st.booleans())
    def answer(self, *, wait: float, running: bool) -> None:
        answered = self.asked.pop()
        assert answered.tracker is not None
        if running:
            LEARNER.running(answered.tracker, self.now, GenerationStatus.GENERATING, Random(1))
            answered.failures = 0
            self.queue.put(answered, self.now)
            self.waiting[answered] = max(self.now, min(self.now + 10.0, answered.deadline))
        else:
            self.waiting[answered] = due = max(self.now, min(self.now + wait, answered.deadline))
            retry(self.queue, answered, due)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), hurry=st.booleans())
    def end_or_hurry(self, data: st.DataObject, *, hurry: bool) -> None:
        one = data.draw(st.sampled_from(list(self.waiting)))
        if hurry and self.now >= one.deadline:
            self.queue.poll_at_deadline(one, self.now)
            self.waiting[one] = min(self.now, self.waiting[one])
        elif not hurry:
            one.settled = True
            self.queue.discard(one)
            del self.waiting[one]

    @invariant()
    def counts_what_waits(self) -> None:
        assert len(self.queue.polls) <= len(self.waiting)

    def teardown(self) -> None:
        """Whatever still waits comes out in the end, each once."""
        self.now += 1000.0
        for _ in range(10 * len(self.waiting) + 10):
            self.now += 1.0
            self.take()
        assert not self.waiting
        assert len(set(map(id, self.asked))) == len(self.asked)


TestPolls = Polls.TestCase
TestPolls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
