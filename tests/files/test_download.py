"""Downloads over real sockets into real folders: whole or not at all, and going on where an earlier try stopped."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from loopback import Exchange, loopback, response

import kling_async.sandbox
from kling_async.errors import AuthenticationError, DownloadError, RateLimited
from kling_async.files import partial
from kling_async.files.download import Retries, StoredFile, download_file
from kling_async.files.partial import PartialFile
from kling_async.settings import Timeouts
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.asyncio

KEY = "sk-0123456789abcdef"
FILE = bytes(range(256)) * 4000
FILM = (Path(kling_async.sandbox.__file__).parent / "films/16x9-3.mp4").read_bytes()
ETAG = '"v1"'


@define
class Host:
    """A file's host that can break off, forget ranges, expire URLs and change its mind."""

    file: bytes = FILE
    etag: str = ETAG
    cut: list[int] = field(factory=list)
    """After how many bytes to break off, one per answer; then no more."""
    statuses: list[int] = field(factory=list)
    """What to answer first instead of a file."""
    ranges: bool = True
    headers: dict[str, str] = field(factory=dict)
    asked: list[str | None] = field(factory=list)
    """The Range of every request."""

    async def __call__(self, exchange: Exchange) -> None:
        self.asked.append(exchange.headers.get("range"))
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            body = b"" if status in (204, 304) else b"<Error/>"
            await exchange.answer(status, body, content_type="application/xml")
            return
        start = self.start(exchange)
        if start > len(self.file) - 1:
            await exchange.answer(416, b"", content_range=f"bytes */{len(self.file)}")
            return
        await self.send(exchange, start)

    def start(self, exchange: Exchange) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", exchange.headers.get("range", ""))
        unchanged = exchange.headers.get("if-range") == self.etag
        return int(asked[1]) if asked and self.ranges and unchanged else 0

    async def send(self, exchange: Exchange, start: int) -> None:
        rest = self.file[start:]
        headers = {"content_type": "video/mp4", "content_length": str(len(rest)), "etag": self.etag} | self.headers
        if start:
            headers["content_range"] = f"bytes {start}-{len(self.file) - 1}/{len(self.file)}"
        sent = self.cut.pop(0) if self.cut else len(rest)
        await exchange.answer(206 if start else 200, rest[:sent], **headers)
        if sent < len(rest):
            exchange.close()


@define
class Waits:
    """A sleep that takes no time, and a clock that goes by it."""

    lengths: list[float] = field(factory=list)

    async def __call__(self, length: float) -> None:
        self.lengths.append(length)

    def now(self) -> float:
        return sum(self.lengths)


async def _download(host: Callable[[Exchange], Awaitable[None]], path: Path, **settings: Any) -> list[Exchange]:
    async with loopback(host) as server:
        await _download_from(f"{server.url}/a.mp4?signature=1", path, **settings)
        return server.requests


async def _download_from(url: str, path: Path, **settings: Any) -> None:
    timeouts = settings.pop("timeouts", None)
    async with HttpTransport(KEY, base_url="https://api.example.com", timeouts=timeouts) as transport:
        waits = settings.pop("waits", None) or Waits()
        retries = Retries(Random(1), settings.pop("give_up_after", 600.0), settings.pop("sleep", waits), waits.now)
        stored = await download_file(transport, url, path, retries=retries, **settings)
    content = _bytes(path)
    assert stored == StoredFile(path, len(content), hashlib.sha256(content).hexdigest())


async def _fail(host: Callable[[Exchange], Awaitable[None]], path: Path, **settings: Any) -> DownloadError:
    """The error a download ends in; what was under the file's name before still is."""
    _put(path, b"old")
    with pytest.raises(DownloadError) as caught:
        await _download(host, path, **settings)
    assert "signature" not in str(caught.value)
    assert (caught.value.url or "").endswith("/a.mp4")
    assert _bytes(path) == b"old"
    return caught.value


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def test_a_file_is_fetched_whole_into_folders_that_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "video.mp4"

    requests = await _download(Host(), path, expected_size=len(FILE))

    assert path.read_bytes() == FILE
    assert _names(path.parent) == ["video.mp4"]
    assert [request.target for request in requests] == ["/a.mp4?signature=1"]


