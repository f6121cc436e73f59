"""A session with a journal on disk, against the sandbox: left in the middle, opened again, read by others."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from kling_async import JobState, JournalError, SessionClosed, TextToVideo, read_journal
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


async def test_a_batch_left_in_the_middle_is_finished_by_the_next_session(tmp_path: Path) -> None:
    path = tmp_path / "batch.db"
    async with Sandbox(speed=600) as sandbox:
        async with sandbox.session(journal=path) as first:
            jobs = [first.submit(TextToVideo(f"take {n}"), key=f"k{n}", tag={"row": n}) for n in range(12)]
            file = await first.download(jobs[3], into=tmp_path)
        left_open = [job for job in jobs if isinstance(job.exception(), SessionClosed)]
        async with sandbox.session(journal=path) as second:
            assert {job.key for job in second.pending} == {job.key for job in left_open}
            await asyncio.gather(*second.pending)
            again = second.submit(TextToVideo("take 3"), key="k3")
            assert await again == await jobs[3]
            records = [record async for record in second.history()]
        assert [(record.key, record.tag, record.state) for record in records] == [
            (f"k{n}", {"row": n}, JobState.COMPLETED) for n in range(12)
        ]
        assert len(sandbox.ledger.purchases) == 12
    kept = records[3]
    assert (kept.file, kept.file_size) == (str(file), file.stat().st_size)
    assert kept.file_digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert sandbox.api_key.encode() not in path.read_bytes()


async def test_others_read_while_one_session_owns_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "batch.db"
    async with Sandbox(speed=2000) as sandbox, sandbox.session(journal=str(path)) as kling:
        job = await kling.submit(TextToVideo("a fox"), key="k").recorded()
        assert read_journal(path).counts().total() == 1
        other = sandbox.session(journal=path)
        with pytest.raises(JournalError, match="own"):
            await other.__aenter__()
        await job
        await job.recorded()
        (record,) = read_journal(path).records()
        assert (record.key, record.state, record.generation_id) == ("k", JobState.COMPLETED, job.generation_id)


async def test_what_a_session_learned_of_durations_is_known_to_the_next(tmp_path: Path) -> None:
    async with Sandbox(speed=2000, seed=3) as sandbox:
        async with sandbox.session(journal=tmp_path / "batch.db") as kling:
            await asyncio.gather(*(kling.submit(TextToVideo(f"take {n}", duration=5)) for n in range(5)))
            [before] = kling.stats().learned
        async with sandbox.session(journal=tmp_path / "batch.db") as kling:
            [after] = kling.stats().learned
    assert (after.model, after.duration) == (before.model, before.duration)
    assert after.generations == pytest.approx(before.generations, rel=1e-4)
    assert before.generations > 3
