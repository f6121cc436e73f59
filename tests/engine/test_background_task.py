"""The background task: started, stopped and interrupted at every point."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from scripted import only_mine
from virtual import virtual

from kling_async.engine.tasks import BackgroundTask

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("silent")


class Main:
    """Takes `opening` and `closing` seconds, and logs how far it came."""

    def __init__(self, opening: float = 0.0, closing: float = 0.0) -> None:
        self.opening = opening
        self.closing = closing
        self.log: list[str] = []

    async def __call__(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        try:
            await asyncio.sleep(self.opening)
            ready()
            self.log.append("ready")
            await stop.wait()
            await asyncio.sleep(self.closing)
            self.log.append("in good order")
        finally:
            self.log.append("over")


@virtual
async def test_start_returns_once_main_is_ready_and_stop_once_it_is_over() -> None:
    main, loop = Main(opening=2.0, closing=3.0), asyncio.get_running_loop()
    runner = BackgroundTask(main)

    await runner.start()
    assert (loop.time(), main.log) == (2.0, ["ready"])
    await runner.stop()

    assert (loop.time(), main.log) == (5.0, ["ready", "in good order", "over"])
    assert only_mine()


@virtual
async def test_what_keeps_main_from_starting_comes_out_of_start() -> None:
    async def main(_ready: Callable[[], None], _stop: asyncio.Event) -> None:
        raise LookupError("no journal")

    runner = BackgroundTask(main)

    with pytest.raises(LookupError, match="no journal"):
        await runner.start()
    await runner.stop()

    assert only_mine()


@virtual
async def test_a_main_that_ends_without_being_ready_has_started() -> None:
    async def main(_ready: Callable[[], None], _stop: asyncio.Event) -> None:
        pass

    await BackgroundTask(main).start()

    assert only_mine()


@virtual
async def test_stop_before_start_returns_at_once() -> None:
    await BackgroundTask(Main()).stop()

    assert only_mine()


@pytest.mark.parametrize("turns", range(6))
@virtual
async def test_cancelled_at_any_point_start_leaves_nothing_running(turns: int) -> None:
    starting = asyncio.create_task(BackgroundTask(Main()).start())
    for _ in range(turns):
        await asyncio.sleep(0)
    in_time = starting.cancel()

    await asyncio.wait({starting})

    assert starting.cancelled() is in_time
    assert only_mine() is in_time


@virtual
async def test_a_failure_while_a_cancelled_start_is_undone_is_not_left_unretrieved() -> None:
    async def main(_ready: Callable[[], None], stop: asyncio.Event) -> None:
        try:
            await stop.wait()
        finally:
            raise OSError("cannot be undone")

    starting = asyncio.create_task(BackgroundTask(main).start())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting


@virtual
async def test_a_cancelled_stop_has_main_end_at_once_and_still_waits_for_it() -> None:
    main, loop = Main(closing=100.0), asyncio.get_running_loop()
    runner = BackgroundTask(main)
    await runner.start()
    stopping = asyncio.create_task(runner.stop())
    loop.call_at(1.0, stopping.cancel)

    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert (loop.time(), main.log) == (1.0, ["ready", "over"])
    assert only_mine()


@virtual
async def test_a_stop_cancelled_again_and_again_cancels_main_once_and_waits_for_its_cleaning_up() -> None:
    cleaned: list[float] = []
    loop = asyncio.get_running_loop()

    async def main(ready: Callable[[], None], stop: asyncio.Event) -> None:
        ready()
        try:
            await stop.wait()
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(5.0)
            cleaned.append(loop.time())

    runner = BackgroundTask(main)
    await runner.start()
    stopping = asyncio.create_task(runner.stop())
    for instant in (1.0, 2.0, 3.0):
        loop.call_at(instant, stopping.cancel)

    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert cleaned == [6.0]


@virtual
async def test_two_may_stop_it_and_one_giving_up_does_not_free_the_other_early() -> None:
    main, loop = Main(closing=4.0), asyncio.get_running_loop()
    runner = BackgroundTask(main)
    await runner.start()
    both = [asyncio.create_task(runner.stop()) for _ in range(2)]

    await asyncio.gather(*both)

    assert loop.time() == 4.0
    assert main.log == ["ready", "in good order", "over"]


@virtual
async def test_cancelling_mains_own_task_frees_who_waits_to_stop_it() -> None:
    main = Main(closing=100.0)
    runner = BackgroundTask(main)
    await runner.start()
    stopping = asyncio.create_task(runner.stop())
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task(), stopping}:
        task.cancel()

    await stopping

    assert main.log == ["ready", "over"]


def test_a_loop_that_ends_right_after_the_start_was_begun_is_not_held_up() -> None:
    async def begin() -> asyncio.Task[None]:
        starting = asyncio.create_task(BackgroundTask(Main()).start())
        await asyncio.sleep(0)
        return starting

    with suppress(asyncio.CancelledError):
        starting = asyncio.run(begin())

    assert starting.cancelled()
