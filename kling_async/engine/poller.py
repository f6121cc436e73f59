"""Polls one job: ask for its generation's status, and apply the answer."""

from __future__ import annotations

import logging
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import evolve

from kling_async.api.error_responses import is_moderation
from kling_async.api.protocol import fetch_request, read_generation, read_status
from kling_async.api.results import GenerationStatus
from kling_async.engine import events
from kling_async.engine.results import ON, HaltSubmits, RateLimitHit, RetryAt, stops_all
from kling_async.errors import (
    BadRequest,
    DeadlineExceeded,
    GenerationFailed,
    JournalError,
    KlingError,
    MalformedResponse,
    NotFound,
    RateLimited,
)
from kling_async.journal.base import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from kling_async.api.account.billing import Transaction
    from kling_async.api.results import Generation, Video
    from kling_async.engine.completion_feed import LedgerReader
    from kling_async.engine.credit import Confirmation
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.results import RequestResult
    from kling_async.engine.store import JobStore
    from kling_async.journal.base import Choices
    from kling_async.pacing.backoff import Backoff
    from kling_async.pacing.tracking import DurationLearner, GenerationTracker
    from kling_async.settings import Polling
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.poll")

_ENDED = (GenerationStatus.COMPLETED, GenerationStatus.FAILED)
_UNKNOWN = GenerationStatus.UNKNOWN
_REFUSED_GRACE = 60.0  # how long refusals (429) put off the last poll of a job whose deadline has passed, in seconds


