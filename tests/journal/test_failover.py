"""A database whose standby takes over, with all that was committed or without the last of it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from pg_cluster import cluster

from kling_async import Reconciliation, TextToVideo, read_journal
from kling_async.journal.open import open_shared
from kling_async.journal.postgres.address import read_url
from kling_async.sandbox import Sandbox
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kling_async import Job, KlingSession

pytestmark = pytest.mark.skipif("KLING_TEST_POSTGRES" in os.environ, reason="that server is not to be killed")

JOBS = 12


@pytest.mark.asyncio
@pytest.mark.parametrize(("synchronous", "lease"), [(True, 1.0), (False, 60.0)])  # which the leader outlives, or not
async def test_what_was_bought_before_a_failover_is_delivered_and_nothing_is_bought_twice(
    *, synchronous: bool, lease: float
) -> None:
    with cluster(synchronous=synchronous) as pair:
        async with Sandbox(speed=100, sigma=0) as sandbox:
            soon = Reconciliation(after=1).at_speed(100)  # what was queued before is looked for, and goes on then
            journals = [open_shared(pair.url, boot_clock, length=lease) for _ in range(2)]
            sessions = [sandbox.session(journal=one, shared=True, reconciliation=soon) for one in journals]
            async with sessions[0], sessions[1]:
                await asyncio.gather(*(job.recorded() for job in submitted(sessions, range(JOBS))))
                if not synchronous:
                    await asyncio.to_thread(pair.part)
                bought = submitted(sessions, range(2 * JOBS))  # the half of them anew
                await asyncio.gather(*(job.accepted() for job in bought))
                await asyncio.to_thread(pair.fail_over)
                later = submitted(sessions, range(2 * JOBS, 3 * JOBS))
                videos = await asyncio.gather(*bought)
                await asyncio.gather(*later)
            records = {record.key: record for record in read_journal(pair.url).records()}
            assert {key: [one.generation_id for one in sold] for key, sold in sandbox.ledger.by_key.items()} == {
                key: [record.generation_id] for key, record in records.items() if record.generation_id is not None
            }
            assert [records[job.key].video for job in bought] == videos


def submitted(sessions: list[KlingSession], numbers: Iterable[int]) -> list[Job]:
    return [sessions[n % 2].submit(TextToVideo(f"take {n}"), key=f"k{n}") for n in numbers]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://ann@one:1,two/db?target_session_attrs=read-write", "postgresql://one:1,two/db"),
        ("postgresql:///db?host=one,two&port=1", "postgresql://one:1,two:1/db"),
        ("postgresql://ann@one,two/db", "postgresql://one,two/db"),
        ("postgresql://ann@one:1,two:2/db", "postgresql://one:1,two:2/db"),
        ("postgresql:///db?host=/one,/two", "postgresql:///db?host=/one,/two"),
    ],
)
def test_a_journal_on_two_hosts_is_called_by_both(url: str, place: str) -> None:
    assert read_url(url).place == place
