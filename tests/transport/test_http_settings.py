"""The settings of an HTTP transport, and its life."""

from __future__ import annotations

import asyncio
import gc
import traceback
from importlib.metadata import PackageNotFoundError

import pytest
from loopback import Exchange, loopback

from kling_async.api.messages import HttpRequest, Lane
from kling_async.errors import ConfigurationError, TransportError
from kling_async.transport import http
from kling_async.transport.http import HttpTransport

KEY = "sk-0123456789abcdef"
API = "https://api.example.com"


async def say_ok(exchange: Exchange) -> None:
    await exchange.answer()


@pytest.mark.parametrize(
    "key", ["", " ", "\t\n", "sk-secret\n", "sk-secret\r\nX-Evil: 1", "sk secret", "sk-sécret", "sk-секрет"]
)
def test_a_key_no_header_can_hold_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HttpTransport(key, base_url=API)

    assert "key" in str(caught.value)
    assert not key.strip() or key.strip() not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example.com",
        "//api.example.com",
        "ftp://api.example.com",
        "https://",
        "https:///v2",
        "https://api.example.com?x=1",
        "https://api.example.com/v2?",
        "https://api.example.com/#part",
        "https://user:password@api.example.com",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://[::1",
        "https://api.example.com/a b",
        "https://bücher.example",
    ],
)
def test_a_base_url_that_is_not_a_host_and_a_path_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        HttpTransport(KEY, base_url=base_url)

    assert "password" not in str(caught.value)


@pytest.mark.parametrize("host", ["api.example.com", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com"])
def test_plain_http_would_show_the_key_to_the_network_and_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        HttpTransport(KEY, base_url=f"http://{host}")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080"])
def test_plain_http_is_fine_within_this_machine(host: str) -> None:
    assert host in repr(HttpTransport(KEY, base_url=f"http://{host}"))


async def _target_of(base_path: str, target: str) -> str:
    async with loopback(say_ok) as server, HttpTransport(KEY, base_url=server.url + base_path) as transport:
        await transport.send(HttpRequest("GET", target))
        return server.requests[0].target


@pytest.mark.asyncio
@pytest.mark.parametrize("base_path", ["", "/"])
async def test_a_trailing_slash_of_the_base_url_makes_no_difference(base_path: str) -> None:
    assert await _target_of(base_path, "/v2/x?generation_id=a%3Ab%2fc~") == "/v2/x?generation_id=a%3Ab%2fc~"


@pytest.mark.asyncio
async def test_a_path_of_the_base_url_comes_before_every_target() -> None:
    assert await _target_of("/proxy/kling%2Fai/", "/v2/x?a=1") == "/proxy/kling%2Fai/v2/x?a=1"


def test_a_copy_that_was_never_installed_still_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", find_none)

    assert http._default_user_agent.__wrapped__() == "kling_async"


@pytest.mark.asyncio
async def test_the_repr_shows_where_and_whether_it_is_open_but_never_the_key() -> None:
    transport = HttpTransport(KEY, base_url=f"{API}/v1/")
    before = repr(transport)
    async with transport:
        during = repr(transport)

    assert [before, during, repr(transport)] == [
        f"<HttpTransport {API}/v1 not entered>",
        f"<HttpTransport {API}/v1 open>",
        f"<HttpTransport {API}/v1 closed>",
    ]


@pytest.mark.asyncio
async def test_nothing_is_sent_before_it_is_entered_nor_after_it_is_left() -> None:
    async with loopback(say_ok) as server:
        transport = HttpTransport(KEY, base_url=server.url)
        with pytest.raises(TransportError, match="not entered") as early:
            await transport.send(HttpRequest("POST", "/", Lane.SUBMIT))
        async with transport:
            pass
        with pytest.raises(TransportError, match="closed") as late:
            await transport.send(HttpRequest("POST", "/", Lane.SUBMIT))

        assert (early.value.sent, late.value.sent, server.requests) == (False, False, [])


@pytest.mark.asyncio
async def test_entering_an_open_transport_is_refused() -> None:
    async with HttpTransport(KEY, base_url=API) as transport:
        with pytest.raises(ConfigurationError, match="entered again"):
            await transport.__aenter__()


@pytest.mark.asyncio
async def test_it_can_be_left_often_and_entered_again() -> None:
    async with loopback(say_ok) as server:
        transport = HttpTransport(KEY, base_url=server.url)
        await transport.aclose()
        async with transport:
            await transport.send(HttpRequest("GET", "/"))
        await transport.aclose()
        async with transport:
            await transport.send(HttpRequest("GET", "/"))

        assert len(server.requests) == 2


@pytest.mark.asyncio
async def test_leaving_it_ends_what_is_under_way_and_leaves_no_socket() -> None:
    arrived = asyncio.Event()

    async def stall(_: Exchange) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with loopback(stall) as server:
        async with HttpTransport(KEY, base_url=server.url) as transport:
            poll = asyncio.create_task(transport.send(HttpRequest("GET", "/")))
            await arrived.wait()
        with pytest.raises(TransportError):
            await poll
    gc.collect()  # an unclosed socket would warn now, and warnings are errors


@pytest.mark.asyncio
async def test_leaving_it_while_being_cancelled_still_closes_every_session() -> None:
    async with loopback(say_ok) as server:
        transport = HttpTransport(KEY, base_url=server.url)
        await transport.__aenter__()
        sessions = list(transport._sessions.values())
        await transport.send(HttpRequest("GET", "/"))
        leaving = asyncio.create_task(transport.aclose())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

        assert [session.closed for session in sessions] == [True, True, True]
