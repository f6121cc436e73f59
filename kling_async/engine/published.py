"""Asks for the percentiles of durations that the vendor publishes, which spare a new session some learning."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from kling_async.api.account.usage import metrics_request, read_metrics
from kling_async.api.catalogue.lookup import models

if TYPE_CHECKING:
    from kling_async.engine.limiter import RequestLimiter
    from kling_async.engine.queue import JobQueue
    from kling_async.pacing.tracking import DurationLearner
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.metrics")

_EVERY: Final = 3600.0  # seconds; the vendor measures the last minutes, and a session soon knows better
_MOST: Final = 100  # models that may be asked for at once ("Model Performance Metrics")


class PublishedDurations:
    """Asks once the session's first generation is accepted, and again for one that comes an hour later.

    Nothing waits for the answer, and whatever goes wrong is logged at debug level only.
    """

    def __init__(
        self,
        learner: DurationLearner,
        transport: Transport,
        limiter: RequestLimiter,
        queue: JobQueue,
        *,
        scale: float,
    ) -> None:
        self._learner = learner
        self._transport = transport
        self._limiter = limiter
        self._queue = queue
        self._every = _EVERY / scale

    async def run(self) -> None:
        """Ask whenever it is time, until cancelled."""
        while True:
            await self._queue.accepted.wait()
            try:
                await self._ask()
            except Exception as error:  # noqa: BLE001 - nothing depends on it, so even a mistake must not end the session
                _logger.debug("durations go by what is known already, as none could be read: %s", error)
            await asyncio.sleep(self._every)
            self._queue.accepted.clear()

    async def _ask(self) -> None:
        """Ask about every model that may come, as later ones would otherwise wait for an hour."""
        used = dict.fromkeys(kind.model for kind, _ in self._learner.models)
        names = [*used, *(model.id for model in models() if model.id not in used)][:_MOST]
        await self._limiter.acquire()
        metrics = read_metrics(await self._transport.send(metrics_request(names)))
        self._learner.models.publish(metrics)
