"""Decides which job a key, a generation or a token stands for, on records alone."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve

from kling_async.errors import GenerationFailed, InvalidRequest
from kling_async.journal.base import JobState, Record

if TYPE_CHECKING:
    from kling_async.api.requests import Request


def new_key() -> str:
    """Return a random key."""
    return secrets.token_hex(12)


def record_of_request(request: Request, *, digest: bytes, key: str | None, tag: object, now: float) -> Record:
    """Return the record of a request that is to be bought; ``now`` is a POSIX timestamp."""
    return Record(
        key=key or new_key(),
        state=JobState.QUEUED,
        request=request,
        digest=digest,
        tag=tag,
        endpoint=request.endpoint,
        queued_at=now,
    )


def record_of_generation(generation_id: str, *, endpoint: str, key: str | None, now: float) -> Record:
    """Return the record of a generation that was bought already, by any program; ``now`` is a POSIX timestamp."""
    return Record(
        key=key or new_key(),
        state=JobState.PENDING,
        endpoint=endpoint,
        generation_id=generation_id,
        queued_at=now,
        accepted_at=now,
    )


def may_retry(record: Record, which: bool | Literal["all"]) -> bool:  # noqa: FBT001 - as for `submit`
    """Return whether a job that ended uncharged, without a video, is to be bought again.

    True: if its generation failed for another reason than its content. ``"all"``: also for that, and if it was refused.
    """
    if record.request is None or not which:
        return False
    if which == "all":
        return record.state in (JobState.FAILED, JobState.REJECTED)
    error = record.error
    return isinstance(error, GenerationFailed) and not (error.moderated or error.charged)


def without_generation(record: Record) -> dict[str, Any]:
    """Return the changes of a record whose generation has failed, so that another can be bought."""
    former = (record.generation_id,) if record.generation_id else ()
    return {
        "generation_id": None,
        "accepted_at": None,
        "former_generation_ids": (*record.former_generation_ids, *former),
    }


def queued_again(record: Record) -> Record:
    """Return the record of a job that ended without a video and is to be bought again."""
    return evolve(record, state=JobState.QUEUED, error=None, settled_at=None, **without_generation(record))


def check_digest(record: Record, digest: bytes) -> None:
    """Refuse a key that stands for another request.

    Raises:
        InvalidRequest: The record has another digest.
    """
    if record.digest != digest:
        raise key_conflict(record.key)


def check_key_of(record: Record, key: str | None) -> None:
    """Refuse a key for a generation that is another key's.

    Raises:
        InvalidRequest: The record has another key.
    """
    if key not in (None, record.key):
        allowed = f"the key {record.key!r}, or none"
        message = f"generation {record.generation_id} is the job {record.key!r} already; allowed: {allowed}"
        raise InvalidRequest(message, field="key", value=record.key, allowed=allowed)


def merged(known: Record | None, record: Record, *, tag: object, now: float) -> Record:
    """Return the record to continue with, given what the journal knows and what a token or an id says.

    A known job without a generation takes that of the record if it was uncertain, or if both are of one request: the
    generation that it was searching for, or that a token of its own says was bought elsewhere.

    Raises:
        InvalidRequest: The key stands for something else here, or is being submitted at this moment.
    """
    if known is None:
        return evolve(record, tag=tag)
    if record.generation_id is None or known.generation_id is not None:
        same = known.generation_id == record.generation_id if record.generation_id else known.digest == record.digest
        if not same:
            raise key_conflict(record.key)
        return known
    same = record.digest == known.digest
    takes_it = known.state is JobState.UNCERTAIN and (same or not record.digest)
    if not takes_it and not (known.state is JobState.QUEUED and same):
        raise key_conflict(record.key)
    accepted_at = record.accepted_at or now
    return evolve(known, state=JobState.PENDING, generation_id=record.generation_id, accepted_at=accepted_at)


def key_conflict(key: str) -> InvalidRequest:
    """Return the error for a key that stands for another request."""
    allowed = "a new key, or the same request again"
    message = f"key {key!r} already stands for another request; allowed: {allowed}"
    return InvalidRequest(message, field="key", value=key, allowed=allowed)
