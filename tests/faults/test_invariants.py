"""The check at the end of every fault itself: it finds each broken promise."""

from __future__ import annotations

import asyncio
import logging
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import KEY
from invariants import Evidence, uphold
from scripted import ScriptedVendor, prompt, promptly

from kling_async import ConnectFailed, JobState, Record

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

PAID: dict[str, Any] = {"request": prompt(), "generation_id": "g-1"}


def telling(message: str) -> ConnectFailed:
    error = ConnectFailed("the certificate was refused", tls=True)
    error.__cause__ = ValueError(message)
    return error


BROKEN = {
    "two records": Evidence(records=[Record("k", JobState.QUEUED), Record("k", JobState.QUEUED)]),
    "sold and unknown": Evidence(books={"k": [{"g-1"}]}),
    "sold and queued": Evidence(records=[Record("k", JobState.QUEUED)], books={"k": [{"g-1"}]}),
    "sold and rejected": Evidence(records=[Record("k", JobState.REJECTED)], books={"k": [{"g-1"}]}),
    "being sent for ever": Evidence(records=[Record("k", JobState.SUBMITTING)]),
    "another's video": Evidence(records=[Record("k", JobState.COMPLETED, **PAID)], books={"k": [{"g-2"}]}),
    "bought twice": Evidence(records=[Record("k", JobState.PENDING, **PAID)], books={"k": [{"g-1"}, {"g-2"}]}),
    "secret in a record": Evidence(records=[Record("k", JobState.QUEUED, tag=KEY)], secrets=[KEY]),
    "secret in a text": Evidence(texts=[f"Bearer {KEY}"], secrets=[KEY]),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_promise_is_found(what: str) -> None:
    with pytest.raises(AssertionError):
        uphold(BROKEN[what])


async def test_what_the_caller_chose_may_be_bought_again() -> None:
    records = [Record("k", JobState.PENDING, **PAID)]
    uphold(Evidence(records=records, books={"k": [{"g-1"}, {"g-2"}]}, opted_in={"k"}))


async def test_a_secret_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0" + KEY.encode() + b"\0")
    with pytest.raises(AssertionError):
        uphold(Evidence(folder=tmp_path, secrets=[KEY]))


async def test_a_secret_in_the_log_is_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    uphold(Evidence(log=caplog, secrets=[KEY]))
    logging.getLogger("kling_async.any").debug("sent %s", KEY)
    with pytest.raises(AssertionError):
        uphold(Evidence(log=caplog, secrets=[KEY]))


async def test_an_open_job_is_found() -> None:
    async with promptly(ScriptedVendor(takes=1e9)) as kling:
        job = kling.submit(prompt())
        with pytest.raises(AssertionError, match=r"not settled: .<Job"):
            uphold(Evidence(jobs=[job]))


async def test_a_secret_behind_the_error_of_a_job_is_found() -> None:
    async with promptly(ScriptedVendor(on_submit=lambda _: telling(f"Bearer {KEY}"))) as kling:
        job = await kling.submit(prompt()).settled()
    with pytest.raises(AssertionError, match=KEY):
        uphold(Evidence(jobs=[job], secrets=[KEY]))


async def test_a_task_that_is_left_is_found() -> None:
    left = asyncio.ensure_future(asyncio.Event().wait())
    with pytest.raises(AssertionError, match="still running"):
        uphold(Evidence())
    left.cancel()
    await asyncio.wait({left})


async def test_a_thread_that_is_left_is_found() -> None:
    stop = Event()
    left = Thread(target=stop.wait, name="kling_async journal of a test")
    left.start()
    with pytest.raises(AssertionError, match="still running"):
        uphold(Evidence())
    stop.set()
    left.join()
