"""Files over real sockets, from hosts that must learn nothing of the account."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loopback import Exchange, loopback, response

from kling_async.api.messages import HttpRequest, Lane
from kling_async.api.protocol import file_request
from kling_async.errors import ConnectFailed, RequestTimeout, TransportError
from kling_async.settings import Timeouts
from kling_async.transport.http import HttpTransport

pytestmark = pytest.mark.asyncio

KEY = "sk-0123456789abcdef"
FILE = bytes(range(256)) * 4096


def _transport(**settings: Any) -> HttpTransport:
    return HttpTransport(KEY, base_url="https://api.example.com", **settings)


async def _read(url: str, headers: dict[str, str] | None = None, **settings: Any) -> tuple[int, bytes]:
    async with _transport(**settings) as transport, transport.stream(file_request(url, headers or {})) as answer:
        return answer.status, b"".join([piece async for piece in answer.chunks()])


async def _fail(url: str, **settings: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await _read(url, **settings)
    assert "signature" not in str(caught.value)
    assert caught.value.__context__ is None
    return caught.value


async def _send_file(exchange: Exchange) -> None:
    await exchange.answer(200, FILE, content_type="video/mp4")


async def test_a_file_comes_whole_and_in_order() -> None:
    async with loopback(_send_file) as server:
        assert await _read(f"{server.url}/a.mp4") == (200, FILE)


async def test_the_status_and_headers_are_there_before_the_body() -> None:
    async def stall(exchange: Exchange) -> None:
        await exchange.send(response(206, b"", content_length="5", etag='"1"'))
        await exchange.gone()

    async with (
        loopback(stall) as server,
        _transport() as transport,
        transport.stream(file_request(server.url, {})) as answer,
    ):
        assert (answer.status, answer.headers["etag"]) == (206, '"1"')


async def test_a_host_of_files_sees_neither_the_key_nor_any_header_of_the_accounts() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "X-Client-Request-Id": "row:1", "Cookie": "a=b", "range": "bytes=5-"}
    async with loopback(_send_file) as server:
        await _read(f"{server.url}/a.mp4", headers)

    raw = server.requests[0].raw.decode()
    assert KEY not in raw
    assert {line.partition(":")[0].lower() for line in raw.split("\r\n")[1:] if line} == {
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
        "range",
    }
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/a%2Fb%2fc/%7Ed.mp4?Signature=a%2Bb%2f%3D%3d&Expires=1~&x=%C3%BC", None),
        ("/a.mp4?x=[1]&y={2}|3^\\&z=\"'<>`", None),
        ("/a+b;c=1/@x:y,!$*().mp4", None),
        ("/a b/ü.mp4\n", "/a%20b/%C3%BC.mp4"),
        ("/a.mp4?x=1\r\nX-Evil:1", "/a.mp4?x=1%0D%0AX-Evil:1"),
    ],
)
async def test_a_signed_url_goes_out_as_it_came_but_for_what_no_url_may_hold(given: str, sent: str | None) -> None:
    async with loopback(_send_file) as server:
        await _read(server.url + given)

    assert server.requests[0].target == (sent or given)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_with_the_same_range_and_its_escapes_untouched(status: int) -> None:
    async def redirect(exchange: Exchange) -> None:
        if exchange.target == "/start":
            await exchange.answer(status, location="/there%2fb?s=%3d%2F")
        else:
            await _send_file(exchange)

    async with loopback(redirect) as server:
        await _read(f"{server.url}/start", {"Range": "bytes=5-", "If-Range": '"1"', "X-Other": "x"})

    followed = server.requests[1]
    assert (followed.method, followed.target) == ("GET", "/there%2fb?s=%3d%2F")
    assert (followed.headers["range"], followed.headers["if-range"]) == ("bytes=5-", '"1"')
    assert "x-other" not in followed.headers


async def test_a_redirect_to_another_host_is_followed() -> None:
    async with loopback(_send_file) as other:

        async def redirect(exchange: Exchange) -> None:
            await exchange.answer(302, location=f"{other.url}/b.mp4")

        async with loopback(redirect) as server:
            assert await _read(server.url) == (200, FILE)


async def test_a_redirect_without_a_place_is_an_answer() -> None:
    async def redirect(exchange: Exchange) -> None:
        await exchange.answer(304, b"")

    async with loopback(redirect) as server:
        assert await _read(server.url) == (304, b"")


async def test_five_redirects_are_followed_and_a_sixth_is_not() -> None:
    async def count_down(exchange: Exchange) -> None:
        left = int(exchange.target[1])
        await (exchange.answer(302, location=f"/{left - 1}") if left else _send_file(exchange))

    async with loopback(count_down) as server:
        assert (await _read(f"{server.url}/5"))[0] == 200
        error = await _fail(f"{server.url}/6?signature=1")

    assert ("more than 5 redirects" in str(error), error.retryable) == (True, False)


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example.com/a.mp4?signature=1",
        "ftp://cdn.example.com/a.mp4?signature=1",
        "file:///etc/passwd?signature=1",
        "//cdn.example.com/a.mp4?signature=1",
        "a.mp4?signature=1",
        "https://user:signature@cdn.example.com/a.mp4",
        "https://cdn.example.com:port/a.mp4?signature=1",
        "https://[cdn/a.mp4?signature=1",
        "https:///a.mp4?signature=1",
    ],
)
@pytest.mark.parametrize("redirected", [False, True], ids=["at once", "by redirect"])
async def test_what_is_not_https_is_not_fetched(url: str, redirected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async def redirect(exchange: Exchange) -> None:
        await exchange.answer(302, location=url)

    async with loopback(redirect) as server:
        if redirected and not url.startswith(("//", "a")):
            error = await _fail(server.url)
        else:
            error = await _fail(url)

    assert (error.retryable, error.sent) == (False, False)


async def test_a_file_is_not_asked_for_as_an_api_call() -> None:
    async with _transport() as transport:
        with pytest.raises(TransportError, match="only files") as caught:
            async with transport.stream(HttpRequest("GET", "/v2?generation_id=1", Lane.CALL)):
                pass

    assert caught.value.retryable is False


async def test_a_file_is_not_fetched_over_a_closed_transport() -> None:
    with pytest.raises(TransportError, match="not open"):
        async with _transport().stream(file_request("https://cdn.example.com/a.mp4", {})):
            pass


async def test_a_host_that_is_not_there_is_a_connection_that_failed() -> None:
    async with loopback(_send_file) as server:
        url = server.url

    assert isinstance(await _fail(f"{url}/a.mp4?signature=1"), ConnectFailed)


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_a_body_shorter_than_stated_is_an_error(way: str) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.answer(200, FILE[:1000], content_length=str(len(FILE)))
        getattr(exchange, way)()

    async with loopback(cut) as server:
        error = await _fail(f"{server.url}/a.mp4?signature=1")

    assert error.retryable is True


async def test_what_came_before_a_body_broke_off_is_handed_out() -> None:
    release = asyncio.Event()

    async def cut(exchange: Exchange) -> None:
        await exchange.answer(200, FILE[:1000], content_length=str(len(FILE)))
        await release.wait()
        exchange.close()

    async with (
        loopback(cut) as server,
        _transport() as transport,
        transport.stream(file_request(server.url, {})) as answer,
    ):
        chunks = answer.chunks()
        first = await anext(chunks)
        release.set()
        with pytest.raises(TransportError, match="broke off"):
            await anext(chunks)

    assert first == FILE[:1000]


async def test_silence_while_a_file_comes_in_is_a_timeout() -> None:
    async def stall(exchange: Exchange) -> None:
        await exchange.answer(200, FILE[:1000], content_length=str(len(FILE)))
        await exchange.gone()

    async with loopback(stall) as server:
        error = await _fail(f"{server.url}/a.mp4?signature=1", timeouts=Timeouts(file=0.05))

    assert isinstance(error, RequestTimeout)


async def test_a_compressed_body_is_handed_out_as_it_came() -> None:
    async def pack(exchange: Exchange) -> None:
        await exchange.answer(200, b"not really gzip", content_encoding="gzip")

    async with loopback(pack) as server:
        assert await _read(server.url) == (200, b"not really gzip")


async def test_leaving_early_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def pour(exchange: Exchange) -> None:
        await exchange.answer(200, FILE[:1000], content_length=str(10**9))
        await exchange.gone()
        gone.set()

    async with loopback(pour) as server, _transport() as transport:
        async with transport.stream(file_request(server.url, {})):
            pass
        await gone.wait()


async def test_pieces_stay_small_however_fast_the_host_is() -> None:
    body = bytes(8 * 1024 * 1024)

    async def pour(exchange: Exchange) -> None:
        await exchange.answer(200, body)

    async with (
        loopback(pour) as server,
        _transport() as transport,
        transport.stream(file_request(server.url, {})) as answer,
    ):
        sizes = [len(piece) async for piece in answer.chunks()]

    assert sum(sizes) == len(body)
    assert max(sizes) <= 1024 * 1024
