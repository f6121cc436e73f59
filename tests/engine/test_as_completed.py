"""Jobs in completion order, from sources of every sort, and how such an iteration ends."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from scripted import ScriptedVendor, answer, only_mine, prompt, session
from virtual import virtual

from kling_async import (
    ConfigurationError,
    GenerationFailed,
    InvalidRequest,
    JobState,
    Limits,
    Polling,
    SessionClosed,
    Submission,
    TextToVideo,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kling_async import Job, KlingSession, Request

pytestmark = pytest.mark.usefixtures("silent")

EAGER = Polling.fixed(1)  # asks every second, so jobs settle in the order they finish


def requests(count: int) -> Iterator[Request]:
    return (prompt(f"number {n}") for n in range(count))


async def slowly(count: int, pause: float = 1.0) -> AsyncIterator[Request]:
    for request in requests(count):
        await asyncio.sleep(pause)
        yield request


async def all_of(jobs: AsyncIterator[Job]) -> list[Job]:
    return [job async for job in jobs]


# Sources


class Countdown:
    """An iterator that is no generator."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __iter__(self) -> Countdown:
        return self

    def __next__(self) -> Request:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return prompt()


class AsyncCountdown(Countdown):
    """An async iterator that is no generator, and could be read plainly too."""

    def __aiter__(self) -> AsyncCountdown:
        return self

    async def __anext__(self) -> Request:
        await asyncio.sleep(1.0)
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None


SOURCES: dict[str, Callable[[], Any]] = {
    "list": lambda: list(requests(5)),
    "tuple": lambda: tuple(requests(5)),
    "generator": lambda: requests(5),
    "async generator": lambda: slowly(5),
    "iterator": lambda: Countdown(5),
    "async iterator": lambda: AsyncCountdown(5),
}


@pytest.mark.parametrize("kind", SOURCES)
@virtual
async def test_every_job_of_a_source_comes_out_once(kind: str) -> None:
    async with session(ScriptedVendor()) as kling:
        jobs = await all_of(kling.as_completed(SOURCES[kind]()))

    assert sorted(job.result().generation_id or "" for job in jobs) == ["g1", "g2", "g3", "g4", "g5"]
    assert only_mine()


@pytest.mark.parametrize("source", [[], (), iter(())], ids=["list", "tuple", "iterator"])
@virtual
async def test_an_empty_source_ends_at_once(source: Any) -> None:
    async with session(ScriptedVendor()) as kling:
        assert await all_of(kling.as_completed(source)) == []


@virtual
async def test_jobs_come_out_in_the_order_in_which_they_finish() -> None:
    finished = {"g1": 400.0, "g2": 200.0, "g3": 300.0}
    vendor = ScriptedVendor()
    vendor.on_poll = lambda which, _: None if asyncio.get_running_loop().time() >= finished[which] else PENDING
    async with session(vendor, polling=EAGER) as kling:
        jobs = await all_of(kling.as_completed(requests(3)))

    assert [job.generation_id for job in jobs] == ["g2", "g3", "g1"]


PENDING = answer(200, {"id": "g1", "status": "generating"})


@virtual
async def test_requests_and_jobs_may_be_mixed() -> None:
    async with session(ScriptedVendor()) as kling:
        running = kling.submit(prompt("running"), tag="running")
        over = kling.submit(prompt("over"))
        await over
        jobs = await all_of(kling.as_completed([prompt("new"), running, over]))

    assert set(jobs) > {running, over}
    assert len(jobs) == 3


@virtual
async def test_a_job_given_twice_comes_out_twice() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        assert await all_of(kling.as_completed([job, job])) == [job, job]


@virtual
async def test_failures_come_out_as_jobs_and_harm_no_other() -> None:
    vendor = ScriptedVendor()
    vendor.on_poll = lambda which, _: answer(200, {"id": which, "status": "error"}) if which == "g2" else None
    async with session(vendor) as kling:
        jobs = await all_of(kling.as_completed(requests(3)))

    outcomes = {job.generation_id: type(job.exception()) for job in jobs}
    assert outcomes == {"g1": type(None), "g2": GenerationFailed, "g3": type(None)}


@virtual
async def test_an_invalid_request_comes_out_settled_with_its_error_and_harms_no_other() -> None:
    wrong = prompt(duration=7)
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        jobs = await all_of(kling.as_completed([prompt("a"), wrong, prompt("b")]))

    refused = [job for job in jobs if job.exception() is not None]
    assert len(jobs) == 3
    assert [(job.request, job.state, type(job.exception())) for job in refused] == [
        (wrong, JobState.REJECTED, InvalidRequest),
    ]
    assert vendor.submits == 2


