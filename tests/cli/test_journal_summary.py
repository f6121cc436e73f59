from __future__ import annotations

import io
import sys
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

import kling_async.cli.commands.journal
from kling_async import GenerationFailed, JobState, JournalError, Record, TextToVideo, Usage, Video
from kling_async.cli.commands.journal import status
from kling_async.cli.journals import JournalSummary, file_of, lines
from kling_async.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOX = TextToVideo("a fox")
VIDEO = Video("https://a.example/b.mp4", usage=Usage(usd_spent=Decimal("1.4")))
RECORDS = [
    Record("a", JobState.QUEUED, FOX, queued_at=10.0),
    Record("b", JobState.PENDING, FOX, tag="young", generation_id="g1", queued_at=1.0, accepted_at=90.0),
    Record("c", JobState.PENDING, FOX, tag="old", generation_id="g2", queued_at=20.0, submitted_at=40.0),
    Record("d", JobState.COMPLETED, FOX, video=VIDEO, file="d.mp4"),
    Record("e", JobState.COMPLETED, FOX, video=VIDEO),
    Record("f", JobState.FAILED, FOX, tag={"output": "f.mp4"}, error=GenerationFailed("no\nface")),
    Record("g", JobState.REJECTED, FOX),
]


def test_a_summary_says_how_many_what_waits_and_what_failed() -> None:
    assert list(lines(JournalSummary.of(RECORDS), 100.0)) == [
        "7 jobs, 3 open",
        "  queued            1",
        "  pending           2",
        "  completed         2  (1 downloaded, $2.80 spent)",
        "  failed            1",
        "  rejected          1",
        "longest at the vendor: old, for 1:00, as g2",
        'failed: f.mp4, "a fox": GenerationFailed: no face',
        'rejected: g, "a fox": the vendor gave no reason',
    ]


def test_a_summary_is_also_data() -> None:
    printed = JournalSummary.of(RECORDS).to_json(100.0)
    assert {name: printed[name] for name in ("jobs", "open", "pending", "uncertain", "downloaded", "usd")} == {
        "jobs": 7,
        "open": 3,
        "pending": 2,
        "uncertain": 0,
        "downloaded": 1,
        "usd": Decimal("2.8"),
    }
    assert printed["oldest_pending"] == {"key": "c", "tag": "old", "generation_id": "g2", "seconds": 60.0}
    assert [failure["tag"] for failure in printed["failures"]] == [
        None,
        None,
    ]  # what was asked for, not what it is called
    assert [failure["error"] for failure in printed["failures"]] == [
        {"type": "GenerationFailed", "message": "no\nface"},
        None,
    ]


def test_queued_jobs_are_told_by_their_groups() -> None:
    groups = ["ann", "ann", "bob", None, "c\nd", "e", "f"]
    summary = JournalSummary.of([Record(str(n), JobState.QUEUED, group=group) for n, group in enumerate(groups)])
    said = list(lines(summary, 0.0))
    assert said[1] == "  queued            7  (ann: 2, bob: 1, no group: 1, c d: 1, e: 1, and 1 more group)"
    assert summary.to_json(0.0)["queued_by_group"][:2] == [{"group": "ann", "jobs": 2}, {"group": "bob", "jobs": 1}]


def test_an_empty_journal_stands_somewhere_too() -> None:
    empty = JournalSummary.of([])
    assert list(lines(empty, 0.0)) == ["0 jobs, 0 open"]
    assert empty.to_json(0.0)["oldest_pending"] is None


def test_failures_beyond_what_anybody_reads_are_counted() -> None:
    said = list(lines(JournalSummary.of([Record(str(n), JobState.FAILED) for n in range(25)]), 0.0))
    assert said[-1] == "and 5 more that failed; --json tells all"
    assert len(said) == 2 + 20 + 1


def test_what_a_video_without_a_price_cost_is_not_said() -> None:
    (_, completed) = lines(JournalSummary.of([Record("a", JobState.COMPLETED, video=Video("https://a.example/"))]), 0.0)
    assert completed.endswith("(0 downloaded)")


@pytest.mark.parametrize(
    ("files", "options"),
    [((), ""), (("videos/a.mp4",), ""), (("/x/a.mp4", "my out/w/b.mp4"), " -o 'my out'"), (("b.mp4",), " -o .")],
)
@pytest.mark.skipif(sys.platform == "win32", reason="a command is quoted otherwise there")
def test_how_to_go_on_names_the_folder_that_files_went_to(files: tuple[str, ...], options: str) -> None:
    done = [
        Record(file, JobState.COMPLETED, FOX, tag={"output": "w/b"} if "/w/" in file else None, file=file)
        for file in files
    ]
    summary = JournalSummary.of([*done, Record("b", JobState.QUEUED, FOX)], in_use=False)
    assert list(lines(summary, 0.0, journal="b.db"))[-1].endswith(f"go on with: kling-async resume b.db{options}")


class Journal:
    """A journal in which a job ends from one look to the next, and another's record is damaged."""

    damaged = (JournalError("the record of job 'b' cannot be read"),)

    def __init__(self, _path: Path) -> None: ...

    def records(self) -> Iterator[Record]:
        Journal.looks += 1
        yield Record("a", JobState.PENDING if Journal.looks == 1 else JobState.COMPLETED, queued_at=1.0)

    def sharing(self, _now: float) -> None: ...

    def has_owner(self) -> bool:
        return Journal.looks == 0

    looks = 0


@pytest.mark.parametrize(("live", "as_json"), [(False, False), (True, False), (True, True)])
def test_it_is_looked_at_until_no_job_is_open(live: bool, as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - cases
    out, naps = io.StringIO(), list[float]()
    Journal.looks = 0
    console = Console(file=out, force_terminal=live, width=60, _environ={})
    monkeypatch.setattr(kling_async.cli.commands.journal, "read_journal", Journal)
    monkeypatch.setattr(kling_async.cli.commands.journal, "sleep", naps.append)
    monkeypatch.setattr(
        kling_async.cli.commands.journal, "Terminal", lambda *, as_json: Terminal(console, console, as_json)
    )
    status("journal.db", watch=True, as_json=as_json)
    assert len(naps) == 1
    assert naps[0] >= 2
    assert ("\x1b[" in out.getvalue()) is (live and not as_json)
    assert out.getvalue().count("pending") >= 1
    assert "nobody works on it" not in out.getvalue()
    assert out.getvalue().count("the record of job 'b'" if as_json else "1 job that nobody works on") >= 1


@pytest.mark.parametrize(("kept", "found"), [("out/a.mp4", True), ("a.mp4", True), ("other/a.mp4", False)])
def test_a_file_is_found_where_it_was_or_by_its_name(tmp_path: Path, kept: str, found: bool) -> None:  # noqa: FBT001 - a case
    path = tmp_path / kept
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"1234")
    record = Record("a", JobState.COMPLETED, file="out/a.mp4", file_size=4)
    assert file_of(record, tmp_path) == (path if found else None)


def test_a_file_of_another_size_is_not_the_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"123")
    path = str(tmp_path / "a.mp4")
    assert file_of(Record("a", JobState.COMPLETED, file=path, file_size=4)) is None
    assert file_of(Record("a", JobState.COMPLETED, file=path)) == tmp_path / "a.mp4"
    assert file_of(Record("a", JobState.COMPLETED, file="\0")) is None
    assert file_of(Record("a", JobState.COMPLETED)) is None


def test_counts_go_by_state() -> None:
    assert JournalSummary.of(RECORDS).counts == Counter(record.state for record in RECORDS)
