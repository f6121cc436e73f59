"""The bytes of a body decide what it is and whether it is whole; its labels only where the bytes do not tell."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Exchange, loopback

import kling_async.sandbox
from kling_async.api import mp4
from kling_async.errors import DownloadError
from kling_async.files.content import Body, Incoming, NoVideo, is_video
from kling_async.files.download import Retries, download_file
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FILM = (Path(kling_async.sandbox.__file__).parent / "films/16x9-3.mp4").read_bytes()
WEBM = b"\x1aE\xdf\xa3" + Random(1).randbytes(90_000)
RAW_DEFLATE = zlib.compressobj(wbits=-15)
ENCODINGS = ("aws-chunked", "binary", "none", "utf-8", " ", "gzip", "deflate", "br")
PAGES = [
    b"<!DOCTYPE html><h1>Access denied</h1>",
    b"\xef\xbb\xbf\n  <?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
    b'{"error": "not found"}',
    b"<html><p>caf\xe9</p></html>" * 60,
    b"Access denied\r\n",
    "<html>".encode("utf-16"),
    b"\x89PNG\r\n\x1a\n" + bytes(900),
    b"\xff\xd8\xff\xe0" + bytes(900),
    b"%PDF-1.4\0",
    gzip.compress(b"<html></html>"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "v.mp4"


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


class Clock:
    """Waits that take no time."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    async def sleep(self, length: float) -> None:
        self.at += length


async def _fetch(
    path: Path,
    answer: Callable[[Exchange], Awaitable[None]],
    *,
    expected_size: int | None = None,
    give_up_after: float = 9,
) -> list[Exchange]:
    clock = Clock()
    retries = Retries(Random(1), give_up_after, clock.sleep, clock.now)
    async with (
        loopback(answer) as server,
        HttpTransport("sk-0123456789abcdef", base_url="https://api.example.com") as transport,
    ):
        await download_file(transport, f"{server.url}/a.mp4", path, expected_size=expected_size, retries=retries)
        return server.requests


def sends(body: bytes, status: int = 200, **headers: str) -> Callable[[Exchange], Awaitable[None]]:
    async def act(exchange: Exchange) -> None:
        await exchange.answer(status, body, **{"content_type": "video/mp4"} | headers)
        if headers.get("content_length") == "":
            exchange.close()

    return act


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "headers",
    [
        *(
            {"content_encoding": label}
            for label in ("aws-chunked", "binary", "none", "utf-8", " ", "gzip", "deflate", "br")
        ),
        *(
            {"content_type": label}
            for label in ("text/plain", "text/html", "application/json", "image/png", "nonsense")
        ),
        {"content_type": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("length", ["stated", "unknown"])
async def test_a_film_is_taken_under_any_label(path: Path, headers: dict[str, str], length: str) -> None:
    odd: dict[str, Any] = headers | ({"content_length": ""} if length == "unknown" else {})
    await _fetch(path, sends(FILM, **odd))
    assert _bytes(path) == FILM


@pytest.mark.asyncio
@pytest.mark.parametrize("expected_size", [0, -1, 7, 10**9])
async def test_an_announced_size_that_is_wrong_is_no_reason_to_refuse_a_film(path: Path, expected_size: int) -> None:
    await _fetch(path, sends(FILM, content_length=""), expected_size=expected_size)
    assert _bytes(path) == FILM


@pytest.mark.asyncio
async def test_another_kind_of_video_that_ends_twice_at_one_place_is_whole(path: Path) -> None:
    asked = await _fetch(path, sends(WEBM, content_length=""), expected_size=10**9)
    assert (_bytes(path), len(asked)) == (WEBM, 2)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "headers"),
    [(203, {}), (206, {"content_range": f"bytes 0-{len(FILM) - 1}/{len(FILM)}"})],
)
async def test_a_whole_film_under_another_status_is_taken(path: Path, status: int, headers: dict[str, str]) -> None:
    await _fetch(path, sends(FILM, status, **headers))
    assert _bytes(path) == FILM


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("label", "body"),
    [
        ("gzip", gzip.compress(FILM)),
        ("X-GZIP", gzip.compress(FILM[:999]) + gzip.compress(FILM[999:])),
        ("deflate", zlib.compress(FILM)),
        ("deflate", RAW_DEFLATE.compress(FILM) + RAW_DEFLATE.flush()),
    ],
    ids=["gzip", "two members", "zlib", "raw"],
)
@pytest.mark.parametrize("length", ["stated", "unknown"])
async def test_a_compression_is_undone(path: Path, label: str, body: bytes, length: str) -> None:
    odd: dict[str, Any] = {"content_encoding": label, "etag": '"1"'}
    odd |= {"content_length": ""} if length == "unknown" else {}
    await _fetch(path, sends(body, **odd), expected_size=len(FILM))
    assert _bytes(path) == FILM


@pytest.mark.asyncio
async def test_a_bomb_is_not_unpacked_beyond_the_cap(path: Path) -> None:
    bomb = gzip.compress(FILM + bytes(300_000_000))
    clock = Clock()
    async with (
        loopback(sends(bomb, content_encoding="gzip")) as server,
        HttpTransport("sk-0123456789abcdef", base_url="https://api.example.com") as transport,
    ):
        retries = Retries(Random(1), 9, clock.sleep, clock.now)
        with pytest.raises(DownloadError, match="larger than 2000000 bytes"):
            await download_file(transport, f"{server.url}/a", path, retries=retries, size_cap=2_000_000)


