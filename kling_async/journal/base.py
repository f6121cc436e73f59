"""What is remembered of a job: its states, its record, and the promises every journal keeps."""

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

__all__ = ["JobState", "Journal", "Record"]


class JobState(Enum):
    """Where a generation's life stands. It outlives the process; whether this process still watches is another matter.

    ::

        QUEUED → SUBMITTING → PENDING → COMPLETED | FAILED
        QUEUED → PENDING                        (its caller knows that it was bought already)
                 SUBMITTING → REJECTED
                 SUBMITTING → UNCERTAIN → PENDING
                 SUBMITTING → QUEUED            (provably nothing was bought)
        any but a terminal one → ABANDONED
    """

    QUEUED = "queued"
    """Not sent yet."""
    SUBMITTING = "submitting"
    """Being sent; after a crash, nobody knows whether it was."""
    PENDING = "pending"
    """Accepted and paid for; the vendor's id is known."""
    UNCERTAIN = "uncertain"
    """Sent, without an answer that says what became of it."""
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    """Refused for good, and not charged."""
    ABANDONED = "abandoned"
    """The caller stopped watching."""

    @property
    def is_terminal(self) -> bool:
        """Whether it never changes again."""
        return self in _TERMINAL

    def may_become(self, state: JobState) -> bool:
        """Whether a record in this state may be followed by one in that state."""
        return state in _NEXT[self]


_TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.REJECTED, JobState.ABANDONED})

_NEXT: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.SUBMITTING, JobState.PENDING, JobState.ABANDONED}),
    JobState.SUBMITTING: frozenset(
        {JobState.QUEUED, JobState.PENDING, JobState.UNCERTAIN, JobState.REJECTED, JobState.ABANDONED}
    ),
    JobState.UNCERTAIN: frozenset({JobState.PENDING, JobState.FAILED, JobState.QUEUED, JobState.ABANDONED}),
    JobState.PENDING: frozenset({JobState.COMPLETED, JobState.FAILED, JobState.ABANDONED}),
    **dict.fromkeys(_TERMINAL, frozenset[JobState]()),
}


@frozen(weakref_slot=False)
class Record:
    """All that is known of one job, enough to go on with it without the caller. Never holds the API key.

    Attributes:
        key: The job's identity.
        state: Where its life stands.
        request: What was asked for; None for a generation that was resumed by its id.
        digest: SHA-256 of the canonical wire body, by which a repeated key is told from a misused one.
        tag: The caller's own label.
        endpoint: The path it is submitted to and polled at.
        attempts: How many POSTs were begun for it.
        client_request_id: What the last of them was sent under.
        former_request_ids: What uncertain ones before it were sent under, before the caller had it sent again.
        generation_id: The vendor's id, once known.
        queued_at: Wall-clock time of the first ``submit``, in seconds since the epoch, as are the others.
        submitted_at: When the last POST was begun.
        accepted_at: When the vendor accepted it.
        deadline: When the caller stops waiting, if ever.
        settled_at: When its state became terminal.
        last_status: The vendor's last word on it.
        polls: How many times the vendor was asked about it.
        video: The outcome, if it completed.
        error: The outcome, if it failed or was rejected.
        file: Where its file was downloaded to last.
        file_size: How many bytes that file has.
        file_digest: SHA-256 of that file, in hexadecimal.
    """

    key: str
    state: JobState
    request: Request | None = None
    digest: bytes = b""
    tag: object = None
    endpoint: str = UNIVERSAL
    attempts: int = 0
    client_request_id: str | None = None
    former_request_ids: tuple[str, ...] = ()
    generation_id: str | None = None
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


class Journal(Protocol):
    """Where records are kept. One record per key, one key per generation id; the newest record counts.

    A session holds the records of the jobs it watches, so that no two sessions act for one job: ``claim`` takes hold of
    what is open, ``renew`` keeps hold, ``release`` lets go. A journal of one session at a time holds everything from
    ``open`` to ``close``. One that several share gives out leases, and refuses to commit what its session does not
    hold: a POST comes only after such a commit, so what is bought is bought by one of them.
    """

    @property
    def lease(self) -> float:
        """How long records stay held without ``renew``, in seconds; infinite where nobody else could take them."""
        ...

    async def open(self) -> None:
        """Start.

        Raises:
            JournalError: It cannot be used, or another session owns it; it was left as it was.
        """
        ...

    async def load_open(self) -> Sequence[Record]:
        """Take hold of every record that is not terminal and that nobody holds, in the order they were queued.

        Raises:
            JournalError: They cannot be read.
        """
        ...

    async def renew(self) -> None:
        """Keep hold of what is held, for another lease."""
        ...

    async def release(self, keys: Sequence[str]) -> None:
        """Let go of these records, for another session to claim."""
        ...

    def get(self, key: str) -> Record | None:
        """The newest record under this key, noted ones included.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def find(self, generation_id: str) -> Record | None:
        """The newest record of this generation, noted ones included.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def history(self) -> AsyncIterator[Record]:
        """The newest record of every key, in the order they were queued.

        Raises:
            JournalError: They cannot be read.
        """
        ...

    def append(self, record: Record) -> None:
        """Take a record that may be written later; a crash may lose it.

        Raises:
            InvalidRequest: It holds something that this journal cannot keep, such as a tag that is not JSON.
            JournalError: The journal is not open.
        """
        ...

    async def commit(self, record: Record) -> None:
        """Take a record, and return once a crash cannot lose it, nor any noted or begun to be committed before it.

        So a POST that takes the place of an answered one begins with that answer safe, and a crash leaves no more jobs
        in doubt than POSTs may be under way at once.

        Raises:
            JournalError: It could not be written; ``get`` returns what it returned before.
        """
        ...

    async def flush(self) -> None:
        """Return once a crash cannot lose anything noted until now.

        Raises:
            JournalError: Something could not be written.
        """
        ...

    async def load_learned(self) -> str | None:
        """The text that was last retained, by this session or an earlier one; None if none ever was.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    async def save_learned(self, text: str) -> None:
        """Keep a text, such as what was learned of durations, in place of the one before.

        Raises:
            JournalError: It could not be written; the one before is kept.
        """
        ...

    async def close(self) -> None:
        """Write what was noted, and let go of everything held."""
        ...
