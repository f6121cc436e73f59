from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gallery_samples import film, record, write_journal

from kling_async import JobState, JournalError
from kling_async.cli.gallery.entries import EntryState, read_entries
from kling_async.cli.gallery.page import build

if TYPE_CHECKING:
    from pathlib import Path


def test_a_journal_is_read_in_the_order_in_which_its_jobs_were_queued(tmp_path: Path) -> None:
    records = [record(2, state=JobState.PENDING), record(1, film(tmp_path / "a.mp4")), record(3, state=JobState.FAILED)]
    entries = read_entries(write_journal(tmp_path / "batch.db", records))
    assert [(entry.name, entry.state) for entry in entries] == [
        ("key-2", EntryState.RUNNING),
        ("key-1", EntryState.READY),
        ("key-3", EntryState.FAILED),
    ]


def test_a_folder_is_read_with_its_folders_by_name(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MOV", "sub/c.webm", ".b.mp4.part", ".hidden/d.mp4", ".e.mp4", "notes.txt"):
        film(tmp_path / name)
    entries = read_entries(tmp_path)
    assert [entry.name for entry in entries] == ["a.MOV", "b.mp4", "sub/c.webm"]
    assert {entry.state for entry in entries} == {EntryState.READY}
    assert entries[0].file is not None
    assert entries[0].file.size == (tmp_path / "a.MOV").stat().st_size
    assert entries[0].settled_at == (tmp_path / "a.MOV").stat().st_mtime


def test_what_a_gallery_put_into_a_folder_is_not_taken_for_more_videos(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    film(tmp_path / "media" / "mine.mp4")
    for out in (tmp_path, tmp_path / "gallery"):
        build(tmp_path, out, now=0.0)
        build(tmp_path, out, now=0.0)
    assert [entry.name for entry in read_entries(tmp_path)] == ["a.mp4", "media/mine.mp4"]


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(_: object, onerror: object) -> list[object]:
        assert callable(onerror)
        onerror(PermissionError("not yours"))
        return []

    monkeypatch.setattr("os.walk", walk)
    with pytest.raises(PermissionError):
        read_entries(tmp_path)


@pytest.mark.parametrize("content", [None, b"no journal"])
def test_what_is_no_source_is_said_to_be_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "batch.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JournalError):
        read_entries(path)
