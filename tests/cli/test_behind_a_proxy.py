"""The command where the vendor is reached only by a proxy, and signed by a CA of one's own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from child_process import run
from proxied import API_HOST, connect_proxy, server_tls, write_ca

from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

ROWS = "prompt\n" + "".join(f"a fox {number}\n" for number in range(40))


@asynccontextmanager
async def vendor(folder: Path) -> AsyncGenerator[dict[str, str]]:
    """A sandbox that speaks TLS, and the environment that leads to it."""
    sandbox = Sandbox(speed=2000)
    runner = web.AppRunner(sandbox._application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls(folder)).start()
        address = f"https://{API_HOST}:{runner.addresses[0][1]}"
        yield {
            "AIMLAPI_BASE_URL": address,
            "AIMLAPI_API_KEY": sandbox.api_key,
            "SSL_CERT_FILE": str(write_ca(folder)),
        }
    finally:
        await runner.cleanup()


async def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(partial(run, *arguments, cwd=folder, **environment))


async def test_a_batch_gets_out_by_the_environment_alone(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS, encoding="ascii")
    async with vendor(tmp_path) as environment, connect_proxy(login="ann:secret") as proxy:
        done = await command(tmp_path, "batch", "rows.csv", **environment, HTTPS_PROXY=proxy.url)
    assert (done.returncode, done.stdout) == (0, "40 of 40 videos in videos\n"), done.stderr
    assert {target.partition(":")[0] for target in proxy.targets} == {API_HOST}


async def test_it_gets_out_by_options_alone(tmp_path: Path) -> None:
    async with vendor(tmp_path) as environment, connect_proxy() as proxy:
        environment["HTTPS_PROXY"] = "http://127.0.0.1:9"
        ca_file = environment.pop("SSL_CERT_FILE")
        options = ["--proxy", proxy.url, "--ca-file", ca_file, "--header", "X-Team: films", "--user-agent", "films/1"]
        done = await command(tmp_path, "generate", "a fox", *options, **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("subcommand", "code"), [("batch", 3), ("generate", 1), ("balance", 1)])
async def test_a_wrong_login_is_told_once(tmp_path: Path, subcommand: str, code: int) -> None:
    (tmp_path / "rows.csv").write_text(ROWS, encoding="ascii")
    what = {"batch": ["rows.csv"], "generate": ["a fox"], "balance": []}[subcommand]
    async with vendor(tmp_path) as environment, connect_proxy(login="ann:secret") as proxy:
        environment["HTTPS_PROXY"] = proxy.url.replace("secret", "s3cret")
        done = await command(tmp_path, subcommand, *what, **environment)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("407") == 1
    assert "s3cret" not in done.stderr
    assert len(proxy.heads) < 25


@pytest.mark.parametrize("value", ["proxy.example.com:3128", "socks5://127.0.0.1:1080"])
async def test_a_proxy_without_a_scheme_is_wrong_usage(tmp_path: Path, value: str) -> None:
    async with vendor(tmp_path) as environment:
        done = await command(tmp_path, "balance", **environment, HTTPS_PROXY=value)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"kling-async: HTTPS_PROXY is '{value}'; it takes a URL such as http://" in done.stderr
