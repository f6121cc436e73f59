"""Ten rounds of the kill test, of which ``python -m benchmarks.kill`` plays two hundred, and the test of its judge."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from benchmarks.kill.rounds import Round, play
from benchmarks.kill.terms import JOBS, SPEED, TROUBLES, Trouble
from benchmarks.kill.verdict import Verdict, judge
from kling_async import TextToVideo
from kling_async.sandbox import Faults, Sandbox, SandboxThread

pytestmark = pytest.mark.timeout(600)  # the first test waits for all rounds, on a busy machine for minutes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    with ThreadPoolExecutor(4) as pool:  # a round mostly waits for time to pass
        return list(pool.map(play, range(10)))


def test_batches_are_killed_while_submits_are_under_way(verdicts: list[Verdict]) -> None:
    assert sum(verdict.kills for verdict in verdicts) >= 5
    assert sum(verdict.adopted for verdict in verdicts) >= 5


def test_nothing_paid_for_is_lost(verdicts: list[Verdict]) -> None:
    assert sum(verdict.purchases for verdict in verdicts) >= 5 * JOBS
    assert [verdict for verdict in verdicts if verdict.lost] == []


def test_nothing_is_bought_twice(verdicts: list[Verdict]) -> None:
    assert [verdict for verdict in verdicts if verdict.twice] == []


def test_every_file_is_what_the_vendor_serves(verdicts: list[Verdict]) -> None:
    assert sum(verdict.whole for verdict in verdicts) >= 5 * JOBS
    assert [verdict for verdict in verdicts if verdict.broken] == []


def test_what_may_be_submitted_again_is_all_delivered(verdicts: list[Verdict]) -> None:
    assert {verdict.whole for verdict in verdicts if verdict.then == "resubmit"} == {JOBS}


def test_what_is_not_delivered_is_reported_by_its_key(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        assert verdict.missing == set()
        assert verdict.whole + len(verdict.reported) == JOBS


def test_one_more_job_proves_that_the_last_submits_were_in_vain(tmp_path: Path) -> None:
    faults = Faults(drop_before={"submit": set(range(JOBS - 4, JOBS + 1))})
    with SandboxThread(Sandbox(speed=SPEED, sigma=0, faults=faults)) as sandbox:
        verdict = Round(sandbox, tmp_path, "resubmit").play()

    assert verdict.good
    assert verdict.restarts >= 1
    assert verdict.whole == JOBS
    assert verdict.resubmitted == 5
    assert verdict.purchases == JOBS + 1


@pytest.mark.parametrize(
    "troubles",
    [
        ("skew",),
        TROUBLES,
    ],
)
def test_the_promises_hold_in_trouble_too(troubles: tuple[Trouble, ...]) -> None:
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(partial(play, troubles=troubles), range(4)))

    assert sum(verdict.purchases for verdict in verdicts) >= 3 * JOBS
    assert [verdict for verdict in verdicts if not verdict.good] == []


@pytest.mark.asyncio
async def test_the_judge_sees_what_is_lost_bought_twice_missing_or_broken(tmp_path: Path) -> None:
    async with Sandbox(speed=SPEED * 10) as sandbox:
        async with sandbox.session(journal=tmp_path / "batch.db") as kling:
            await kling.download(kling.submit(TextToVideo("a raccoon"), key="k0"), tmp_path / "k0.mp4")
            await kling.download(kling.submit(TextToVideo("a fox"), key="k1"), tmp_path / "k1.mp4")
        async with sandbox.session() as forgetful:
            stray = await forgetful.submit(TextToVideo("a raccoon"), key="k0")
        (tmp_path / "k1.mp4").write_bytes((tmp_path / "k0.mp4").read_bytes())

        verdict = judge(sandbox, tmp_path, then="report", kills=1, restarts=2, doubtful=set(), reported={"k2"})

    assert not verdict.good
    assert verdict.lost == {stray.generation_id}
    assert verdict.twice == {"k0"}
    assert verdict.broken == {"k1"}
    assert verdict.whole == 1
    assert verdict.missing == {f"k{number}" for number in range(3, JOBS)}


def test_the_command_sums_its_rounds_up() -> None:
    command = [sys.executable, "-m", "benchmarks.kill", "--rounds", "1", "--troubles"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own

    assert done.returncode == 0, done.stderr
    assert "every promise was kept" in done.stdout
    [whole] = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("files whole")]
    assert whole == str(JOBS)
