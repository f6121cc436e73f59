"""Keeps learned durations in the journal, so that the next session begins with them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from kling_async.errors import ConfigurationError, JournalError
from kling_async.pacing.durations import from_data, to_data

if TYPE_CHECKING:
    from kling_async.journal.base import Journal
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.tracking import DurationLearner
    from kling_async.settings import Polling

_logger = logging.getLogger("kling_async.session")

_SAVE_EVERY = 300.0  # seconds; what a crash loses is soon learned again


class LearnedDurations:
    """Loads the journal's learned durations, unless the caller gave some, and saves them as they are learned."""

    def __init__(
        self, learner: DurationLearner, journal: Journal, polling: Polling, feed: CompletionFeed | None
    ) -> None:
        self._learner = learner
        self._feed = feed
        self._journal = journal
        self._polling = polling
        self._saved: str | None = None  # as the journal has it

    async def load(self) -> None:
        """Load the journal's durations. Data that cannot be read is ignored with a warning, and learned anew."""
        text = None if self._polling.learned is not None else await self._journal.load_learned()
        if text is None:
            return
        try:
            learned: object = json.loads(text)
            self._learner.models = from_data(learned, self._polling.scale)
            lag = self._polling.recording_lag(learned)
            if self._feed is not None and lag is not None:
                self._feed.lag = lag
        except (ConfigurationError, ValueError, RecursionError) as error:
            _logger.warning("the journal's learned durations cannot be read, and are learned anew: %s", error)
        self._saved = text

    async def run(self) -> None:
        """Save every five minutes, until cancelled."""
        while True:
            await asyncio.sleep(_SAVE_EVERY)
            await self.save()

    async def save(self) -> None:
        """Save what was learned, if it has changed. A `JournalError` is logged."""
        data = self.to_data()
        text = json.dumps(data)
        if not data["tables"] or text == self._saved:
            return
        try:
            await self._journal.save_learned(text)
            self._saved = text
        except JournalError as error:
            _logger.warning("learned durations could not be saved: %s", error)

    def to_data(self) -> dict[str, Any]:
        """Return the learned durations, and what was learned of the ledger, as data for ``json.dumps``."""
        data = to_data(self._learner.models)
        return data if self._feed is None else data | {"ledger": self._feed.lag.as_data()}
