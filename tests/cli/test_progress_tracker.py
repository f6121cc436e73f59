from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import evolve
from progress_samples import job, stats

from kling_async import (
    Accepted,
    Completed,
    Downloaded,
    Event,
    Failed,
    FeedStats,
    GenerationFailed,
    GenerationStatus,
    Interrupted,
    Job,
    JobState,
    LearnedDuration,
    Polled,
    Request,
    Retrying,
    SessionClosed,
    TextToVideo,
    Usage,
    Video,
)
from kling_async.cli.progress.tracker import EtaEstimator, ProgressTracker

if TYPE_CHECKING:
    from collections.abc import Callable

VIDEO = Video("https://cdn.example/film.mp4")


def new(kind: Callable[..., Event], *values: Any) -> Event:
    return kind(*values, time=datetime.now(UTC))


def tracker_after(*events: Event, total: int = 24) -> ProgressTracker:
    tracker = ProgressTracker(total, started=100.0)
    for event in events:
        tracker.handle(event)
    return tracker


def names(tracker: ProgressTracker, **numbers: int) -> list[str]:
    return [row.name for row in tracker.snapshot(stats(**numbers), 200.0, rows=100).rows]


def test_jobs_at_the_vendor_are_shown_oldest_first() -> None:
    tracker = tracker_after(new(Accepted, 110.0, job(tag="a")), new(Accepted, 120.0, job(tag="b")))
    assert names(tracker, pending=2) == ["a", "b"]


def test_a_row_tells_what_there_is_to_tell() -> None:
    request = TextToVideo("a\nfox", model="klingai/v2.5-turbo/pro/text-to-video")
    (row,) = (
        tracker_after(new(Accepted, 110.0, job(request=request, polls=4, last_status="active")))
        .snapshot(stats(pending=1), 142.0, rows=5)
        .rows
    )
    assert (row.name, row.prompt, row.model) == ("01-fox", "a fox", "v2.5-turbo/pro/text-to-video")
    assert (row.status, row.age, row.polls) == ("active", 32.0, 4)
    assert row.share == pytest.approx(32.0 / 240.0)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({"tag": "a\x1b[2Jb"}, "a [2Jb"),
        ({"tag": 7, "generation_id": "g7"}, "7"),
        ({"tag": {"output": "a/fox.mp4"}, "generation_id": "g7"}, "a/fox.mp4"),
        ({"tag": {"output": "a/fox.mp4", "tag": "fox"}}, "fox"),
        ({"tag": None, "generation_id": "g7"}, "g7"),
        ({"tag": None, "generation_id": "g7", "key": "0123456789abcdef0123456789abcdef-2"}, "01234567-2"),
        ({"tag": None, "key": "row-9"}, "row-9"),
    ],
)
def test_a_job_goes_by_its_tag_or_else_its_id_or_else_its_key(known: dict[str, object], name: str) -> None:
    assert names(tracker_after(new(Accepted, 110.0, job(**known))), pending=1) == [name]


@pytest.mark.parametrize(("request_", "model"), [(None, ""), (Request(model="plain"), "plain")])
def test_a_job_without_a_prompt_has_a_row_as_well(request_: Request | None, model: str) -> None:
    (row,) = tracker_after(new(Accepted, 110.0, job(request=request_))).snapshot(stats(pending=1), 120.0, rows=5).rows
    assert (row.prompt, row.model) == ("", model)


def test_a_completed_job_is_finished_only_with_its_file() -> None:
    one = job(tag="a", settled=True)
    tracker = tracker_after(new(Accepted, 110.0, one), new(Completed, 150.0, one, VIDEO))
    snapshot = tracker.snapshot(stats(completed=1), 160.0, rows=5)
    assert snapshot.finished == 0
    assert dict(snapshot.counts) == {"to come": 23, "downloading": 1}
    assert [(row.status, row.age) for row in snapshot.rows] == [("downloading", 10.0)]
    tracker.handle(new(Downloaded, 161.0, one, Path("a.mp4"), 9))
    snapshot = tracker.snapshot(stats(completed=1), 162.0, rows=5)
    assert (snapshot.finished, snapshot.rows, dict(snapshot.counts)) == (1, (), {"to come": 23, "done": 1})


