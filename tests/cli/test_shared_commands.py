"""``worker``, ``leader`` and ``status``: a journal that sessions share, from the command line."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from child_process import TIMEOUT, interrupt, start
from in_process import call
from postgres import own_schema

from kling_async import KlingSession, OutOfCredits, Polling, TextToVideo
from kling_async.cli.journals import as_place, name_of, shown
from kling_async.journal.shared import LateAnswer, Lease, Member, Sharing, Token

if TYPE_CHECKING:
    from kling_async.sandbox import Sandbox

from kling_async.cli.journals import shared_lines, sharing_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a file cannot be shared there")


FAST = Polling()


def test_who_leads_and_what_nobody_works_on_is_told() -> None:
    lease = Lease(Token(7, "x"), "process 1 on here", since=10.0, renewed=95.0, length=10.0, members=[Member("x")] * 3)
    late = (LateAnswer("row-1", "row-1:x", "g9"),)
    assert list(shared_lines(Sharing(lease, {"OutOfCredits": 2}, 1, late), 100.0)) == [
        "shared by 3 members; process 1 on here leads, for 1:30",
        "2 jobs that nobody works on (OutOfCredits 2): submit them again, under their keys",
        "1 request of members that nobody has acted on yet",
        "bought a second time: row-1, as g9",
    ]
    assert list(shared_lines(Sharing(lease, {}, 0, ()), 200.0)) == ["shared by 3 members; nobody leads"]
    assert list(shared_lines(Sharing(lease, {}, 0, ()), 200.0, 5)) == [
        "shared by 3 members; nobody leads, and 5 jobs would go on with: kling-async worker JOURNAL"
    ]
    (_, lost) = shared_lines(Sharing(evolve(lease, lost_at=60.0), {}, 0, ()), 200.0)
    assert lost.startswith("it has lost commits, as was found on 1970-01-01 00:01:00+00:00: what was queued before")
    crashed = Lease(Token(7, ""), crashes=3)
    (line,) = shared_lines(Sharing(crashed, {}, 0, ()), 200.0)
    assert "3 leaders crashed in a row; kling-async leader JOURNAL --release" in line
    assert sharing_json(Sharing(lease, {"OutOfCredits": 2}, 1, late), 100.0) == {
        "leader": "process 1 on here",
        "seconds": 90.0,
        "crashes": 0,
        "members": ["x", "x", "x"],
        "parked": {"OutOfCredits": 2},
        "not_acted_on": 1,
        "lost_commits_at": None,
        "bought_twice": [{"key": "row-1", "generation_id": "g9"}],
    }


def test_a_worker_goes_on_with_the_jobs_of_a_session_that_never_leads(
    kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIMLAPI_API_KEY", kling_sandbox.api_key)
    monkeypatch.setenv("AIMLAPI_BASE_URL", kling_sandbox.url)
    path = tmp_path / "batch.db"
    program = [sys.executable, "-m", "kling_async", "worker", str(path)]
    worker = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)  # noqa: S603 - this project's own command

    async def ask() -> str:
        async with KlingSession(journal=path, shared=True, hold=True) as kling:
            video = await kling.submit(TextToVideo("a fox"), key="k")
            assert not kling.is_leader
            return video.generation_id or ""

    try:
        assert asyncio.run(ask())
        told = call(capsys, "leader", str(path))
        assert (told.code, f"process {worker.pid} on " in told.out) == (0, True)
        assert f"process {worker.pid} on " in call(capsys, "status", str(path)).out
        assert call(capsys, "leader", str(path), "--release").code == 0
    finally:
        worker.send_signal(signal.SIGINT)
        _, said = worker.communicate(timeout=30)
    assert "leads now" in said
    assert worker.returncode == 130
    assert "nobody leads" in call(capsys, "status", str(path)).out


# The journals of other commands


@pytest.mark.parametrize(
    ("text", "place", "told", "name"),
    [
        ("jobs.db", Path("jobs.db"), "jobs.db", "jobs"),
        ("postgresql://ann@db/videos", "postgresql://ann@db/videos", "postgresql://ann@db/videos", "videos"),
        ("postgresql://ann:s3cret@db/v?x=1", "postgresql://ann:s3cret@db/v?x=1", "postgresql://ann@db/v?x=1", "v"),
        ("postgresql:///v?password=s3cret", "postgresql:///v?password=s3cret", "postgresql:///v?", "v"),
    ],
)
def test_a_journal_is_a_file_or_a_url_that_is_shown_without_its_password(
    text: str, place: Path | str, told: str, name: str
) -> None:
    assert as_place(text) == place
    assert (shown(place), name_of(place)) == (told, name)


def batch(folder: Path, *more: str, rows: int = 6, journal: str = "") -> list[str]:
    """The arguments of a shared batch."""
    file = folder / "rows.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": f"a fox, take {row}", "tag": f"{row}"}) + "\n" for row in range(rows))
    )
    return [
        "batch",
        str(file),
        "--journal",
        journal or str(folder / "jobs.db"),
        "-o",
        str(folder / "videos"),
        *more,
    ]


@pytest.mark.kling_sandbox(speed=2000)
def test_two_batches_of_one_file_share_its_rows_and_each_tells_of_all(
    vendor: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [start(*batch(tmp_path, "--shared")) for _ in range(2)]
    said = [process.communicate(timeout=TIMEOUT) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert all(out.startswith("6 of 6 videos in ") for out, _ in said)
    assert all(", shared" in err for _, err in said)
    assert len(vendor.ledger.purchases) == 6
    assert len(list((tmp_path / "videos").iterdir())) == 6
    assert "6 downloaded" in call(capsys, "status", str(tmp_path / "jobs.db")).out
    again = call(capsys, *batch(tmp_path, rows=7))  # a journal that was shared is shared again
    assert (again.code, ", shared" in again.err) == (0, True)
    assert again.out.startswith("7 of 7 videos in ")
    assert "6 of them from before" in again.out
    assert len(vendor.ledger.purchases) == 7


@pytest.mark.kling_sandbox(speed=2000)
def test_a_batch_in_a_database_is_told_by_its_url(
    vendor: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with own_schema() as url:
        worker = start("worker", url)
        try:
            assert worker.stderr is not None
            assert [worker.stderr.readline() for _ in range(2)][1] == "leads now\n"
            assert call(capsys, *batch(tmp_path, journal=url)).out.startswith("6 of 6 videos in ")
            told = call(capsys, "status", url).out
            assert f"process {worker.pid} on " in told
            assert call(capsys, "resume", url, "-o", str(tmp_path / "videos")).code == 0
        finally:
            interrupt(worker)
    assert len(vendor.ledger.purchases) == 6


def test_a_sandbox_of_one_command_is_not_shared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = call(capsys, *batch(tmp_path, "--sandbox", "--shared"))
    assert (refused.code, "no journal of it can be shared" in refused.err) == (2, True)


async def leave(vendor: Sandbox, path: Path) -> None:
    """A shared journal with a video that is made, and a job that nobody works on."""
    async with KlingSession(vendor.api_key, base_url=vendor.url, journal=path, shared=True, polling=FAST) as kling:
        await kling.submit(TextToVideo("made"), key="made")
        vendor.credits = 0.0
        with pytest.raises(OutOfCredits):
            await kling.submit(TextToVideo("parked"), key="parked")
        vendor.credits = None


@pytest.mark.kling_sandbox(speed=2000)
def test_resume_and_download_go_on_with_a_shared_journal(
    vendor: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, videos = tmp_path / "jobs.db", tmp_path / "videos"
    asyncio.run(leave(vendor, path))
    told = call(capsys, "status", str(path)).out
    assert "1 job that nobody works on (OutOfCredits 1)" in told
    assert "shared by 0 members; nobody leads" in told
    (facts,) = call(capsys, "leader", str(path), "--json").json_lines
    assert (facts["leader"], facts["parked"]) == (None, {"OutOfCredits": 1})
    fetched = call(capsys, "download", str(path), "-o", str(videos))
    assert (fetched.code, fetched.out.splitlines()[-1]) == (0, f"1 of 1 video in {videos}")
    done = call(capsys, "resume", str(path), "-o", str(videos))
    assert (done.code, done.out) == (0, f"2 of 2 videos in {videos}\n")
    assert len(vendor.ledger.files) == 2
    assert "0 open" in call(capsys, "status", str(path)).out


@pytest.mark.kling_sandbox(speed=2000)
def test_a_worker_downloads_what_nobody_has(vendor: Sandbox, tmp_path: Path) -> None:
    path, videos = tmp_path / "jobs.db", tmp_path / "videos"
    asyncio.run(leave(vendor, path))
    worker = start("worker", str(path), "-o", str(videos))

    async def watch() -> None:
        async with KlingSession(vendor.api_key, base_url=vendor.url, journal=path, shared=True, hold=True) as kling:
            await kling.submit(TextToVideo("parked"), key="parked")
            while [record.file async for record in kling.history() if record.file is None]:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.05)

    asyncio.run(watch())
    _, said = interrupt(worker)
    assert sorted(file.suffix for file in videos.iterdir()) == [".mp4", ".mp4"]
    assert "left, after 1 submit of all members and 2 files\n" in said