class Poller:
    """Polls generations. An error concerns that job alone, unless it is about the account."""

    def __init__(
        self,
        transport: Transport,
        store: JobStore,
        confirmation: Confirmation,
        polling: Polling,
        learner: DurationLearner,
        backoff: Backoff,
        choices: Callable[[str], Choices],
        *,
        ledger: LedgerReader | None,
        rng: Random,
    ) -> None:
        self._transport = transport
        self._store = store
        self._confirmation = confirmation
        self._polling = polling
        self._learner = learner
        self._backoff = backoff
        self._choices = choices  # by key: what the caller chose
        self._ledger = ledger  # told of every end; None without a completion feed
        self._rng = rng
        self._now = store.clock.now
        self._unknown_statuses: set[str] = set()  # those warned about already

    async def poll(self, active: ActiveJob, begun: float) -> RequestResult:
        """Ask once, record the outcome, and return what it asks of the session; it is begun at this instant."""
        record, tracker = active.record, active.tracker
        generation_id = record.generation_id
        assert generation_id is not None and tracker is not None  # noqa: S101, PT018 - only what was begun is polled
        try:
            response = await self._transport.send(fetch_request(record.endpoint, generation_id))
            status, word = read_status(response, generation_id)
            ended = read_generation(response, generation_id) if status in _ENDED else None
        except KlingError as error:
            return None if active.settled else await self._handle_error(active, error, begun)
        if active.settled:
            return None
        active.polls += 1
        active.last_status = word
        if ended is not None and ended.status is GenerationStatus.COMPLETED and ended.video is None:
            tracker.unanswered = True
            message = f"the vendor calls generation {generation_id} {word!r} and gives no url"
            return self._retry(active, MalformedResponse(message), begun, missing=True)
        if active.failures:
            active.clear_failures()
        if ended is not None:
            return await self._ended(active, tracker, ended, begun)
        self._learner.running(tracker, begun, status, self._rng)
        if self._store.bus.is_watched(record.key):
            self._emit_polled(active, status, tracker.forecast(self._now()).median)
        if status is _UNKNOWN:
            self._warn_unknown(active, word)
        return ON if begun < active.deadline else self._expire(active, f"still {word!r}", None)

    def _emit_polled(self, active: ActiveJob, status: GenerationStatus, expected_at: float | None) -> None:
        self._store.emit(active, events.Polled, status=status, polls=active.polls, expected_at=expected_at)

    async def _ended(
        self, active: ActiveJob, tracker: GenerationTracker, generation: Generation, begun: float
    ) -> RequestResult:
        if self._ledger is not None:
            self._ledger.ended(active, begun, completed=generation.video is not None)
        self._learner.ended(tracker, begun)
        self._emit_polled(active, generation.status, None)
        if generation.video is not None:
            await self._store.finish(active, JobState.COMPLETED, video=self._with_charge(generation.video))
            return None
        error = GenerationFailed(
            f"generation failed: {generation.failure}",
            reason=generation.reason,
            moderated=is_moderation(generation.reason),
            charged=generation.is_charged or bool(self._charges(generation.id)),
        )
        spare = self._choices(active.record.key).retries - len(active.record.former_generation_ids)
        if spare > 0 and active.record.request is not None and not (error.moderated or error.charged):
            with suppress(JournalError):  # what cannot be recorded is not bought
                return await self._buy_again(active, error)
        await self._store.finish(active, JobState.FAILED, error=error)
        return None

    async def _buy_again(self, active: ActiveJob, error: GenerationFailed) -> RequestResult:
        fields = active.log_fields  # of the generation that has failed, before the job forgets it
        await self._store.buy_again(active)
        retry_at = self._now() + self._backoff.wait(len(active.record.former_generation_ids) - 1)
        _logger.info("job %s is bought again, as its %s", active.record.key, error, extra=fields)
        self._store.emit(active, events.Retrying, error=error, retry_at=retry_at)
        return RetryAt(retry_at)

    def _charges(self, generation_id: str) -> Sequence[Transaction]:
        return () if self._ledger is None else self._ledger.charges(generation_id)

    def _with_charge(self, video: Video) -> Video:
        """Add what the ledger was seen to have charged, where the answer does not say what it cost."""
        charges = self._charges(video.generation_id)
        if not charges or video.usage.usd_spent is not None:
            return video
        dollars = [charge.usd for charge in charges if charge.usd is not None]
        units = [charge.credits for charge in charges if charge.credits is not None]
        usage = evolve(
            video.usage,
            usd_spent=sum(dollars, Decimal(0)) if dollars else None,
            credits_used=sum(units) if units else video.usage.credits_used,
        )
        return evolve(video, usage=usage)

    async def _handle_error(self, active: ActiveJob, error: KlingError, begun: float) -> RequestResult:
        if active.tracker is not None:
            active.tracker.unanswered = True
        if isinstance(error, RateLimited):
            if begun >= active.deadline + _REFUSED_GRACE:
                return self._expire(active, "and every later poll was refused", error)
            return RateLimitHit(error)
        active.polls += 1
        if stops_all(error):
            if await self._confirmation.confirms(error):
                return HaltSubmits(error)
            if active.settled:
                return None
        if isinstance(error, BadRequest):
            self._store.settle(active, error)
            return None
        # An id may be unknown for a moment after its submit ("Errors and status codes").
        return self._retry(active, error, begun, missing=isinstance(error, NotFound))

    def _retry(self, active: ActiveJob, error: KlingError, begun: float, *, missing: bool) -> RequestResult:
        """Ask again with growing gaps after a poll that failed, until the job's grace or deadline is over."""
        failures = active.count_failure(begun)
        grace = self._polling.not_found_grace
        if active.missing_for(begun, missing=missing) >= grace and missing:
            self._store.settle(active, error)
            return None
        if begun >= active.deadline:
            return self._expire(active, "and the last poll told nothing", error)
        now = self._now()
        # The last poll must come after the deadline, and comes right at it.
        retry_at = max(now, min(now + max(self._polling.min_gap, self._backoff.wait(failures)), active.deadline))
        _logger.debug("job %s: a poll told nothing: %s", active.record.key, error, extra=active.log_fields)
        self._store.emit(active, events.Retrying, error=error, retry_at=retry_at)
        return RetryAt(retry_at)

    def _expire(self, active: ActiveJob, why: str, cause: KlingError | None) -> RequestResult:
        record = active.record
        error = DeadlineExceeded(
            f"job {record.key} (generation {record.generation_id}) was not done by its deadline, {why}; "
            "its charge stands, and it can be resumed",
        )
        error.__cause__ = cause
        self._store.settle(active, error)
        return None

    def _warn_unknown(self, active: ActiveJob, word: str) -> None:
        if word not in self._unknown_statuses:
            self._unknown_statuses.add(word)
            _logger.warning(
                "the vendor uses a status this library does not know, %r; taken as still running",
                word,
                extra=active.log_fields,
            )
