"""Real processes, really interrupted and killed, against a sandbox that outlives them."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from child_process import COMMAND, TIMEOUT, environment, interrupt, run, run_child, start

from kling_async import JobState, read_journal
from kling_async.cli.commands.sandbox import file_problem
from kling_async.sandbox import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.sandbox import Sandbox
    from kling_async.sandbox.faults import Kind

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


def assert_complete(tmp_path: Path, sandbox: Sandbox, *, files: int = JOBS, jobs: int = JOBS) -> None:
    assert {key: len(bought) for key, bought in sandbox.ledger.by_key.items()} == dict.fromkeys(
        sandbox.ledger.by_key, 1
    )
    assert len(sandbox.ledger.purchases) == jobs
    videos = list((tmp_path / "out").glob("*.mp4"))
    assert [file_problem(video, None) for video in videos] == [None] * files


def resumption(err: str) -> list[str]:
    """The arguments of the command that a message offers."""
    (line,) = [line for line in err.splitlines() if "go on with: " in line]
    return shlex.split(line.partition("go on with: ")[2])[1:]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.kling_sandbox(speed=60)
def test_a_signal_saves_and_the_command_it_offers_finishes_the_batch(
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path, name: str, code: int
) -> None:
    second_file, look = when(lambda occasion: occasion == 2)
    kling_sandbox.faults = Faults(expired_url={"file": look})
    with start(*batch(tmp_path, "--max-in-flight", "8"), **place) as process:
        assert second_file.wait(TIMEOUT)
        out, err = interrupt(process, getattr(signal, name))
    assert (process.returncode, out) == (code, "")
    assert "stopping, and saving what is under way; Ctrl-C again stops at once" in err
    assert "Traceback" not in err
    states = Counter(record.state for record in read_journal(tmp_path / "batch.db").records())
    assert states.total() == JOBS
    assert set(states) <= {JobState.QUEUED, JobState.PENDING, JobState.COMPLETED}
    done = run(*resumption(err), **place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{JOBS} of {JOBS} videos in {tmp_path / 'out'}")
    assert_complete(tmp_path, kling_sandbox)


@pytest.mark.kling_sandbox(speed=60)
def test_ctrl_c_twice_ends_at_once(kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path) -> None:
    third_submit, look = when(lambda occasion: occasion == 3)
    kling_sandbox.faults = Faults(slow={"submit": lambda occasion: look(occasion) or occasion >= 3}, slow_seconds=40)
    with start(*batch(tmp_path), **place) as process:
        assert third_submit.wait(TIMEOUT)
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
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path
) -> None:
    all_running, look = when(lambda _: len(kling_sandbox.ledger.polls) == JOBS)
    kling_sandbox.faults = Faults(rate_limited={"poll": look})
    with start(*batch(tmp_path), **place) as process:
        assert all_running.wait(TIMEOUT)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    again = run(*batch(tmp_path), **place)
    assert again.returncode == 0, again.stderr
    assert_complete(tmp_path, kling_sandbox)


DIES_AT_FILE = """
import os, signal, sys
from itertools import count
from kling_async.cli import main
from kling_async.files.partial import PartialFile
usual, numbers = PartialFile.finish, count(1)
def finish(self):
    number = next(numbers)  # of several threads
    if number == 3 and sys.argv[1] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    usual(self)
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
PartialFile.finish = finish
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("then", ["batch", "resume"])
@pytest.mark.kling_sandbox(speed=600)
def test_a_kill_as_a_file_gets_its_name_leaves_no_second_copy(
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path, when: str, then: str
) -> None:
    killed = run_child([sys.executable, "-c", DIES_AT_FILE, when, *batch(tmp_path)], **place)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    others = ["resume", str(tmp_path / "batch.db"), "-o", str(tmp_path / "out")]
    done = run(*(others if then == "resume" else batch(tmp_path)), **place)
    assert done.returncode == 0, done.stderr
    assert_complete(tmp_path, kling_sandbox)
    hidden = [path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".mp4"]
    assert hidden == []


@pytest.mark.kling_sandbox(speed=600)
def test_what_a_killed_batch_may_have_sent_is_sent_again_only_on_request(
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path
) -> None:
    third_submit, look = when(lambda occasion: occasion == 3)
    # An answer that waits longer than this test takes on any machine: nothing is bought, and nobody can tell.
    kling_sandbox.faults = Faults(slow={"submit": lambda occasion: look(occasion) or occasion >= 3}, slow_seconds=3600)
    with start(*batch(tmp_path), **place) as process:
        assert third_submit.wait(TIMEOUT)
        process.kill()
    kling_sandbox.faults = Faults()
    with (tmp_path / "batch.jsonl").open("a") as rows:  # a later submit, without which the log proves nothing
        rows.write('{"prompt": "one more"}\n')
    again = run(*batch(tmp_path), **place)
    unsure = JOBS + 1 - len(kling_sandbox.ledger.purchases)
    assert (again.returncode, unsure > 0) == (3, True)
    assert f"{unsure} job{'s' * (unsure > 1)} stopped early: SubmissionUncertain: " in again.stderr
    again = run(*batch(tmp_path, "--resubmit"), **place)
    assert again.returncode == 0, again.stderr
    assert_complete(tmp_path, kling_sandbox, files=JOBS + 1, jobs=JOBS + 1)


