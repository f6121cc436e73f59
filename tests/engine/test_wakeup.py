from __future__ import annotations

import asyncio
from time import time
from typing import Any

import pytest
from virtual import virtual

from kling_async.engine.tasks import Clock, Wakeup, sleep_until


@pytest.mark.parametrize(
    "sleep", [sleep_until, lambda at: Wakeup(Clock(asyncio.get_running_loop(), time)).sleep_until(at)]
)
@virtual
async def test_a_sleeper_cancelled_in_the_turn_in_which_it_would_wake_is_just_cancelled(sleep: Any) -> None:
    loop = asyncio.get_running_loop()
    mistakes: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: mistakes.append(context))
    sleeper = asyncio.create_task(sleep(loop.time() + 5.0))
    loop.call_at(loop.time() + 5.0, sleeper.cancel)  # comes before the timer, which is set once the task begins
    await asyncio.wait([sleeper])
    assert sleeper.cancelled()
    assert mistakes == []
