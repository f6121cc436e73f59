"""Answers that are long or odd but lawful, and answers that belong to another request."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from loopback import Exchange, loopback, response

from kling_async.api.messages import HttpRequest, Lane
from kling_async.api.protocol import UNIVERSAL, fetch_request
from kling_async.errors import MalformedResponse, TransportError
from kling_async.transport import http
from kling_async.transport.connections import sending_trace
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from types import SimpleNamespace

pytestmark = pytest.mark.asyncio

KEY = "sk-0123456789abcdef"
POLL = fetch_request(UNIVERSAL, "g-1")
SUBMIT = HttpRequest("POST", UNIVERSAL, Lane.SUBMIT, {"X-Client-Request-Id": "row:1"}, b'{"prompt":"x"}')
BODY = b'{"id":"g-1","status":"queued"}'
LENGTH = f"Content-Length: {len(BODY)}\r\n".encode()
CHUNK = f"{len(BODY):x}".encode()


def whole(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK", body: bytes = BODY) -> bytes:
    return b"".join((start, b"\r\n", LENGTH, *(line + b"\r\n" for line in lines), b"\r\n", body))


def chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + body


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


LONG = b"a" * 60_000
ODD = {
    "long line": whole(b"Content-Security-Policy: " + LONG),
    "long name": whole(b"X-" + LONG + b": a"),
    "long reason": whole(start=b"HTTP/1.1 200 " + LONG),
    "many lines": whole(*(b"X-Line-%d: a" % n for n in range(500))),
    "many cookies": whole(*(b"Set-Cookie: c%d=d; Path=/; Secure" % n for n in range(1000))),
    "no reason": whole(start=b"HTTP/1.1 200"),
    "HTTP/1.0": whole(start=b"HTTP/1.0 200 OK"),
    "odd case": whole(b"cOnTeNt-TyPe: APPLICATION/JSON"),
    "folded line": whole(b"X-Folded: a", b"  b"),
    "bytes beyond ASCII": whole(b"X-Name: \xe9\xff"),
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + whole(),
    "extensions": chunked(CHUNK + b';a=b;c="d"\r\n' + BODY + b"\r\n0;last\r\n\r\n"),
    "trailers": chunked(CHUNK + b"\r\n" + BODY + b"\r\n0\r\nX-Trailer: " + LONG + b"\r\nX-Other: a\r\n\r\n"),
    "until it closes": b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
    "gzip members": response(body=gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), content_encoding="GZIP"),
    "raw deflate": response(body=_raw_deflate(BODY), content_encoding="deflate"),
    "no encoding": response(body=BODY, content_encoding="utf-8"),
    "encodings in two lines": response(
        body=gzip.compress(zlib.compress(BODY)), content_encoding="deflate\r\nContent-Encoding: gzip"
    ),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_an_answer_that_is_odd_but_lawful_is_taken(what: str, request_: HttpRequest) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(ODD[what])
        exchange.close()

    async with loopback(answer) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answered = await transport.send(request_)

    assert (answered.status, answered.body) == (200, BODY)


@pytest.mark.parametrize("what", ["long line", "many lines", "no reason", "folded line"])
async def test_a_files_answer_may_be_as_odd(what: str) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(ODD[what])

    async with (
        loopback(answer) as server,
        HttpTransport(KEY, base_url=server.url) as transport,
        transport.stream(HttpRequest("GET", f"{server.url}/file", Lane.FILE)) as streamed,
    ):
        assert b"".join([piece async for piece in streamed.chunks()]) == BODY


@pytest.mark.parametrize(
    "vast",
    [
        whole(b"X-Long: " + b"a" * 100_000),
        pytest.param(
            whole(*(b"X-Line-%d: a" % n for n in range(5000))),
            marks=pytest.mark.skipif("max_headers" not in http._header_limits(), reason="this aiohttp counts no lines"),
        ),
    ],
    ids=["line", "lines"],
)
@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_a_header_beyond_all_bounds_is_named_as_such(vast: bytes, request_: HttpRequest) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(vast)

    async with loopback(answer) as server, HttpTransport(KEY, base_url=server.url) as transport:
        with pytest.raises(MalformedResponse, match="the header of the answer is too long") as caught:
            await transport.send(request_)

    assert caught.value.sent is True


# Answers to other requests.


@pytest.mark.parametrize("split", [0, len(BODY) - 1, len(BODY)], ids=["at once", "with the last byte", "later"])
async def test_an_answer_that_comes_before_its_request_is_never_taken(split: int) -> None:
    """A second answer, on a connection that is kept alive, is not the answer to the next request."""
    stale = response(body=b'{"current_balance":0}')
    first = response(body=BODY)
    border = len(first) - len(BODY) + split
    sent = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        if exchange.number:
            return await exchange.answer(body=BODY)
        await exchange.send(first[:border] if split else first + stale)
        if split:
            await turns()
            await exchange.send(first[border:] + stale)
        sent.set()
        return None

    async with loopback(answer) as server, HttpTransport(KEY, base_url=server.url) as transport:
        bodies = []
        for _ in range(3):
            bodies.append((await transport.send(POLL)).body)
            await sent.wait()
            await turns()

    assert bodies == [BODY] * 3
    assert [exchange.connection for exchange in server.requests] == [1, 2, 2]


async def turns() -> None:
    """Let the loop take in what was sent over loopback, on both sides."""
    for _ in range(20):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("body", "headers", "kept"),
    [
        (b'{"id":"g-1"}', {}, True),
        (b'{"id":"g-1"}', {"x_inference_id": "g-1"}, True),
        (b'{"status":"queued"}', {"x_inference_id": "g-1"}, True),
        (b'{"status":"queued"}', {"x_inference_id": "g-2"}, False),
        (b'{"id":"g-2"}', {}, False),
        (b'{"status":"queued"}', {}, False),
        (b"<html>", {}, False),
    ],
)
async def test_a_connection_that_answers_about_anything_else_is_not_used_again(
    body: bytes,
    headers: dict[str, Any],
    kept: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.answer(body=body, **headers)

    async with loopback(answer) as server, HttpTransport(KEY, base_url=server.url) as transport:
        for _ in range(2):
            await transport.send(POLL)

    assert [exchange.connection for exchange in server.requests] == [1, 1 if kept else 2]


@pytest.mark.parametrize("status", [400, 404, 429, 503])
async def test_a_connection_over_which_an_error_came_is_kept(status: int) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.answer(status, b"<html>")

    async with loopback(answer) as server, HttpTransport(KEY, base_url=server.url) as transport:
        for _ in range(2):
            await transport.send(POLL)

    assert [exchange.connection for exchange in server.requests] == [1, 1]


async def test_a_submit_is_not_sent_to_a_host_that_answers_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = sending_trace

    def waits_for_the_host() -> object:
        async def wait(_session: object, _context: SimpleNamespace, _params: object) -> None:
            await turns()

        trace = usual()
        trace.on_connection_create_end.append(wait)
        return trace

    read = []

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole())
        read.append(await reader.read(1))
        writer.close()
        await writer.wait_closed()

    monkeypatch.setattr(http, "sending_trace", waits_for_the_host)
    server = await asyncio.start_server(speak_first, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, HttpTransport(KEY, base_url=base_url) as transport:
        with pytest.raises(TransportError, match="answered before it was asked") as caught:
            await transport.send(SUBMIT)
        await turns()

    assert (caught.value.sent, caught.value.retryable, read) == (False, True, [b""])


async def test_a_key_in_a_header_that_names_the_generation_is_blotted_out() -> None:
    async def echo(exchange: Exchange) -> None:
        await exchange.answer(body=b"{}", x_inference_id=KEY)

    async with loopback(echo) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answered = await transport.send(POLL)

    assert answered.headers["x-inference-id"] == "[api key]"
