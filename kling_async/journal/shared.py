"""The protocol of a journal that many sessions share: members, their leader, and what they tell each other.

Every session on a shared journal is a *member*. One of them *leads*: it alone sends the account's requests, for as long
as it renews its *lease*. A leader is known by its *token*, new at every taking; each of its writes names the token, and
one that names another token than the lease has now changes nothing. All others insert jobs, leave instructions for
the leader, and watch records change.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal, Protocol

from attrs import asdict, evolve, field, frozen

from kling_async.journal.base import Choices, JobState, Journal, Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping, Sequence

    from kling_async.errors import KlingError

LEASE = 10.0
"""Seconds for which a leader may act without renewing its lease, by default."""


class Fenced(Exception):
    """The lease has another token by now: nothing was written, and nothing will be."""


@frozen
class Token:
    """The right to lead, from one taking of the lease to the next.

    Attributes:
        term: Counts the takings. It alone repeats where a database comes back from a copy.
        holder: Random.
    """

    term: int
    holder: str


@frozen
class Member:
    """A session on the journal, as the others see it.

    Attributes:
        owner: For people: process and host.
        limits: What it brings for the account, as a text that only members read.
    """

    owner: str
    limits: str = ""


@frozen
class Lease:
    """Who leads, as the journal has it.

    Attributes:
        token: Of the last taking.
        owner: Who took it, for people: process and host.
        since: When, by the members' common clock.
        renewed: When it was last renewed.
        length: Seconds for which it is held from then on.
        crashes: How many leaders in a row gave it up because their scheduler crashed.
        members: Those who were there lately.
        stats: The numbers of the whole account when it was last renewed, as a text that only members read.
        lock: The number of the lock that its holder's process has while it lives; 0 if it has none.
        lost_at: When commits were found to be lost, in seconds since the epoch; None if none were, or it is trusted.
    """

    token: Token
    owner: str = ""
    since: float = 0.0
    renewed: float = 0.0
    length: float = LEASE
    crashes: int = 0
    members: Sequence[Member] = ()
    stats: str = ""
    lock: int = 0
    lost_at: float | None = None

    def is_held(self, now: float) -> bool:
        """Return whether somebody leads. A renewal yet to come is of a clock that has begun anew with its machine."""
        return bool(self.token.holder) and self.renewed <= now < self.renewed + self.length

    def without_holder(self, *, is_dead: bool) -> Lease:
        """Return the lease as nobody's, if its holder is dead."""
        return evolve(self, token=Token(self.token.term, "")) if is_dead else self

    def may_be_taken(self, now: float) -> bool:
        """Return whether a member may lead now."""
        return not self.is_held(now) and self.crashes < MOST_CRASHES


MOST_CRASHES = 3
"""Leaders that may crash in a row before nobody leads until somebody releases the lease."""


@frozen
class Entry:
    """A job as the shared journal has it.

    Attributes:
        record: Its record.
        parked: Why nobody works on it, though its generation's life goes on; None if somebody does, or it has ended.
        choices: What its caller chose.
        change: Grows with every change of any job; 0 for one that was not seen by any leader yet.
    """

    record: Record
    parked: KlingError | None = None
    choices: Choices = field(factory=Choices)
    change: int = field(default=0, eq=False)

    @property
    def is_refused(self) -> bool:
        """True for a job that could not be written, or cannot be read: ``parked`` says why, and the record nothing."""
        return self.parked is not None and not self.change


_USUAL = Choices()


def write_choices(choices: Choices) -> str | None:
    """Write what a caller chose as a text; None for the usual."""
    return None if choices == _USUAL else json.dumps(asdict(choices))


def read_choices(text: str | None) -> Choices:
    """Read what `write_choices` wrote, without what a later version may have added."""
    if not text:
        return _USUAL
    chosen = json.loads(text)
    return Choices(**{name: chosen[name] for name in asdict(_USUAL) if name in chosen})