@pytest.mark.asyncio
@pytest.mark.parametrize("body", PAGES, ids=range(len(PAGES)))
@pytest.mark.parametrize("label", ["video/mp4", "application/octet-stream", ""])
@pytest.mark.parametrize("length", ["stated", "unknown"])
async def test_what_begins_like_no_video_is_never_stored(path: Path, body: bytes, label: str, length: str) -> None:
    odd: dict[str, Any] = {"content_length": ""} if length == "unknown" else {}
    with pytest.raises(DownloadError, match="no file, but") as caught:
        await _fetch(path, sends(body, content_type=label, **odd), expected_size=len(body))
    assert caught.value.retryable
    assert not any(path.parent.iterdir())


@pytest.mark.asyncio
@pytest.mark.parametrize("label", ["gzip", "deflate"])
async def test_a_page_in_a_compression_is_a_page(path: Path, label: str) -> None:
    body = gzip.compress(PAGES[0]) if label == "gzip" else zlib.compress(PAGES[0])
    with pytest.raises(DownloadError, match="Access denied"):
        await _fetch(path, sends(body, content_encoding=label))


@pytest.mark.asyncio
@pytest.mark.parametrize("kept", [600, 5000, len(FILM) - 1])
async def test_a_film_of_unknown_length_that_was_cut_is_fetched_again(path: Path, kept: int) -> None:
    async def cuts_first(exchange: Exchange) -> None:
        body = FILM if exchange.number else FILM[:kept]
        await sends(body, content_length="")(exchange)

    asked = await _fetch(path, cuts_first)
    assert (_bytes(path), len(asked)) == (FILM, 2)


@pytest.mark.asyncio
async def test_a_film_that_stays_cut_is_never_stored(path: Path) -> None:
    with pytest.raises(DownloadError, match="gave up") as caught:
        await _fetch(path, sends(FILM[:-9], content_length=""))
    assert caught.value.retryable
    assert not any(path.parent.iterdir())


@pytest.mark.asyncio
async def test_a_film_cut_by_a_host_that_says_so_few_bytes_itself_is_fetched_again(path: Path) -> None:
    async def lags(exchange: Exchange) -> None:
        await sends(FILM if exchange.number else FILM[:9000])(exchange)

    asked = await _fetch(path, lags, expected_size=len(FILM))
    assert (_bytes(path), len(asked)) == (FILM, 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [400, 403, 404, 405, 412, 501])
async def test_a_host_that_refuses_ranges_is_asked_for_all_once(path: Path, status: int) -> None:
    async def refuses(exchange: Exchange) -> None:
        if "range" in exchange.headers:
            await sends(b"", status)(exchange)
        elif exchange.number:
            await sends(FILM)(exchange)
        else:
            await exchange.answer(200, FILM[:9000], content_length=str(len(FILM)), etag='"1"')
            exchange.close()

    asked = await _fetch(path, refuses)
    assert _bytes(path) == FILM
    assert [exchange.headers.get("range") for exchange in asked] == [None, "bytes=9000-", None]


@pytest.mark.parametrize("head", [FILM[:600], WEBM[:600], b"GIF89a", b"\0\0\0\x14ftypqt  ", b"G" + bytes(187) + b"G"])
def test_videos_are_known_by_their_signatures(head: bytes) -> None:
    assert is_video(head)


@given(st.binary(max_size=2000), st.integers(1, 700), st.sampled_from(["", "gzip", "deflate", "utf-8"]))
def test_however_a_body_is_cut_it_is_read_the_same(content: bytes, stride: int, label: str) -> None:
    plain = FILM[:40] + content
    body = gzip.compress(plain) if label == "gzip" else zlib.compress(plain) if label == "deflate" else plain
    incoming = Incoming(Body(0, len(body), None, "video/mp4", label), expected_size=None, size_cap=10**6)
    out = [piece for at in range(0, len(body), stride) for piece in incoming.feed(body[at : at + stride])]
    assert b"".join([*out, *incoming.finish()]) == plain
    assert incoming.final_size == (None if label in ("gzip", "deflate") else len(body))


@given(st.text(min_size=1, max_size=600))
def test_no_text_is_a_video(text: str) -> None:
    body = text.encode("utf-8", "replace").translate(None, bytes(range(9)) + bytes(range(14, 32)))
    incoming = Incoming(Body(0, len(body), None, "video/mp4", ""), expected_size=None, size_cap=10**6)
    if body and not is_video(body):
        with pytest.raises(NoVideo):
            _ = [*incoming.feed(body), *incoming.finish()]


def _whole(content: bytes) -> bool | None:
    return mp4.is_whole(lambda at, length: content[at : at + length], len(content))


@given(st.integers(0, len(FILM) - 1))
def test_no_beginning_of_a_film_is_whole(kept: int) -> None:
    assert not _whole(FILM[:kept])


def test_boxes_tell_where_they_can() -> None:
    assert _whole(FILM) is True
    assert _whole(WEBM) is None
    assert _whole(b"\0\0\0\x08ftyp\0\0\0\0mdat" + bytes(9)) is None
    assert _whole(b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 10_001) is False
    assert _whole(b"") is None