def generate(tmp_path: Path) -> list[str]:
    return ["generate", "a fox", "-o", str(tmp_path / "out")]


def assert_delivered(tmp_path: Path, sandbox: Sandbox) -> None:
    """One video was bought, and is all there is in the folder."""
    assert len(sandbox.ledger.purchases) == 1
    (video,) = (tmp_path / "out").iterdir()
    assert file_problem(video, None) is None


@pytest.mark.parametrize(
    ("moment", "name", "code"),
    [("submit", "SIGINT", 130), ("submit", "SIGTERM", 143), ("poll", "SIGINT", 130), ("poll", "SIGHUP", 129)],
)
@pytest.mark.kling_sandbox(speed=200)
def test_a_generation_that_was_interrupted_is_had_with_the_command_it_offers(
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path, moment: Kind, name: str, code: int
) -> None:
    seen, look = when(lambda _: True)
    # The answer to a submit takes its time, so that the signal comes before it.
    kling_sandbox.faults = Faults(slow={moment: lambda occasion: look(occasion) or True}, slow_seconds=1.0)
    with start(*generate(tmp_path), **place) as process:
        assert seen.wait(TIMEOUT)
        out, err = interrupt(process, getattr(signal, name))
    kling_sandbox.faults = Faults()
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    (said,) = [line for line in err.splitlines() if line.startswith("interrupted; get the video with: ")]
    done = run(*shlex.split(said.partition("with: ")[2])[1:], **place)
    assert done.returncode == 0, done.stderr
    assert_delivered(tmp_path, kling_sandbox)


@pytest.mark.kling_sandbox(speed=200)
def test_a_generation_that_was_killed_while_its_submit_was_answered_is_found_again(
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path
) -> None:
    seen, look = when(lambda _: True)
    kling_sandbox.faults = Faults(slow={"submit": lambda occasion: look(occasion) or True}, slow_seconds=0.2)
    with start(*generate(tmp_path), **place) as process:
        assert seen.wait(TIMEOUT)
        process.kill()
    (journal,) = (tmp_path / "out").glob("generate-*.db")
    done = run("resume", str(journal), "-o", str(tmp_path / "out"), **place)
    assert done.returncode == 0, done.stderr
    assert_delivered(tmp_path, kling_sandbox)


def test_a_generation_that_was_interrupted_before_it_was_sent_leaves_nothing(
    place: dict[str, Any], tmp_path: Path
) -> None:
    with start(*generate(tmp_path), **place | dict[str, Any](AIMLAPI_BASE_URL="http://127.0.0.1:9")) as process:
        assert process.stderr is not None
        process.stderr.readline()
        _, err = interrupt(process, signal.SIGTERM)
    assert (process.returncode, err.splitlines()[-1]) == (143, "interrupted; nothing was bought")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.kling_sandbox(speed=200)
def test_a_download_that_is_interrupted_says_how_to_go_on(
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path, name: str, code: int
) -> None:
    assert run(*generate(tmp_path), **place).returncode == 0
    (bought,) = kling_sandbox.ledger.purchases
    seen, look = when(lambda _: True)
    kling_sandbox.faults = Faults(slow={"file": lambda occasion: look(occasion) or True}, slow_seconds=2.0)
    with start("download", bought, "-o", str(tmp_path / "here"), **place) as process:
        assert seen.wait(TIMEOUT)
        _, err = interrupt(process, getattr(signal, name))
    assert process.returncode == code
    kling_sandbox.faults = Faults()
    done = run(*resumption(err), **place)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has namespaces of processes")
@pytest.mark.kling_sandbox(speed=200)
def test_the_first_process_of_a_container_ends_in_order(
    kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path
) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this system lets nobody make a namespace")
    seen, look = when(lambda _: True)
    kling_sandbox.faults = Faults(slow={"submit": lambda occasion: look(occasion) or True}, slow_seconds=1.0)
    command = [*alone, *COMMAND, *generate(tmp_path)]
    with subprocess.Popen(command, env=environment(**place), stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert seen.wait(TIMEOUT)
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143
    assert "interrupted; get the video with: " in err
    assert len(kling_sandbox.ledger.purchases) == 1


@pytest.mark.kling_sandbox(speed=20)
def test_a_watched_status_ends_with_ctrl_c(kling_sandbox: Sandbox, place: dict[str, Any], tmp_path: Path) -> None:
    first_poll, look = when(lambda _: True)
    kling_sandbox.faults = Faults(rate_limited={"poll": look})
    with start(*batch(tmp_path), **place) as process:
        assert first_poll.wait(TIMEOUT)
        with start("status", "--watch", str(tmp_path / "batch.db")) as watching:
            assert watching.stdout is not None
            assert watching.stdout.readline().startswith(f"{JOBS} jobs, ")
            _, err = interrupt(watching)
        interrupt(process)
    assert (watching.returncode, err) == (130, "interrupted\n")