Kind = Literal["abandon", "watch", "attach", "retry", "downloaded", "resume submissions"]


@frozen
class Instruction:
    """What a member wants of the leader. To carry one out twice is the same as once.

    Attributes:
        kind: ``abandon`` a job; ``watch`` one on, parked or not, until a new deadline; ``attach`` a generation that was
            bought elsewhere; ``retry`` a job that ended without a video; take note that a file was ``downloaded``; or
            ``resume submissions`` after a halt; the newest change when it was left, ``seen``, tells after which.
        key: The job's key; empty for all jobs.
        data: More about it, as JSON.
        number: Its place in the journal.
    """

    kind: Kind
    key: str = ""
    data: Mapping[str, Any] = field(factory=dict[str, Any])
    number: int = 0


@frozen
class LateAnswer:
    """What became of a POST whose sender did not lead any more when it got to know.

    Attributes:
        key: The job's key.
        name: The client request id of the POST.
        generation_id: What it bought; None if it is proven that it bought nothing.
        number: Its place in the journal.
    """

    key: str
    name: str
    generation_id: str | None
    number: int = 0


def late_answer(record: Record, *, is_begin: bool = False) -> LateAnswer | None:
    """Return what a record that could not be written says about its last POST; None if it says nothing.

    Args:
        record: The record.
        is_begin: Whether it was to be durable before its POST, which is therefore not sent. It may be written all the
            same, if the answer to an earlier try to write it was lost.
    """
    name = record.client_request_id
    if name is not None and is_begin:
        return LateAnswer(record.key, name, None)
    if name is None or (record.generation_id is None and record.state not in (JobState.QUEUED, JobState.REJECTED)):
        return None
    if record.generation_id is None and name in record.former_request_ids:  # queued again by choice, not by proof
        return None
    return LateAnswer(record.key, name, record.generation_id)


@frozen
class News:
    """What members have left for the leader.

    Attributes:
        entries: Jobs inserted since it last looked.
        instructions: Those not carried out yet, oldest first.
        late: Late answers not acted on yet, oldest first.
    """

    entries: Sequence[Entry] = ()
    instructions: Sequence[Instruction] = ()
    late: Sequence[LateAnswer] = ()


@frozen
class Sharing:
    """How a journal is shared at one moment, for people.

    Attributes:
        lease: Who leads.
        parked: How many open jobs nobody works on, though their generations' lives go on, by the class of error.
        waiting: How many instructions and late answers the leader has not acted on.
        second_purchases: What was bought a second time for its job.
    """

    lease: Lease
    parked: Mapping[str, int]
    waiting: int
    second_purchases: Sequence[LateAnswer]


class TermJournal(Journal, Protocol):
    """The leader's journal, from taking the lease to losing it.

    Once another member has taken the lease, nothing that is appended or committed here changes a record; what it says
    about a POST is kept as a `LateAnswer`. Jobs that are parked are not among those of ``load_open``; to write a job's
    record unparks it.
    """

    @property
    def is_fenced(self) -> bool:
        """True once another member has taken the lease, as far as is known here."""
        ...

    async def news(self) -> News:
        """Return what is new for the leader; jobs are returned once, the rest until `settle`.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def park(self, record: Record, error: KlingError, halt: int = 0) -> None:
        """Keep a job from being worked on by any leader, and tell its watchers why; written like an append.

        ``halt`` is the number of the halt that is the reason; 0 if it is another one.
        """
        ...

    def was_seen(self, halt: int, seen: float) -> bool:
        """Return whether this halt had parked something, if it ever did, by the change of this number."""
        ...

    def settle(self, item: Instruction | LateAnswer, *, keep: bool = False) -> None:
        """Drop what was acted on, or keep it for people alone; written after everything that was appended before."""
        ...

    async def parked(self) -> Sequence[Record]:
        """Return the queued jobs that are parked.

        Raises:
            JournalError: They cannot be read.
        """
        ...

    def choices(self, key: str) -> Choices:
        """Return what the caller chose for an open job."""
        ...

    def keep(self, records: Iterable[Record]) -> None:
        """Write open jobs' records as a whole once more, if commits of this term may be lost; like appends."""
        ...

    def lost_at(self, record: Record) -> float | None:
        """Return when commits were found to be lost that may have told that this job was bought; None if none were.

        It is in seconds since the epoch.
        """
        ...

    def trust(self, seen: float = math.inf) -> None:
        """Take it that nothing was lost, if the change of this number is none of before commits were lost.

        It is written like an append.
        """
        ...


