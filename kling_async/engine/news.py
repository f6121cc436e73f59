"""Acts on what members have left for the leader: instructions, and answers that came too late to be written."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from attrs import evolve

from kling_async.engine.identity import may_retry, queued_again
from kling_async.engine.job import active_job, log_fields
from kling_async.journal.base import JobState
from kling_async.journal.token import read_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.engine.queue import JobQueue
    from kling_async.engine.store import JobStore
    from kling_async.journal.base import Record
    from kling_async.journal.shared import Instruction, LateAnswer, TermJournal

_logger = logging.getLogger("kling_async.shared")


async def carry_out(store: JobStore, journal: TermJournal, instruction: Instruction, queue: JobQueue) -> None:
    """Do what a member asks for.

    Raises:
        KlingError: It cannot be done.
    """
    data, record = instruction.data, store.recorded(instruction.key)
    match instruction.kind:
        case "abandon" if record is not None:
            _abandon(store, record)
        case "watch" if record is not None:
            _watch(store, record, data["deadline"])
        case "retry" if record is not None:
            _retry(store, record, data)
        case "attach":
            store.attach(read_token(data["token"]), tag=data["tag"], deadline=_left(store, data["deadline"]))
        case "downloaded":
            await store.downloaded(data["generation_id"], data["path"], data["size"], data["digest"])
        case "resume submissions":
            await _resume_submissions(store, journal, data.get("seen", math.inf), queue)
        case _:
            _logger.warning(
                "there is no job %r to %s", instruction.key, instruction.kind, extra=log_fields(instruction.key, None)
            )


async def _resume_submissions(store: JobStore, journal: TermJournal, seen: float, queue: JobQueue) -> None:
    """End the halt, and submit what is parked, unless the halt has begun after what the member had seen by then."""
    await store.flush()  # so that what the halt has parked until now is numbered
    if queue.halted is not None and not journal.was_seen(queue.halt_number, seen):
        _logger.warning("submits were to be resumed after a halt that is over; the present one goes on")
        return
    journal.trust(seen)
    store.resume_submissions()
    for record in await journal.parked():
        if record.deadline is None or record.deadline > store.clock.wall():
            _watch(store, record, record.deadline)


def _left(store: JobStore, deadline: float | None) -> float | None:
    return None if deadline is None else deadline - store.clock.wall()


def _abandon(store: JobStore, record: Record) -> None:
    if record.state.is_terminal:
        return
    if record.key not in store.open:
        store.watch(record, None)
    store.abandon(store.open[record.key])


def _watch(store: JobStore, record: Record, deadline: float | None) -> None:
    if record.key in store.open:
        store.extend(active_job(store.open[record.key]), _left(store, deadline))
    elif not record.state.is_terminal:
        store.enqueue(store.watch(record, _left(store, deadline)))


def _retry(store: JobStore, record: Record, data: Mapping[str, Any]) -> None:
    """Buy a job again for the failure that a member has seen; one that somebody has retried since is watched on."""
    if not record.state.is_terminal:
        _watch(store, record, data["deadline"])
    elif record.settled_at == data["settled_at"] and may_retry(record, data["which"]):
        store.enqueue(store.watch(queued_again(record), _left(store, data["deadline"])))


def act_on_late(store: JobStore, late: LateAnswer) -> bool | None:
    """Act on a late answer: go on with what it bought, or submit again what bought nothing.

    Returns:
        True once that is done, False if it has to wait, and None if it is a second purchase for its job.
    """
    record = store.recorded(late.key)
    if late.generation_id is None:
        _requeue(store, late, record)
        return True
    if store.has_generation(late.generation_id) or (record and late.generation_id in record.former_generation_ids):
        return True
    if record is not None and record.state is JobState.SUBMITTING:  # it is being sent again, by its caller's choice
        return False
    if record is not None and record.generation_id is None:
        if record.state is JobState.ABANDONED:
            store.note_purchase(record, late.generation_id)
            return True
        if not record.state.is_terminal:
            bought = evolve(
                record, state=JobState.PENDING, generation_id=late.generation_id, accepted_at=record.submitted_at
            )
            store.attach(bought, tag=record.tag, deadline=_left(store, record.deadline))
            return True
    extra = log_fields(late.key, late.generation_id)
    said = "job %s was bought a second time, as generation %s under %s"
    _logger.error(said, late.key, late.generation_id, late.name, extra=extra)
    return None


def _requeue(store: JobStore, late: LateAnswer, record: Record | None) -> None:
    job = store.open.get(late.key)
    if job is None or record is None or record.client_request_id != late.name:
        return
    active = active_job(job)
    if active.record.state is JobState.UNCERTAIN:
        store.update(active, JobState.QUEUED)
        store.enqueue(active)
