"""Whatever a command is given as a path: a clear error, exit code 2, nothing done; never a traceback, never a wait."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from child_process import COMMAND, TIMEOUT, environment, run_child

from kling_async.cli.paths import check_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from in_process import Answer

    Kling = Callable[..., Answer]

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has neither pipes in folders nor closed streams"
)

KEY = "k3y-k3y"
LONG = "x" * 100_000


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places of every strange kind."""
    monkeypatch.setenv("AIMLAPI_API_KEY", KEY)
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "good.csv").write_text("prompt\na fox\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))


INPUTS = {
    "pipe": "a pipe that nobody writes to",
    "loop": "symbolic link",
    "folder": "it is a folder",
    "none": "No such file",
    "file/none": "Not a directory",
    "/dev/zero": "a device",
    LONG: "name too long",
    "": "it is a folder",
}


def refused(done: Answer, reason: str) -> None:
    assert done.code == 2, done.err
    assert reason.lower() in done.err.lower()
    assert "Traceback" not in done.err
    assert KEY not in done.err
    assert max(map(len, done.err.splitlines())) < 900


@pytest.mark.parametrize("command", ["batch", "cost"])
@pytest.mark.parametrize(("path", "reason"), INPUTS.items(), ids=range(len(INPUTS)))
def test_a_batch_is_read_from_a_file_or_a_pipe(kling: Kling, command: str, path: str, reason: str) -> None:
    refused(kling(command, path, *(["--dry-run"] if command == "batch" else [])), reason)


@pytest.mark.parametrize(("path", "reason"), INPUTS.items(), ids=range(len(INPUTS)))
def test_a_key_is_read_from_a_file_or_a_pipe(kling: Kling, path: str, reason: str) -> None:
    refused(kling("balance", "--key-file", path), reason)
    refused(kling("batch", "good.csv", "--key-file", path), reason)
    refused(kling("generate", "a fox", "--key-file", path), reason)


def test_a_key_file_of_anything_is_told_without_its_content(kling: Kling) -> None:
    refused(kling("balance", "--key-file", "binary"), "UTF-16")
    refused(kling("balance", "--key-file", "good.csv"), "3 words")


OUTPUTS = {
    "file": "is no folder",
    "file/videos": "is no folder",
    "pipe": "is no folder",
    "loop": "symbolic link",
    "loop/videos": "symbolic link",
    LONG: "name too long",
    "/proc/videos": "",
}


@pytest.mark.parametrize(("path", "reason"), OUTPUTS.items(), ids=range(len(OUTPUTS)))
@pytest.mark.parametrize(
    "arguments",
    [("batch", "good.csv"), ("generate", "a fox"), ("download", "g1"), ("demo",)],
    ids=lambda words: words[0],
)
def test_an_output_folder_can_be_written_to(kling: Kling, arguments: tuple[str, ...], path: str, reason: str) -> None:
    if path == "/proc/videos" and (sys.platform != "linux" or arguments[0] == "download"):
        pytest.skip("only Linux has it, and only who makes the folder notices")
    refused(kling(*arguments, "-o", path), reason)


@pytest.mark.parametrize("path", ["file", "loop", "pipe", "file/gallery"])
def test_a_gallery_is_written_to_a_folder(kling: Kling, path: str) -> None:
    refused(kling("gallery", "folder", "-o", path), "cannot be used")


def test_a_gallery_waits_for_no_pipe(kling: Kling, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "folder" / "a.mp4")
    (tmp_path / "folder" / "b.mp4").symlink_to("b.mp4")
    os.mkfifo(tmp_path / "folder" / ".kling-gallery.json")
    assert kling("gallery", "folder", "-o", "page").code == 0


def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(Exception, match="cannot be written to"):
        check_folder(tmp_path / "folder" / "videos")


MEDIA = {
    "pipe": "a file, not a folder or a device",
    "loop": "symbolic link",
    "folder": "a file, not a folder or a device",
    "none": "No such file",
    "file": "a file as a Path",
    LONG: "image_url is 'xxx",
}


@pytest.mark.parametrize(("path", "reason"), MEDIA.items(), ids=range(len(MEDIA)))
def test_an_image_is_a_file(kling: Kling, tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "images.csv").write_text(f"prompt,image_url\na,{path}\n")
    refused(kling("batch", "images.csv"), reason)
    refused(kling("generate", "a", "--image", path), reason)


@pytest.mark.parametrize(("what", "reason"), [("pipe", "a pipe"), ("loop", "link"), ("folder", "a folder")])
def test_a_download_is_of_a_journal_or_an_id(kling: Kling, what: str, reason: str) -> None:
    refused(kling("download", what), reason)


@pytest.mark.parametrize("arguments", [("batch", "a\0b"), ("generate", "a\0b"), ("batch", "good.csv", "-o", "a\0b")])
def test_no_argument_holds_a_nul(kling: Kling, arguments: tuple[str, ...]) -> None:
    refused(kling(*arguments), "NUL")


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell's line; "kling" in it is the command."""
    command = " ".join(COMMAND)
    return run_child(["bash", "-c", line.replace("kling", command)], cwd=cwd, COLUMNS="500")


def test_standard_input_that_is_closed_is_told(tmp_path: Path) -> None:
    done = shell("kling batch - --sandbox <&-", tmp_path)
    assert (done.returncode, done.stderr) == (2, "kling-async: standard input is closed\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_output_that_is_closed_changes_nothing(tmp_path: Path, closed: str) -> None:
    done = shell(f"kling batch good.csv --sandbox --speed 2000 {closed}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 1


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    for words in ("batch a.csv", "generate a", "batch -"):
        done = shell(f"mkdir gone && cd gone && rmdir ../gone && kling {words} --sandbox", tmp_path)
        assert (done.returncode, done.stderr.splitlines()[-1][:36]) == (2, "kling-async: the current folder is g")


def test_what_a_shell_pipes_in_is_read(tmp_path: Path) -> None:
    done = shell("kling batch <(sleep 0.2; cat good.csv) --dry-run --journal a.db --key-file <(echo key)", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 video to buy of 1 row" in done.stderr


def test_a_pipe_is_waited_for_as_long_as_somebody_may_write(tmp_path: Path) -> None:
    reader = subprocess.Popen(  # noqa: S603 - this project's own program
        [*COMMAND, "batch", "pipe", "--dry-run", "--sandbox"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    with (tmp_path / "pipe").open("w"):
        """It opens as soon as somebody reads, and nothing comes."""
    _, err = reader.communicate(timeout=TIMEOUT)
    assert reader.returncode == 2
    assert "pipe" in err
