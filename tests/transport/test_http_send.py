"""Requests to the API over real sockets: what is sent, what comes back, and what every kind of trouble becomes."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import ssl
import traceback
import zlib
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from loopback import UNTRUSTED_CERTIFICATE, Exchange, loopback, response

from kling_async.api.messages import HttpRequest, Lane
from kling_async.errors import ConnectFailed, MalformedResponse, RequestTimeout, TransportError
from kling_async.settings import Timeouts
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from pathlib import Path

    from loopback import Answer

pytestmark = pytest.mark.asyncio

KEY = "sk-0123456789abcdef"
POLL = HttpRequest("GET", "/v2/video/generations?generation_id=secret-id")
SUBMIT = HttpRequest("POST", "/v2/video/generations", Lane.SUBMIT, {"X-Client-Request-Id": "row:1"}, b'{"prompt":"x"}')
HASTE = Timeouts(connect=0.1, submit=0.1, call=0.1, file=0.1)


async def never(_: Exchange) -> None:
    await asyncio.Event().wait()


async def _fail(
    answer: Answer, request: HttpRequest = POLL, *, timeouts: Timeouts | None = None, body_cap: int = 1000
) -> TransportError:
    """The error a request ends in; one that shows neither the key nor the query, not even by what it came from."""
    async with (
        loopback(answer) as server,
        HttpTransport(KEY, base_url=server.url, timeouts=timeouts, body_cap=body_cap) as transport,
    ):
        with pytest.raises(TransportError) as caught:
            await transport.send(request)
    return _discreet(caught.value)


def _discreet(error: TransportError) -> TransportError:
    told = "".join(traceback.format_exception(error)) + repr(error.__dict__)
    assert KEY not in told
    assert "secret-id" not in str(error)
    assert error.__context__ is None
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own error
    return error


async def test_a_request_carries_the_key_its_own_headers_and_its_body() -> None:
    async def say_ok(exchange: Exchange) -> None:
        await exchange.answer(201, b'{"id":"1"}', x_inference_id="abc")

    async with loopback(say_ok) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answer = await transport.send(SUBMIT)

    sent = server.requests[0]
    assert (sent.method, sent.target, sent.body) == ("POST", "/v2/video/generations", b'{"prompt":"x"}')
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["x-client-request-id"] == "row:1"
    assert sent.headers["user-agent"].startswith("kling_async/")
    assert (answer.status, answer.body, answer.headers["x-inference-id"]) == (201, b'{"id":"1"}', "abc")


async def test_the_user_agent_is_the_callers_to_choose() -> None:
    async def say_ok(exchange: Exchange) -> None:
        await exchange.answer()

    async with loopback(say_ok) as server, HttpTransport(KEY, base_url=server.url, user_agent="shop/1") as transport:
        await transport.send(POLL)

    assert server.requests[0].headers["user-agent"] == "shop/1"


async def test_polls_share_a_connection_and_every_submit_has_its_own() -> None:
    async def say_ok(exchange: Exchange) -> None:
        await exchange.answer()

    async with loopback(say_ok) as server, HttpTransport(KEY, base_url=server.url) as transport:
        for request in (POLL, POLL, SUBMIT, SUBMIT):
            await transport.send(request)

    assert [exchange.connection for exchange in server.requests] == [1, 1, 2, 3]
    assert server.requests[3].headers["connection"] == "close"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_a_redirect_of_the_apis_is_an_answer_and_is_not_followed(status: int, request_: HttpRequest) -> None:
    async def redirect(exchange: Exchange) -> None:
        await exchange.answer(status, location="/elsewhere")

    async with loopback(redirect) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answer = await transport.send(request_)

    assert (answer.status, len(server.requests)) == (status, 1)


async def test_cookies_are_not_kept() -> None:
    async def set_cookie(exchange: Exchange) -> None:
        await exchange.answer(set_cookie="session=1; Path=/")

    async with loopback(set_cookie) as server, HttpTransport(KEY, base_url=server.url) as transport:
        await transport.send(POLL)
        await transport.send(POLL)

    assert "cookie" not in server.requests[1].headers


async def test_an_error_status_is_an_answer() -> None:
    async def fail(exchange: Exchange) -> None:
        await exchange.answer(503, b"<html>")

    async with loopback(fail) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answer = await transport.send(POLL)

    assert (answer.status, answer.body) == (503, b"<html>")


async def test_a_key_that_is_repeated_in_an_answer_is_blotted_out() -> None:
    async def echo(exchange: Exchange) -> None:
        body = gzip.compress(b'{"message":"Bearer ' + KEY.encode() + b' is not valid"}')
        await exchange.answer(401, body, content_encoding="gzip")

    async with loopback(echo) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answer = await transport.send(POLL)

    assert json.loads(answer.body) == {"message": "Bearer [api key] is not valid"}


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("X-GZip", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("identity", b"hello"),
        ("gzip", b""),
    ],
)
async def test_a_compressed_answer_is_unpacked(encoding: str, compressed: bytes) -> None:
    async def pack(exchange: Exchange) -> None:
        await exchange.answer(200, compressed, content_encoding=encoding)

    async with loopback(pack) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answer = await transport.send(POLL)

    assert answer.body == (b"hello" if compressed else b"")


@pytest.mark.parametrize(
    ("encoding", "body", "why"),
    [
        ("gzip", gzip.compress(bytes(20_000_000)), "longer than 200000 bytes"),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-4], "broken"),
        ("gzip", b"\x1f\x8bnot gzip at all", "broken"),
        ("br", b"hello", "nobody asked for"),
    ],
    ids=["bomb", "cut", "broken", "unknown"],
)
async def test_an_answer_that_cannot_be_unpacked_is_malformed(encoding: str, body: bytes, why: str) -> None:
    async def pack(exchange: Exchange) -> None:
        await exchange.answer(200, body, content_encoding=encoding)

    error = await _fail(pack, body_cap=200_000)

    assert isinstance(error, MalformedResponse)
    assert (error.status, error.sent, why in str(error)) == (200, True, True)


async def test_an_endless_answer_is_cut_at_the_cap() -> None:
    async def pour(exchange: Exchange) -> None:
        await exchange.send(response(200, b"", content_length="", transfer_encoding="chunked"))
        while True:
            await exchange.send(b"400\r\n" + bytes(0x400) + b"\r\n")

    error = await _fail(pour, body_cap=10_000)

    assert isinstance(error, MalformedResponse)
    assert "longer than 10000 bytes" in str(error)


async def test_an_answer_of_exactly_the_cap_is_fine() -> None:
    async def fill(exchange: Exchange) -> None:
        await exchange.answer(200, bytes(1000))

    async with loopback(fill) as server, HttpTransport(KEY, base_url=server.url, body_cap=1000) as transport:
        answer = await transport.send(POLL)

    assert len(answer.body) == 1000


@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_a_refused_connection_is_known_not_to_have_sent_anything(request_: HttpRequest) -> None:
    async with loopback(never) as server:
        gone = server.url
    async with HttpTransport(KEY, base_url=gone) as transport:
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(request_)

    error = _discreet(caught.value)
    assert isinstance(error, ConnectFailed)
    assert (error.sent, error.tls, error.retryable) == (False, False, True)


async def test_a_refused_certificate_is_told_from_other_trouble_and_not_worth_another_try(tmp_path: Path) -> None:
    (tmp_path / "pair.pem").write_text(UNTRUSTED_CERTIFICATE, encoding="ascii")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "pair.pem")

    async with loopback(never, tls=tls) as server, HttpTransport(KEY, base_url=server.url) as transport:
        with pytest.raises(ConnectFailed, match="self-signed") as caught:
            await transport.send(SUBMIT)

    assert (caught.value.sent, caught.value.tls, caught.value.retryable) == (False, True, False)
    assert server.requests == []


async def test_tls_with_a_host_that_speaks_none_is_not_worth_another_try() -> None:
    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(response(400))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(speak_plainly, "127.0.0.1", 0)
    base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, HttpTransport(KEY, base_url=base_url) as transport:
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(SUBMIT)

    assert (caught.value.sent, caught.value.tls, caught.value.retryable) == (False, True, False)


async def test_a_host_that_does_not_finish_connecting_in_time_was_sent_nothing() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, HttpTransport(KEY, base_url=base_url, timeouts=Timeouts(connect=0.05)) as transport:
        with pytest.raises(RequestTimeout, match="no connection in time") as caught:
            await transport.send(SUBMIT)

    assert _discreet(caught.value).sent is False


async def test_a_submit_that_times_out_as_a_whole_while_connecting_was_not_sent() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, HttpTransport(KEY, base_url=base_url, timeouts=Timeouts(submit=0.05)) as transport:
        with pytest.raises(RequestTimeout) as caught:
            await transport.send(SUBMIT)

    assert _discreet(caught.value).sent is False


@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_an_answer_that_does_not_come_in_time_is_a_timeout_after_sending(request_: HttpRequest) -> None:
    error = await _fail(never, request_, timeouts=HASTE)

    assert isinstance(error, RequestTimeout)
    assert error.sent is True


async def test_a_submit_that_carries_files_may_take_longer() -> None:
    """Ten seconds more for each megabyte, on top of what is shorter here than any exchange takes."""

    async def say_ok(exchange: Exchange) -> None:
        await exchange.send(response(200, b"{}"))

    large = evolve(SUBMIT, body=bytes(1_000_000))
    async with (
        loopback(say_ok) as server,
        HttpTransport(KEY, base_url=server.url, timeouts=Timeouts(submit=1e-9)) as transport,
    ):
        assert (await transport.send(large)).status == 200


@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_an_answer_that_drips_in_is_cut_off_by_the_time_the_whole_may_take(request_: HttpRequest) -> None:
    dripped = 0

    async def drip(exchange: Exchange) -> None:
        nonlocal dripped
        await exchange.send(response(200, b"", content_length="100000"))
        while True:
            await exchange.send(b".")
            dripped += 1
            await asyncio.sleep(0.01)  # below any limit on silence

    error = await _fail(drip, request_, timeouts=HASTE)

    assert isinstance(error, RequestTimeout)
    assert (error.sent, dripped > 1) == (True, True)


async def test_a_submit_whose_connection_is_reset_before_it_is_read_counts_as_sent() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, HttpTransport(KEY, base_url=base_url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(SUBMIT)

    assert (_discreet(caught.value).sent, isinstance(caught.value, ConnectFailed)) == (True, False)


@pytest.mark.parametrize("way", ["reset", "close"])
async def test_a_submit_that_is_dropped_once_it_was_read_counts_as_sent_and_is_not_repeated(way: str) -> None:
    requests = 0

    async def drop(exchange: Exchange) -> None:
        nonlocal requests
        requests += 1
        getattr(exchange, way)()

    error = await _fail(drop, SUBMIT)

    assert (error.sent, error.retryable, requests) == (True, True, 1)


@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_an_answer_shorter_than_it_said_is_an_error_and_not_a_short_answer(request_: HttpRequest) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.answer(200, b'{"id":"1"}', content_length="11")
        exchange.close()

    error = await _fail(cut, request_)

    assert (error.sent, "broke off" in str(error)) == (True, True)


async def test_an_answer_whose_chunks_make_no_sense_is_an_error() -> None:
    async def garble(exchange: Exchange) -> None:
        await exchange.answer(200, b"zz\r\nwhat", content_length="", transfer_encoding="chunked")

    assert (await _fail(garble)).sent is True


async def test_an_answer_that_is_not_http_is_malformed_whatever_it_repeats() -> None:
    async def babble(exchange: Exchange) -> None:
        await exchange.send(exchange.raw)
        exchange.close()

    assert isinstance(await _fail(babble), MalformedResponse)


async def test_a_poll_over_a_connection_that_was_dropped_meanwhile_goes_out_again() -> None:
    async def answer_once(exchange: Exchange) -> None:
        await exchange.answer()
        exchange.close()

    async with loopback(answer_once) as server, HttpTransport(KEY, base_url=server.url) as transport:
        answers = [await transport.send(POLL) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 200]


async def test_a_submit_after_a_dropped_connection_is_neither_doubled_nor_lost() -> None:
    async def answer_once(exchange: Exchange) -> None:
        await exchange.answer()
        exchange.close()

    async with loopback(answer_once) as server, HttpTransport(KEY, base_url=server.url) as transport:
        for _ in range(3):
            await transport.send(SUBMIT)

    assert [exchange.connection for exchange in server.requests] == [1, 2, 3]


@pytest.mark.parametrize(
    "target", ["", "v2", "@evil.example/", "https://evil.example/", ".evil.example/", "/a b", "/a\r\nX: 1", "/ü"]
)
async def test_a_target_that_could_go_to_another_host_or_break_the_head_is_never_sent(target: str) -> None:
    async with loopback(never) as server, HttpTransport(KEY, base_url=server.url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(HttpRequest("GET", target))

        assert (caught.value.sent, caught.value.retryable, server.connections) == (False, False, 0)


async def test_a_file_is_never_fetched_with_the_key() -> None:
    async with loopback(never) as server, HttpTransport(KEY, base_url=server.url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(HttpRequest("GET", "/file", Lane.FILE))

        assert (caught.value.retryable, server.connections) == (False, 0)


async def test_a_header_that_would_break_the_head_fails_the_request() -> None:
    request = HttpRequest("GET", "/", headers={"X-Client-Request-Id": "a\r\nX-Evil: 1"})

    assert "cannot be sent" in str(await _fail(never, request))


async def test_cancelling_a_request_closes_its_connection_and_harms_no_other() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def stall_first(exchange: Exchange) -> None:
        if exchange.number:
            return await exchange.answer()
        arrived.set()
        await exchange.gone()
        gone.set()
        return None

    async with loopback(stall_first) as server, HttpTransport(KEY, base_url=server.url) as transport:
        waiting = asyncio.create_task(transport.send(POLL))
        await arrived.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await gone.wait()
        answer = await transport.send(POLL)

    assert (answer.status, server.requests[1].connection) == (200, 2)


async def test_a_netrc_neither_replaces_the_key_nor_follows_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def say_ok(exchange: Exchange) -> None:
        await exchange.answer()

    (tmp_path / "netrc").write_text("default login someone password something\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with loopback(say_ok) as server, HttpTransport(KEY, base_url=server.url, trust_env=True) as transport:
        await transport.send(POLL)
        async with transport.stream(HttpRequest("GET", f"{server.url}/file", Lane.FILE)):
            pass

    assert [exchange.headers.get("authorization") for exchange in server.requests] == [f"Bearer {KEY}", None]


async def test_a_proxy_that_refuses_to_connect_means_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(403)

    async with loopback(refuse) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        async with HttpTransport(KEY, base_url="https://api.example.com", trust_env=True) as transport:
            with pytest.raises(ConnectFailed, match="the proxy answered 403") as caught:
                await transport.send(SUBMIT)

    assert _discreet(caught.value).sent is False
    assert KEY not in proxy.requests[0].raw.decode()
