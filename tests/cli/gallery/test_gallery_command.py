from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest
from child_process import interrupt, start
from cyclopts import App
from gallery_samples import Reading, film, record, write_journal

from kling_async import ConfigurationError, JobState, TextToVideo
from kling_async.cli.commands.gallery import gallery
from kling_async.cli.gallery.page import build
from kling_async.cli.text import command
from kling_async.sandbox import Faults, Sandbox


def run(*arguments: str) -> object:
    app = App()
    app.command("kling_async.cli.commands.gallery:gallery")
    return app(["gallery", *arguments], exit_on_error=False, result_action="return_value")


def test_the_command_tells_where_the_page_is_and_what_is_still_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    records = [record(1, film(tmp_path / "a.mp4")), record(2), record(3), record(4, state=JobState.PENDING)]
    write_journal(tmp_path / "my batch.db", records)
    run("my batch.db")
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(Path("my batch-gallery") / "index.html")]
    assert said.err.splitlines() == [
        f"2 videos to come with: {command('download', 'my batch.db')}",
        f"1 video to come with: {command('resume', 'my batch.db')}",
        "4 videos, 1 ready, 2 not downloaded, 1 generating, 0:02 playing time, 8 KB of files, $0.84 spent",
    ]
    assert (tmp_path / "my batch-gallery" / "index.html").is_file()
    run("my batch.db", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "page": str(Path("my batch-gallery") / "index.html"),
        "videos": 4,
        "states": {"Ready": 1, "Not downloaded": 2, "Generating": 1},
        "file_size": (tmp_path / "a.mp4").stat().st_size,
        "usd": 0.84,
        "credits": 84.0,
        "to_come_with": {command("download", "my batch.db"): 2, command("resume", "my batch.db"): 1},
    }


def test_the_folder_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "videos" / "a.mp4")
    run(str(tmp_path / "videos"), "-o", str(tmp_path / "out"))
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / "index.html")]
    assert (tmp_path / "out" / "media" / "a.mp4").is_file()


def test_a_gallery_can_be_made_in_the_folder_of_the_videos_themselves(tmp_path: Path) -> None:
    film(tmp_path / "a b.mp4")
    build(tmp_path, tmp_path, now=0.0)
    assert [row["link"] for row in Reading((tmp_path / "index.html").read_text("utf-8")).rows] == ["a%20b.mp4"]
    assert not (tmp_path / "media").exists()


def test_what_is_no_journal_or_to_be_written_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        gallery(tmp_path, serve=True)
    with pytest.raises(ConfigurationError):
        gallery(tmp_path / "batch.db", serve=True, output=tmp_path / "out")


def test_it_is_served_until_ctrl_c(tmp_path: Path) -> None:
    journal = write_journal(tmp_path / "batch.db", [record(1, film(tmp_path / "a.mp4"))])
    with start("gallery", str(journal), "--serve", "--port", "0", "--json") as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["url"]
        with urlopen(f"{address}video/0") as answer:  # noqa: S310 - http, on this machine
            assert answer.read() == (tmp_path / "a.mp4").read_bytes()
        _, err = interrupt(process)
    assert process.returncode == 130
    assert err.splitlines() == ["Serving until Ctrl-C.", "interrupted"]


def test_a_foreign_page_in_the_way_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(ConfigurationError):
        gallery(tmp_path, output=tmp_path)


def test_secrets_of_addresses_and_names_of_folders_do_not_come_along(tmp_path: Path) -> None:
    journal = write_journal(tmp_path / "batch.db", [record(1, film(tmp_path / "private" / "a.mp4")), record(2)])
    build(journal, tmp_path / "out", now=0.0)
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert "signature" not in page
    assert "private" not in page


@pytest.mark.asyncio
async def test_a_batch_is_shown_while_it_runs_and_after(tmp_path: Path) -> None:
    journal, folder = tmp_path / "batch.db", tmp_path / "page"
    async with (
        Sandbox(speed=2000, faults=Faults(error_outcome={3})) as sandbox,
        sandbox.session(journal=journal) as kling,
    ):
        jobs = [await kling.submit(TextToVideo(f"scene {number}")).settled() for number in range(3)]
        good = [job for job in jobs if job.exception() is None]
        running = build(journal, folder, now=0.0)
        await kling.download(good[0], tmp_path / "out" / "scene.mp4")
    after = build(journal, folder, now=0.0)
    assert sorted(entry.state.name for entry in running.entries) == [
        "FAILED",
        "NOT_DOWNLOADED",
        "NOT_DOWNLOADED",
    ]
    assert sorted(entry.state.name for entry in after.entries) == ["FAILED", "NOT_DOWNLOADED", "READY"]
    assert (folder / "media" / "scene.mp4").read_bytes() == (tmp_path / "out" / "scene.mp4").read_bytes()