def test_a_file_that_will_not_come_is_not_waited_for_and_counts_as_failed() -> None:
    one = job(settled=True)
    tracker = tracker_after(new(Accepted, 110.0, one), new(Completed, 150.0, one, VIDEO), total=1)
    tracker.download_failed(one)
    snapshot = tracker.snapshot(stats(completed=1), 160.0)
    assert (snapshot.finished, dict(snapshot.counts)) == (1, {"failed": 1})


def test_a_file_given_up_before_its_video_was_heard_of_is_not_waited_for() -> None:
    one = job(settled=True)
    tracker = tracker_after(new(Accepted, 110.0, one), total=1)
    tracker.download_failed(one)
    tracker.handle(new(Completed, 150.0, one, VIDEO))
    assert tracker.snapshot(stats(completed=1), 160.0).finished == 1


def test_a_job_that_was_at_the_vendor_before_has_a_row() -> None:
    tracker = tracker_after(total=1)
    tracker.add_pending(job(tag="a"), 40.0)
    (row,) = tracker.snapshot(stats(pending=1), 100.0, rows=5).rows
    assert (row.name, row.age) == ("a", 60.0)


def test_jobs_that_were_over_before_count_beside_the_sessions_own() -> None:
    made, kept, failed = job(settled=True), job(settled=True), job(settled=True, error=GenerationFailed("no"))
    tracker = tracker_after(total=5)
    for one in (made, kept, failed):
        tracker.add_settled(one, 110.0)
    tracker.downloaded(kept)
    snapshot = tracker.snapshot(stats(completed=1), 120.0)
    assert dict(snapshot.counts) == {"to come": 1, "downloading": 1, "done": 2, "failed": 1}
    assert snapshot.finished == 4 - 1
    tracker.handle(new(Downloaded, 130.0, made, Path("a.mp4"), 9))
    assert tracker.snapshot(stats(completed=1), 140.0).finished == 4


def test_what_is_spent_is_what_the_vendor_says_of_each_video() -> None:
    priced = evolve(VIDEO, usage=Usage(usd_spent=Decimal("1.4")))
    tracker = tracker_after(*(new(Completed, 150.0, job(settled=True), video) for video in (priced, priced, VIDEO)))
    assert tracker.snapshot(stats(completed=3), 160.0).spent == Decimal("2.8")


@pytest.mark.parametrize("kind", [Failed, Interrupted])
def test_a_job_that_failed_or_stopped_has_no_row(kind: type[Failed | Interrupted]) -> None:
    one = job(settled=True)
    error = GenerationFailed("no") if kind is Failed else SessionClosed("closed")
    tracker = tracker_after(new(Accepted, 110.0, one), new(kind, 120.0, one, error))
    assert not tracker._running


def test_a_job_whose_end_was_missed_has_no_row() -> None:
    assert names(tracker_after(new(Accepted, 110.0, job(settled=True))), completed=1) == []


def test_a_job_whose_start_was_missed_still_counts() -> None:
    one = job(settled=True)
    assert tracker_after(new(Completed, 150.0, one, VIDEO)).snapshot(stats(completed=1), 160.0).finished == 0


def test_events_that_move_no_row_change_nothing() -> None:
    assert names(tracker_after(new(Event, 110.0))) == []


def test_every_stage_is_counted_in_the_order_of_a_jobs_life() -> None:
    numbers = {
        "queued": 1,
        "submitting": 2,
        "uncertain": 3,
        "pending": 4,
        "completed": 5,
        "failed": 6,
        "rejected": 1,
        "interrupted": 8,
        "abandoned": 1,
    }
    assert tracker_after(total=40).snapshot(stats(**numbers), 160.0).counts == (
        ("to come", 9),
        ("queued", 1),
        ("submitting", 2),
        ("uncertain", 3),
        ("generating", 4),
        ("done", 5),
        ("failed", 7),
        ("stopped", 9),
    )


def test_no_more_rows_are_made_than_asked_for_and_the_rest_is_counted() -> None:
    tracker = tracker_after(*(new(Accepted, 110.0, job(tag=str(n))) for n in range(10_000)), total=10_000)
    snapshot = tracker.snapshot(stats(pending=10_000), 160.0, rows=3)
    assert [row.name for row in snapshot.rows] == ["0", "1", "2"]
    assert snapshot.more == 9_997