@virtual
async def test_two_iterations_at_once_do_not_disturb_each_other() -> None:
    async with session(ScriptedVendor()) as kling:
        one, other = await asyncio.gather(
            all_of(kling.as_completed(slowly(4))),
            all_of(kling.as_completed(requests(3))),
        )

    assert (len(one), len(other)) == (4, 3)
    assert not set(one) & set(other)


@virtual
async def test_a_source_may_use_the_session_itself() -> None:
    async def chain(kling: KlingSession) -> AsyncIterator[Request]:
        video = await kling.submit(prompt("first"))
        yield prompt(video.url)
        async for job in kling.as_completed(requests(2)):
            yield prompt(job.result().url)

    async with session(ScriptedVendor()) as kling:
        jobs = await all_of(kling.as_completed(chain(kling)))

    assert len(jobs) == 3
    prompts = [job.request.prompt for job in jobs if isinstance(job.request, TextToVideo)]
    assert len(prompts) == 3
    assert set(prompts) <= {f"https://cdn.example/g{n}.mp4" for n in range(1, 5)}
    assert only_mine()


@virtual
async def test_a_source_may_hold_a_session_of_its_own() -> None:
    async def elsewhere() -> AsyncIterator[Request]:
        async with session(ScriptedVendor()) as other:
            async for job in other.as_completed(requests(3)):
                yield prompt(job.result().url)

    async with session(ScriptedVendor()) as kling:
        assert len(await all_of(kling.as_completed(elsewhere()))) == 3
    assert only_mine()


# How far ahead it reads


