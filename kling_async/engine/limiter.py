"""Spaces the requests that are neither submits nor polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.engine.tasks import sleep_until

if TYPE_CHECKING:
    from kling_async.engine.stats import Counters
    from kling_async.engine.tasks import Clock
    from kling_async.pacing.admission import AdmissionControl


class RequestLimiter:
    """Spaces all requests but submits and polls; the scheduler spaces those by the same `AdmissionControl`."""

    def __init__(self, admission: AdmissionControl, counters: Counters, clock: Clock) -> None:
        self._admission = admission
        self._counters = counters
        self._clock = clock

    async def acquire(self) -> None:
        """Wait for a place among the session's requests, and take it; places are given in the order of the calls.

        If this is cancelled while waiting, the place stays unused.
        """
        self._counters.calls += 1
        await sleep_until(self._admission.take(self._clock.now()))
