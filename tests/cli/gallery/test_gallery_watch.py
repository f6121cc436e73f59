from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve
from gallery_samples import film, record, write_journal

from kling_async import JobState, TextToVideo
from kling_async.cli.gallery.entries import EntryState
from kling_async.cli.gallery.live import Snapshot, advance, look, outlook
from kling_async.cli.gallery.page import Outlook
from kling_async.cli.text import command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kling_async import Record

SAME = Outlook(0, 0, "")
PENDING: dict[str, Any] = {"state": JobState.PENDING, "settled_at": None}


def next_of(before: Snapshot | None, records: Sequence[Record], folder: Path, text: str = "") -> Snapshot:
    return advance(before, folder / "batch.db", records, evolve(SAME, text=text), 0.0)


def test_a_snapshot_tells_which_entries_have_changed_since_any_version(tmp_path: Path) -> None:
    first = next_of(None, [record(0, **PENDING), record(1, **PENDING)], tmp_path)
    second = next_of(first, [record(0, **PENDING), record(1)], tmp_path)
    third = next_of(second, [record(0, **PENDING), record(1), record(2)], tmp_path)
    assert [snapshot.version for snapshot in (first, second, third)] == [1, 2, 3]
    assert [third.changed_since(version) for version in range(4)] == [[0, 1, 2], [1, 2], [2], []]


def test_without_a_change_it_is_the_snapshot_before(tmp_path: Path) -> None:
    first = next_of(None, [record(0)], tmp_path)
    assert next_of(first, [record(0)], tmp_path) is first
    told = next_of(first, [record(0)], tmp_path, "about 0:01 left")
    assert (told.version, told.changed_since(1)) == (2, [])


def test_where_records_have_gone_it_begins_anew(tmp_path: Path) -> None:
    first = next_of(None, [record(0), record(1)], tmp_path)
    second = next_of(first, [record(0), record(1), record(2)], tmp_path)
    assert next_of(second, [record(1), record(2)], tmp_path).version == 1
    assert next_of(second, [record(0), record(1)], tmp_path).version == 1


def test_an_earlier_entry_changes_when_another_model_gets_its_prompt(tmp_path: Path) -> None:
    alike = [record(n, request=TextToVideo("a", model=f"klingai/{n}")) for n in range(2)]
    first = next_of(None, [alike[0], record(5)], tmp_path)
    second = next_of(first, [alike[0], record(5), alike[1]], tmp_path)
    assert second.changed_since(1) == [0, 2]
    assert second.page.groups == {0: 0, 2: 0}


def test_a_file_that_gets_its_name_after_its_record_is_found_then(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    downloaded = record(0, path)
    path.rename(tmp_path / "later")
    first = next_of(None, [downloaded], tmp_path)
    assert first.page.entries[0].state is EntryState.MISSING
    (tmp_path / "later").rename(path)
    second = next_of(first, [downloaded], tmp_path)
    assert second.page.entries[0].state is EntryState.READY
    assert second.rows[0]["link"] == "video/0"
    assert second.changed_since(1) == [0]


def test_a_page_that_follows_gives_no_advice(tmp_path: Path) -> None:
    assert "command" not in next_of(None, [record(0, **PENDING)], tmp_path).rows[0]


def test_there_is_an_estimate_once_something_has_ended() -> None:
    running = record(1, accepted_at=1000.0, submitted_at=1000.0, **PENDING)
    assert outlook([running], (), 1010.0) == Outlook(0, 1, "1 open")
    done = record(0, submitted_at=1000.0, accepted_at=1000.0, settled_at=1020.0)
    told = outlook([done, running], ["shared: a leads"], 1020.0)
    assert (told.ended, told.total, told.sharing) == (1, 2, ("shared: a leads",))
    assert told.text.startswith("1 open, about 0:")
    assert told.text.endswith(" left, 3.0 a minute")


def test_what_nobody_works_on_has_no_estimate(tmp_path: Path) -> None:
    done, running = record(0), record(1, **PENDING)
    assert outlook([done, running], (), 1110.0, is_worked_on=False).text == "1 open"
    told = look(write_journal(tmp_path / "batch.db", [done, running]), None, now=1110.0, boot=0.0).page.outlook
    again = command("resume", tmp_path / "batch.db")
    assert told == Outlook(1, 2, "1 open", (f"nobody works on it; go on with: {again}",))


def test_what_is_done_or_not_begun_has_none() -> None:
    assert outlook([record(0)], (), 5000.0).text == "all done"
    assert outlook([], (), 5000.0).text == "nothing yet"
    assert outlook([record(0, state=JobState.QUEUED, submitted_at=None)], (), 5000.0).text == "1 open"


def test_a_journal_is_looked_at_without_being_changed(tmp_path: Path) -> None:
    journal = write_journal(tmp_path / "batch.db", [record(0), record(1, state=JobState.QUEUED)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    snapshot = look(journal, None, now=2000.0, boot=0.0)
    assert [entry.state for entry in snapshot.page.entries] == [EntryState.NOT_DOWNLOADED, EntryState.QUEUED]
    assert look(journal, snapshot, now=2000.0, boot=0.0) is snapshot
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
