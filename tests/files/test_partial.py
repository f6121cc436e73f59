"""A part has one writer, among all processes; what it puts in place is what it wrote, and replaces nothing new."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from attrs import define, field
from loopback import Exchange, loopback

from kling_async.errors import DownloadError
from kling_async.files.download import Retries, download_file
from kling_async.files.partial import PartialFile, has_content
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

_CHILD = Path(__file__).with_name("download_child.py")
FILM = Random(5).randbytes(300_000)
HALF = len(FILM) // 2
SOURCE = "https://cdn.example.com/a.mp4"


@define
class Host:
    """A file's host that sends half of the file, and the other half once it is told to; a rest comes at once."""

    go_on: asyncio.Event = field(factory=asyncio.Event)
    half_sent: asyncio.Event = field(factory=asyncio.Event)
    asked: list[str | None] = field(factory=list)

    async def __call__(self, exchange: Exchange) -> None:
        wanted = exchange.headers.get("range")
        self.asked.append(wanted)
        headers = {"content_type": "video/mp4", "etag": '"1"'}
        if wanted is not None:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["content_range"] = f"bytes {start}-{len(FILM) - 1}/{len(FILM)}"
            await exchange.answer(206, FILM[start:], **headers)
            return
        await exchange.answer(200, FILM[:HALF], content_length=str(len(FILM)), **headers)
        self.half_sent.set()
        await self.go_on.wait()
        await exchange.send(FILM[HALF:])


async def _child(url: str, path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(_CHILD), f"{url}/a.mp4", str(path), stdout=asyncio.subprocess.PIPE
    )


async def _told(child: asyncio.subprocess.Process) -> dict[str, Any]:
    out, _ = await child.communicate()
    told: dict[str, Any] = json.loads(out)
    return told


async def _here(url: str, path: Path, progress: Callable[[int, int | None], object] | None = None) -> None:
    async with HttpTransport("sk-0123456789abcdef", base_url="https://api.example.com") as transport:
        retries = Retries(Random(1), 5)
        await download_file(transport, f"{url}/a.mp4", path, retries=retries, progress=progress)


def _has(part: Path, size: int) -> bool:
    return part.exists() and part.stat().st_size >= size


async def _grown(part: Path, size: int) -> None:
    while not _has(part, size):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.asyncio
