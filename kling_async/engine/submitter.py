"""Submits one job: record that its POST begins, send it once, and apply its answer."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

from kling_async.api.account.billing import Opinion
from kling_async.api.error_responses import without_money
from kling_async.api.protocol import (
    Accepted,
    Blocked,
    Refused,
    TryAgain,
    Uncertain,
    Unreached,
    read_submit,
    submit_failure,
)
from kling_async.engine import events
from kling_async.engine.results import HaltSubmits, RateLimitHit, Requeue, RetryAt
from kling_async.errors import (
    AuthenticationError,
    GatewayError,
    InvalidRequest,
    JournalError,
    OutOfCredits,
    RateLimited,
    SpendLimitReached,
    TransportError,
)
from kling_async.files.uploads import build_submit
from kling_async.journal.base import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.api.messages import HttpRequest
    from kling_async.api.protocol import SubmitAnswer
    from kling_async.engine.budget import Budget
    from kling_async.engine.credit import Confirmation
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.results import RequestResult
    from kling_async.engine.store import JobStore
    from kling_async.errors import APIError, KlingError
    from kling_async.journal.base import Choices
    from kling_async.pacing.absence import PostOrder
    from kling_async.pacing.backoff import Backoff
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.submit")


class Submitter:
    """Buys generations; a job whose POST may have been accepted is never POSTed again here."""

    def __init__(
        self,
        transport: Transport,
        store: JobStore,
        backoff: Backoff,
        confirmation: Confirmation,
        choices: Callable[[str], Choices],
        *,
        order: PostOrder,
        budget: Budget | None,
        leads: Callable[[], bool] | None = None,
    ) -> None:
        self._transport = transport
        self._store = store
        self._backoff = backoff
        self._confirmation = confirmation
        self._choices = choices  # by key: what the caller chose
        self._order = order
        self._budget = budget  # None without a spend limit
        self._clock = store.clock
        self._blocks_in_a_row = 0  # POSTs refused by a gateway in a row, though the vendor can be reached
        self._leads = leads or (lambda: True)  # asked right before a POST; once it says no, none is begun any more
        self._has_ended = False

    def stop(self) -> None:
        """Begin no more POSTs, as the session ends."""
        self._has_ended = True

    @property
    def _stopped(self) -> bool:
        return self._has_ended or not self._leads()

    async def post(self, active: ActiveJob) -> SubmitAnswer | HaltSubmits | None:
        """Send a queued job's POST, once; return its answer, or why nothing was sent, for `conclude`.

        None means that the job has settled or that the session ends. If this is cancelled before the POST is handed to
        the transport, the job stays queued; later, it becomes uncertain.
        """
        record, client_request_id = active.record, f"{active.record.key}:{secrets.token_hex(8)}"
        assert record.request is not None  # noqa: S101 - only what was requested is submitted
        if self._budget is not None and (refusal := await self._budget.reserve(active)) is not None:
            return await self._over_budget(active, refusal)
        try:
            message = await build_submit(record.request, record.endpoint, client_request_id)
        except InvalidRequest as error:  # of a file; once that is usable, the same key can be submitted again
            self._store.settle(active, error)
            return None
        if active.settled or self._stopped or active.record.state is not JobState.QUEUED:
            return None
        try:
            if not await self._begin(active, client_request_id):
                return None
        except JournalError as trouble:
            return HaltSubmits(trouble)
        return await self._post(active, message)

    async def _over_budget(self, active: ActiveJob, refusal: KlingError) -> HaltSubmits | None:
        """Leave the job queued. At the limit submits halt; an unknown price concerns this job alone."""
        if isinstance(refusal, JournalError):
            return HaltSubmits(refusal)
        if isinstance(refusal, SpendLimitReached) and refusal.price_usd is not None:
            return HaltSubmits(refusal)
        if isinstance(refusal, AuthenticationError | GatewayError | OutOfCredits) and (
            await self._confirmation.confirms(refusal)
        ):
            return HaltSubmits(refusal)
        self._store.settle(active, refusal)
        return None

    async def conclude(self, active: ActiveJob, answer: SubmitAnswer | HaltSubmits | None) -> RequestResult:  # noqa: PLR0911 - one per kind of answer
        """Record the outcome of a POST, and return what it asks of the session."""
        if answer is None or isinstance(answer, HaltSubmits):
            return answer
        if active.record.state is JobState.ABANDONED:
            if isinstance(answer, Accepted):
                await self._store.accept(active, answer.generation_id)
            return None
        match answer:
            case Accepted(generation_id):
                return await self._accepted(active, generation_id)
            case TryAgain(error):
                return self._retry(active, error)
            case Refused(error):
                return await self._refused(active, error)
            case Uncertain(error):
                return self._uncertain(active, error)
            case Unreached(error):
                return self._unreached(active, error)
            case Blocked(error):
                return await self._handle_block(active, error)

    async def _begin(self, active: ActiveJob, client_request_id: str) -> bool:
        """Record durably that the POST begins, so that after a crash the job is searched for; return False to stop.

        Raises:
            JournalError: It cannot be recorded, so nothing must be sent.
        """
        attempt = active.record.attempts + 1
        active.begun_at, submitted_at = self._clock.now(), self._clock.wall()
        self._order.begin(submitted_at)
        try:
            await self._store.commit(
                active,
                JobState.SUBMITTING,
                attempts=attempt,
                client_request_id=client_request_id,
                submitted_at=submitted_at,
            )
        except asyncio.CancelledError:
            # The record may have been written, but nothing was sent.
            self._store.restore(active)
            raise
        # Meanwhile it may have settled, been found to be bought already, or not be this session's any more to submit.
        if active.settled or self._stopped or active.record.state is not JobState.SUBMITTING:
            if active.record.state is JobState.SUBMITTING:
                self._store.update(active, JobState.QUEUED)
            return False
        self._store.emit(active, events.Submitted, attempt=attempt)
        return True

    async def _post(self, active: ActiveJob, message: HttpRequest) -> SubmitAnswer:
        try:
            return read_submit(await self._transport.send(message), active.record.client_request_id or "")
        except TransportError as error:
            return submit_failure(error)
        except (Exception, asyncio.CancelledError):  # also an error of the transport's own leaves the outcome unknown
            if active.record.state is JobState.SUBMITTING:
                self._store.update(active, JobState.UNCERTAIN)
            raise

    async def _accepted(self, active: ActiveJob, generation_id: str) -> RequestResult:
        if self._store.has_generation(generation_id):
            message = f"the vendor answered with the id of another job, {generation_id}"
            return self._uncertain(active, TransportError(message))
        active.clear_failures()
        self._blocks_in_a_row = 0
        await self._store.accept(active, generation_id)
        return None

    def _retry(self, active: ActiveJob, error: KlingError) -> RequestResult:
        """Queue a job again that has bought nothing, until ``Timeouts.submission`` is over."""
        self._store.update(active, JobState.QUEUED)
        if isinstance(error, RateLimited):
            return RateLimitHit(error)
        now = self._clock.now()
        failures = active.count_failure(now)
        if active.failing_for(now) >= self._choices(active.record.key).submission:
            self._store.settle(active, error)
            return None
        retry_at = now + self._backoff.wait(failures)
        _logger.log(
            logging.DEBUG if failures else logging.WARNING,
            "job %s could not be submitted and will be tried again: %s",
            active.record.key,
            error,
            extra=active.log_fields,
        )
        self._store.emit(active, events.Retrying, error=error, retry_at=retry_at)
        return RetryAt(retry_at)

    async def _refused(self, active: ActiveJob, error: KlingError) -> RequestResult:
        self._blocks_in_a_row = 0
        if isinstance(error, AuthenticationError | OutOfCredits):
            return await self._refused_by_account(active, error)
        if isinstance(error, TransportError):  # never sent, and would not be next time: TLS said no
            self._store.update(active, JobState.QUEUED)
            self._store.settle(active, error)
            return None
        await self._store.finish(active, JobState.REJECTED, error=error)
        return None

    async def _refused_by_account(self, active: ActiveJob, error: AuthenticationError | OutOfCredits) -> RequestResult:
        """Handle a refusal for which the balance has to say whether it concerns every job; nothing was bought."""
        try:
            opinion = await self._confirmation.opinion(error)
        except asyncio.CancelledError:
            if not active.settled:
                self._store.update(active, JobState.QUEUED)
            raise
        if active.settled:  # abandoned meanwhile
            return HaltSubmits(error) if opinion is Opinion.CONFIRMED else None
        if opinion is Opinion.DENIED and isinstance(error, OutOfCredits):
            await self._refused_alone(active, without_money(error))
            return None
        if opinion is not Opinion.CONFIRMED:
            return self._retry(active, error)
        self._store.update(active, JobState.QUEUED)
        return HaltSubmits(error)

    async def _refused_alone(self, active: ActiveJob, error: APIError) -> None:
        """Settle a job refused by itself: queued if it costs more than is left, rejected if it is not allowed."""
        if isinstance(error, OutOfCredits):
            self._store.update(active, JobState.QUEUED)
            self._store.settle(active, error)
        else:
            await self._store.finish(active, JobState.REJECTED, error=error)

    def _unreached(self, active: ActiveJob, error: GatewayError) -> HaltSubmits:
        """Halt submits, as the vendor cannot be reached: nothing was bought, and no other POST is tried."""
        self._store.update(active, JobState.QUEUED)
        return HaltSubmits(error)

    async def _handle_block(self, active: ActiveJob, error: GatewayError) -> RequestResult:
        """Handle a gateway's refusal of a POST.

        If the gateway refuses the balance as well, nothing gets through: submits halt, nothing was bought. Otherwise
        the job is uncertain, and it concerns this job alone until the next POST is refused as well.
        """
        self._store.update(active, JobState.UNCERTAIN)  # in case the session ends before the balance is known
        confirmed = await self._confirmation.confirms(error)
        if active.settled:
            return HaltSubmits(error) if confirmed else None
        if confirmed:
            return self._unreached(active, error)
        self._blocks_in_a_row += 1
        self._set_cause(active, error)
        return HaltSubmits(error) if self._blocks_in_a_row > 1 else Requeue.ON

    def _uncertain(self, active: ActiveJob, error: KlingError) -> RequestResult:
        self._store.update(active, JobState.UNCERTAIN)
        self._set_cause(active, error)
        return Requeue.ON

    def _set_cause(self, active: ActiveJob, error: KlingError) -> None:
        _logger.warning(
            "job %s may have been bought, and is searched for in the log: %s",
            active.record.key,
            error,
            extra=active.log_fields,
        )
        active.trouble.uncertain_cause = error
