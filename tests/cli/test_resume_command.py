from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kling_async import ImageToVideo, Polling, TextToVideo
from kling_async.sandbox import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from in_process import Answer

    from kling_async.sandbox import Sandbox

    Kling = Callable[..., Answer]

pytestmark = [pytest.mark.kling_sandbox(speed=2000), pytest.mark.asyncio]


def names(folder: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in folder.rglob("*.mp4"))


async def leave_three(sandbox: Sandbox, journal: Path) -> None:
    """A journal with one job that is made, one that is at the vendor and one that waits; none has its file."""
    async with sandbox.session(journal=journal) as kling:
        await kling.submit(TextToVideo("made"), key="row-1", tag={"output": "made.mp4"})
    # Its end is not noticed here, however slow this machine is.
    async with sandbox.session(journal=journal, polling=Polling.fixed(3600)) as kling:
        await kling.submit(ImageToVideo("https://a.example/b.jpg"), key="pending-2").accepted()
        sandbox.credits = 0.0
        await kling.submit(TextToVideo("waiting"), tag=["of", "another", "kind"]).settled()
        sandbox.credits = None


async def in_thread(kling: Kling, *arguments: object) -> Answer:
    from asyncio import to_thread  # noqa: PLC0415 - beside its only use

    return await to_thread(kling, *arguments)


async def test_resume_goes_on_with_everything_that_is_open_or_missing(
    kling: Kling, vendor: Sandbox, tmp_path: Path
) -> None:
    await leave_three(vendor, tmp_path / "jobs.db")
    done = await in_thread(kling, "resume", "jobs.db")
    assert (done.code, done.out) == (0, "3 of 3 videos in videos\n")
    assert "3 videos to come of 3 in jobs.db" in done.err
    assert names(tmp_path / "videos") == ["made.mp4", "pending", "waiting"]
    assert len(vendor.ledger.purchases) == 3
    again = await in_thread(kling, "resume", "jobs.db", "--json")
    assert "0 videos to come of 3 in jobs.db" in again.err
    assert [one["ok"] for one in again.json_lines] == [True] * 3
    assert len(vendor.ledger.purchases) == 3


async def test_resume_tells_what_has_failed_and_makes_it_again_on_demand(
    kling: Kling, vendor: Sandbox, tmp_path: Path
) -> None:
    vendor.faults = Faults(error_outcome={2, 4, 5})
    (tmp_path / "rows.csv").write_text("prompt,tag\na,one\nb,two\nc,three\n", encoding="ascii")
    first = await in_thread(kling, "batch", "rows.csv")
    assert (first.code, first.out) == (1, "2 of 3 videos in videos, 1 failed\n")
    assert "1 failure not charged; try again with: kling-async resume rows.db" in first.err

    told = await in_thread(kling, "resume", "rows.db")
    assert (told.code, told.out) == (1, "2 of 3 videos in videos, 2 of them from before, 1 failed\n")
    assert "0 videos to come of 3 in rows.db" in told.err
    assert told.err.count("GenerationFailed: ") == 1
    assert len(vendor.ledger.purchases) == 3

    for command in ("resume", "batch"):  # the second and the third attempt
        name = "rows.db" if command == "resume" else "rows.csv"
        again = await in_thread(kling, command, "--retry-failed", name)
        assert (again.code, again.out) == (1, "2 of 3 videos in videos, 2 of them from before, 1 failed\n")
    assert "1 of them have failed, and are made again" in again.err
    assert "2 of them are in the journal already, and are not bought again" in again.err
    done = await in_thread(kling, "resume", "rows.db", "--retry-failed=all")
    assert (done.code, done.out) == (0, "3 of 3 videos in videos, 2 of them from before\n")
    assert len(vendor.ledger.purchases) == 6


async def test_download_fetches_what_is_made_and_buys_nothing(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    await leave_three(vendor, tmp_path / "jobs.db")
    before = len(vendor.ledger.submits)
    done = await in_thread(kling, "download", "jobs.db", "-o", "here")
    assert done.code == 0
    assert done.out.startswith("1 of 1 video")
    assert "-1 to come" not in done.err  # the session has more open jobs than this command waits for
    assert names(tmp_path / "here") == ["made.mp4"]
    assert len(vendor.ledger.submits) == before


async def test_a_journal_that_is_not_there_is_not_made(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    done = await in_thread(kling, "resume", "none.db", "--base-url", vendor.url)
    assert (done.code, done.out) == (2, "")
    assert done.err == "kling-async: journal none.db: there is no such file\n"
    assert names(tmp_path) == []
    assert not (tmp_path / "none.db").exists()


async def test_a_journal_of_a_running_session_is_refused(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    async with vendor.session(journal=tmp_path / "jobs.db") as session:
        await session.submit(TextToVideo("a"))
        done = await in_thread(kling, "resume", "jobs.db")
    assert done.code == 1
    assert "it is in use by process " in done.err


async def test_status_reads_a_journal_while_a_session_writes_it(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    async with vendor.session(journal=tmp_path / "jobs.db") as session:
        await session.submit(TextToVideo("a"))
        await session.submit(TextToVideo("b")).recorded()
        printed = (await in_thread(kling, "status", "jobs.db", "--json")).json_lines
        await session.drain()
    assert printed[0]["jobs"] == 2
    assert printed[0]["in_use"] is True
    assert printed[0]["completed"] == 1


async def test_status_says_when_nobody_works_on_what_is_open(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    async with vendor.session(journal=tmp_path / "jobs.db") as session:
        await session.submit(TextToVideo("a")).recorded()
    said = await in_thread(kling, "status", "jobs.db")
    assert "nobody works on it; go on with: kling-async resume jobs.db" in said.lines


async def test_what_fails_is_made_again_as_often_as_allowed(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.faults = Faults(error_outcome={1, 2, 4})
    (tmp_path / "rows.csv").write_text("prompt,tag\na fox,one\n", encoding="ascii")
    first = await in_thread(kling, "batch", "rows.csv", "--retry", "1")
    assert (first.code, len(vendor.ledger.purchases)) == (1, 2)
    [again] = [line for line in first.err.splitlines() if "made again" in line and line.startswith("one")]
    assert again.startswith('one, "a fox": made again, as its generation failed: ')
    [failed] = [line for line in first.err.splitlines() if "GenerationFailed" in line]
    assert failed.startswith('line 2 (one), "a fox": GenerationFailed: ')
    done = await in_thread(kling, "resume", "rows.db", "--retry-failed")
    assert (done.code, len(vendor.ledger.purchases)) == (0, 3)
    single = await in_thread(kling, "generate", "a heron", "--retry", "1")
    assert (single.code, len(vendor.ledger.purchases)) == (0, 5)