async def test_the_host_of_a_file_never_sees_the_key(tmp_path: Path) -> None:
    requests = await _download(Host(cut=[1000]), tmp_path / "video.mp4")

    assert len(requests) == 2
    assert all(KEY.encode() not in request.raw and b"authorization" not in request.raw.lower() for request in requests)


async def test_an_older_file_of_the_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"old")

    await _download(Host(), tmp_path / "video.mp4")

    assert (tmp_path / "video.mp4").read_bytes() == FILE


async def test_progress_is_told_in_order_up_to_the_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []

    await _download(Host(), tmp_path / "video.mp4", progress=lambda *step: told.append(step))

    assert told == sorted(told)
    assert told[-1] == (len(FILE), len(FILE))


async def test_a_file_of_unstated_length_is_taken_to_its_end(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []

    async def send_until_close(exchange: Exchange) -> None:
        await exchange.answer(200, FILM, content_type="video/mp4", content_length="")
        exchange.close()

    await _download(send_until_close, tmp_path / "video.mp4", progress=lambda *step: told.append(step))

    assert ((tmp_path / "video.mp4").read_bytes(), told[-1]) == (FILM, (len(FILM), None))


async def test_a_file_of_unstated_length_is_checked_against_the_size_that_was_announced(tmp_path: Path) -> None:
    async def send_less(exchange: Exchange) -> None:
        await exchange.answer(200, FILE[:1000], content_type="video/mp4", content_length="")
        exchange.close()

    error = await _fail(send_less, tmp_path / "video.mp4", expected_size=len(FILE))

    assert f"broke off at 1000 of {len(FILE)} bytes" in str(error)


async def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    host = Host(cut=[1000, 2000])

    requests = await _download(host, tmp_path / "video.mp4")

    assert (tmp_path / "video.mp4").read_bytes() == FILE
    assert host.asked == [None, "bytes=1000-", "bytes=3000-"]
    assert requests[1].headers["if-range"] == ETAG


async def test_progress_does_not_fall_back_when_a_download_goes_on(tmp_path: Path) -> None:
    told: list[int] = []

    await _download(Host(cut=[1000, 2000]), tmp_path / "video.mp4", progress=lambda done, _: told.append(done))

    assert told[:2] == [1000, 3000]


@pytest.mark.parametrize("etag", ["", 'W/"v1"', "v1", '"v 1"'], ids=["none", "weak", "unquoted", "odd"])
async def test_without_a_strong_etag_a_broken_download_starts_over(etag: str, tmp_path: Path) -> None:
    host = Host(etag=etag, cut=[1000])

    await _download(host, tmp_path / "video.mp4")

    assert ((tmp_path / "video.mp4").read_bytes(), host.asked) == (FILE, [None, None])


async def test_a_host_that_knows_no_ranges_makes_a_download_start_over(tmp_path: Path) -> None:
    host = Host(ranges=False, cut=[1000])

    await _download(host, tmp_path / "video.mp4")

    assert ((tmp_path / "video.mp4").read_bytes(), host.asked) == (FILE, [None, "bytes=1000-"])


async def test_a_file_that_changed_in_between_is_not_mixed_with_the_old_one(tmp_path: Path) -> None:
    host = Host(cut=[1000])

    async def change(_: float) -> None:
        host.file, host.etag = FILE[::-1], '"v2"'

    await _download(host, tmp_path / "video.mp4", sleep=change)

    assert (tmp_path / "video.mp4").read_bytes() == FILE[::-1]


@pytest.mark.parametrize(
    "odd",
    [{"etag": '"v2"'}, {"content_range": "bytes 7-1023999/1024000"}, {"content_range": "lines 1-2/3"}],
    ids=["another etag", "another start", "unreadable"],
)
async def test_a_rest_that_does_not_fit_is_dropped_and_all_is_fetched_again(
    odd: dict[str, str], tmp_path: Path
) -> None:
    host = Host(cut=[1000])

    async def misfit(exchange: Exchange) -> None:
        if "range" not in exchange.headers:
            return await host(exchange)
        headers = {"content_range": f"bytes 1000-{len(FILE) - 1}/{len(FILE)}", "etag": ETAG} | odd
        return await exchange.answer(206, FILE[1000:], content_type="video/mp4", **headers)

    requests = await _download(misfit, tmp_path / "video.mp4")

    assert (tmp_path / "video.mp4").read_bytes() == FILE
    assert [request.headers.get("range") for request in requests] == [None, "bytes=1000-", None]


async def test_a_rest_without_an_etag_of_its_own_is_taken(tmp_path: Path) -> None:
    host = Host(cut=[1000])

    async def forget_etag(exchange: Exchange) -> None:
        if "range" not in exchange.headers:
            return await host(exchange)
        stated = f"bytes 1000-{len(FILE) - 1}/*"
        return await exchange.answer(206, FILE[1000:], content_type="video/mp4", content_range=stated)

    requests = await _download(forget_etag, tmp_path / "video.mp4")

    assert ((tmp_path / "video.mp4").read_bytes(), len(requests)) == (FILE, 2)


async def test_a_range_the_host_cannot_satisfy_makes_it_start_over_once(tmp_path: Path) -> None:
    host = Host(cut=[1000], statuses=[200, 416, 416])

    with pytest.raises(DownloadError, match="answered 416"):
        await _download(host, tmp_path / "video.mp4")

    assert host.asked == [None, "bytes=1000-", None]


async def test_a_part_of_the_file_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    async def send_part(exchange: Exchange) -> None:
        await exchange.answer(206, FILE[5:], content_type="video/mp4", content_range="bytes 5-9/10")

    assert "answered 206" in str(await _fail(send_part, tmp_path / "video.mp4"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_passing_trouble_is_tried_again(status: int, tmp_path: Path) -> None:
    host, waits = Host(statuses=[status, status]), Waits()

    await _download(host, tmp_path / "video.mp4", waits=waits)

    assert ((tmp_path / "video.mp4").read_bytes(), len(host.asked), len(waits.lengths)) == (FILE, 3, 2)


async def test_waits_grow_at_random_until_nothing_new_has_come_for_too_long(tmp_path: Path) -> None:
    host, waits = Host(statuses=[503] * 99), Waits()

    error = await _fail(host, tmp_path / "video.mp4", waits=waits)

    assert "gave up after 600 s without anything new; the last" in str(error)
    assert error.retryable
    assert waits.now() == pytest.approx(600.0)
    assert len(host.asked) == len(waits.lengths) + 1 < 50
    most = [min(30.0, 0.5 * 2**attempt) for attempt in range(len(waits.lengths))]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits.lengths[:-1], most, strict=False))
    assert len(set(waits.lengths)) == len(waits.lengths)


async def test_a_download_that_gets_on_is_never_given_up(tmp_path: Path) -> None:
    host = Host(cut=[1000] * 30)

    await _download(host, tmp_path / "video.mp4")

    assert ((tmp_path / "video.mp4").read_bytes(), len(host.asked)) == (FILE, 31)


async def test_reaching_the_same_place_over_and_over_is_not_getting_on(tmp_path: Path) -> None:
    host = Host(ranges=False, cut=[1000] * 30)

    assert "gave up after 9 s" in str(await _fail(host, tmp_path / "video.mp4", give_up_after=9))

    assert len(host.asked) < 10


async def test_silence_is_tried_again(tmp_path: Path) -> None:
    host = Host()

    async def stall_first(exchange: Exchange) -> None:
        await (host(exchange) if exchange.number else exchange.gone())

    await _download(stall_first, tmp_path / "video.mp4", timeouts=Timeouts(file=0.05))

    assert (tmp_path / "video.mp4").read_bytes() == FILE


@pytest.mark.parametrize("status", [400, 405, 451, 304])
async def test_a_final_answer_is_not_tried_again(status: int, tmp_path: Path) -> None:
    host = Host(statuses=[status])

    error = await _fail(host, tmp_path / "video.mp4")

    assert (f"answered {status}" in str(error), len(host.asked)) == (True, 1)


async def test_a_url_that_must_not_be_fetched_is_not_tried_again(tmp_path: Path) -> None:
    waits = Waits()

    with pytest.raises(DownloadError, match="https"):
        await _download_from("http://cdn.example.com/a.mp4", tmp_path / "video.mp4", waits=waits)

    assert (waits.lengths, _names(tmp_path)) == ([], [])


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"content_type": "text/html; charset=utf-8"}, "text/html"),
        ({"content_type": "application/json"}, "application/json"),
        ({"content_type": "application/problem+json"}, "application/problem+json"),
        ({"content_type": "application/xml"}, "application/xml"),
        ({"content_encoding": "br"}, "something compressed with br"),
    ],
)
async def test_what_is_not_a_file_is_refused(headers: dict[str, str], why: str, tmp_path: Path) -> None:
    assert f"no file, but {why}" in str(await _fail(Host(headers=headers), tmp_path / "video.mp4"))


