from __future__ import annotations

import errno
import io
import json
import os
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from samples import boxed, data_uri, jpeg, png

from kling_async import read_journal
from kling_async.cli.commands.sandbox import file_problem
from kling_async.files.partial import PartialFile
from kling_async.sandbox import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from in_process import Answer

    from kling_async.sandbox import Sandbox

    Kling = Callable[..., Answer]

pytestmark = pytest.mark.kling_sandbox(speed=2000)
TURBO = "klingai/video-v3-turbo-pro-image-to-video"
THREE = 'prompt,tag,output\nA red fox,fox,\nA red fox,,\n"Rain,\nat night",rain,beach/rain\n'


def write(folder: Path, name: str = "batch.csv", text: str = THREE) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_every_row_becomes_a_file(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    done = kling("batch", write(tmp_path))
    assert (done.code, done.out) == (0, "3 of 3 videos in videos\n")
    names = files(tmp_path / "videos")
    first, second, rain = names
    assert first.startswith("a-red-fox-")
    assert second == first.replace(".mp4", "-2.mp4") or first == second.replace(".mp4", "-2.mp4")
    assert rain == "beach/rain.mp4"
    assert [file_problem(tmp_path / "videos" / name, None) for name in names] == [None] * 3
    assert len(vendor.ledger.purchases) == 3


def test_run_again_it_buys_nothing_and_fetches_what_is_missing(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    batch = write(tmp_path)
    kling("batch", batch)
    before = files(tmp_path / "videos")
    kept = tmp_path / "videos" / before[0]
    written = kept.stat().st_mtime_ns
    (tmp_path / "videos" / "beach" / "rain.mp4").unlink()
    again = kling("batch", batch)
    assert (again.code, again.out) == (0, "3 of 3 videos in videos, 2 of them from before\n")
    assert "3 of them are in the journal already, and are not bought again" in again.err
    assert files(tmp_path / "videos") == before
    assert kept.stat().st_mtime_ns == written
    assert len(vendor.ledger.purchases) == len(vendor.ledger.submits) == 3


@pytest.mark.usefixtures("vendor")
def test_it_is_told_where_files_from_before_are(kling: Kling, tmp_path: Path) -> None:
    batch = write(tmp_path, text="prompt,output\na,fox\n")
    kling("batch", batch)
    again = kling("batch", batch, "-o", "other")
    there = os.path.join("videos", "fox.mp4")  # noqa: PTH118 - as it is shown
    assert again.out == f"1 of 1 video in other, 1 of them from before, some elsewhere, such as {there}\n"


def test_a_file_cut_short_is_fetched_again_beside_it(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    batch = write(tmp_path, text="prompt,output\na,fox\n")
    kling("batch", batch)
    (tmp_path / "videos" / "fox.mp4").write_bytes(b"cut")
    assert kling("batch", batch).code == 0
    assert files(tmp_path / "videos") == ["fox-2.mp4", "fox.mp4"]
    assert file_problem(tmp_path / "videos" / "fox-2.mp4", None) is None
    assert kling("batch", batch).out == "1 of 1 video in videos, 1 of them from before\n"
    assert len(vendor.ledger.purchases) == 1


def test_rows_that_are_added_are_all_that_is_bought(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    kling("batch", write(tmp_path))
    more = write(tmp_path, text=THREE.replace("A red fox,fox", "A blue fox,blue\nA red fox,fox"))
    assert kling("batch", more).out == "4 of 4 videos in videos, 3 of them from before\n"
    assert len(vendor.ledger.purchases) == 4


def test_a_batch_that_was_moved_with_its_journal_buys_nothing(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(PNG)
    write(tmp_path, "here/batch.jsonl", '{"image_url": "a.png", "prompt": "a"}')
    assert kling("batch", "here/batch.jsonl", "-o", "here/out").code == 0
    for path in (tmp_path / "here").iterdir():
        path.rename(tmp_path / "there" / path.name)
    again = kling("batch", "there/batch.jsonl", "-o", "there/out")
    assert (again.code, again.out) == (0, "1 of 1 video in there/out, 1 of them from before\n")
    assert len(vendor.ledger.purchases) == 1


PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000200000002000802000000") + b"rest"


def test_nothing_that_is_there_is_replaced(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "videos" / "beach").mkdir(parents=True)
    (tmp_path / "videos" / "beach" / "rain.mp4").write_text("mine")
    assert kling("batch", write(tmp_path)).code == 0
    assert (tmp_path / "videos" / "beach" / "rain.mp4").read_text() == "mine"
    assert "beach/rain-2.mp4" in files(tmp_path / "videos")
    assert len(vendor.ledger.purchases) == 3


def test_bad_rows_are_told_and_nothing_is_done(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    done = kling("batch", write(tmp_path, text=THREE + ",x,\n"))
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "batch.csv, line 6, column 1: prompt is missing; allowed: text that is not blank",
        "Nothing was submitted.",
    ]
    assert files(tmp_path) == ["batch.csv"]
    assert not vendor.ledger.submits


def test_standard_input_is_a_batch(
    kling: Kling, vendor: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b'{"prompt": "a fox"}\n'))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert kling("batch", "-").code == 0
    assert (tmp_path / "kling-batch.db").is_file()
    assert len(vendor.ledger.purchases) == 1


def test_as_json_each_job_is_a_line(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.faults = Faults(error_outcome={2})
    done = kling("batch", write(tmp_path), "--json")
    assert done.code == 1
    printed = {(one["tag"], one["ok"]): one for one in done.json_lines}
    assert len(done.json_lines) == 3
    (failed,) = [one for one in done.json_lines if not one["ok"]]
    assert (failed["state"], failed["file"], failed["error"]["type"]) == ("failed", None, "GenerationFailed")
    for one in printed.values():
        assert one["ok"] is (one["file"] is not None)
        assert one["generation_id"] in vendor.ledger.purchases
    assert "GenerationFailed: " in done.err


def test_a_failure_is_told_and_not_bought_again(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.faults = Faults(error_outcome={1})
    batch = write(tmp_path, text="prompt,tag\na,fox\n")
    done = kling("batch", batch)
    assert (done.code, done.out) == (1, "0 of 1 video in videos, 1 failed\n")
    assert done.err.count('line 2 (fox), "a": GenerationFailed: ') == done.err.count("GenerationFailed") == 1
    again = kling("batch", batch)
    assert (again.code, again.out) == (1, "0 of 1 video in videos, 1 failed\n")
    assert len(vendor.ledger.submits) == 1


def test_a_limit_on_spending_stops_it_and_a_higher_one_goes_on(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    batch = write(tmp_path, text="prompt,duration\na,5\nb,5\nc,5\n")
    done = kling("batch", batch, "--max-spend", 3)
    assert (done.code, done.out) == (3, "2 of 3 videos in videos, 1 not finished\n")
    assert "1 job stopped early: SpendLimitReached: " in done.err
    assert "allow more in all, and go on with: kling-async resume batch.db -o videos --max-spend AMOUNT" in done.err
    assert kling("resume", "batch.db", "--max-spend", 9).code == 0
    assert len(vendor.ledger.purchases) == 3


def test_without_credits_it_stops_and_can_go_on(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.credits = 150.0
    batch = write(tmp_path, text="prompt,duration\na,5\nb,5\n")
    done = kling("batch", batch)
    assert (done.code, done.out) == (3, "1 of 2 videos in videos, 1 not finished\n")
    assert "1 job stopped early: OutOfCredits: " in done.err
    vendor.credits = 1000.0
    assert kling("batch", batch).out == "2 of 2 videos in videos, 1 of them from before\n"
    assert len(vendor.ledger.purchases) == 2


class WebServer(BaseHTTPRequestHandler):
    """Another server than the vendor's: it has a page for what it does not have."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(404, "Nothing here")

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object, **__: object) -> None:
        """Say nothing of it."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of a server that is not the vendor's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), WebServer) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("wrong", ["path", "server"])
@pytest.mark.parametrize("spending", [(), ("--max-spend", 100)], ids=["unlimited", "limited"])
def test_a_wrong_address_rejects_no_row_and_the_right_one_buys_each_once(
    kling: Kling, vendor: Sandbox, tmp_path: Path, elsewhere: str, wrong: str, spending: tuple[object, ...]
) -> None:
    batch = write(tmp_path, text="prompt,duration\n" + "".join(f"{n},5\n" for n in range(20)))
    address = f"{vendor.url}/v1" if wrong == "path" else elsewhere
    lost = kling("batch", batch, *spending, "--base-url", address)
    assert (lost.code, lost.out) == (3, "0 of 20 videos in videos, 20 not finished\n")
    told = [line for line in lost.err.splitlines() if line.startswith(("error:", "20 jobs", "line "))]
    assert told[0].startswith("20 jobs stopped early: GatewayError: 404: a gateway or another server answered")
    assert len(told) == 1
    assert (
        "once the vendor is reached, or with another --base-url or --proxy, go on with: kling-async resume" in lost.err
    )
    assert {record.state.value for record in read_journal(tmp_path / "batch.db").records()} == {"queued"}
    assert kling("batch", batch, *spending).out == "20 of 20 videos in videos\n"
    assert len(vendor.ledger.purchases) == 20


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    batch = write(tmp_path, text="prompt,duration,output\na,5,fox\na,5,\nb,,\n")
    done = kling("batch", batch, "--dry-run")
    head, one, two, three = (line.split() for line in done.lines)
    assert (done.code, head) == (0, ["line", "key", "model", "output", "cost", "so", "far"])
    assert (one[0], one[3:]) == ("2", ["fox.mp4", "$1.40", "new"])
    assert two[1] == f"{one[1]}-2"
    assert three[4:] == ["$1.40", "to", "$2.80", "new"]
    assert "3 videos to buy of 3 rows: $4.20 to $5.60" in done.err
    assert "costs are not known exactly: the price depends on what the request leaves to the vendor" in done.err
    assert not vendor.ledger.submits
    assert files(tmp_path) == ["batch.csv"]


def test_a_dry_run_shows_the_names_and_knows_what_is_there(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    batch = write(tmp_path)
    foretold = sorted(one["output"] for one in kling("batch", batch, "--dry-run", "--json").json_lines)
    kling("batch", batch)
    assert files(tmp_path / "videos") == foretold
    again = kling("batch", batch, "--dry-run", "--json")
    assert {one["state"] for one in again.json_lines} == {"downloaded"}
    assert "0 videos to buy of 3 rows: $0.00" in again.err
    assert len(vendor.ledger.submits) == 3


def test_a_dry_run_without_a_key_leaves_the_costs_open(kling: Kling, tmp_path: Path) -> None:
    done = kling("batch", write(tmp_path), "--dry-run", "--json")
    assert done.code == 0
    assert [one["usd"] for one in done.json_lines] == [None] * 3
    assert "there is no API key to ask for the price list with" in done.err
    assert "3 videos to buy of 3 rows: unknown" in done.err


def test_a_dry_run_that_gets_no_prices_says_why(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.revoke_key()
    vendor.faults = Faults(server_error=1.0)
    done = kling("batch", write(tmp_path), "--dry-run", "--base-url", "http://127.0.0.1:1", "--rate", 1)
    assert done.code == 0
    assert "costs are not known exactly: ConnectFailed: " in done.err


def test_what_a_batch_left_open_goes_on_with_the_next_of_its_journal(
    kling: Kling, vendor: Sandbox, tmp_path: Path
) -> None:
    vendor.credits = 0.0
    assert kling("batch", write(tmp_path, text="prompt\nfirst\n")).code == 3
    vendor.credits = None
    done = kling("batch", write(tmp_path, text="prompt\nsecond\n"))
    assert done.out == "2 of 2 videos in videos\n"
    assert "1 job that an earlier run left open in the journal also go on" in done.err
    assert sorted(name.partition("-")[0] for name in files(tmp_path / "videos")) == ["first", "second"]


def test_a_row_refused_at_its_turn_fails_alone(
    kling: Kling, vendor: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_text("no image")
    monkeypatch.setattr(
        "kling_async.cli.batch.rows.check_files", lambda _: None
    )  # as if it were one when it was looked at
    text = '{"prompt": "a"}\n{"prompt": "b", "image_url": "a.png", "tag": "t"}\n'
    done = kling("batch", write(tmp_path, "batch.jsonl", text), "--json")
    assert done.code == 1
    (refused,) = [one for one in done.json_lines if not one["ok"]]
    assert (refused["tag"], refused["error"]["type"]) == ("t", "InvalidRequest")
    assert ": InvalidRequest: image_url is " in done.err
    assert len(vendor.ledger.purchases) == 1


def test_bad_files_are_told_by_their_lines_before_anything_is_bought(
    kling: Kling, vendor: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "good.png").write_bytes(png())
    (tmp_path / "heic.jpg").write_bytes(boxed(b"heic"))
    (tmp_path / "page.jpg").write_text("<!doctype html>")
    (tmp_path / "small.jpg").write_bytes(jpeg(200, 200))
    images = [
        ("good.png", None),
        ("heic.jpg", "image_url is '{}/heic.jpg' (HEIC, 24 bytes); allowed: "),
        ("page.jpg", "image_url is '{}/page.jpg' (HTML, 15 bytes); allowed: "),
        ("small.jpg", "image_url is '{}/small.jpg' (JPEG of 200 x 200 pixels, 53 bytes); allowed: "),
        ("none.jpg", "image_url is Path('{}/none.jpg'); allowed: a file that can be read (No such file or directory)"),
        ("a\0b.jpg", "image_url is 'a\\x00b.jpg'; allowed: "),
        ("\ud800.jpg", "image_url is "),
        ("data:image/png;base64,", "image_url is <data:image/png;base64,… of 0 bytes>; allowed: "),
        ("data:text/plain,hello", "image_url is <data:text/plain,… of 5 bytes>; allowed: "),
        (data_uri(png())[:-2], "image_url is <data:image/png;base64,… of no whole base64>; allowed: "),
        (
            b64encode(jpeg(size=2_000_000)).decode(),
            "image_url is <JPEG in base64 without data:image/jpeg;base64, before it>; allowed: ",
        ),
        ("A" * 2_700_000, f"image_url is '{'A' * 37}...{'A' * 38}'; allowed: "),
    ]
    rows = [json.dumps({"prompt": "a", "image_url": image, "model": TURBO}) for image, _ in images]
    done = kling("batch", write(tmp_path, "batch.jsonl", "\n".join(rows)))
    assert (done.code, done.out, vendor.ledger.submits) == (2, "", ())
    told = done.err.splitlines()
    assert told[-1] == "Nothing was submitted."
    assert len(told) == len(images)
    for line, (number, (_, reason)) in zip(told, list(enumerate(images, start=1))[1:], strict=False):
        assert line.startswith(f"batch.jsonl, line {number}: {str(reason).format(tmp_path)}")
        assert len(line) < 700
    assert not (tmp_path / "batch.db").exists()


def test_a_dry_run_looks_into_files_too(kling: Kling, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    write(tmp_path, text="prompt,image_url\na,page.jpg\n")
    for arguments in (("batch", "batch.csv", "--dry-run"), ("cost", "batch.csv"), ("generate", "--image", "page.jpg")):
        done = kling(*arguments, "--sandbox")
        assert done.code == 2
        assert "page.jpg' (HTML, 6 bytes); allowed: " in done.err


def test_a_video_that_cannot_be_downloaded_is_fetched_later(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "beach").write_text("in the way")
    done = kling("batch", write(tmp_path, text="prompt,output\na,beach/fox\n"), "--json")
    assert (done.code, [one["error"]["type"] for one in done.json_lines]) == (1, ["DownloadError"])
    assert "1 video could not be downloaded; try again with: kling-async download batch.db -o videos" in done.err
    (tmp_path / "videos" / "beach").unlink()
    later = kling("download", "batch.db")
    assert (later.code, later.out) == (0, "1 of 1 video in videos\n")
    assert files(tmp_path / "videos") == ["beach/fox.mp4"]
    assert len(vendor.ledger.submits) == 1


def test_failures_beyond_what_anybody_reads_are_counted(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.faults = Faults(error_outcome=1.0)
    done = kling("batch", write(tmp_path, text="prompt\n" + "a\n" * 52))
    assert done.out == "0 of 52 videos in videos, 52 failed\n"
    told = [line for line in done.err.splitlines() if line.startswith("line ")]
    assert len(told) == 50
    assert "Further failures are only counted here." in done.err


def test_a_batch_is_tried_with_a_sandbox_of_its_own(kling: Kling, tmp_path: Path) -> None:
    done = kling("batch", write(tmp_path), "--sandbox")
    assert done.code == 0
    assert files(tmp_path)[:2] == ["batch.csv", "batch.sandbox.db"]
    assert len(list(read_journal(tmp_path / "batch.sandbox.db").records())) == 3


@pytest.mark.parametrize(
    "arguments", [["none.csv"], ["batch.csv", "--sandbox", "--base-url", "http://a"], ["batch.csv"]]
)
def test_wrong_usage_does_nothing(arguments: list[str], kling: Kling, tmp_path: Path) -> None:
    write(tmp_path)
    done = kling("batch", *arguments)
    assert (done.code, done.out) == (2, "")
    assert files(tmp_path) == ["batch.csv"]


def test_a_journal_in_use_is_left_alone(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    batch = write(tmp_path, text="prompt\na\n")
    kling("batch", batch)
    (tmp_path / "other.db").write_text("this is no journal, whatever its name says " * 50)
    done = kling("batch", batch, "--journal", "other.db")
    assert (done.code, done.out) == (1, "")
    assert json.dumps("other.db")[1:-1] in done.err
    assert len(vendor.ledger.submits) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="it knows no such pipes")
@pytest.mark.parametrize("journal", [".", "pipe.db", "loop.db", "x" * 300, "batch.csv/x.db"])
@pytest.mark.parametrize("command", [("batch", "batch.csv", "--journal"), ("status",), ("resume",)])
def test_a_path_of_no_journal_is_wrong_usage(
    kling: Kling, vendor: Sandbox, tmp_path: Path, journal: str, command: tuple[str, ...]
) -> None:
    write(tmp_path)
    (tmp_path / "loop.db").symlink_to("loop.db")
    os.mkfifo(tmp_path / "pipe.db")
    before = files(tmp_path)
    done = kling(*command, journal)
    assert (done.code, done.out) == (2, "")
    assert f"journal {tmp_path}" in done.err or f"journal {journal}" in done.err.replace("'", "")
    assert (files(tmp_path), vendor.ledger.submits) == (before, ())


def test_a_mistake_of_this_program_comes_out_bare(
    kling: Kling, vendor: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("kling_async.cli.batch.run.job_json", mistaken)
    with pytest.raises(ZeroDivisionError):
        kling("batch", write(tmp_path), "--json", "--base-url", vendor.url)


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["rehearsed", "in earnest"])
def test_an_output_that_no_path_can_have_is_told_before_anything_is_bought(
    kling: Kling, vendor: Sandbox, tmp_path: Path, dry: list[str]
) -> None:
    deep = "/".join(["d" * 80] * 60)
    batch = write(tmp_path, text=f"prompt,output\na,fine\nb,{deep}/fox\n")
    done = kling("batch", batch, *dry)
    assert done.code == 2
    assert "line 3: output: its path has" in done.err
    assert "Nothing was submitted." in done.err
    assert not vendor.ledger.submits


@pytest.mark.usefixtures("vendor")
def test_names_of_the_longest_letters_are_bought_and_fetched(kling: Kling, tmp_path: Path) -> None:
    name = "\U00020000" * 80
    done = kling("batch", write(tmp_path, text=f"prompt,output\na,{name}\nb,{name}\n"))
    assert (done.code, done.out) == (0, "2 of 2 videos in videos\n")


def test_without_room_for_files_it_stops_buying_and_says_how_to_go_on(
    kling: Kling, vendor: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = PartialFile.append

    def full(_part: PartialFile, _piece: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PartialFile, "append", full)
    batch = write(tmp_path, text="prompt\n" + "".join(f"number {n}\n" for n in range(12)))
    done = kling("batch", batch, "--max-in-flight", 2)
    bought = len(vendor.ledger.purchases)
    assert (done.code, bought < 12) == (3, True)
    assert "stopped early: StorageError: nothing is bought while files cannot be written" in done.err
    assert "No space left on device" in done.err
    assert "go on with: kling-async resume" in done.err
    monkeypatch.setattr(PartialFile, "append", usual)
    assert kling("batch", batch).code == 0
    assert (len(files(tmp_path / "videos")), len(vendor.ledger.purchases)) == (12, 12)


def test_a_journal_of_a_sandbox_that_is_gone_is_refused_at_once(kling: Kling, tmp_path: Path) -> None:
    batch = write(tmp_path, text="prompt\na\nb\n")
    done = kling("batch", batch, "--sandbox", "--speed", "2000")
    assert (done.code, done.out) == (0, "2 of 2 videos in videos\n")
    again = kling("batch", batch, "--sandbox", "--speed", "2000")
    assert (again.code, again.out) == (0, "2 of 2 videos in videos, 2 of them from before\n")
    next((tmp_path / "videos").glob("a-*")).unlink()
    for command in (["batch", batch], ["resume", "batch.sandbox.db"], ["download", "batch.sandbox.db"]):
        lost = kling(*command, "--sandbox", "--speed", "2000")
        assert (lost.code, lost.out) == (2, "")
        assert "journal batch.sandbox.db: the sandbox of 1 job in it is gone, with all that was in it" in lost.err
