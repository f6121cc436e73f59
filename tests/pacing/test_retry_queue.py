from __future__ import annotations

import math

from kling_async.pacing.fair_queue import Line
from kling_async.pacing.retry_queue import RetryQueue

A, B = Line(0, "a", "m"), Line(0, "b", "m")


def taken(queue: RetryQueue[str], now: float) -> list[str]:
    """All that may go now."""
    found = []
    while queue.next_at(now) <= now:
        if (item := queue.take(now)) is not None:
            found.append(item)
    return found


def test_first_retries_go_when_they_are_due() -> None:
    queue: RetryQueue[str] = RetryQueue()
    for number in range(100):
        queue.put(A, f"{number}", 5.0, 1)
    assert (queue.next_at(0.0), taken(queue, 4.9)) == (5.0, [])
    assert len(taken(queue, 5.0)) == 100


def test_further_ones_go_by_how_often_they_failed_and_no_more_than_the_quota_has() -> None:
    queue: RetryQueue[str] = RetryQueue()
    for failures in (100, 3, 2):
        for number in range(30):
            queue.put(A, f"{failures}", number / 100, failures)
    assert taken(queue, 1.0) == ["2"] * 30 + ["3"] * 20
    assert queue.next_at(1.0) == 2.0
    assert taken(queue, 2.0) == ["3"]
    queue.succeeded(A, 2.5)
    assert taken(queue, 3.0) == ["3", "3"]


def test_a_line_that_has_used_up_its_own_quota_leaves_the_others_theirs() -> None:
    queue: RetryQueue[str] = RetryQueue()
    for _ in range(200):
        queue.put(A, "a", 0.0, 2)
    assert len(taken(queue, 0.0)) == 50
    for _ in range(20):
        queue.succeeded(B, 0.0)  # elsewhere all is well
    assert taken(queue, 0.0) == []
    for _ in range(15):
        queue.put(B, "b", 0.0, 2)
    assert taken(queue, 0.0) == ["b"] * 15


def test_quotas_of_lines_that_are_full_again_are_forgotten() -> None:
    queue: RetryQueue[str] = RetryQueue()
    for number in range(1000):
        queue.put(Line(0, f"group {number}", "m"), "x", number * 100.0, 2)
        assert taken(queue, number * 100.0) == ["x"]
    assert len(queue._quotas) < 200
    assert (len(queue), queue.next_at(0.0)) == (0, math.inf)
