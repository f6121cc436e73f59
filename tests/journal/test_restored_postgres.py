"""A database that was restored to before submits were recorded: nothing is bought twice, and all becomes known."""

from __future__ import annotations

import asyncio

import pytest
from postgres import execute, own_schema, schema_of

from kling_async import JobState, Reconciliation, TextToVideo, read_journal
from kling_async.journal.open import open_shared
from kling_async.sandbox import Sandbox
from kling_async.session import boot_clock

pytestmark = pytest.mark.asyncio

KEYS = [f"k{number}" for number in range(12)]
SOON = Reconciliation(after=0.5).at_speed(100)


async def test_what_was_bought_before_a_restore_is_found_and_the_rest_is_bought_once() -> None:
    with own_schema() as url:
        schema = schema_of(url)

        def journal() -> object:
            return open_shared(url, boot_clock, length=2.0)

        async with Sandbox(speed=2000, sigma=0) as sandbox:
            async with sandbox.session(journal=journal(), shared=True, hold=True, reconciliation=SOON) as asking:
                for key in KEYS:
                    await asking.submit(TextToVideo(key), key=key).recorded()
                for table in ("jobs", "lease"):
                    execute(url, f"CREATE TABLE {schema}.{table}_then AS SELECT * FROM {schema}.{table}")
                execute(url, f"DELETE FROM {schema}.jobs WHERE key IN ('k10', 'k11')")
                async with sandbox.session(journal=journal(), shared=True, reconciliation=SOON) as kling:
                    await asyncio.gather(*[kling.submit(TextToVideo(key), key=key) for key in KEYS[:10]])
                for table in ("jobs", "lease"):
                    execute(url, f"TRUNCATE {schema}.{table}")
                    execute(url, f"INSERT INTO {schema}.{table} SELECT * FROM {schema}.{table}_then")
                execute(url, f"UPDATE {schema}.lease SET system = 'another 00000002'")
            assert len(sandbox.ledger.purchases) == 10
            async with sandbox.session(journal=journal(), shared=True, reconciliation=SOON) as kling:
                await asyncio.gather(*[kling.submit(TextToVideo(key), key=key) for key in KEYS])
            bought = [(one.client_request_id or "").rpartition(":")[0] for one in sandbox.ledger.purchases.values()]
            assert sorted(bought) == sorted(KEYS)
            ids = {one.generation_id for one in sandbox.ledger.purchases.values()}
        records = list(read_journal(url).records())
        assert {record.state for record in records} == {JobState.COMPLETED}
        assert {record.generation_id for record in records} == ids