class Counted:
    """A source that knows how many of its items were drawn and not handed out, and the most there ever were."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.out = 0
        self.most = 0

    def draw(self) -> Iterator[Request]:
        for number in range(self.count):
            self.out += 1
            self.most = max(self.most, self.out)
            yield prompt(f"number {number}")

    async def adraw(self) -> AsyncIterator[Request]:
        for request in self.draw():
            yield request


@pytest.mark.parametrize(("count", "window"), [(1000, 50), (30, 1)])
@virtual
async def test_no_more_are_drawn_ahead_than_allowed(count: int, window: int) -> None:
    source = Counted(count)
    seen = 0
    vendor = ScriptedVendor(takes=0.0)
    async with session(vendor, limits=Limits(requests_per_second=1e6, max_in_flight=window), polling=EAGER) as kling:
        async for _ in kling.as_completed(source.adraw()):
            seen += 1
            source.out -= 1

    assert seen == vendor.submits == count
    assert source.most == window


@pytest.mark.parametrize("window", [1, 3])
@virtual
async def test_a_window_of_its_own_may_be_narrower(window: int) -> None:
    source = Counted(20)
    async with session(ScriptedVendor()) as kling:
        async for _ in kling.as_completed(source.draw(), max_in_flight=window):
            await asyncio.sleep(500.0)  # a slow consumer
            source.out -= 1

    # What is being handled was handed out already, so the next one may have been drawn.
    assert source.most == window + 1


@virtual
async def test_refused_requests_count_until_they_are_handed_out() -> None:
    drawn = 0

    def wrong() -> Iterator[Request]:
        nonlocal drawn
        while True:
            drawn += 1
            yield prompt(duration=7)

    async with session(ScriptedVendor()) as kling, aclosing(kling.as_completed(wrong(), max_in_flight=5)) as jobs:
        await anext(jobs)
        await asyncio.sleep(1.0)

    assert drawn == 6


@virtual
async def test_an_endless_source_may_be_left_at_any_time() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        jobs = kling.as_completed((prompt() for _ in itertools.count()), max_in_flight=10)
        firsts = [await anext(jobs) for _ in range(25)]
        await jobs.aclose()

    assert len(set(firsts)) == 25
    assert vendor.submits <= 35
    assert only_mine()


@virtual
async def test_a_long_list_does_not_keep_the_loop_from_others() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    drawn = 0

    def counted() -> Iterator[Request]:
        nonlocal drawn
        for request in requests(1000):
            drawn += 1
            yield request

    async with session(ScriptedVendor()) as kling:
        task = asyncio.create_task(others())
        jobs = kling.as_completed(counted())
        first = asyncio.ensure_future(anext(jobs))
        while drawn < 1000:
            before = drawn
            await asyncio.sleep(0)
            assert drawn - before <= 32
        task.cancel()
        await first
        await jobs.aclose()


# Trouble with the source


@pytest.mark.parametrize("kind", [LookupError, KeyError, asyncio.CancelledError])
@virtual
async def test_what_a_source_raises_comes_last(kind: type[BaseException]) -> None:
    raised = kind("in the source")

    async def source() -> AsyncIterator[Request]:
        for request in requests(3):
            yield request
        raise raised

    came = []
    caught = None
    async with session(ScriptedVendor()) as kling:
        try:
            async for job in kling.as_completed(source()):
                came.append(job.result().generation_id)
        except kind as error:
            caught = error
        assert (await kling.submit(prompt())).generation_id == "g4"  # and the session goes on

    assert sorted(came) == ["g1", "g2", "g3"]
    assert caught is raised
    assert only_mine()


@virtual
async def test_what_a_plain_source_raises_comes_last() -> None:
    def source() -> Iterator[Request]:
        yield prompt()
        raise LookupError("in the source")

    came = []
    async with session(ScriptedVendor()) as kling:
        with pytest.raises(LookupError, match="in the source"):
            async for job in kling.as_completed(source()):
                came.append(job.generation_id)

    assert came == ["g1"]


@pytest.mark.parametrize("item", [None, "a prompt", {"prompt": "x"}, 7], ids=["None", "str", "dict", "int"])
@virtual
async def test_an_item_that_is_no_request_comes_out_as_a_job_with_its_error(item: Any) -> None:
    async with session(ScriptedVendor()) as kling:
        source = [prompt(), item, Submission(item, tag="mine"), prompt()]
        came = [job async for job in kling.as_completed(source)]

    assert sorted(job.generation_id or "" for job in came) == ["", "", "g1", "g2"]
    wrong = [job for job in came if job.generation_id is None]
    assert [(job.tag, job.request, job.state) for job in wrong] == [
        (None, None, JobState.REJECTED),
        ("mine", None, JobState.REJECTED),
    ]
    for job in wrong:
        with pytest.raises(InvalidRequest, match="request is "):
            job.result()


@virtual
async def test_a_submission_is_submitted_with_what_it_brings_and_what_is_said_beside_it() -> None:
    submission = Submission(prompt(), tag="row", key="k", priority=2, group="ann")
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(submission, tag="mine")
        assert (job.tag, job.key, job.priority, job.group) == ("mine", "k", 2, "ann")
        assert kling.submit(submission) is job


@pytest.mark.parametrize("source", [None, 7, prompt()], ids=["None", "int", "request"])
@virtual
async def test_what_is_no_source_is_refused_at_the_call(source: Any) -> None:
    async with session(ScriptedVendor()) as kling:
        with pytest.raises(InvalidRequest, match="iterable"):
            kling.as_completed(source)


@pytest.mark.parametrize("window", [0, -1, 1.5, True, "5"])
@virtual
async def test_a_window_that_is_none_is_refused_at_the_call(window: Any) -> None:
    async with session(ScriptedVendor()) as kling:
        with pytest.raises(InvalidRequest, match="max_in_flight"):
            kling.as_completed([], max_in_flight=window)


@virtual
async def test_a_source_that_cannot_be_iterated_after_all_says_so() -> None:
    class Broken:
        def __iter__(self) -> Iterator[Request]:
            raise OSError("cannot be read")

    async with session(ScriptedVendor()) as kling:
        with pytest.raises(OSError, match="cannot be read"):
            await all_of(kling.as_completed(Broken()))


@virtual
async def test_trouble_in_closing_a_source_reaches_its_consumer() -> None:
    async def source() -> AsyncIterator[Request]:
        try:
            yield prompt()
        finally:
            raise OSError("cannot be closed")

    async with session(ScriptedVendor()) as kling:
        with pytest.raises(OSError, match="cannot be closed"):
            await all_of(kling.as_completed(source()))


# Leaving early


class Watched:
    """An async source that notes in which task it was read, and in which it was closed."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.read_in: asyncio.Task[Any] | None = None
        self.closed_in: asyncio.Task[Any] | None = None
        self.drawn = 0

    async def draw(self) -> AsyncIterator[Request]:
        try:
            while True:
                self.read_in = asyncio.current_task()
                self.drawn += 1
                yield prompt()
                if self.pause:
                    await asyncio.sleep(self.pause)
        finally:
            await asyncio.sleep(1.0)  # to clean up takes a while
            self.closed_in = asyncio.current_task()

    @property
    def was_closed_properly(self) -> bool:
        return self.closed_in is not None and self.closed_in is self.read_in is not asyncio.current_task()