class SharedJournal(Protocol):
    """One member's journal. ``now()`` is the clock that all members share, and leases are judged by."""

    @property
    def lease_length(self) -> float:
        """Seconds for which a leader may act without renewing."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether its members are all of one machine, so that a file's path leads each to the same file."""
        ...

    def now(self) -> float:
        """Return the time by the clock that all members share."""
        ...

    def wall(self) -> float | None:
        """Return the time for records by the database's clock; None if members share that of a machine."""
        ...

    async def open(
        self, on_change: Callable[[], object] = ..., *, limits: str = "", on_free: Callable[[], object] = ...
    ) -> None:
        """Join; ``on_change`` is called on the loop after this member or its term has written, or the journal says so.

        ``limits`` is what this member brings for the account; ``on_free`` is called when the lease is said to be free.

        Raises:
            JournalError: It cannot be used, or a session that shares it with nobody owns it.
        """
        ...

    def leave(self) -> None:
        """Take note that ``close`` follows soon: a database that is silent is not tried again."""
        ...

    async def close(self) -> None:
        """Write what was inserted and instructed, and leave."""
        ...

    # The lease

    async def lease(self) -> Lease:
        """Return who leads, and take note that this member lives.

        Raises:
            JournalError: It cannot be read, or is of a newer version by now. So for all of these.
        """
        ...

    async def take(self) -> Token | None:
        """Take the lease if it is free; None if it is not."""
        ...

    async def renew(self, token: Token, stats: str = "") -> bool:
        """Renew the lease from now on, with the account's numbers; False if another token has it."""
        ...

    async def release(self, token: Token, *, crashed: bool = False) -> None:
        """Let another member take the lease at once, if this token still has it."""
        ...

    def term(self, token: Token, on_fenced: Callable[[], object]) -> TermJournal:
        """Return the journal to lead with under this token."""
        ...

    # Jobs

    def insert(self, record: Record, choices: Choices, on_known: Callable[[Entry], object]) -> None:
        """Insert a queued job soon, unless its key has a job; then ``on_known`` gets that one.

        Raises:
            InvalidRequest: It holds something that this journal cannot keep.
            JournalError: The journal is not open.
        """
        ...

    def instruct(self, instruction: Instruction) -> None:
        """Leave an instruction for the leader, soon, and after everything inserted before.

        Raises:
            InvalidRequest: It has a tag that this journal cannot keep.
            JournalError: The journal is not open.
        """
        ...

    async def flush(self) -> None:
        """Return once a crash cannot lose anything inserted or instructed until now.

        Raises:
            JournalError: Something could not be written; it is tried again.
        """
        ...

    async def changes(self, wanted: Container[str]) -> Sequence[Entry]:
        """Return the jobs under wanted keys that have changed since the last call, or since joining, oldest first.

        Their records come without their requests, which never change.

        Raises:
            JournalError: They cannot be read; the next call returns them.
        """
        ...

    def look(self, key: str, on_found: Callable[[Entry], object]) -> None:
        """Look a job up soon."""
        ...

    def get(self, key: str) -> Entry | None:
        """Return the job under this key at once, blocking the loop for a moment.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def find(self, generation_id: str) -> Entry | None:
        """Return the job of this generation at once, likewise."""
        ...

    def history(self) -> AsyncIterator[Record]:
        """Yield the record of every key, in the order they were queued."""
        ...
