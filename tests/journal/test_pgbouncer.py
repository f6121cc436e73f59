"""Members behind a PgBouncer that pools transactions."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from pg_bouncer import PgBouncer, needs_pgbouncer
from postgres import own_schema, schema_of, server_url

from kling_async import TextToVideo, read_journal
from kling_async.journal.open import open_shared
from kling_async.sandbox import Sandbox
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Generator

    from kling_async import Job, KlingSession

pytestmark = needs_pgbouncer

JOBS = 20


@contextmanager
def bouncer(*, pool: int = 2, connect_query: str = "") -> Generator[PgBouncer]:
    with own_schema() as url, tempfile.TemporaryDirectory(prefix="kling-") as folder:
        made = PgBouncer(url, Path(folder), pool, connect_query)
        made.start()
        try:
            yield made
        finally:
            made.kill()


def member(sandbox: Sandbox, url: str) -> KlingSession:
    return sandbox.session(journal=open_shared(url, boot_clock, length=2.0), shared=True)


async def delivered(sandbox: Sandbox, jobs: list[Job], url: str) -> None:
    """All have their videos, and each was bought once."""
    ids = {job.key: (await job).generation_id for job in jobs}
    assert {key: [one.generation_id for one in sold] for key, sold in sandbox.ledger.by_key.items()} == {
        key: [generation_id] for key, generation_id in ids.items()
    }
    assert {record.key: record.generation_id for record in read_journal(url).records()} == ids


@pytest.mark.asyncio
async def test_three_members_share_one_connection_and_go_on_after_the_proxy_is_killed() -> None:
    with bouncer(pool=1) as proxy:
        async with Sandbox(speed=300, sigma=0) as sandbox:
            sessions = [member(sandbox, proxy.url) for _ in range(3)]
            async with sessions[0], sessions[1], sessions[2]:
                jobs = [sessions[n % 3].submit(TextToVideo(f"take {n}"), key=f"k{n}") for n in range(JOBS)]
                await jobs[0].accepted()
                proxy.kill()
                jobs += [sessions[n % 3].submit(TextToVideo(f"take {n}"), key=f"k{n}") for n in range(JOBS, 2 * JOBS)]
                await asyncio.sleep(0.1)
                proxy.start()
                await delivered(sandbox, jobs, proxy.url)


@pytest.mark.asyncio
async def test_statements_that_take_too_long_are_said_again() -> None:
    with bouncer(connect_query="SET statement_timeout = 500") as proxy:
        async with Sandbox(speed=300, sigma=0) as sandbox, member(sandbox, proxy.url) as kling:
            await kling.submit(TextToVideo("one"), key="one").accepted()
            with psycopg.connect(server_url()) as other:
                other.execute(f"LOCK TABLE {schema_of(proxy.server)}.jobs".encode())
                jobs = [kling.submit(TextToVideo(f"take {n}"), key=f"k{n}") for n in range(JOBS)]
                await asyncio.sleep(1)
            await delivered(sandbox, [kling.submit(TextToVideo("one"), key="one"), *jobs], proxy.url)
