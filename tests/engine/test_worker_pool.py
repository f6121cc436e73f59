"""The pool of workers, at the moments when it is being ended."""

from __future__ import annotations

import asyncio
import math

import pytest
from scripted import ScriptedVendor, running, session
from virtual import virtual

from kling_async import Limits, Polling


@pytest.mark.parametrize("turns", range(20, 60))
def test_leaving_a_busy_session_at_any_turn_of_the_loop_is_quiet(turns: int) -> None:
    @virtual
    async def run() -> None:
        vendor = ScriptedVendor(on_poll=lambda which, _: running(which))
        limits = Limits(requests_per_second=math.inf, max_polls=5)
        async with session(vendor, limits=limits, polling=Polling.fixed(1e-6)) as kling:
            for n in range(20):
                kling.resume(f"g{n}")
            for _ in range(turns):
                await asyncio.sleep(0)

    run()
