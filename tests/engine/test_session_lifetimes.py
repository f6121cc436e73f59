"""A session entered, left and dropped in every way a program may do so."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from scripted import ScriptedVendor, only_mine, prompt, promptly, session
from virtual import virtual

from kling_async import ConfigurationError, JournalError, KlingSession, MemoryJournal, SessionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from kling_async import Job

pytestmark = pytest.mark.usefixtures("silent")


# Tasks


@virtual
async def test_a_session_may_be_entered_in_one_task_and_left_in_another() -> None:
    kling = session(ScriptedVendor())

    await asyncio.create_task(kling.__aenter__())
    job = kling.submit(prompt())
    await job
    await asyncio.create_task(kling.__aexit__(None, None, None))

    assert job.done()
    assert only_mine()


@virtual
async def test_a_session_outlives_the_task_it_was_entered_in() -> None:
    kling = session(ScriptedVendor())
    await asyncio.create_task(kling.__aenter__())
    gc.collect()

    assert (await kling.submit(prompt())).generation_id == "g1"

    await kling.aclose()


@virtual
async def test_two_sessions_may_be_closed_in_the_order_they_were_opened() -> None:
    first, second = session(ScriptedVendor()), session(ScriptedVendor())
    await first.__aenter__()
    await second.__aenter__()
    early, late = first.submit(prompt()), second.submit(prompt())

    await first.aclose()
    assert isinstance(early.exception(), SessionClosed)
    assert (await late).generation_id == "g1"
    await second.aclose()

    assert only_mine()


@virtual
async def test_sessions_nest() -> None:
    async with session(ScriptedVendor()) as outer, session(ScriptedVendor()) as inner:
        await asyncio.gather(outer.submit(prompt()), inner.submit(prompt()))

    assert only_mine()


@virtual
async def test_an_exit_stack_may_hold_a_session() -> None:
    async with AsyncExitStack() as stack:
        kling = await stack.enter_async_context(session(ScriptedVendor()))
        await kling.submit(prompt())

    assert only_mine()


@virtual
async def test_a_session_is_entered_once() -> None:
    kling = session(ScriptedVendor())
    async with kling:
        with pytest.raises(ConfigurationError, match="entered once"):
            await kling.__aenter__()
        await kling.submit(prompt())
    with pytest.raises(ConfigurationError, match="entered once"):
        await kling.__aenter__()


# Fixtures


@pytest_asyncio.fixture
async def kling() -> AsyncIterator[KlingSession]:
    async with promptly() as kling:
        yield kling
    assert only_mine()


@pytest.mark.asyncio
async def test_an_async_fixture_may_hold_a_session(kling: KlingSession) -> None:
    assert (await kling.submit(prompt())).generation_id == "g1"


@pytest.mark.asyncio
async def test_an_async_fixture_closes_a_session_with_jobs_open(kling: KlingSession) -> None:
    assert kling.submit(prompt()) in kling.pending


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[KlingSession]:
    async with promptly() as kling:
        yield kling


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_module_wide_fixture_serves_one_session_to_many_tests(shared: KlingSession, number: int) -> None:
    video = await shared.submit(prompt(f"number {number}"))

    assert video.url.startswith("https://cdn.example/")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_module_wide_session_is_refused_to_other_loops(shared: KlingSession) -> None:
    async def elsewhere() -> None:
        shared.submit(prompt())

    with pytest.raises(ConfigurationError, match="event loop"):
        await asyncio.to_thread(asyncio.run, elsewhere())


# A web service

KLING = web.AppKey("kling", KlingSession)


async def make(request: web.Request) -> web.Response:
    video = await request.app[KLING].submit(prompt())
    return web.Response(text=video.url)


async def serve(app: web.Application) -> list[str]:
    app.router.add_get("/", make)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with ClientSession() as client:
            answers = await asyncio.gather(*(client.get(f"http://{host}:{port}/") for _ in range(3)))
            return sorted([await answer.text() for answer in answers])
    finally:
        await asyncio.create_task(runner.cleanup())  # a server is often taken down from another task


@pytest.mark.asyncio
async def test_start_up_and_clean_up_hooks_may_hold_a_session() -> None:
    async def start_up(app: web.Application) -> None:
        app[KLING] = await promptly().__aenter__()

    async def clean_up(app: web.Application) -> None:
        await app[KLING].aclose()

    app = web.Application()
    app.on_startup.append(start_up)
    app.on_cleanup.append(clean_up)

    assert await serve(app) == [f"https://cdn.example/g{n}.mp4" for n in (1, 2, 3)]
    assert repr(app[KLING]).endswith("closed>")


@pytest.mark.asyncio
async def test_a_clean_up_context_may_hold_a_session() -> None:
    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        async with promptly() as app[KLING]:
            yield

    app = web.Application()
    app.cleanup_ctx.append(lifetime)

    assert await serve(app) == [f"https://cdn.example/g{n}.mp4" for n in (1, 2, 3)]
    assert repr(app[KLING]).endswith("closed>")


# Async generators


async def jobs_of(kling: KlingSession) -> AsyncGenerator[Job]:
    async with kling:
        for number in range(9):
            yield kling.submit(prompt(f"number {number}"))


@virtual
async def test_a_session_in_a_dropped_async_generator_is_closed() -> None:
    generator = jobs_of(session(ScriptedVendor()))
    job = await anext(generator)

    del generator
    await job.settled()

    assert isinstance(job.exception(), SessionClosed)


def test_a_session_in_an_unfinished_async_generator_is_closed_with_the_loop() -> None:
    kept: list[Any] = []

    @virtual
    async def main() -> None:
        generator = jobs_of(session(ScriptedVendor()))
        kept.extend([generator, await anext(generator)])
        await kept[1].accepted()

    main()

    assert isinstance(kept[1].exception(), SessionClosed)


@virtual
async def test_a_session_in_an_async_generator_collected_as_garbage_is_closed() -> None:
    generator = jobs_of(session(ScriptedVendor()))
    job = await anext(generator)
    cycle: list[object] = [generator]
    cycle.append(cycle)

    del generator, cycle
    gc.collect()
    await job.settled()

    assert isinstance(job.exception(), SessionClosed)


@virtual
async def test_an_async_generator_with_a_session_may_be_closed_from_another_task() -> None:
    generator = jobs_of(session(ScriptedVendor()))
    job = await anext(generator)

    await asyncio.create_task(generator.aclose())

    assert isinstance(job.exception(), SessionClosed)
    assert only_mine()


# Never closed


def test_a_session_that_is_never_closed_ends_with_the_loop() -> None:
    kept: list[Any] = []

    @virtual
    async def main() -> None:
        kling = await session(ScriptedVendor(latency=5.0)).__aenter__()
        pending = kling.submit(prompt())
        await pending.accepted()
        kept.extend([kling, pending, kling.submit(prompt())])
        await asyncio.sleep(1.0)

    main()

    kling, pending, submitting = kept
    assert isinstance(pending.exception(), SessionClosed)
    assert isinstance(submitting.exception(), SessionClosed)
    assert submitting.state.value == "uncertain"
    assert kling.pending == ()


# A task of an anyio group that is cancelled before its first step leaves its coroutine unawaited.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("turns", range(6))
def test_a_loop_that_ends_while_a_session_is_entered_is_not_held_up(turns: int) -> None:
    kept: list[Any] = []

    async def enter() -> None:
        kept.append(asyncio.create_task(promptly().__aenter__()))
        for _ in range(turns):
            await asyncio.sleep(0)

    asyncio.run(enter())

    assert kept[0].done()


@virtual
async def test_a_dropped_session_goes_on_until_the_loop_ends() -> None:
    vendor = ScriptedVendor()
    await session(vendor).__aenter__()
    gc.collect()

    await asyncio.sleep(1.0)

    assert len(asyncio.all_tasks()) > 1


@pytest.mark.asyncio
async def test_debug_mode_finds_nothing_to_complain_about() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 60.0  # seconds: a busy machine is no complaint
    async with promptly() as kling:
        await asyncio.gather(*(kling.submit(prompt()) for _ in range(20)))
        async for job in kling.as_completed(prompt() for _ in range(20)):
            assert job.done()
        kling.submit(prompt())

    assert only_mine()


# Entering that fails


class Reluctant(MemoryJournal):
    """Takes its time to open and to close, and may fail at either."""

    def __init__(self, *, opening: str | None = None, closing: str | None = None) -> None:
        super().__init__()
        self.opening = opening
        self.closing = closing
        self.is_open = False

    async def open(self) -> None:
        await asyncio.sleep(1.0)
        if self.opening is not None:
            raise JournalError(self.opening)
        self.is_open = True

    async def close(self) -> None:
        await asyncio.sleep(1.0)
        self.is_open = False
        if self.closing is not None:
            raise JournalError(self.closing)


@virtual
async def test_what_keeps_a_session_from_starting_comes_out_of_entering_it() -> None:
    kling = session(ScriptedVendor(), journal=Reluctant(opening="in use"))

    with pytest.raises(JournalError, match="in use"):
        async with kling:
            pytest.fail("entered")

    assert only_mine()


@virtual
async def test_a_session_that_could_not_start_takes_no_jobs() -> None:
    kling = session(ScriptedVendor(), journal=Reluctant(opening="in use"))
    with pytest.raises(JournalError):
        await kling.__aenter__()

    with pytest.raises(SessionClosed):
        kling.submit(prompt())
    await kling.drain()
    await kling.aclose()


@virtual
async def test_a_session_takes_no_jobs_before_it_has_started() -> None:
    kling = session(ScriptedVendor(), journal=Reluctant())
    entering = asyncio.create_task(kling.__aenter__())
    await asyncio.sleep(0.5)

    with pytest.raises(SessionClosed):
        kling.submit(prompt())

    await entering
    await kling.submit(prompt())
    await kling.aclose()


async def cancelled_as_it_is_entered(kling: KlingSession, turns: int) -> None:
    """Enter, cancel that so many turns later, and leave if it came too late; assert that no task is left."""
    entering = asyncio.create_task(kling.__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    in_time = entering.cancel()

    await asyncio.wait({entering})
    assert entering.cancelled() is in_time
    if not in_time:
        await kling.aclose()

    assert only_mine()


@pytest.mark.parametrize("turns", range(8))
@virtual
async def test_cancelled_at_any_point_of_entering_nothing_is_left(turns: int) -> None:
    kling = session(ScriptedVendor())
    await cancelled_as_it_is_entered(kling, turns)
    with pytest.raises(SessionClosed):
        kling.submit(prompt())


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.asyncio
async def test_cancelled_at_any_point_of_entering_over_http_nothing_is_left(turns: int) -> None:
    kling = KlingSession("sk-made-up", base_url="http://127.0.0.1:9")
    await cancelled_as_it_is_entered(kling, turns)


@virtual
async def test_cancelled_while_its_journal_opens_a_session_is_closed() -> None:
    kling = session(ScriptedVendor(), journal=Reluctant())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await kling.__aenter__()

    assert only_mine()
    with pytest.raises(SessionClosed):
        kling.submit(prompt())


@virtual
async def test_a_journal_that_cannot_be_closed_comes_out_of_leaving_bare() -> None:
    with pytest.raises(JournalError, match="disk full"):
        async with session(ScriptedVendor(), journal=Reluctant(closing="disk full")) as kling:
            await kling.submit(prompt())

    assert only_mine()


@virtual
async def test_what_the_caller_raised_comes_before_a_journal_that_cannot_be_closed() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with session(ScriptedVendor(), journal=Reluctant(closing="disk full")):
            raise LookupError("mine")

    assert only_mine()


@virtual
async def test_a_journal_is_closed_even_if_leaving_is_cancelled() -> None:
    journal = Reluctant()
    kling = await session(ScriptedVendor(), journal=journal).__aenter__()
    closing = asyncio.create_task(kling.aclose())
    await asyncio.sleep(0)
    closing.cancel()

    await asyncio.wait({closing})

    assert closing.cancelled()
    assert not journal.is_open
    assert only_mine()