@pytest.mark.parametrize("pause", [0.0, 1e6], ids=["eager source", "source that waits for ever"])
@virtual
async def test_breaking_out_closes_the_source_and_leaves_no_task(pause: float) -> None:
    source = Watched(pause)
    async with session(ScriptedVendor()) as kling:
        before = asyncio.all_tasks()
        async for _ in kling.as_completed(source.draw(), max_in_flight=3):
            break
        await asyncio.sleep(2.0)

        assert source.was_closed_properly
        assert {task.get_name() for task in asyncio.all_tasks() - before} <= {"kling_async worker"}

    assert only_mine()


@virtual
async def test_breaking_out_and_leaving_the_session_at_once_is_clean_too() -> None:
    source = Watched(1e6)
    async with session(ScriptedVendor()) as kling:
        async for _ in kling.as_completed(source.draw()):
            break

    assert source.was_closed_properly
    assert only_mine()


@virtual
async def test_after_breaking_out_the_jobs_drawn_go_on_and_no_more_are_drawn() -> None:
    source = Counted(1000)
    async with session(ScriptedVendor()) as kling:
        async for _ in kling.as_completed(source.draw(), max_in_flight=5):
            break
        await asyncio.sleep(1.0)
        drawn = source.out
        await kling.drain()

    # Of these one was handed out, which made room for another.
    assert drawn == source.out == 6
    assert kling.stats().completed == 6


@virtual
async def test_an_exception_in_the_body_closes_the_source() -> None:
    source = Watched(1e6)
    async with session(ScriptedVendor()) as kling:
        with pytest.raises(LookupError, match="mine"):
            async for _ in kling.as_completed(source.draw()):
                raise LookupError("mine")
        await asyncio.sleep(2.0)
        assert source.was_closed_properly


@virtual
async def test_aclose_returns_once_the_source_is_closed() -> None:
    source = Watched(1e6)
    async with session(ScriptedVendor()) as kling:
        jobs = kling.as_completed(source.draw())
        await anext(jobs)

        await jobs.aclose()

        assert source.was_closed_properly


@virtual
async def test_cancelling_the_consumer_closes_the_source() -> None:
    source = Watched(1e6)
    async with session(ScriptedVendor()) as kling:
        consumer = asyncio.create_task(all_of(kling.as_completed(source.draw())))
        await asyncio.sleep(1.0)
        consumer.cancel()
        await asyncio.wait({consumer})

        assert consumer.cancelled()
        assert source.was_closed_properly


@virtual
async def test_running_out_of_time_in_the_consumer_closes_the_source() -> None:
    source = Watched(1e6)
    async with session(ScriptedVendor(takes=1e6)) as kling:
        with anyio.move_on_after(1.0) as scope:
            await all_of(kling.as_completed(source.draw()))
        await asyncio.sleep(2.0)

        assert scope.cancelled_caught
        assert source.was_closed_properly


@pytest.mark.parametrize("turns", range(6))
@virtual
async def test_a_consumer_cancelled_at_any_point_leaves_no_task_and_a_source_that_is_closed(turns: int) -> None:
    source = Watched()
    async with session(ScriptedVendor()) as kling:
        consumer = asyncio.create_task(all_of(kling.as_completed(source.draw(), max_in_flight=2)))
        for _ in range(turns):
            await asyncio.sleep(0)
        consumer.cancel()
        await asyncio.wait({consumer})

        assert source.closed_in is source.read_in
        assert source.drawn <= 2
    assert only_mine()


@virtual
async def test_a_consumer_that_leaves_before_the_source_was_read_buys_nothing() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        step = anext(kling.as_completed(requests(9)))
        step.send(None)
        with pytest.raises(asyncio.CancelledError):
            step.throw(asyncio.CancelledError)
        await asyncio.sleep(1.0)

        assert kling.pending == ()
    assert vendor.submits == 0