async def test_of_two_processes_in_one_folder_the_second_is_told_so(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "v.mp4"
    async with loopback(host) as server:
        first = await _child(server.url, path)
        await _grown(tmp_path / ".v.mp4.part", HALF // 2)
        refused = await _told(await _child(server.url, path))
        host.go_on.set()
        told = await _told(first)

    assert "is being downloaded already" in refused["error"]
    assert refused["retryable"]
    assert told == {"size": len(FILM), "digest": hashlib.sha256(FILM).hexdigest()}
    assert (path.read_bytes(), _names(tmp_path), host.asked) == (FILM, ["v.mp4"], [None])


@pytest.mark.asyncio
async def test_a_folder_by_another_path_is_the_same_folder(tmp_path: Path) -> None:
    host = Host()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    async with loopback(host) as server:
        first = asyncio.create_task(_here(server.url, tmp_path / "real" / "v.mp4"))
        await host.half_sent.wait()
        with pytest.raises(DownloadError, match="downloaded already"):
            await _here(server.url, tmp_path / "link" / "v.mp4")
        host.go_on.set()
        await first

    assert (tmp_path / "real" / "v.mp4").read_bytes() == FILM


@pytest.mark.asyncio
async def test_the_part_of_a_killed_process_is_gone_on_with(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "v.mp4"
    async with loopback(host) as server:
        first = await _child(server.url, path)
        await _grown(tmp_path / ".v.mp4.part", HALF // 2)
        first.kill()
        await first.communicate()
        told = await _told(await _child(server.url, path))

    assert told == {"size": len(FILM), "digest": hashlib.sha256(FILM).hexdigest()}
    assert (path.read_bytes(), _names(tmp_path)) == (FILM, ["v.mp4"])
    assert (host.asked[1] or "").startswith("bytes=")


def test_while_a_forked_child_still_has_the_part_others_are_told_so(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    part = PartialFile(path)
    part.open(SOURCE)
    assert part._file is not None
    kept = os.dup(part._file.fileno())  # as a fork has it
    part.append(b"mine")
    part._file.close()
    with pytest.raises(BlockingIOError):
        PartialFile(path).open(SOURCE)
    os.close(kept)
    after = PartialFile(path)
    after.open(SOURCE)
    after.append(FILM)
    after.finish()
    after.close()
    assert path.read_bytes() == FILM


@pytest.mark.asyncio
async def test_what_is_not_on_disk_as_it_was_written_is_not_put_in_place(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "v.mp4"
    async with loopback(host) as server:
        download = asyncio.create_task(_here(server.url, path))
        await _grown(tmp_path / ".v.mp4.part", HALF // 2)
        with (tmp_path / ".v.mp4.part").open("r+b") as other:
            other.write(b"something else")
        host.go_on.set()
        with pytest.raises(DownloadError, match="something else has changed it") as caught:
            await download
        assert (type(caught.value), caught.value.retryable) == (
            DownloadError,
            True,
        )  # nothing that concerns other files
        assert _names(tmp_path) == []
        await _here(server.url, path)

    assert path.read_bytes() == FILM


def _written(path: Path, before: Callable[[], object] = lambda: None) -> PartialFile:
    """A part that is whole, and not in place yet."""
    part = PartialFile(path)
    part.open(SOURCE)
    before()
    part.append(FILM)
    return part


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
def test_a_file_that_appeared_meanwhile_is_left_as_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    links: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    path = tmp_path / "v.mp4"
    if not links:
        monkeypatch.setattr(os, "link", _refuses(errno.EPERM))
    part = _written(path, before=lambda: path.write_bytes(b"another's"))

    with pytest.raises(FileExistsError):
        part.finish()
    part.close()

    assert (path.read_bytes(), _names(tmp_path)) == (b"another's", ["v.mp4"])


def test_one_that_appears_at_the_last_instant_is_not_replaced_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, usual = tmp_path / "v.mp4", os.link

    def just_before(*names: Any) -> None:
        path.write_bytes(b"another's")
        usual(*names)

    monkeypatch.setattr(os, "link", just_before)
    part = _written(path)
    with pytest.raises(FileExistsError):
        part.finish()
    part.close()

    assert path.read_bytes() == b"another's"


def test_an_old_file_that_was_changed_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    part = _written(path, before=lambda: path.write_bytes(b"newer"))

    with pytest.raises(FileExistsError):
        part.finish()
    part.close()

    assert path.read_bytes() == b"newer"


def test_without_hard_links_a_part_is_put_in_place_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _refuses(errno.EPERM))
    part = _written(tmp_path / "v.mp4")
    part.finish()
    part.close()

    assert ((tmp_path / "v.mp4").read_bytes(), _names(tmp_path)) == (FILM, ["v.mp4"])


def test_when_its_name_is_given_up_the_next_part_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, usual = tmp_path / "v.mp4", Path.replace
    path.write_bytes(b"old")
    part, following = _written(path), PartialFile(path)

    def and_the_next_begins(self: Path, target: Path) -> Path:
        done = usual(self, target)
        following.open(SOURCE)
        following.append(b"next")
        return done

    monkeypatch.setattr(Path, "replace", and_the_next_begins)
    part.finish()
    part.close()

    assert (path.read_bytes(), following.path.stat().st_size >= 0) == (FILM, True)
    monkeypatch.undo()
    following.finish()
    following.close()
    assert (path.read_bytes(), _names(tmp_path)) == (b"next", ["v.mp4"])


def test_without_locks_each_writer_has_a_part_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", _refuses(errno.ENOLCK))
    path = tmp_path / "v.mp4"
    first, second = _written(path), _written(path)
    assert first.path != second.path
    first.finish()
    with pytest.raises(FileExistsError):
        second.finish()
    first.close()
    second.close()

    assert path.read_bytes() == FILM
    assert [name for name in _names(tmp_path) if name != ".v.mp4.part"] == ["v.mp4"]


def test_a_writer_that_died_between_both_names_leaves_a_file_that_nobody_writes_to(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(FILM)
    os.link(path, tmp_path / ".v.mp4.part")
    (tmp_path / ".v.mp4.part.json").write_text(json.dumps({"source": SOURCE, "etag": '"1"'}))

    part = PartialFile(path)
    part.open(SOURCE)
    part.append(b"new")
    part.close()

    assert path.read_bytes() == FILM


def test_a_writer_that_died_between_both_names_leaves_one_where_its_file_is_found_to_be_whole(tmp_path: Path) -> None:
    path, part, info = (tmp_path / name for name in ("a.mp4", ".a.mp4.part", ".a.mp4.part.json"))
    part.write_bytes(FILM)
    os.link(part, path)
    info.write_text("{}")
    digest = hashlib.sha256(FILM).hexdigest()
    assert not has_content(path, len(FILM), "another")
    assert part.exists()
    assert info.exists()
    assert has_content(path, len(FILM), digest)
    assert list(tmp_path.iterdir()) == [path]
    part.write_bytes(FILM)  # of another writer, who replaces it
    assert has_content(path, len(FILM), digest)
    assert part.exists()


def test_a_pipe_in_the_place_of_the_part_is_an_error_and_no_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".v.mp4.part")
    with pytest.raises(FileExistsError, match="is no file"):
        PartialFile(tmp_path / "v.mp4").open(SOURCE)


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "\U00020000" * 62 + ".mp4"])
def test_the_part_of_a_long_name_has_a_short_one(tmp_path: Path, name: str) -> None:
    part = _written(tmp_path / name)
    part.finish()
    part.close()
    assert _names(tmp_path) == [name]


def _refuses(number: int) -> Callable[..., NoReturn]:
    def act(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return act
