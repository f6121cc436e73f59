"""One poll: ask how far a generation is, and do what the answer means."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kling_async.api.protocol import fetch_request, read_generation
from kling_async.api.results import Status
from kling_async.engine import events
from kling_async.engine.steps import Halt, Throttled
from kling_async.errors import (
    AuthenticationError,
    BadRequest,
    DeadlineExceeded,
    GenerationFailed,
    KlingError,
    MalformedResponse,
    NotFound,
    RateLimited,
)
from kling_async.journal.base import State
from kling_async.pacing.backoff import full_jitter

if TYPE_CHECKING:
    from random import Random

    from kling_async.api.results import Generation
    from kling_async.engine.roster import Roster
    from kling_async.engine.steps import Step
    from kling_async.engine.watch import Watch
    from kling_async.pacing.cadence import Polling
    from kling_async.transport.base import Transport

__all__ = ["Poller"]

_logger = logging.getLogger("kling_async.poll")

_REFUSED_GRACE = 60.0  # how long refusals (429) put off the last poll of a job whose deadline has passed, in seconds


class Poller:
    """Asks about generations. One job's trouble stays with that job, unless it is about the account."""

    def __init__(
        self,
        transport: Transport,
        roster: Roster,
        polling: Polling,
        *,
        rng: Random,
    ) -> None:
        self._transport = transport
        self._roster = roster
        self._cadence = polling.cadence()
        self._polling = polling
        self._rng = rng
        self._now = roster.loop.time
        self._unknown_words: set[str] = set()  # statuses warned about already

    def first(self, watch: Watch) -> float:
        """When to ask first: at once about a generation of which nothing but its id is known."""
        now = self._now()
        if watch.record.request is None:
            return now
        return max(now, min(self._cadence.next_poll(watch, now, self._rng), watch.deadline))

    def wait_after(self, failures: int) -> float:
        """How long to wait before a request is tried again that told nothing, after so many like it in a row."""
        return full_jitter(failures, base=self._polling.retry_base, cap=self._polling.retry_cap, rng=self._rng)

    async def poll(self, watch: Watch, begun: float) -> Step:
        """Ask once, at this instant, and see the answer through."""
        record = watch.record
        generation_id = record.generation_id
        assert generation_id is not None  # noqa: S101 - only what was accepted is polled
        try:
            response = await self._transport.send(fetch_request(record.endpoint, generation_id))
            generation = read_generation(response, generation_id)
        except KlingError as error:
            return None if watch.settled else self._unanswered(watch, error, begun)
        if watch.settled:
            return None
        watch.polls += 1
        watch.last_status = generation.raw_status
        if generation.status is Status.COMPLETED and generation.video is None:
            message = f"the vendor calls generation {generation.id} {generation.raw_status!r} and gives no url"
            return self._stumbled(watch, MalformedResponse(message), begun, missing=True)
        if watch.troubled_since is not None:
            watch.recovered()
        watch.polled_at = begun
        watch.status = generation.status
        if self._roster.is_heard:
            self._roster.emit(watch, lambda at, job: events.Polled(at, job, generation.status, watch.polls))
        return (
            self._running(watch, generation, begun)
            if generation.status.is_running
            else await self._ended(watch, generation)
        )

    def _running(self, watch: Watch, generation: Generation, begun: float) -> Step:
        if generation.status is Status.UNKNOWN:
            self._warn_of(generation.raw_status)
        if begun >= watch.deadline:
            return self._expire(watch, f"still {generation.raw_status!r}", None)
        now = self._now()
        return _next(watch, self._cadence.next_poll(watch, now, self._rng), now)

    async def _ended(self, watch: Watch, generation: Generation) -> Step:
        if generation.video is not None:
            await self._roster.finish(watch, State.COMPLETED, video=generation.video)
        else:
            failure = GenerationFailed(f"generation failed: {generation.failure}", reason=generation.reason)
            await self._roster.finish(watch, State.FAILED, error=failure)
        return None

    def _unanswered(self, watch: Watch, error: KlingError, begun: float) -> Step:
        if isinstance(error, RateLimited):
            if begun >= watch.deadline + _REFUSED_GRACE:
                return self._expire(watch, "and every later poll was refused", error)
            return Throttled(error)
        watch.polls += 1
        if isinstance(error, AuthenticationError):
            return Halt(error)
        if isinstance(error, BadRequest):
            self._roster.settle(watch, error)
            return None
        # An id may be unknown for a moment after its submit ("Errors and status codes").
        return self._stumbled(watch, error, begun, missing=isinstance(error, NotFound))

    def _stumbled(self, watch: Watch, error: KlingError, begun: float, *, missing: bool) -> Step:
        """A poll that told nothing: ask again ever later, until the grace or the job's time runs out."""
        failures = watch.stumbled(begun)
        grace = self._polling.not_found_grace
        if watch.missing_for(begun, missing=missing) >= grace and missing:
            self._roster.settle(watch, error)
            return None
        if begun >= watch.deadline:
            return self._expire(watch, "and the last poll told nothing", error)
        now = self._now()
        again_at = _next(watch, now + max(self._polling.min_gap, self.wait_after(failures)), now)
        _logger.debug("job %s: a poll told nothing: %s", watch.record.key, error)
        self._roster.emit(watch, lambda at, job: events.Retrying(at, job, error, again_at))
        return again_at

    def _expire(self, watch: Watch, why: str, cause: KlingError | None) -> Step:
        record = watch.record
        error = DeadlineExceeded(
            f"job {record.key} (generation {record.generation_id}) was not done by its deadline, {why}; "
            "its charge stands, and it can be resumed",
        )
        error.__cause__ = cause
        self._roster.settle(watch, error)
        return None

    def _warn_of(self, word: str) -> None:
        if word not in self._unknown_words:
            self._unknown_words.add(word)
            _logger.warning("the vendor uses a status this library does not know, %r; taken as still running", word)


def _next(watch: Watch, due: float, now: float) -> float:
    # The one poll that must come after the deadline comes right at it.
    return max(now, min(due, watch.deadline))
