"""The sources of a session's key and address, and its errors when it cannot start."""

from __future__ import annotations

import pytest

from kling_async import UNIVERSAL, ConfigurationError, KlingSession, TextToVideo
from kling_async.sandbox import Sandbox


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


@pytest.mark.parametrize(
    "base_url", ["ftp://host", "http://host.example", "https://host/?a=1", "https://u:p@host", "host", "127.0.0.1:8642"]
)
def test_an_address_that_would_not_do_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url takes https"):
        KlingSession("a-key", base_url=base_url)