def test_a_view_looks_at_as_many_jobs_as_it_shows_and_a_few_more() -> None:
    looks = 0

    def counted() -> Job:
        class Looked:
            tag, key, polls, last_status, generation_id, state = "a", "k", 0, None, "g", JobState.PENDING

            @property
            def request(self) -> Request:
                nonlocal looks
                looks += 1
                return TextToVideo("a fox")

            def done(self) -> bool:
                return False

        return cast("Job", Looked())

    tracker = tracker_after(*(new(Accepted, 110.0, counted()) for _ in range(10_000)), total=10_000)
    tracker.snapshot(stats(pending=10_000), 160.0, rows=5)
    assert 0 < looks < 100


def test_the_rates_are_the_sessions() -> None:
    tracker = tracker_after()
    tracker.snapshot(stats(submits=1), 110.0)
    snapshot = tracker.snapshot(stats(submits=5, polls=16, throttled=2, paused_for=1.5, halted="403"), 112.0)
    assert (snapshot.requests, snapshot.per_second, snapshot.throttled) == (21, 10.0, 2)
    assert (snapshot.paused_for, snapshot.halted, snapshot.elapsed) == (1.5, "403", 12.0)


def test_what_the_session_has_learned_is_gone_by() -> None:
    other = job()
    request = other.request
    assert request is not None
    slow = LearnedDuration(model=request.model, duration=None, median=900.0, p90=1200.0, generations=5.0)
    assert tracker_after().snapshot(stats(pending=1), 110.0).left is None
    unlearned = tracker_after(new(Accepted, 110.0, other)).snapshot(stats(pending=1, completed=23), 110.0).left
    after = (
        tracker_after(new(Accepted, 110.0, other)).snapshot(stats(pending=1, completed=23, learned=(slow,)), 110.0).left
    )
    assert after is not None
    assert unlearned is not None
    assert after > 2 * unlearned


def test_what_the_ledger_told_of_is_said_with_its_lag_while_it_leads() -> None:
    feed = FeedStats(leads=True, lag=2.06, told_first=1234, unrecorded=0.02, pages=50)
    for changed, said in (
        (feed, "1,234 told by the ledger, 2.1 s late"),
        (evolve(feed, leads=False, lag=None), "1,234 told by the ledger"),
        (evolve(feed, told_first=0), ""),
        (None, ""),
    ):
        assert tracker_after().snapshot(evolve(stats(), feed=changed), 200.0).ledger == said


def test_what_waits_in_the_vendors_queue_takes_its_turn() -> None:
    jobs = [job(tag=str(n)) for n in range(20)]
    tracker = tracker_after(*(new(Accepted, 110.0, one) for one in jobs), total=20)
    for one in jobs[4:]:
        tracker.handle(new(Polled, 120.0, one, GenerationStatus.QUEUED, 1, None))
    alone = EtaEstimator().seconds(TextToVideo("a red fox"))
    assert tracker.snapshot(stats(pending=20), 120.0).counts == (("in the vendor's queue", 16), ("generating", 4))
    left = tracker.snapshot(stats(pending=20), 120.0).left
    assert left is not None
    assert left > 4 * alone  # four at once
    tracker.handle(new(Polled, 200.0, jobs[4], GenerationStatus.GENERATING, 2, None))
    later = tracker.snapshot(stats(pending=20), 200.0)
    assert later.left is not None
    assert 3 * alone < later.left < left
    waiting = tracker.snapshot(stats(pending=20), 200.0, rows=20).rows[-1]
    assert (waiting.age, waiting.share) == (90.0, 0.0)


def test_what_is_made_again_waits_again() -> None:
    one = job()
    tracker = tracker_after(new(Accepted, 110.0, one), total=1)
    tracker.handle(new(Retrying, 150.0, job(state=JobState.QUEUED), GenerationFailed("no"), 151.0))
    assert len(tracker.snapshot(stats(pending=1), 150.0, rows=1).rows) == 1
    tracker.handle(Retrying(150.0, one, GenerationFailed("no"), 151.0, time=datetime.now(UTC), state=JobState.QUEUED))
    assert tracker.snapshot(stats(queued=1), 150.0, rows=1).rows == ()
