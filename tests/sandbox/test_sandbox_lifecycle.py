from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from typing import Any

import aiohttp
import anyio
import pytest
from sandbox_client import visit

from kling_async import TextToVideo
from kling_async.errors import ConfigurationError
from kling_async.sandbox import Faults, Sandbox, SandboxThread


def balance_status(sandbox: Sandbox) -> int:
    connection = http.client.HTTPConnection(sandbox.host, sandbox.port, timeout=5)
    try:
        connection.request("GET", "/v2/billing", headers={"Authorization": f"Bearer {sandbox.api_key}"})
        return connection.getresponse().status
    finally:
        connection.close()


# on the running loop


@pytest.mark.asyncio
async def test_a_stopped_sandbox_goes_on_where_it_stood_at_the_same_address() -> None:
    async with visit() as api:
        generation_id = (await api.submit()).generation_id
        await api.sandbox.__aexit__(None, None, None)
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.poll(generation_id)
        assert "stopped" in repr(api.sandbox)
        async with api.sandbox:
            api.clock.now += 100_000
            assert (await api.poll(generation_id)).json["status"] == "completed"


@pytest.mark.asyncio
async def test_leaving_twice_does_no_harm() -> None:
    sandbox = Sandbox()
    async with sandbox:
        await sandbox.__aexit__(None, None, None)
    assert "stopped" in repr(sandbox)


@pytest.mark.asyncio
async def test_entering_a_running_sandbox_is_refused() -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(ConfigurationError, match="running already"):
            await sandbox.__aenter__()


@pytest.mark.asyncio
async def test_a_taken_port_is_an_oserror_and_leaves_the_sandbox_stopped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sandbox = Sandbox(port=taken.getsockname()[1])
        with pytest.raises(OSError, match=r"address|in use|bind"):
            await sandbox.__aenter__()
    async with sandbox:
        assert sandbox.url.endswith(str(sandbox.port))


@pytest.mark.asyncio
async def test_a_slow_answer_does_not_keep_the_sandbox_from_stopping() -> None:
    arrived = asyncio.Event()

    def always(_occasion: int) -> bool:
        arrived.set()
        return True

    async with visit(faults=Faults(slow=always, slow_seconds=1000)) as api:
        asking = asyncio.ensure_future(api.submit())
        await arrived.wait()
        async with asyncio.timeout(5):
            await api.sandbox.__aexit__(None, None, None)
        with pytest.raises(aiohttp.ClientError):
            await asking


def test_the_url_is_unknown_before_a_start_unless_the_port_is_given() -> None:
    with pytest.raises(ConfigurationError, match="before it is started"):
        _ = Sandbox().url
    assert Sandbox(port=8000, host="::1", prefix="/p").url == "http://[::1]:8000/p"


# settings


def test_the_key_is_made_up_from_the_seed_or_given() -> None:
    assert Sandbox(seed=1).api_key == Sandbox(seed=1).api_key != Sandbox(seed=2).api_key
    assert Sandbox(api_key="mine").api_key == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed", 0),
        ("speed", float("inf")),
        ("slots", 0),
        ("sigma", -1),
        ("credits", -1),
        ("requests_per_second", 0),
        ("max_concurrent", -1),
        ("prefix", "proxy"),
        ("prefix", "/proxy/"),
        ("url_lifetime", 0),
    ],
)
def test_a_bad_setting_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Sandbox(**dict[str, Any]({name: value}))


def test_a_live_setting_is_checked_when_assigned_and_others_stay_as_they_are() -> None:
    sandbox = Sandbox()
    with pytest.raises(ConfigurationError, match="requests_per_second"):
        sandbox.requests_per_second = -1
    with pytest.raises(AttributeError):
        sandbox.speed = 5


# in a thread


def test_a_sandbox_thread_serves_while_it_is_entered_and_leaves_nothing_behind() -> None:
    before = threading.active_count()
    with SandboxThread() as sandbox:
        assert balance_status(sandbox) == 200
    with pytest.raises(OSError, match=r"refused|actively"):
        balance_status(sandbox)
    assert threading.active_count() == before


def test_a_sandbox_thread_can_be_steered_and_read_from_outside() -> None:
    thread = SandboxThread(Sandbox(seed=3))
    with thread as sandbox:
        sandbox.faults = Faults(server_error={1})
        assert balance_status(sandbox) in (500, 503)
        sandbox.revoke_key()
        assert balance_status(sandbox) == 401
        assert sum(sandbox.ledger.answers.values()) == 2
        assert "seed=3" in repr(thread)


def test_a_sandbox_thread_can_be_entered_again() -> None:
    thread = SandboxThread()
    with thread as sandbox:
        first = sandbox.url
    with thread:
        assert balance_status(sandbox) == 200
        assert sandbox.url == first


def test_a_sandbox_thread_raises_what_its_start_raised_and_ends() -> None:
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"address|in use|bind"):
        SandboxThread(Sandbox(port=taken.getsockname()[1])).__enter__()
    assert threading.active_count() == before


# the fixture


def test_the_fixture_needs_no_asynchronous_plugin(kling_sandbox: Sandbox) -> None:
    assert balance_status(kling_sandbox) == 200


@pytest.mark.kling_sandbox(seed=7, speed=1e6, credits=200)
def test_the_marker_sets_the_fixture_up(kling_sandbox: Sandbox) -> None:
    assert (kling_sandbox.seed, kling_sandbox.speed, kling_sandbox.credits) == (7, 1e6, 200)


@pytest.mark.kling_sandbox(speed=100_000)
@pytest.mark.asyncio
async def test_the_fixture_works_under_pytest_asyncio(kling_sandbox: Sandbox) -> None:
    async with kling_sandbox.session() as kling:
        video = await kling.submit(TextToVideo("a raccoon"))
    assert video.url.startswith(kling_sandbox.url)


@pytest.mark.kling_sandbox(speed=100_000)
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_fixture_works_under_anyios_plugin(kling_sandbox: Sandbox) -> None:
    await anyio.lowlevel.checkpoint()
    async with kling_sandbox.session() as kling:
        await kling.submit(TextToVideo("a raccoon"))
    assert len(kling_sandbox.ledger.noticed) == 1


# a session for it


def test_a_session_polls_at_the_sandboxs_speed_and_takes_settings_of_its_own() -> None:
    with SandboxThread(Sandbox(speed=10_000)) as sandbox:

        async def main() -> None:
            async with sandbox.session(api_key="wrong") as kling:
                with pytest.raises(Exception, match="401"):
                    await kling.submit(TextToVideo("a raccoon"))
            async with sandbox.session() as kling:
                videos = await asyncio.gather(*(kling.submit(TextToVideo(f"raccoon {n}")) for n in range(10)))
                assert len({video.url for video in videos}) == 10

        asyncio.run(main())
        assert len(sandbox.ledger.noticed) == 10
        assert all(len(bought) == 1 for bought in sandbox.ledger.by_key.values())
