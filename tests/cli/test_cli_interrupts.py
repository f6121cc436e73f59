"""Real processes, really interrupted and killed, against a sandbox that outlives them."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from command import PATIENCE, interrupt, run, start

from kling_async import State, read_journal
from kling_async.cli.film import flaw
from kling_async.sandbox import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_async.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one child process alone")

JOBS = 12


@pytest.fixture
def place(kling_sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """The environment of a child that talks to the sandbox; a batch is written."""
    rows = "".join(f'{{"prompt": "scene", "tag": "{number}"}}\n' for number in range(JOBS))
    (tmp_path / "batch.jsonl").write_text(rows)
    return {"AIMLAPI_BASE_URL": kling_sandbox.url, "AIMLAPI_API_KEY": kling_sandbox.api_key}


def batch(tmp_path: Path, *options: str) -> list[str]:
    return ["batch", str(tmp_path / "batch.jsonl"), "-o", str(tmp_path / "out"), *options]


def when(condition: Callable[[int], bool]) -> tuple[threading.Event, Callable[[int], bool]]:
    """An event for when the sandbox has seen a request that fits, and the fault that looks and never strikes."""
    seen = threading.Event()

    def look(occasion: int) -> bool:
        if condition(occasion):
            seen.set()
        return False

    return seen, look


def assert_complete(tmp_path: Path, sandbox: Sandbox, *, files: int = JOBS) -> None:
    assert {key: len(bought) for key, bought in sandbox.ledger.by_key.items()} == dict.fromkeys(
        sandbox.ledger.by_key, 1
    )
    assert len(sandbox.ledger.purchases) == JOBS
    videos = list((tmp_path / "out").glob("*.mp4"))
    assert [flaw(video, None) for video in videos] == [None] * files


def resumption(err: str) -> list[str]:
    """The arguments of the command that a message offers."""
    (line,) = [line for line in err.splitlines() if "go on with: " in line]
    return shlex.split(line.partition("go on with: ")[2])[1:]


@pytest.mark.kling_sandbox(speed=60)
def test_ctrl_c_saves_and_the_command_it_offers_finishes_the_batch(
    kling_sandbox: Sandbox, place: dict[str, str], tmp_path: Path
) -> None:
    second_file, look = when(lambda occasion: occasion == 2)
    kling_sandbox.faults = Faults(expired_url={"file": look})
    with start(*batch(tmp_path, "--speed", "60", "--max-in-flight", "8"), **place) as process:
        assert second_file.wait(PATIENCE)
        out, err = interrupt(process)
    assert (process.returncode, out) == (130, "")
    assert "stopping, and saving what is under way; Ctrl-C again stops at once" in err
    assert "Traceback" not in err
    states = Counter(record.state for record in read_journal(tmp_path / "batch.db").records())
    assert states.total() == JOBS
    assert set(states) <= {State.QUEUED, State.PENDING, State.COMPLETED}
    done = run(*resumption(err), **place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{JOBS} of {JOBS} videos in {tmp_path / 'out'}")
    assert_complete(tmp_path, kling_sandbox)


@pytest.mark.kling_sandbox(speed=60)
def test_ctrl_c_twice_ends_at_once(kling_sandbox: Sandbox, place: dict[str, str], tmp_path: Path) -> None:
    third_submit, look = when(lambda occasion: occasion == 3)
    kling_sandbox.faults = Faults(slow={"submit": lambda occasion: look(occasion) or occasion >= 3}, slow_seconds=40)
    with start(*batch(tmp_path, "--speed", "60"), **place) as process:
        assert third_submit.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("stopping"):
                break
        out, err = interrupt(process)
    assert (process.returncode, out) == (130, "")
    (said,) = err.splitlines()
    assert said.startswith("interrupted at once; go on with: kling-async resume ")
    assert read_journal(tmp_path / "batch.db").counts().total() == JOBS


@pytest.mark.kling_sandbox(speed=60)
def test_a_batch_that_was_killed_buys_nothing_twice(
    kling_sandbox: Sandbox, place: dict[str, str], tmp_path: Path
) -> None:
    all_running, look = when(lambda _: len(kling_sandbox.ledger.polls) == JOBS)
    kling_sandbox.faults = Faults(rate_limited={"poll": look})
    with start(*batch(tmp_path, "--speed", "60"), **place) as process:
        assert all_running.wait(PATIENCE)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    again = run(*batch(tmp_path, "--speed", "60"), **place)
    assert again.returncode == 0, again.stderr
    assert_complete(tmp_path, kling_sandbox)


@pytest.mark.kling_sandbox(speed=600)
def test_what_a_killed_batch_may_have_sent_is_sent_again_only_on_request(
    kling_sandbox: Sandbox, place: dict[str, str], tmp_path: Path
) -> None:
    third_submit, look = when(lambda occasion: occasion == 3)
    # An answer that waits longer than this test takes: nothing is bought, and nobody can tell.
    kling_sandbox.faults = Faults(slow={"submit": lambda occasion: look(occasion) or occasion >= 3}, slow_seconds=40)
    with start(*batch(tmp_path, "--speed", "600"), **place) as process:
        assert third_submit.wait(PATIENCE)
        process.kill()
    kling_sandbox.faults = Faults()
    again = run(*batch(tmp_path, "--speed", "600"), **place)
    unsure = JOBS - len(kling_sandbox.ledger.purchases)
    assert (again.returncode, unsure > 0) == (3, True)
    assert f"{unsure} job{'s' * (unsure > 1)} stopped early: SubmissionUncertain: " in again.stderr
    again = run(*batch(tmp_path, "--speed", "600", "--resubmit"), **place)
    assert again.returncode == 0, again.stderr
    assert_complete(tmp_path, kling_sandbox)


@pytest.mark.kling_sandbox(speed=20)
def test_a_generation_that_was_interrupted_can_be_had_by_its_id(
    kling_sandbox: Sandbox, place: dict[str, str], tmp_path: Path
) -> None:
    first_poll, look = when(lambda _: True)
    kling_sandbox.faults = Faults(rate_limited={"poll": look})
    with start("generate", "a fox", "-o", str(tmp_path / "out"), "--speed", "20", **place) as process:
        assert first_poll.wait(PATIENCE)
        out, err = interrupt(process)
    assert (process.returncode, out) == (130, "")
    (said,) = [line for line in err.splitlines() if line.startswith("interrupted; get the video with: ")]
    done = run(*shlex.split(said.partition("with: ")[2])[1:], **place)
    assert done.returncode == 0, done.stderr
    assert len(kling_sandbox.ledger.purchases) == 1
    assert flaw(tmp_path / "out" / done.stdout.strip().rpartition("/")[2], None) is None


@pytest.mark.kling_sandbox(speed=20)
def test_a_watched_status_ends_with_ctrl_c(kling_sandbox: Sandbox, place: dict[str, str], tmp_path: Path) -> None:
    first_poll, look = when(lambda _: True)
    kling_sandbox.faults = Faults(rate_limited={"poll": look})
    with start(*batch(tmp_path, "--speed", "20"), **place) as process:
        assert first_poll.wait(PATIENCE)
        with start("status", "--watch", str(tmp_path / "batch.db")) as watching:
            assert watching.stdout is not None
            assert watching.stdout.readline().startswith(f"{JOBS} jobs, ")
            _, err = interrupt(watching)
        interrupt(process)
    assert (watching.returncode, err) == (130, "interrupted\n")
