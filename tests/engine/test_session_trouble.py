"""The exceptions that come out of a session when its body, its program or its scheduler fails."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from scripted import ScriptedVendor, only_mine, prompt, session
from virtual import virtual

from kling_async import JobState, KlingSession, SessionClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async import HttpRequest, HttpResponse, Job

pytestmark = pytest.mark.usefixtures("silent")


class Trouble(Exception):
    """The caller's own."""


# The caller's exceptions


@pytest.mark.parametrize(
    "kind", [Trouble, KeyError, asyncio.CancelledError, GeneratorExit, SystemExit, StopAsyncIteration]
)
@virtual
async def test_the_callers_exception_comes_out_as_it_was_raised(kind: type[BaseException]) -> None:
    raised = kind("mine")
    caught = None
    try:
        async with session(ScriptedVendor(latency=5.0)) as kling:
            job = kling.submit(prompt())
            await asyncio.sleep(1.0)
            raise raised
    except kind as error:
        caught = error

    assert caught is raised
    assert caught.__cause__ is caught.__context__ is None
    assert (job.state, type(job.exception())) == (JobState.PENDING, SessionClosed)
    assert only_mine()


@virtual
async def test_a_failed_jobs_error_comes_out_as_awaiting_it_raised_it() -> None:
    with pytest.raises(SessionClosed) as caught:
        async with session(ScriptedVendor()) as kling:
            job = kling.submit(prompt())
            await kling.aclose()
            await job

    assert caught.value is job.exception()


@virtual
async def test_a_callers_group_comes_out_with_just_what_the_caller_put_in() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with session(ScriptedVendor()) as kling, asyncio.TaskGroup() as group:
            group.create_task(kling.submit(prompt()).settled())
            raise Trouble

    assert [type(error) for error in caught.value.exceptions] == [Trouble]
    assert only_mine()


# Interrupts