@virtual
async def test_leaving_does_not_disturb_a_source_that_is_being_closed_already(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned = []

    def broken(*_: object, **__: object) -> Job:
        raise LookupError("which ends the reading")

    async def source(first: Job) -> AsyncIterator[Any]:
        try:
            yield first
            yield prompt()
        finally:
            await asyncio.sleep(5.0)
            cleaned.append("up")

    async with session(ScriptedVendor()) as kling:
        first = await kling.submit(prompt()).settled()
        monkeypatch.setattr(kling, "submit", broken)
        jobs = kling.as_completed(source(first))
        await anext(jobs)
        await asyncio.sleep(1.0)
        await jobs.aclose()

        assert cleaned == ["up"]


@virtual
async def test_leaving_does_not_disturb_a_source_that_is_being_cancelled_already() -> None:
    source = Watched(1e6)
    async with session(ScriptedVendor()) as kling:
        jobs = kling.as_completed(source.draw())
        await anext(jobs)
        assert source.read_in is not None
        source.read_in.cancel()  # as a loop that ends does
        await asyncio.sleep(0.5)
        await jobs.aclose()

        assert source.was_closed_properly


@virtual
async def test_an_iteration_that_is_never_begun_reads_nothing() -> None:
    source = Counted(3)
    async with session(ScriptedVendor()) as kling:
        jobs = kling.as_completed(source.draw())
        await asyncio.sleep(1.0)
        del jobs

    assert source.out == 0
    assert only_mine()


@virtual
async def test_a_source_that_is_slow_to_close_is_given_ten_seconds() -> None:
    async def stubborn() -> AsyncIterator[Request]:
        try:
            yield prompt()
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(1e6)

    loop = asyncio.get_running_loop()
    async with session(ScriptedVendor()) as kling:
        jobs = kling.as_completed(stubborn())
        await anext(jobs)
        begun = loop.time()
        await jobs.aclose()

        assert loop.time() - begun <= 10.0
    assert only_mine()


# The session ends first


@virtual
async def test_closing_hands_out_what_it_settles_and_then_says_that_the_source_was_not_read_to_its_end() -> None:
    source = Watched(1e6)
    came: list[Job] = []

    async def consume(kling: KlingSession) -> None:
        async for job in kling.as_completed(source.draw()):
            came.append(job)

    async with session(ScriptedVendor(takes=1e6)) as kling:
        consumer = asyncio.create_task(consume(kling))
        await asyncio.sleep(1.0)

    with pytest.raises(SessionClosed, match="is closed"):
        await consumer
    assert [type(job.exception()) for job in came] == [SessionClosed]
    assert source.was_closed_properly
    assert asyncio.get_running_loop().time() < 10.0
    assert only_mine()


@virtual
async def test_closing_after_the_source_was_read_to_its_end_ends_the_iteration_as_usual() -> None:
    async with session(ScriptedVendor(takes=1e6)) as kling:
        consumer = asyncio.create_task(all_of(kling.as_completed(requests(3))))
        await asyncio.sleep(1.0)

    assert [type(job.exception()) for job in await consumer] == [SessionClosed] * 3


@virtual
async def test_an_iteration_begun_after_the_close_says_so() -> None:
    async with session(ScriptedVendor()) as kling:
        jobs = kling.as_completed(requests(3))

    with pytest.raises(SessionClosed, match="is closed"):
        await anext(jobs)


@virtual
async def test_an_iteration_left_open_when_its_session_closes_may_be_closed_later() -> None:
    source = Watched()
    async with session(ScriptedVendor()) as kling:
        jobs = kling.as_completed(source.draw(), max_in_flight=2)
        await anext(jobs)

    assert source.was_closed_properly
    await jobs.aclose()
    assert only_mine()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # anyio's, as it never began
@pytest.mark.parametrize("turns", range(6))
def test_a_loop_that_ends_during_an_iteration_is_not_held_up(turns: int) -> None:
    source = Watched()
    kept = []

    @virtual
    async def main() -> None:
        kling = await session(ScriptedVendor()).__aenter__()
        await asyncio.sleep(1.0)
        kept.append(asyncio.create_task(all_of(kling.as_completed(source.draw(), max_in_flight=2))))
        for _ in range(turns):
            await asyncio.sleep(0)

    main()

    assert kept[0].cancelled()
    assert source.closed_in is source.read_in


@virtual
async def test_a_scope_around_the_session_lets_a_source_clean_up() -> None:
    source = Watched(1e6)
    with anyio.move_on_after(5.0):
        async with session(ScriptedVendor(takes=1e6)) as kling:
            await all_of(kling.as_completed(source.draw()))

    assert source.was_closed_properly
    assert asyncio.get_running_loop().time() < 10.0
    assert only_mine()


@virtual
async def test_a_source_cannot_close_the_session_that_reads_it() -> None:
    async def source(kling: KlingSession) -> AsyncIterator[Request]:
        yield prompt()
        await kling.aclose()

    async with session(ScriptedVendor()) as kling:
        jobs = kling.as_completed(source(kling))
        assert (await anext(jobs)).generation_id == "g1"
        with pytest.raises(ConfigurationError, match="source"):
            await anext(jobs)
        assert (await kling.submit(prompt())).generation_id == "g2"
    assert only_mine()