async def test_the_hosts_own_length_counts_more_than_the_announced_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "video.mp4"
    await _download(Host(), path, expected_size=5)
    assert path.read_bytes() == FILE
    assert f"has {len(FILE)} bytes; 5 were announced" in caplog.text


async def test_more_bytes_than_announced_are_not_taken(tmp_path: Path) -> None:
    async def send_more(exchange: Exchange) -> None:
        await exchange.answer(200, FILE, content_type="video/mp4", content_length="")
        exchange.close()

    assert "more than the 1000 bytes" in str(await _fail(send_more, tmp_path / "video.mp4", expected_size=1000))


@pytest.mark.parametrize("length", ["", str(len(FILE))], ids=["found", "stated"])
async def test_a_file_larger_than_the_cap_is_not_taken(length: str, tmp_path: Path) -> None:
    async def pour(exchange: Exchange) -> None:
        await exchange.answer(200, FILE, content_type="video/mp4", content_length=length)
        exchange.close()

    assert "larger than 1000 bytes" in str(await _fail(pour, tmp_path / "video.mp4", size_cap=1000))


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_expired_url_is_replaced_by_a_fresh_one_and_the_download_goes_on(status: int, tmp_path: Path) -> None:
    host = Host(cut=[1000], statuses=[200, status])
    async with loopback(host) as server:

        async def refresh() -> str:
            return f"{server.url}/a.mp4?signature=2"

        await _download_from(f"{server.url}/a.mp4?signature=1", tmp_path / "video.mp4", refresh=refresh)

    assert (tmp_path / "video.mp4").read_bytes() == FILE
    assert host.asked == [None, "bytes=1000-", "bytes=1000-"]
    assert [request.target[-1] for request in server.requests] == ["1", "1", "2"]


