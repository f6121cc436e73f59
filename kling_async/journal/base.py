"""A job's states, its record, and the protocol of journals."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from kling_async.api.protocol import UNIVERSAL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from kling_async.api.requests import Request
    from kling_async.api.results import Video
    from kling_async.errors import KlingError


class JobState(Enum):
    """The state of a job, which outlives the process that began it.

    ::

        QUEUED → SUBMITTING → PENDING → COMPLETED | FAILED
        QUEUED → PENDING | FAILED               (it was bought already: its caller knows that, or the account's log)
        PENDING → QUEUED                        (its generation failed, uncharged, and `Retry` buys another)
                 SUBMITTING → REJECTED
                 SUBMITTING → UNCERTAIN → PENDING
                 SUBMITTING → QUEUED            (provably nothing was bought)
        any but a terminal one → ABANDONED
        FAILED | REJECTED → QUEUED              (only by ``submit(retry_failed=...)``)
    """

    QUEUED = "queued"
    """Not sent yet."""
    SUBMITTING = "submitting"
    """Being sent; after a crash it is unknown whether it was."""
    PENDING = "pending"
    """Accepted and paid for; the vendor's id is known."""
    UNCERTAIN = "uncertain"
    """Sent, without an answer that says what became of it."""
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    """Refused for good, and not charged."""
    ABANDONED = "abandoned"
    """Given up by the caller."""

    @property
    def is_terminal(self) -> bool:
        """True for the states that no other follows."""
        return self in _TERMINAL

    def may_become(self, state: JobState) -> bool:
        """Return whether a record in this state may be followed by one in that state."""
        return state in _NEXT[self]


_TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.REJECTED, JobState.ABANDONED})

_NEXT: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.SUBMITTING, JobState.PENDING, JobState.FAILED, JobState.ABANDONED}),
    JobState.SUBMITTING: frozenset(
        {JobState.QUEUED, JobState.PENDING, JobState.UNCERTAIN, JobState.REJECTED, JobState.ABANDONED}
    ),
    JobState.UNCERTAIN: frozenset({JobState.PENDING, JobState.FAILED, JobState.QUEUED, JobState.ABANDONED}),
    JobState.PENDING: frozenset({JobState.COMPLETED, JobState.FAILED, JobState.QUEUED, JobState.ABANDONED}),
    **dict.fromkeys(_TERMINAL, frozenset[JobState]()),
}


@frozen(weakref_slot=False)
class Record:
    """All that is known of one job, enough to go on with it without the caller. Never holds the API key.

    Attributes:
        key: The job's identity.
        state: Its state.
        request: The request; None for a generation that was resumed by its id.
        digest: SHA-256 of the canonical wire body, by which a repeated key is told from a misused one.
        tag: The caller's own label.
        priority: The priority of its line.
        group: The group of its line.
        endpoint: The path it is submitted to and polled at.
        attempts: The number of POSTs that were begun for it.
        client_request_id: The ``X-Client-Request-Id`` of the last of them.
        former_request_ids: Those of earlier, uncertain ones, from before the caller had the job sent again.
        generation_id: The vendor's id, once known.
        former_generation_ids: Those of earlier generations, which failed before it was bought again.
        queued_at: Wall-clock time of the first ``submit``, in seconds since the epoch, as are the others.
        submitted_at: The time the last POST was begun.
        accepted_at: The time the vendor accepted it.
        deadline: The time the caller stops waiting; None for never.
        settled_at: The time its state became terminal.
        last_status: The last status the vendor gave.
        polls: The number of polls that were answered.
        video: The outcome, if it completed.
        error: The outcome, if it failed or was rejected.
        file: The path of its latest download, recorded just before the file has its name.
        file_size: The size of that file, in bytes.
        file_digest: SHA-256 of that file, in hexadecimal.
    """

    key: str
    state: JobState
    request: Request | None = None
    digest: bytes = b""
    tag: object = None
    priority: int = 0
    group: str | None = None
    endpoint: str = UNIVERSAL
    attempts: int = 0
    client_request_id: str | None = None
    former_request_ids: tuple[str, ...] = ()
    generation_id: str | None = None
    former_generation_ids: tuple[str, ...] = ()
    queued_at: float = 0.0
    submitted_at: float | None = None
    accepted_at: float | None = None
    deadline: float | None = None
    settled_at: float | None = None
    last_status: str | None = None
    polls: int = field(default=0)
    video: Video | None = None
    error: KlingError | None = None
    file: str | None = None
    file_size: int | None = None
    file_digest: str | None = None


@frozen
class Choices:
    """The caller's choices for one job, which every session that acts for it keeps to. The defaults are the settings'.

    Attributes:
        resubmits: How often it may be sent again once the log proves that it was not bought.
        after: The seconds after which the log may prove it; None for what the model's durations suggest.
        retries: How many more generations are bought after its first one has failed, uncharged.
        generation: The seconds for which its generation is watched, from acceptance.
        submission: The seconds for which its submit is tried again while nothing is bought.
    """

    resubmits: int = 0
    after: float | None = None
    retries: int = 0
    generation: float = 3600.0
    submission: float = 900.0


class Journal(Protocol):
    """The storage of records. One record per key, one key per generation id; the newest record counts.

    One session at a time owns it, from ``open`` to ``close``, so that no two sessions act for one job.
    """

    async def open(self) -> None:
        """Open it for this session.

        Raises:
            JournalError: It cannot be used, or another session owns it; it was left as it was.
        """
        ...

    async def load_open(self) -> Sequence[Record]:
        """Return every record that is not terminal, in the order they were queued.

        Raises:
            JournalError: They cannot be read.
        """
        ...

    def get(self, key: str) -> Record | None:
        """Return the newest record under this key, appended ones included; None if there is none.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def find(self, generation_id: str) -> Record | None:
        """Return the newest record of this generation, appended ones included; None if there is none.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def history(self) -> AsyncIterator[Record]:
        """Return the newest record of every key, in the order they were queued.

        Raises:
            JournalError: They cannot be read.
        """
        ...

    def append(self, record: Record) -> None:
        """Take a record to be written soon, which a crash may lose until then.

        Raises:
            InvalidRequest: It holds something that this journal cannot keep, such as a tag that is not JSON.
            JournalError: The journal is not open.
        """
        ...

    async def commit(self, record: Record) -> None:
        """Write a record, and return once a crash cannot lose it, nor any appended or being committed before it.

        So the answer to a POST is safe before the next POST in its place begins, and a crash leaves no more jobs
        uncertain than POSTs may be under way at once.

        Raises:
            JournalError: It could not be written; ``get`` returns what it returned before.
        """
        ...

    async def flush(self) -> None:
        """Return once a crash cannot lose anything appended until now.

        Raises:
            JournalError: Something could not be written.
        """
        ...

    async def load_learned(self) -> str | None:
        """Return the text that was last saved, by this session or an earlier one; None if none ever was.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    async def save_learned(self, text: str) -> None:
        """Save a text, such as the learned durations as JSON, in place of the one before.

        Raises:
            JournalError: It could not be written; the one before stays.
        """
        ...

    async def close(self) -> None:
        """Write what was appended, and let another session open it."""
        ...
