"""The check at the end of every fault itself: it finds each broken promise."""

from __future__ import annotations

import asyncio
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import KEY
from invariants import Evidence, uphold
from scripted import prompt, promptly

from kling_async import KlingError, MemoryJournal, Record, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio

PAID: dict[str, Any] = {"request": prompt(), "generation_id": "g-1"}


def telling(message: str) -> KlingError:
    error = KlingError("something went wrong")
    error.__cause__ = ValueError(message)
    return error


BROKEN = {
    "two records": Evidence(records=[Record("k", State.QUEUED), Record("k", State.QUEUED)]),
    "sold and unknown": Evidence(books={"k": [{"g-1"}]}),
    "sold and queued": Evidence(records=[Record("k", State.QUEUED)], books={"k": [{"g-1"}]}),
    "sold and rejected": Evidence(records=[Record("k", State.REJECTED)], books={"k": [{"g-1"}]}),
    "being sent for ever": Evidence(records=[Record("k", State.SUBMITTING)]),
    "another's video": Evidence(records=[Record("k", State.COMPLETED, **PAID)], books={"k": [{"g-2"}]}),
    "bought twice": Evidence(records=[Record("k", State.PENDING, **PAID)], books={"k": [{"g-1"}, {"g-2"}]}),
    "secret in a record": Evidence(records=[Record("k", State.QUEUED, tag=KEY)], secrets=[KEY]),
    "secret in a text": Evidence(texts=[f"Bearer {KEY}"], secrets=[KEY]),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_promise_is_found(what: str) -> None:
    with pytest.raises(AssertionError):
        uphold(BROKEN[what])


async def test_what_the_caller_chose_may_be_bought_again() -> None:
    records = [Record("k", State.PENDING, **PAID)]
    uphold(Evidence(records=records, books={"k": [{"g-1"}, {"g-2"}]}, opted_in={"k"}))


async def test_a_secret_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0" + KEY.encode() + b"\0")
    with pytest.raises(AssertionError):
        uphold(Evidence(folder=tmp_path, secrets=[KEY]))


async def test_a_secret_in_the_log_is_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    uphold(Evidence(log=caplog, secrets=[KEY]))
    caplog.handler.emit(_logged(KEY))
    with pytest.raises(AssertionError):
        uphold(Evidence(log=caplog, secrets=[KEY]))


def _logged(message: str) -> Any:
    import logging  # noqa: PLC0415 - for this alone

    return logging.LogRecord("kling_async.any", logging.DEBUG, __file__, 1, message, None, None)


@pytest.mark.parametrize("spoil", [lambda job: job, lambda job: job.exception().about], ids=["open", "settled"])
async def test_an_open_job_and_a_secret_behind_an_error_are_found(spoil: Callable[[Any], object]) -> None:
    async with promptly(journal=MemoryJournal()) as kling:
        job = kling.submit(prompt())
        with pytest.raises(AssertionError):
            uphold(Evidence(jobs=[job]))
    spoil(job)
    await asyncio.sleep(0)
    job._watch.error = telling(f"Bearer {KEY}")
    with pytest.raises(AssertionError):
        uphold(Evidence(jobs=[job], secrets=[KEY]))


async def test_a_task_that_is_left_is_found() -> None:
    left = asyncio.ensure_future(asyncio.Event().wait())
    with pytest.raises(AssertionError):
        uphold(Evidence())
    left.cancel()
    await asyncio.wait({left})


async def test_a_thread_that_is_left_is_found() -> None:
    stop = Event()
    left = Thread(target=stop.wait, name="kling_async journal of a test")
    left.start()
    with pytest.raises(AssertionError):
        uphold(Evidence())
    stop.set()
    left.join()
