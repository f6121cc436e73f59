from __future__ import annotations

import math
from random import Random

import pytest

from kling_async.pacing.admission import AdmissionControl
from kling_async.pacing.fair_queue import Line

LINE, OTHER = Line(0, None, "m"), Line(0, None, "another")


def admission(**limits: object) -> AdmissionControl:
    return AdmissionControl(Random(1), **{"burst": 1, **limits})  # type: ignore[arg-type]


def test_a_session_without_a_cap_begins_with_ten_requests_per_second() -> None:
    assert admission().rate == 10.0
    assert admission(requests_per_second=30).rate == 30.0


def test_submits_and_polls_share_the_rate() -> None:
    shared = admission(requests_per_second=2)
    shared.take_submit(0.0)
    assert shared.request_at(0.0) == 0.5
    assert shared.take(0.0) == 0.5
    assert shared.request_at(0.0) == 1.0


def test_submits_have_a_rate_of_their_own_as_well() -> None:
    apart = admission(requests_per_second=100, submits_per_second=2)
    apart.take_submit(0.0)
    assert apart.submit_at(0.0, running=0, under_way=0, posting=0) == 0.5
    assert apart.request_at(0.0) == 0.01


@pytest.mark.parametrize(("running", "under_way", "posting"), [(5, 0, 0), (3, 2, 0), (0, 4, 4)])
def test_submits_wait_for_answers_and_ends_where_the_callers_limits_are_reached(
    running: int, under_way: int, posting: int
) -> None:
    full = admission(max_in_flight=5, max_submits=4)
    assert full.submit_at(0.0, running, under_way, posting) == math.inf
    assert full.submit_at(0.0, running=0, under_way=4, posting=3) == 0.0


def test_a_submit_beyond_what_the_account_took_waits_until_it_is_known_what_became_of_the_one_before() -> None:
    refused = admission()
    refused.submit_refused(1.0, sent_at=0.9, running=3, retry_after=None, line=LINE, others=False)
    assert refused.submit_at(9.0, running=3, under_way=0, posting=0) <= 9.0
    assert refused.submit_at(9.0, running=3, under_way=1, posting=0) == math.inf


def test_a_refused_poll_pauses_everything_but_one_other_poll_and_slows_the_session() -> None:
    refused = admission(requests_per_second=10)
    until = refused.poll_refused(1.0, sent_at=0.9, retry_after=20.0)
    assert 21.0 <= until <= 22.0
    assert refused.paused_until == until == refused.submit_at(1.0, running=0, under_way=0, posting=0)
    assert refused.request_at(1.0) == 1.0
    refused.take_poll(1.0)
    assert refused.request_at(1.0) == until
    assert refused.rate < 10.0


def test_the_pause_ends_if_the_other_poll_passes() -> None:
    refused = admission(requests_per_second=10)
    refused.poll_refused(1.0, sent_at=0.9, retry_after=20.0)
    refused.take_poll(1.1)
    refused.poll_passed(1.2, sent_at=1.1)
    assert refused.paused_until == 1.2
    assert refused.submit_at(1.2, running=0, under_way=0, posting=0) <= 1.2


def test_the_pause_is_lengthened_and_not_tried_again_if_the_other_poll_is_refused_as_well() -> None:
    refused = admission(requests_per_second=10)
    refused.poll_refused(1.0, sent_at=0.9, retry_after=None)
    refused.take_poll(1.1)
    until = refused.poll_refused(1.2, sent_at=1.1, retry_after=None)
    assert refused.request_at(1.2) == until >= 1.7


def test_a_poll_of_the_same_model_does_not_decide_where_there_are_others() -> None:
    refused = admission(requests_per_second=10)
    refused.in_flight.add(LINE)
    refused.in_flight.add(OTHER)
    refused.poll_refused(1.0, sent_at=0.9, retry_after=20.0, model="m")
    refused.take_poll(1.1)
    refused.poll_refused(1.2, sent_at=1.1, retry_after=20.0, model="m")
    assert refused.request_at(1.4) == 1.4
    refused.take_poll(1.4)
    refused.poll_refused(1.5, sent_at=1.4, retry_after=20.0, model="another")
    assert refused.request_at(2.0) >= 21.2


def test_a_job_that_is_refused_again_while_others_pass_slows_nobody() -> None:
    refused = admission(requests_per_second=10)
    refused.poll_refused(1.0, sent_at=0.9, retry_after=None)
    refused.poll_passed(1.2, sent_at=1.1)
    rate = refused.rate
    assert refused.poll_refused(30.0, sent_at=29.0, retry_after=60.0, last=1.0) == 30.0
    assert (refused.request_at(30.0), refused.rate) == (30.0, rate)
    assert refused.poll_refused(31.0, sent_at=30.5, retry_after=60.0, last=30.0) > 90.0  # nobody else has passed since


def test_a_refused_submit_holds_submits_alone() -> None:
    refused = admission(requests_per_second=10)
    until, is_accounts = refused.submit_refused(1.0, sent_at=0.9, running=3, retry_after=None, line=LINE, others=False)
    assert is_accounts
    assert 1.25 <= until <= 1.5
    assert refused.submit_at(1.0, running=3, under_way=0, posting=0) == until
    assert (refused.request_at(1.0), refused.rate, refused.slots) == (1.0, 10.0, 3)


def test_a_generation_that_ends_makes_room_for_a_submit() -> None:
    refused = admission()
    refused.submit_refused(1.0, sent_at=0.9, running=3, retry_after=None, line=LINE, others=False)
    assert refused.submit_at(1.0, running=2, under_way=0, posting=0) <= 1.0


def test_a_submit_that_passes_at_once_after_a_refusal_was_refused_for_the_rate() -> None:
    refused = admission(requests_per_second=10)
    refused.submit_refused(1.0, sent_at=0.9, running=3, retry_after=None, line=LINE, others=False)
    refused.submit_passed(1.6, sent_at=1.5, running=4, line=LINE)
    assert refused.rate < 10.0


def test_the_rate_rises_only_while_requests_wait_for_it() -> None:
    eager, calm = admission(), admission()
    for step in range(600):
        now = step / 10
        eager.waiting(now, due=True)
        calm.waiting(now, due=False)
        for each in (eager, calm):
            each.poll_passed(now, sent_at=now)
    assert eager.rate > 20.0
    assert calm.rate == 10.0


def test_admission_control_shows_what_it_has_learned() -> None:
    shown = repr(admission(requests_per_second=3))
    assert "3/s" in shown
    assert "open" in shown
