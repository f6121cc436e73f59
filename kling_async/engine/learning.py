"""Keeps what a session learns of durations in its journal, so that the next session begins with it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from kling_async.errors import ConfigurationError, JournalError
from kling_async.pacing import durations as keepsake

if TYPE_CHECKING:
    from kling_async.journal.base import Journal
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.tracking import DurationLearner
    from kling_async.settings import Polling

__all__ = ["LearnedDurations"]

_logger = logging.getLogger("kling_async.session")

_EVERY = 300.0  # seconds: what a crash loses of it is soon learned again


class LearnedDurations:
    """Begins with what the journal has, unless the caller brought something; hands back what was learned since."""

    def __init__(
        self, learner: DurationLearner, journal: Journal, polling: Polling, feed: CompletionFeed | None
    ) -> None:
        self._learner = learner
        self._feed = feed
        self._journal = journal
        self._polling = polling
        self._kept: str | None = None  # what the journal has

    async def load(self) -> None:
        """Begin with what the journal has. What cannot be read is passed over: it can be learned anew."""
        text = None if self._polling.learned is not None else await self._journal.load_learned()
        if text is None:
            return
        try:
            learned: object = json.loads(text)
            self._learner.models = keepsake.from_data(learned, self._polling.scale)
            lag = self._polling.recording_lag(learned)
            if self._feed is not None and lag is not None:
                self._feed.lag = lag
        except (ConfigurationError, ValueError, RecursionError) as error:
            _logger.warning("what the journal has of durations is of no use, and is learned anew: %s", error)
        self._kept = text

    async def run(self) -> None:
        """Hand back now and then, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.save()

    async def save(self) -> None:
        """Hand back what was learned, if anything was."""
        data = self.to_data()
        text = json.dumps(data)
        if not data["tables"] or text == self._kept:
            return
        try:
            await self._journal.save_learned(text)
            self._kept = text
        except JournalError as error:
            _logger.warning("what was learned of durations could not be kept: %s", error)

    def to_data(self) -> dict[str, Any]:
        """What is known now, fit for ``json.dumps``."""
        data = keepsake.to_data(self._learner.models)
        return data if self._feed is None else data | {"ledger": self._feed.lag.as_data()}