async def test_a_fresh_url_that_is_refused_too_is_waited_for_and_asked_for_once(tmp_path: Path) -> None:
    host, waits, refreshed = Host(statuses=[403] * 9), Waits(), 0
    async with loopback(host) as server:

        async def refresh() -> str:
            nonlocal refreshed
            refreshed += 1
            return f"{server.url}/b.mp4?signature=2"

        await _download_from(f"{server.url}/a.mp4", tmp_path / "video.mp4", refresh=refresh, waits=waits)

    assert ((tmp_path / "video.mp4").read_bytes(), refreshed, len(waits.lengths)) == (FILE, 1, 8)


async def test_every_expiry_is_answered_with_a_fresh_url_while_something_comes(tmp_path: Path) -> None:
    host = Host(cut=[1000, 1000], statuses=[403, 200, 403, 200, 403])
    refreshed = 0
    async with loopback(host) as server:

        async def refresh() -> str:
            nonlocal refreshed
            refreshed += 1
            return f"{server.url}/a.mp4"

        await _download_from(f"{server.url}/a.mp4", tmp_path / "video.mp4", refresh=refresh)

    assert ((tmp_path / "video.mp4").read_bytes(), refreshed) == (FILE, 3)


async def test_an_expired_url_that_cannot_be_refreshed_ends_the_download(tmp_path: Path) -> None:
    error = await _fail(Host(statuses=[403] * 99), tmp_path / "video.mp4")

    assert ("answered 403" in str(error), error.retryable) == (True, True)


