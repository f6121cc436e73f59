from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from kling_async import TextToVideo
from kling_async.cli.commands.sandbox import JobResult, figures, problems
from kling_async.sandbox import Faults, Sandbox

GOOD = JobResult("01-fox", "m1", 1000)
BAD = JobResult("02-owl", "m2", problem="GenerationFailed: too dark")


def told(*results: JobResult, delays: tuple[float, ...] = (0.1, 0.6, 0.2)) -> list[tuple[str, str]]:
    ledger: Any = SimpleNamespace(
        purchases=dict.fromkeys(range(len(results))),
        answers=Counter({("submit", 200): 1, ("submit", 429): 2, ("poll", 200): 11, ("poll", None): 4}),
        delays=dict(enumerate(delays)),
        throttled=2,
    )
    return list(figures(results, ledger, elapsed=12.34, speed=20.0))


def test_a_run_is_good_if_every_job_has_its_file() -> None:
    assert not list(problems([GOOD, GOOD], 2))


def test_a_run_that_bought_twice_is_not_good() -> None:
    assert list(problems([GOOD, GOOD], 3)) == ["3 generations bought for 2 jobs"]


def test_what_failed_is_named_with_its_reason() -> None:
    assert list(problems([GOOD, BAD], 2)) == ["02-owl (m2): GenerationFailed: too dark"]


def test_the_summary_tells_every_figure() -> None:
    assert told(GOOD, BAD) == [
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
    assert not any("noticed" in name for name, _ in told(BAD, delays=()))


@pytest.mark.asyncio
async def test_its_figures_are_those_of_the_ledger() -> None:
    faults = Faults(server_error={"poll": {1}}, rate_limited={"submit": {1}})
    async with Sandbox(speed=2000, faults=faults) as sandbox, sandbox.session() as kling:
        await kling.submit(TextToVideo("a fox"))
    made = dict(figures([GOOD], sandbox.ledger, elapsed=1.0, speed=2000))
    (polls,) = sandbox.ledger.polls.values()
    assert made["jobs"] == "1: 1 completed, 0 failed, 1 bought"
    # One poll got the error, and reached no generation.
    assert made["requests per job"].endswith(f"(2 submits, {len(polls) + 1} polls)")
    assert (made["refused (429)"], made["other errors"][0]) == ("1", "1")
