"""Six rounds of the kill test, of which ``python -m benchmarks.kill`` plays two hundred, and the test of its checks."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from made_once import made_once
from postgres import server_url

from benchmarks.kill.checks import RoundResult, check_round
from benchmarks.kill.constants import JOBS, SPEED, TROUBLES, Trouble
from benchmarks.kill.rounds import Round, play
from kling_async import TextToVideo
from kling_async.sandbox import Faults, Sandbox, SandboxThread

pytestmark = [
    pytest.mark.timeout(600),  # the first test waits for all rounds, on a busy machine for minutes
    pytest.mark.untraced,
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[RoundResult]:
    with ThreadPoolExecutor(4) as pool:  # a round mostly waits for time to pass
        return made_once(tmp_path_factory, "kill", lambda: list(pool.map(play, range(6))))


def test_batches_are_killed_while_submits_are_under_way(results: list[RoundResult]) -> None:
    assert sum(result.kills for result in results) >= 3
    assert sum(result.adopted for result in results) >= 3


def test_nothing_paid_for_is_lost(results: list[RoundResult]) -> None:
    assert sum(result.purchases for result in results) >= 5 * JOBS
    assert [result for result in results if result.lost] == []


def test_nothing_is_bought_twice(results: list[RoundResult]) -> None:
    assert [result for result in results if result.twice] == []


def test_every_file_is_what_the_vendor_serves(results: list[RoundResult]) -> None:
    assert sum(result.whole for result in results) >= 5 * JOBS
    assert [result for result in results if result.broken] == []


def test_what_may_be_submitted_again_is_all_delivered(results: list[RoundResult]) -> None:
    assert {result.whole for result in results if result.then == "resubmit"} == {JOBS}


def test_what_is_not_delivered_is_reported_by_its_key(results: list[RoundResult]) -> None:
    for result in results:
        assert result.missing == set()
        assert result.whole + len(result.reported) == JOBS


@pytest.mark.skipif(sys.platform == "win32", reason="a file cannot be shared there")
def test_members_that_are_killed_one_after_another_keep_every_promise() -> None:
    members_keep_every_promise(1, 2, 7, 8)


def test_members_on_a_database_that_are_killed_keep_every_promise() -> None:
    members_keep_every_promise(*range(3, 9), database=server_url())


def members_keep_every_promise(*seeds: int, database: str = "") -> None:
    """Rounds in which all members are killed once to four times, by their plan: ten in all."""
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(partial(play, troubles=TROUBLES, members=3, database=database), seeds))
    assert [result for result in results if not result.good] == []
    assert {result.then for result in results} == {"report", "resubmit"}
    assert sum(result.kills for result in results) >= 2 * len(seeds)


def test_one_more_job_proves_that_the_last_submits_were_in_vain(tmp_path: Path) -> None:
    faults = Faults(drop_before={"submit": set(range(JOBS - 4, JOBS + 1))})
    with SandboxThread(Sandbox(speed=SPEED, sigma=0, faults=faults)) as sandbox:
        result = Round(sandbox, tmp_path, "resubmit").play()

    assert result.good
    assert result.restarts >= 1
    assert result.whole == JOBS
    assert result.resubmitted == 5
    assert result.purchases == JOBS + 1


@pytest.mark.parametrize(
    "troubles",
    [
        ("skew",),
        TROUBLES,
    ],
)
def test_the_promises_hold_in_trouble_too(troubles: tuple[Trouble, ...]) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(partial(play, troubles=troubles), range(4)))

    assert sum(result.purchases for result in results) >= 3 * JOBS
    assert [result for result in results if not result.good] == []


@pytest.mark.asyncio
async def test_the_judge_sees_what_is_lost_bought_twice_missing_or_broken(tmp_path: Path) -> None:
    async with Sandbox(speed=SPEED * 10) as sandbox:
        async with sandbox.session(journal=tmp_path / "batch.db") as kling:
            await kling.download(kling.submit(TextToVideo("a raccoon"), key="k0"), tmp_path / "k0.mp4")
            await kling.download(kling.submit(TextToVideo("a fox"), key="k1"), tmp_path / "k1.mp4")
        async with sandbox.session() as forgetful:
            stray = await forgetful.submit(TextToVideo("a raccoon"), key="k0")
        (tmp_path / "k1.mp4").write_bytes((tmp_path / "k0.mp4").read_bytes())

        result = check_round(
            sandbox,
            tmp_path,
            str(tmp_path / "batch.db"),
            then="report",
            kills=1,
            restarts=2,
            uncertain=set(),
            reported={"k2"},
        )

    assert not result.good
    assert result.lost == {stray.generation_id}
    assert result.twice == {"k0"}
    assert result.broken == {"k1"}
    assert result.whole == 1
    assert result.missing == {f"k{number}" for number in range(3, JOBS)}


def test_the_command_sums_its_rounds_up() -> None:
    command = [sys.executable, "-m", "benchmarks.kill", "--rounds", "1", "--troubles"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own

    assert done.returncode == 0, done.stderr
    assert "every promise was kept" in done.stdout
    [whole] = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("files whole")]
    assert whole == str(JOBS)