async def test_passing_trouble_with_refreshing_is_tried_again(tmp_path: Path) -> None:
    host, waits, told = Host(statuses=[403, 403]), Waits(), [RateLimited("429: slow down")]
    async with loopback(host) as server:

        async def refresh() -> str:
            if told:
                raise told.pop()
            return f"{server.url}/a.mp4"

        await _download_from(f"{server.url}/a.mp4", tmp_path / "video.mp4", refresh=refresh, waits=waits)

    assert ((tmp_path / "video.mp4").read_bytes(), len(waits.lengths)) == (FILE, 1)


async def test_lasting_trouble_with_refreshing_comes_out_as_it_is(tmp_path: Path) -> None:
    async def refresh() -> str:
        raise AuthenticationError("401: revoked")

    with pytest.raises(AuthenticationError):
        await _download(Host(statuses=[403]), tmp_path / "video.mp4", refresh=refresh)

    assert _names(tmp_path) == []


async def _break_off(host: Host, url: str, path: Path) -> None:
    """Leave a part of 1000 bytes behind."""
    host.cut, host.statuses = [1000], [200, 304]
    with pytest.raises(DownloadError, match="answered 304"):
        await _download_from(url, path)
    host.asked.clear()


async def test_a_part_that_an_earlier_download_left_is_gone_on_with(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "video.mp4"
    async with loopback(host) as server:
        await _break_off(host, f"{server.url}/a.mp4?signature=1", path)
        left = _names(tmp_path)
        await _download_from(f"{server.url}/a.mp4?signature=2", path)

    assert left == [".video.mp4.part", ".video.mp4.part.json"]
    assert host.asked == ["bytes=1000-"]
    assert (path.read_bytes(), _names(tmp_path)) == (FILE, ["video.mp4"])


async def test_a_part_of_another_file_is_not_gone_on_with(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "video.mp4"
    async with loopback(host) as server:
        await _break_off(host, f"{server.url}/a.mp4", path)
        host.file = FILE[::-1]
        await _download_from(f"{server.url}/b.mp4", path)

    assert (path.read_bytes(), host.asked) == (FILE[::-1], [None])


@pytest.mark.parametrize("note", [None, "", "{", "[]", "null", '{"source":1}', b"\xff\xfe"])
async def test_a_part_without_a_note_that_makes_sense_is_not_gone_on_with(
    note: str | bytes | None, tmp_path: Path
) -> None:
    (tmp_path / ".video.mp4.part").write_bytes(b"who knows what" * 1000)
    if note is not None:
        (tmp_path / ".video.mp4.part.json").write_bytes(note if isinstance(note, bytes) else note.encode())

    requests = await _download(Host(), tmp_path / "video.mp4")

    assert ((tmp_path / "video.mp4").read_bytes(), _names(tmp_path)) == (FILE, ["video.mp4"])
    assert "range" not in requests[0].headers


async def test_a_part_longer_than_the_file_is_dropped(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "video.mp4"
    async with loopback(host) as server:
        await _break_off(host, f"{server.url}/a.mp4", path)
        with (tmp_path / ".video.mp4.part").open("ab") as part:
            part.write(bytes(len(FILE)))
        await _download_from(f"{server.url}/a.mp4", path)

    assert path.read_bytes() == FILE
    assert host.asked == [f"bytes={len(FILE) + 1000}-", None]


async def test_a_part_is_gone_on_with_after_its_url_moved_and_the_note_says_so(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "video.mp4"
    async with loopback(host) as server:
        await _break_off(host, f"{server.url}/a.mp4", path)
        host.cut, host.statuses = [500], [403, 200, 304]

        async def refresh() -> str:
            return f"{server.url}/moved.mp4"

        with pytest.raises(DownloadError, match="answered 304"):
            await _download_from(f"{server.url}/a.mp4", path, refresh=refresh)
        await _download_from(f"{server.url}/moved.mp4", path)

    assert (path.read_bytes(), host.asked[-1]) == (FILE, "bytes=1500-")


async def test_nothing_stays_of_a_failed_download_that_nothing_could_go_on_with(tmp_path: Path) -> None:
    host = Host(etag="", cut=[1000], statuses=[200, 304])

    with pytest.raises(DownloadError):
        await _download(host, tmp_path / "video.mp4")

    assert _names(tmp_path) == []


async def test_a_cancelled_download_leaves_a_part_to_go_on_with_and_no_open_file(tmp_path: Path) -> None:
    host, path, begun = Host(), tmp_path / "video.mp4", asyncio.Event()

    async def stall(exchange: Exchange) -> None:
        if "range" in exchange.headers:
            return await host(exchange)
        await exchange.answer(200, FILE[:1000], content_type="video/mp4", content_length=str(len(FILE)), etag=ETAG)
        return await exchange.gone()

    async with loopback(stall) as server:
        download = asyncio.create_task(_download_from(server.url, path, progress=lambda *_: begun.set()))
        await begun.wait()
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download
        left = _names(tmp_path)
        await _download_from(server.url, path)

    assert left == [".video.mp4.part", ".video.mp4.part.json"]
    assert (path.read_bytes(), host.asked) == (FILE, ["bytes=1000-"])


async def test_what_the_progress_callback_raises_comes_out_and_leaves_no_file(tmp_path: Path) -> None:
    def raise_it(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await _download(Host(), tmp_path / "video.mp4", progress=raise_it)

    assert "video.mp4" not in _names(tmp_path)


async def test_two_downloads_to_one_path_do_not_mix(tmp_path: Path) -> None:
    path, begun, release = tmp_path / "video.mp4", asyncio.Event(), asyncio.Event()

    async def wait_first(exchange: Exchange) -> None:
        begun.set()
        await release.wait()
        await exchange.answer(200, FILE, content_type="video/mp4")

    async with loopback(wait_first) as server:
        first = asyncio.create_task(_download_from(server.url, path))
        await begun.wait()
        with pytest.raises(DownloadError, match="downloaded already"):
            await _download_from(server.url, tmp_path / "elsewhere" / ".." / "video.mp4")
        release.set()
        await first

    assert path.read_bytes() == FILE


async def test_a_folder_in_the_place_of_the_file_is_found_before_anything_is_fetched(tmp_path: Path) -> None:
    host = Host()

    with pytest.raises(DownloadError, match="folder"):
        await _download(host, tmp_path)

    assert host.asked == []


async def test_a_place_that_cannot_be_written_is_a_download_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DownloadError, match="cannot be written"):
        await _download(Host(), tmp_path / "file" / "video.mp4")


async def test_a_thread_that_was_given_up_does_not_touch_a_part_that_was_left(tmp_path: Path) -> None:
    part = PartialFile(tmp_path / "video.mp4")
    part.close()

    part.open("https://cdn.example.com/a.mp4")
    part.append(b"late")
    part.finish()

    assert _names(tmp_path) == []


async def test_a_note_with_an_etag_no_header_can_hold_is_not_believed(tmp_path: Path) -> None:
    host, path = Host(), tmp_path / "video.mp4"
    async with loopback(host) as server:
        await _break_off(host, f"{server.url}/a.mp4", path)
        _put(tmp_path / ".video.mp4.part.json", b'{"source":"%s/a.mp4","etag":"a\\r\\nb"}' % server.url.encode())
        await _download_from(f"{server.url}/a.mp4", path)

    assert (path.read_bytes(), host.asked) == (FILE, [None])


async def test_a_file_that_is_in_place_is_told_of_even_if_its_download_is_cancelled_just_then(tmp_path: Path) -> None:
    placed, go_on = threading.Event(), threading.Event()

    usual = partial._link

    def slowly(part: Path, final: Path) -> bool:
        done = usual(part, final)
        placed.set()
        go_on.wait(timeout=10)
        return done

    async def whole(exchange: Exchange) -> None:
        await exchange.send(response(200, b"a video\0", content_type="video/mp4"))

    told: list[StoredFile] = []
    path = tmp_path / "video.mp4"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(partial, "_link", slowly)
        task = asyncio.create_task(_download(whole, path, on_stored=told.append))
        await asyncio.to_thread(placed.wait, 10)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [each.path for each in told] == [path]
    assert path.read_bytes() == b"a video\0"


@pytest.mark.parametrize(
    ("asked", "waited"), [("12", 12.0), ("100000", 300.0), ("Thu, 01 Jan 2026 00:00:20 GMT", 20.0), ("soon", 0.5)]
)
async def test_a_host_that_says_when_to_come_back_is_obeyed_up_to_a_bound(
    asked: str, waited: float, tmp_path: Path
) -> None:
    host, waits = Host(), Waits()

    async def later(exchange: Exchange) -> None:
        if exchange.number:
            return await host(exchange)
        return await exchange.answer(429, b"", retry_after=asked, date="Thu, 01 Jan 2026 00:00:00 GMT")

    await _download(later, tmp_path / "video.mp4", waits=waits)

    assert waits.lengths == [pytest.approx(waited, rel=0.5)]
    assert asked == "soon" or waits.lengths == [waited]


async def test_a_wait_that_is_asked_for_does_not_outlast_the_time_there_is(tmp_path: Path) -> None:
    waits = Waits()

    async def much_later(exchange: Exchange) -> None:
        await exchange.answer(503, b"", retry_after="200")

    await _fail(much_later, tmp_path / "video.mp4", waits=waits, give_up_after=250)

    assert waits.lengths == [200.0, 50.0]


@pytest.mark.parametrize("status", [202, 204, 401, 403, 404, 409, 410, 425])
async def test_a_file_that_comes_minutes_late_is_waited_for(status: int, tmp_path: Path) -> None:
    host, waits, refreshed = Host(), Waits(), 0

    async def late(exchange: Exchange) -> None:
        if waits.now() < 150:
            return await exchange.answer(status, b"", content_length="" if status == 204 else "0")
        return await host(exchange)

    async with loopback(late) as server:

        async def refresh() -> str:
            nonlocal refreshed
            refreshed += 1
            return f"{server.url}/a.mp4"

        await _download_from(f"{server.url}/a.mp4", tmp_path / "video.mp4", refresh=refresh, waits=waits)

    assert (_bytes(tmp_path / "video.mp4"), refreshed) == (FILE, 1)
    assert len(server.requests) < 25


LIES: dict[str, Callable[[bytes, int], tuple[bytes, str]]] = {
    "it is one byte late": lambda film, at: (film[at + 1 :], f"{at}-{len(film) - 1}/{len(film)}"),
    "it is one byte early": lambda film, at: (film[at - 1 :], f"{at}-{len(film) - 1}/{len(film)}"),
    "the whole is called shorter": lambda film, at: (film[at : at + 1], f"{at}-{at}/{at + 1}"),
    "nothing comes": lambda film, at: (b"", f"{at}-{len(film) - 1}/{len(film)}"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_rest_that_does_not_fit_is_dropped_and_the_whole_asked_for(
    tmp_path: Path, lie: Callable[[bytes, int], tuple[bytes, str]]
) -> None:
    async def host(exchange: Exchange) -> None:
        headers: dict[str, Any] = {"content_type": "video/mp4", "etag": ETAG}
        asked = re.fullmatch(r"bytes=(\d+)-", exchange.headers.get("range", ""))
        if asked is not None:
            rest, stated = lie(FILM, int(asked[1]))
            await exchange.answer(206, rest, **headers, content_range=f"bytes {stated}", content_length=str(len(rest)))
        elif len(requests) == 1:
            await exchange.answer(200, FILM[:5000], **headers, content_length=str(len(FILM)))
            exchange.close()
        else:
            await exchange.answer(200, FILM, **headers, content_length=str(len(FILM)))

    path = tmp_path / "a.mp4"
    async with loopback(host) as server:
        requests = server.requests
        await _download_from(f"{server.url}/a.mp4", path)
        assert len(requests) <= 4
    assert path.read_bytes() == FILM
