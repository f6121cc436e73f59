"""The sources of a session's key and address, and its errors when it cannot start."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kling_async import (
    UNIVERSAL,
    ConfigurationError,
    KlingSession,
    Limits,
    Polling,
    Reconciliation,
    TextToVideo,
    Timeouts,
)
from kling_async.sandbox import Faults, Sandbox


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIMLAPI_API_KEY", "AIML_API_KEY", "AIMLAPI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_key_a_session_fails_at_once_and_says_where_to_put_one() -> None:
    with pytest.raises(ConfigurationError, match="pass api_key, or set AIMLAPI_API_KEY or AIML_API_KEY"):
        KlingSession()


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["AIMLAPI_API_KEY", "AIML_API_KEY"])
async def test_key_and_address_come_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(speed=2000) as sandbox:
        monkeypatch.setenv(name, sandbox.api_key)
        monkeypatch.setenv("AIMLAPI_BASE_URL", sandbox.url)
        async with KlingSession() as kling:
            await kling.submit(TextToVideo("a fox")).accepted()
            assert sandbox.url in repr(kling)
            assert sandbox.api_key not in repr(kling)
        assert len(sandbox.ledger.purchases) == 1


@pytest.mark.asyncio
async def test_arguments_count_more_than_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIMLAPI_API_KEY", "not-the-key")
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:1")
    async with Sandbox(speed=2000) as sandbox, KlingSession(sandbox.api_key, base_url=sandbox.url) as kling:
        await kling.submit(TextToVideo("a fox")).accepted()


@pytest.mark.asyncio
@pytest.mark.parametrize("slash", ["", "/"])
async def test_an_address_may_have_a_path_for_a_proxy(slash: str) -> None:
    async with Sandbox(speed=2000, prefix="/proxy/kling") as sandbox:
        assert sandbox.url.endswith("/proxy/kling")
        async with sandbox.session(base_url=sandbox.url + slash) as kling:
            video = await kling.submit(TextToVideo("a fox"))
        assert list(sandbox.ledger.purchases) == [video.generation_id]
        assert [submit.endpoint for submit in sandbox.ledger.submits] == [UNIVERSAL]


@pytest.mark.asyncio
async def test_a_session_goes_by_a_sandboxs_time() -> None:
    troubles = Faults(server_error=1.0)
    async with Sandbox(speed=2000, prefix="/proxy", faults=troubles, requests_per_second=0.01) as sandbox:
        kling = KlingSession(sandbox.api_key, base_url=sandbox.url, limits=Limits(burst=2))
        assert kling.vendor_speed == 1.0
        async with kling:
            assert kling.vendor_speed == 2000.0
        async with sandbox.session() as kling:
            assert kling.vendor_speed == 2000.0
        assert not sandbox.ledger.throttled


@pytest.mark.asyncio
async def test_whoever_is_no_sandbox_is_not_asked_and_not_believed() -> None:
    asked, speeds = list[str](), ("no", "no", "no", "inf", "-1")

    async def gateway(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        return web.json_response({}, headers={"X-Sandbox-Speed": speeds[len(asked) - 1]})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", gateway)
    async with TestServer(application) as server:
        for key in ("a-key", "sandbox-k", "sandbox-k", "sandbox-k"):
            async with KlingSession(key, base_url=str(server.make_url("/"))) as kling:
                assert kling.vendor_speed == 1.0
    assert asked == ["Bearer sandbox-k"] * 5


@pytest.mark.asyncio
async def test_a_sandbox_whose_answer_is_lost_is_asked_again() -> None:
    answers = [web.Response(status=502), web.Response(headers={"X-Sandbox-Speed": "7"})]

    async def gateway(_: web.Request) -> web.Response:
        return answers.pop(0)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", gateway)
    async with (
        TestServer(application) as server,
        KlingSession("sandbox-k", base_url=str(server.make_url("/"))) as kling,
    ):
        assert kling.vendor_speed == 7.0


@pytest.mark.asyncio
async def test_a_sandbox_that_does_not_answer_holds_up_no_session() -> None:
    async with KlingSession("sandbox-k", base_url="http://127.0.0.1:9") as kling:
        assert kling.vendor_speed == 1.0


def test_what_is_counted_in_the_vendors_time_is_divided_where_nobody_chose_otherwise() -> None:
    polling = Polling(retry_cap=5).at_speed(60)
    assert (polling.scale, polling.retry_base, polling.retry_cap) == (60, 1 / 60, 5)
    assert Reconciliation(then="resubmit").at_speed(60).scale == 60
    assert (Timeouts().at_speed(60).generation, Timeouts().at_speed(5).download) == (60, 120)
    assert [Limits().at_speed(speed).requests_per_second for speed in (1, 5, 600)] == [None, 50, 200]
    assert Limits(requests_per_second=7).at_speed(600) == Limits(requests_per_second=7)


@pytest.mark.parametrize(
    "base_url", ["ftp://host", "http://host.example", "https://host/?a=1", "https://u:p@host", "host", "127.0.0.1:8642"]
)
def test_an_address_that_would_not_do_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url takes https"):
        KlingSession("a-key", base_url=base_url)