def test_an_interrupt_in_the_body_comes_out_and_settles_the_jobs() -> None:
    kept: list[Job] = []

    @virtual
    async def main() -> None:
        async with session(ScriptedVendor(latency=5.0)) as kling:
            kept.append(kling.submit(prompt()))
            await asyncio.sleep(1.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        main()

    assert isinstance(kept[0].exception(), SessionClosed)
    assert kept[0].generation_id == "g1"


def test_an_interrupt_that_strikes_while_the_engine_runs_comes_out_and_settles_the_jobs() -> None:
    kept: list[Job] = []

    def strike(_id: str, _number: int) -> None:
        raise KeyboardInterrupt

    @virtual
    async def main() -> None:
        async with session(ScriptedVendor(on_poll=strike)) as kling:
            kept.append(kling.submit(prompt()))
            await kept[0]

    with pytest.raises(KeyboardInterrupt):
        main()

    assert isinstance(kept[0].exception(), SessionClosed)


CHILD = """
import asyncio
from scripted import ScriptedVendor, prompt, promptly

async def main():
    async with promptly(ScriptedVendor(takes=1e9)) as kling:
        jobs = [kling.submit(prompt(), key=f"k{n}") for n in range(3)]
        await asyncio.gather(*(job.accepted() for job in jobs))
        print("ready", flush=True)
        try:
            await asyncio.gather(*jobs)
        finally:
            print("interrupted", flush=True)
            for job in jobs:
                job.add_done_callback(lambda job: print(repr(job), flush=True))

asyncio.run(main(), debug=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send SIGINT to one process")
def test_an_interrupt_from_outside_ends_a_program_quickly_and_with_nothing_but_its_traceback() -> None:
    here = Path(__file__).parents[1]
    paths = os.pathsep.join([str(here), str(here.parent)])
    with subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, "-X", "dev", "-c", CHILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=20)

    assert child.returncode == -signal.SIGINT
    assert output.splitlines() == [
        "interrupted",
        *(f"<Job k{n} pending g{n + 1} {polls(output, n)} settled with SessionClosed>" for n in range(3)),
    ]
    assert errors.rstrip().endswith("KeyboardInterrupt")
    for noise in ("ExceptionGroup", "never retrieved", "destroyed", "never awaited", "Exception ignored"):
        assert noise not in errors


def polls(output: str, number: int) -> str:
    words = next(line for line in output.splitlines() if f" k{number} " in line).split()
    return " ".join(words[4:6])


# Cancel scopes and groups around it


@virtual
async def test_an_anyio_deadline_around_a_session_that_idles_cuts_it_off_cleanly() -> None:
    with anyio.move_on_after(5.0) as scope:
        async with session(ScriptedVendor()) as kling:
            job = kling.submit(prompt())
            await asyncio.Event().wait()

    assert scope.cancelled_caught
    assert isinstance(job.exception(), SessionClosed)
    assert only_mine()


@virtual
async def test_an_anyio_deadline_around_one_await_harms_neither_job_nor_session() -> None:
    async with session(ScriptedVendor(takes=200.0)) as kling:
        job = kling.submit(prompt())
        with pytest.raises(TimeoutError):
            with anyio.fail_after(5.0):
                await job
        assert (await job).generation_id == "g1"


@virtual
async def test_an_anyio_task_group_may_hold_a_session_and_its_waiters() -> None:
    async with anyio.create_task_group() as group, session(ScriptedVendor()) as kling:
        jobs = [kling.submit(prompt()) for _ in range(3)]
        for job in jobs:
            group.start_soon(job.settled)
        await kling.drain()

    assert [job.state for job in jobs] == [JobState.COMPLETED] * 3
    assert only_mine()


@virtual
async def test_a_task_group_may_hold_a_session_and_its_waiters() -> None:
    async with asyncio.TaskGroup() as group, session(ScriptedVendor()) as kling:
        waiting = [group.create_task(kling.submit(prompt()).settled()) for _ in range(3)]

    assert [type(task.result().exception()) for task in waiting] == [SessionClosed] * 3
    assert only_mine()


@virtual
async def test_a_session_in_a_task_of_a_failing_group_is_closed() -> None:
    kept: list[Job] = []

    async def run() -> None:
        async with session(ScriptedVendor()) as kling:
            kept.append(kling.submit(prompt()))
            await kept[0]

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            await asyncio.sleep(1.0)
            raise Trouble

    assert isinstance(kept[0].exception(), SessionClosed)
    assert only_mine()


# A scheduler that crashes


def sabotage(kling: KlingSession, crash: Exception) -> None:
    """Have the scheduler fail the next time it decides anything."""
    assert kling._engine is not None

    def fail(_now: float) -> float:
        raise crash

    scheduler: Any = kling._engine._scheduler
    scheduler._next_start = fail


@pytest.mark.parametrize(
    "wait",
    [lambda job: job, lambda job: job.settled(), lambda _: asyncio.sleep(9.0)],
    ids=["awaits the job", "asks whether it has settled", "sleeps"],
)
@virtual
async def test_a_crash_comes_out_bare_whatever_the_body_does(wait: Callable[[Job], Job]) -> None:
    crash = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError) as caught:
        async with session(ScriptedVendor()) as kling:
            sabotage(kling, crash)
            await wait(kling.submit(prompt()))

    assert caught.value is crash
    assert only_mine()


@virtual
async def test_a_crash_settles_all_jobs_and_fails_later_submits() -> None:
    crash = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        async with session(ScriptedVendor(latency=5.0)) as kling:
            pending = kling.submit(prompt())
            await pending.accepted()
            submitting = kling.submit(prompt())
            await asyncio.sleep(1.0)
            sabotage(kling, crash)
            queued = kling.submit(prompt())
            await queued.settled()
            with pytest.raises(SessionClosed) as refused:
                kling.submit(prompt())
            assert refused.value.__cause__ is crash

    errors = [job.exception() for job in (pending, submitting, queued)]
    assert [type(error) for error in errors] == [SessionClosed] * 3
    assert [error and error.__cause__ for error in errors] == [crash] * 3
    assert (submitting.state, submitting.generation_id) == (JobState.PENDING, "g2")


@virtual
async def test_a_crash_is_logged_even_if_the_body_raises_something_else(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Trouble):
        async with session(ScriptedVendor()) as kling:
            sabotage(kling, ZeroDivisionError("a bug"))
            await kling.submit(prompt()).settled()
            raise Trouble

    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == [
        ("kling_async.session", logging.ERROR, "the scheduler crashed; the session ends"),
    ]
    assert "ZeroDivisionError: a bug" in caplog.text


class Fatal(BaseException):
    """More than an exception, as a test framework's own outcomes are."""


@virtual
async def test_what_no_handler_may_catch_ends_the_session_and_comes_out_bare() -> None:
    def strike(_id: str, _number: int) -> None:
        raise Fatal

    with pytest.raises(Fatal):
        async with session(ScriptedVendor(on_poll=strike)) as kling:
            job = await kling.submit(prompt()).settled()

    assert isinstance(job.exception(), SessionClosed)
    assert only_mine()


@virtual
async def test_a_crash_can_be_printed() -> None:
    crash = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        async with session(ScriptedVendor()) as kling:
            sabotage(kling, crash)
            await kling.submit(prompt())

    assert "a bug" in "".join(traceback.format_exception(crash))


@virtual
async def test_a_crash_comes_out_of_aclose() -> None:
    kling = await session(ScriptedVendor()).__aenter__()
    sabotage(kling, ZeroDivisionError("a bug"))
    job = kling.submit(prompt())

    with pytest.raises(ZeroDivisionError):
        await kling.aclose()

    assert isinstance(job.exception(), SessionClosed)


@virtual
async def test_a_crash_ends_an_iteration_with_the_jobs_it_settled() -> None:
    crash = ZeroDivisionError("a bug")
    came: list[Job] = []
    with pytest.raises(ZeroDivisionError) as caught:
        async with session(ScriptedVendor()) as kling:
            jobs = kling.as_completed([prompt(), prompt()])
            sabotage(kling, crash)
            async for job in jobs:
                came.append(job)

    assert caught.value is crash
    assert [type(job.exception()) for job in came] == [SessionClosed] * len(came)


# A transport that breaks its promise


class Stray:
    """A transport whose exchanges end in a cancellation that nobody asked for, as of a future it shares with others."""

    def __init__(self, vendor: ScriptedVendor, *, strays: Callable[[HttpRequest], bool]) -> None:
        self._vendor = vendor
        self._strays = strays
        self.stream = vendor.stream

    async def send(self, request: HttpRequest) -> HttpResponse:
        if self._strays(request):
            shared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            shared.cancel()
            await shared
        return await self._vendor.send(request)


@virtual
async def test_a_poll_that_is_cancelled_from_inside_settles_its_own_job_alone() -> None:
    vendor = ScriptedVendor()
    transport = Stray(vendor, strays=lambda request: request.target.endswith("=g1"))
    async with session(transport) as kling:
        stray, sound = kling.submit(prompt()), kling.submit(prompt())
        await stray.settled()
        assert (await sound).generation_id == "g2"
        assert (await kling.submit(prompt())).generation_id == "g3"

    error = stray.exception()
    assert error is not None
    assert (stray.state, error.generation_id) == (JobState.PENDING, "g1")


@virtual
async def test_a_submit_that_is_cancelled_from_inside_is_uncertain_and_harms_no_other() -> None:
    vendor = ScriptedVendor()
    posts = itertools.count(1)
    transport = Stray(vendor, strays=lambda request: request.method == "POST" and next(posts) == 1)
    async with session(transport) as kling:
        stray, sound = kling.submit(prompt()), kling.submit(prompt())
        await stray.settled()
        assert (await sound).generation_id == "g1"

    assert stray.state is JobState.UNCERTAIN
    assert stray.exception() is not None
