"""The way to the vendor: proxies, CAs and headers of one's own, and plain text by choice."""

from __future__ import annotations

import ssl
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from loopback import Exchange, Loopback, loopback
from proxied import API_HOST, FILE_HOST, connect_proxy, server_tls, write_ca

from kling_async.api.messages import HttpRequest, Lane
from kling_async.errors import ConfigurationError, ConnectFailed, TransportError
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

KEY = "sk-0123456789abcdef"
POLL = HttpRequest("GET", "/v2/video/generations?generation_id=a")
SUBMIT = HttpRequest("POST", "/v2/video/generations", Lane.SUBMIT, {"X-Client-Request-Id": "row:1"}, b'{"prompt":"x"}')
PROXY_NAMES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


async def say_ok(exchange: Exchange) -> None:
    await exchange.answer()


@asynccontextmanager
async def api(folder: Path) -> AsyncGenerator[Loopback]:
    async with loopback(say_ok, tls=server_tls(folder)) as server:
        yield server


def at(server: Loopback, host: str = API_HOST) -> str:
    return f"https://{host}:{server.port}"


def transport(server: Loopback, folder: Path, **settings: Any) -> HttpTransport:
    return HttpTransport(KEY, base_url=at(server), ssl=write_ca(folder), **settings)


async def read_file(sender: HttpTransport, url: str) -> int:
    async with sender.stream(HttpRequest("GET", url, Lane.FILE)) as response:
        return response.status


# Proxies


@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_a_given_proxy_tunnels_and_never_sees_the_key(tmp_path: Path, request_: HttpRequest) -> None:
    async with api(tmp_path) as server, connect_proxy(login="ann:p@ss") as proxy:
        url = f"http://ann:p%40ss@127.0.0.1:{proxy.port}"
        async with transport(server, tmp_path, proxy=url, headers={"X-Team": "secret-team"}) as sender:
            assert (await sender.send(request_)).status == 200

    assert proxy.targets == [f"{API_HOST}:{server.port}"]
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in proxy.heads[0]
    assert "secret-team" not in proxy.heads[0]
    assert "proxy-authorization" not in server.requests[0].headers


async def test_a_proxy_may_itself_be_reached_over_tls(tmp_path: Path) -> None:
    async with (
        api(tmp_path) as server,
        connect_proxy(tls=server_tls(tmp_path)) as proxy,
        transport(server, tmp_path, proxy=proxy.url) as sender,
    ):
        assert (await sender.send(POLL)).status == 200

    assert proxy.targets == [f"{API_HOST}:{server.port}"]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_environments_proxy_is_for_calls_and_files_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with api(tmp_path) as server, connect_proxy() as proxy:
        monkeypatch.setenv(name, proxy.url)
        async with transport(server, tmp_path) as sender:
            await sender.send(POLL)
            assert await read_file(sender, f"{at(server, FILE_HOST)}/a.mp4") == 200

    assert proxy.targets == [f"{API_HOST}:{server.port}", f"{FILE_HOST}:{server.port}"]


@pytest.mark.parametrize("exempt", [API_HOST, ".kling.test", "other.example, kling.test", "*"])
async def test_hosts_of_no_proxy_are_reached_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", exempt)
    async with api(tmp_path) as server, transport(server, tmp_path) as sender:
        assert sender._proxies.find(at(server)) is None
        assert sender._proxies.find("https://cdn.example/a.mp4") is None or exempt != "*"


async def test_a_port_of_no_proxy_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with api(tmp_path) as server:
        monkeypatch.setenv("NO_PROXY", f"{API_HOST}:{server.port}")
        sender = transport(server, tmp_path)
        assert sender._proxies.find(at(server)) is None
        assert sender._proxies.find(f"https://{API_HOST}/") is not None


async def test_this_machine_is_never_reached_by_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_NAMES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with loopback(say_ok) as server, HttpTransport(KEY, base_url=server.url) as sender:
        assert (await sender.send(POLL)).status == 200
        assert await read_file(sender, f"{server.url}/a.mp4") == 200


async def test_the_environment_can_be_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example.com:3128")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    async with api(tmp_path) as server:
        assert transport(server, tmp_path, trust_env=False)._proxies.find(at(server)) is None
        HttpTransport(KEY, base_url=at(server), trust_env=False)


async def test_a_given_proxy_is_asked_in_plain_text_only_on_this_machine_or_by_choice() -> None:
    async with loopback(say_ok) as proxy, HttpTransport(KEY, base_url="http://127.0.0.1:9", proxy=proxy.url) as sender:
        await sender.send(POLL)
    assert proxy.requests[0].target == f"http://127.0.0.1:9{POLL.target}"

    for base_url in ("http://127.0.0.1:9", "http://localhost"):
        with pytest.raises(ConfigurationError, match=r"proxy.*plain text.*allow_http"):
            HttpTransport(KEY, base_url=base_url, proxy="http://proxy.example.com:3128")
        HttpTransport(KEY, base_url=base_url, proxy="http://proxy.example.com:3128", allow_http=True)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        "proxy.example.com:3128",
        "proxy.example.com",
        "ann:s3cret@proxy.example.com:3128",
        "socks5://proxy.example.com:1080",
        "http://",
        "http://proxy.example.com:port",
        "http://proxy.example.com/path",
        "http://proxy.example.com?x=1",
        "http://proxy example.com",
        "//proxy.example.com",
    ],
)
async def test_a_proxy_that_cannot_be_used_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if name == "http_proxy":
        monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"http://proxy\.example\.com:3128") as caught:
        HttpTransport(KEY, base_url="https://api.example.com")
    assert name.upper() in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"^proxy ") as given:
        HttpTransport(KEY, base_url="https://api.example.com", proxy=value, trust_env=False)
    assert "s3cret" not in f"{caught.value}{given.value}"


