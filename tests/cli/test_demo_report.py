from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kling_async import TextToVideo
from kling_async.cli.commands.demo import JobResult, Report, figures, problems
from kling_async.sandbox import Faults, Sandbox

GOOD = JobResult("01-fox", "m1", Path("a.mp4"), 1000)
BAD = JobResult("02-owl", "m2", problem="GenerationFailed: too dark")


def report(*results: JobResult, **known: Any) -> Report:
    usual: dict[str, Any] = {
        "bought": len(results),
        "submits": 3,
        "polls": 15,
        "delays": (0.1, 0.2, 0.6),
        "throttled": 2,
        "errors": 4,
        "elapsed": 12.34,
        "speed": 20.0,
    }
    return Report(results, **usual | known)


def test_a_run_is_good_if_every_job_has_its_file() -> None:
    assert report(GOOD, GOOD).is_good
    assert not report(GOOD, BAD).is_good


def test_a_run_that_bought_twice_is_not_good() -> None:
    twice = report(GOOD, GOOD, bought=3)
    assert not twice.is_good
    assert list(problems(twice)) == ["3 generations bought for 2 jobs"]


def test_what_failed_is_named_with_its_reason() -> None:
    assert list(problems(report(GOOD, BAD))) == ["02-owl (m2): GenerationFailed: too dark"]


def test_the_summary_tells_every_figure() -> None:
    assert list(figures(report(GOOD, BAD))) == [
        ("jobs", "2: 1 completed, 1 failed, 2 bought"),
        ("models", "2"),
        ("requests per job", "9.0 (3 submits, 15 polls)"),
        ("noticed late by", "300 ms mean, 600 ms p99 (in the vendor's time 6.0 s and 12 s)"),
        ("refused (429)", "2"),
        ("other errors", "4 error answers and dropped connections"),
        ("bytes", "1,000"),
        ("elapsed", "12.3 s"),
    ]


def test_without_a_completion_there_is_no_delay_to_tell() -> None:
    assert not any("noticed" in name for name, _ in figures(report(BAD, delays=())))


@pytest.mark.asyncio
async def test_its_figures_are_those_of_the_ledger() -> None:
    faults = Faults(server_error={"poll": {1}}, rate_limited={"submit": {1}})
    async with Sandbox(speed=2000, faults=faults) as sandbox, sandbox.session() as kling:
        await kling.submit(TextToVideo("a fox"))
    made = Report.of((GOOD,), sandbox.ledger, elapsed=1.0, speed=2000)
    (polls,) = sandbox.ledger.polls.values()
    assert (made.bought, made.submits, made.throttled, made.errors) == (1, 2, 1, 1)
    assert made.polls == len(polls) + 1  # the one that got the error reached no generation
    assert made.delays == tuple(sandbox.ledger.delays.values())
