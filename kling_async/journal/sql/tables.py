"""What a kind of database does in a way of its own, so that journals in all of them are one thing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import define, frozen

from kling_async.journal.shared import Entry, Instruction, LateAnswer
from kling_async.journal.sql.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kling_async.errors import KlingError
    from kling_async.journal.base import Choices, Record
    from kling_async.journal.shared import Lease, Token


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """The number of rows that were written."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401 - a row, or None
        """Return the next row."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection to a database; a statement has ``?`` for each value, and ``main.`` before the name of each table."""

    def execute(self, statement: str, given: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""
        ...


@define(eq=False)
class Insertion:
    """A job to be inserted; ``known`` becomes what its caller is to be told: the one that its key had already."""

    record: Record
    row: Row
    choices: Choices
    on_known: Callable[[Entry], object]
    known: Entry | None = None


@define(eq=False)
class Parking:
    """A job to be kept from being worked on; ``change`` becomes the number of the change that tells of it."""

    key: str
    error: KlingError
    change: float = math.inf


@frozen
class Settling:
    """What was acted on, to be dropped, or kept for people alone."""

    item: Instruction | LateAnswer
    keep: bool


@frozen
class Learned:
    """A text to be saved in place of the one before."""

    text: str


@frozen
class Trusting:
    """Nothing is to be looked for any more as commits were lost."""


Own: TypeAlias = Any
"""What a function takes that gets the database's own connection."""

OfMember: TypeAlias = Insertion | Instruction
OfLeader: TypeAlias = Row | Parking | Settling | Learned | Trusting


class Tables(Protocol):
    """The statements that differ between databases; a module has them. ``now`` is by the members' clock."""

    def read_lease(self, connection: Own, now: float, /) -> Lease:
        """Return who leads.

        Raises:
            JournalError: The database is of a newer version by now.
        """
        ...

    def take(self, connection: Own, holder: str, owner: str, now: float, length: float, /) -> Token | None:
        """Take the lease if it is free."""
        ...

    def restored(self, connection: Own, /) -> tuple[float | None, int]:
        """Return when commits were found to be lost, and the number that changes began after then.

        The time is in seconds since the epoch, and None if none were, or if it is trusted.
        """
        ...

    def renew(self, connection: Own, token: Token, now: float, stats: str, /) -> bool:
        """Renew the lease with the account's numbers, if this token has it."""
        ...

    def release(self, connection: Own, token: Token, /, *, crashed: bool) -> None:
        """Let go of the lease, if this token has it."""
        ...

    def see_member(
        self, connection: Own, name: str, owner: str, now: float, limits: str, account: str | None, /
    ) -> None:
        """Take note that a member lives, of its limits, and of the account that it uses, if that is known.

        Raises:
            JournalError: Another one that lives uses another account.
        """
        ...

    def is_due(self, connection: Own, name: str, now: float, /) -> bool:
        """Return whether it is time to note again that a member lives."""
        ...

    def drop_member(self, connection: Own, name: str, /) -> None:
        """Take note that a member has left."""
        ...

    def write_of_member(self, connection: Own, works: Sequence[OfMember], /) -> None:
        """Write what a member may: nothing fences it, as it changes no record."""
        ...

    def write_of_leader(self, connection: Own, token: Token, works: Sequence[OfLeader], /) -> None:
        """Write if this token has the lease, in the order given.

        Raises:
            Fenced: It has not; nothing was written since it lost it.
        """
        ...

    def keep_late(self, connection: Own, answers: Sequence[LateAnswer], /) -> None:
        """Keep late answers; nothing fences them."""
        ...

    def led(self, connection: Own, token: Token, after: int, /) -> tuple[list[Entry], int | None, int]:
        """Return a page of the open jobs that are not parked, in the order they were queued, from after this number on.

        Beside it, the number to go on after, or None at the end; and the number for `inserted` to go on after then.

        Raises:
            Fenced: This token has not the lease.
        """
        ...

    def inserted(self, connection: Own, token: Token, after: int, /) -> tuple[list[Entry], int]:
        """Return jobs that were inserted after the one of this number, and the number to go on after; likewise."""
        ...