async def test_an_empty_variable_is_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "")
    assert HttpTransport(KEY, base_url="https://api.example.com")._proxies.find("https://api.example.com") is None


@pytest.mark.parametrize("request_", [POLL, SUBMIT], ids=["GET", "POST"])
async def test_a_proxy_that_wants_a_login_answers_407_and_nothing_was_sent(
    tmp_path: Path, request_: HttpRequest
) -> None:
    async with (
        api(tmp_path) as server,
        connect_proxy(status=407) as proxy,
        transport(server, tmp_path, proxy=proxy.url) as sender,
    ):
        answer = await sender.send(request_)
        with pytest.raises(TransportError, match="407") as caught:
            await read_file(sender, f"{at(server, FILE_HOST)}/a.mp4")

    assert (answer.status, server.requests) == (407, [])
    assert (caught.value.retryable, caught.value.sent) == (False, False)


async def test_a_proxy_that_refuses_otherwise_means_that_nothing_was_sent(tmp_path: Path) -> None:
    async with (
        api(tmp_path) as server,
        connect_proxy(status=503) as proxy,
        transport(server, tmp_path, proxy=proxy.url) as sender,
    ):
        with pytest.raises(ConnectFailed, match="the proxy answered 503") as caught:
            await sender.send(SUBMIT)
    assert (caught.value.sent, caught.value.retryable, server.requests) == (False, True, [])


async def test_a_proxy_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    async with connect_proxy() as gone:
        pass
    async with api(tmp_path) as server:
        url = f"http://ann:s3cret@127.0.0.1:{gone.port}"
        async with transport(server, tmp_path, proxy=url) as sender:
            with pytest.raises(ConnectFailed, match=rf"the proxy 127\.0\.0\.1:{gone.port}") as caught:
                await sender.send(SUBMIT)
    assert caught.value.sent is False
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)) + repr(sender)


# Certificates


@pytest.mark.parametrize("way", ["path", "text", "context", "SSL_CERT_FILE"])
async def test_a_ca_of_ones_own_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    path = write_ca(tmp_path)
    if way == "SSL_CERT_FILE":
        monkeypatch.setenv(way, str(path))
    context = ssl.create_default_context(cafile=path)
    given: Any = {"path": path, "text": str(path), "context": context}.get(way)
    async with api(tmp_path) as server, HttpTransport(KEY, base_url=server.url, ssl=given) as sender:
        assert (await sender.send(SUBMIT)).status == 200
        assert await read_file(sender, f"{server.url}/a.mp4") == 200


async def test_without_its_ca_a_host_is_refused(tmp_path: Path) -> None:
    async with api(tmp_path) as server, HttpTransport(KEY, base_url=server.url) as sender:
        with pytest.raises(ConnectFailed, match="certificate") as caught:
            await sender.send(SUBMIT)
    assert caught.value.tls


@pytest.mark.parametrize("content", [None, "no certificate", ""], ids=["absent", "other", "empty"])
async def test_a_file_without_certificates_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "corp.pem"
    if content is not None:
        path.write_text(content, encoding="ascii")
    with pytest.raises(ConfigurationError, match=r"ssl is .*corp\.pem"):
        HttpTransport(KEY, base_url="https://api.example.com", ssl=path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE is .*corp\.pem"):
        HttpTransport(KEY, base_url="https://api.example.com")


# Headers


async def test_headers_go_to_the_api_alone(tmp_path: Path) -> None:
    async with api(tmp_path) as server:
        given = {"X-Team": "films", "traceparent": "00-1"}
        async with HttpTransport(KEY, base_url=server.url, ssl=write_ca(tmp_path), headers=given) as sender:
            await sender.send(POLL)
            await sender.send(SUBMIT)
            await read_file(sender, f"{server.url}/a.mp4")
    poll, submit, file = (exchange.headers for exchange in server.requests)
    for headers in (poll, submit):
        assert (headers["x-team"], headers["traceparent"]) == ("films", "00-1")
        assert headers["authorization"] == f"Bearer {KEY}"
    assert submit["x-client-request-id"] == "row:1"
    assert not {"x-team", "traceparent", "authorization"} & set(file)


@pytest.mark.parametrize("name", ["Authorization", "AUTHORIZATION", "Host", "Content-Length", "X-Client-Request-Id"])
async def test_a_header_of_the_librarys_own_is_refused_without_its_value(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"headers.*{name}") as caught:
        HttpTransport(KEY, base_url="https://api.example.com", headers={name: "s3cret"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"X-A": "s3cret\r\nX-B: 1"}, {"X-A": "s3crét"}, {"X-A": " s3cret"}, {"X A": "b"}])
async def test_a_header_that_would_break_the_head_is_refused_without_its_value(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="headers") as caught:
        HttpTransport(KEY, base_url="https://api.example.com", headers=headers)
    assert "s3cr" not in str(caught.value)


# In plain text


async def test_another_host_is_spoken_to_in_plain_text_only_by_choice() -> None:
    with pytest.raises(ConfigurationError, match="allow_http"):
        HttpTransport(KEY, base_url="http://sandbox:8642")
    sender = HttpTransport(KEY, base_url="http://sandbox:8642", allow_http=True)
    assert "http://sandbox:8642" in repr(sender)


async def test_the_choice_is_for_files_of_that_host_and_of_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with loopback(say_ok) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with HttpTransport(KEY, base_url="http://sandbox:8642", allow_http=True) as sender:
            assert await read_file(sender, "http://sandbox:8642/a.mp4") == 200
            with pytest.raises(TransportError, match="https"):
                await read_file(sender, "http://elsewhere:8642/a.mp4")
