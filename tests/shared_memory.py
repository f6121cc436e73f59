"""A shared journal in memory, in virtual time: a database that members of one process share, and what may befall it."""

from __future__ import annotations

import asyncio
import copy
import math
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from kling_async.errors import JournalError
from kling_async.journal.base import Choices, JobState
from kling_async.journal.memory import MemoryJournal
from kling_async.journal.shared import LEASE, Entry, Instruction, LateAnswer, Lease, Member, News, Token, late_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Container, Iterable, Sequence

    from kling_async.errors import KlingError
    from kling_async.journal.base import Record


@define
class Row:
    entry: Entry
    number: int
    change: int


@define
class Database:
    """The rows; ``delay`` is what a leader's write takes, in seconds."""

    rows: dict[str, Row] = field(factory=dict)
    lease: Lease = field(factory=lambda: Lease(Token(0, "")))
    instructions: list[Instruction] = field(factory=list)
    late: list[LateAnswer] = field(factory=list)
    delay: float = 0.0
    renewal: float = 0.0  # what renewing the lease takes, in seconds
    away: bool = False
    unanswered: int = 0  # nothing here loses an answer
    is_local: bool = True
    count: int = 0
    limits: dict[int, str] = field(factory=dict)
    kept: list[Instruction | LateAnswer] = field(factory=list)
    restored_at: float | None = None

    def next(self) -> int:
        self.count += 1
        return self.count

    def member(self, length: float = LEASE) -> SharedMemory:
        return SharedMemory(self, length)

    def check(self) -> None:
        if self.away:
            raise JournalError("the database is away")

    def put(self, record: Record) -> None:
        row = self.rows.get(record.key)
        number = self.next()
        if row is None:
            self.rows[record.key] = Row(Entry(record, change=number), number, number)
        else:
            row.entry, row.change = evolve(row.entry, record=record, parked=None, change=number), number

    def park(self, key: str, error: KlingError) -> None:
        row = self.rows[key]
        if not row.entry.record.state.is_terminal:
            number = self.next()
            row.entry, row.change = evolve(row.entry, parked=error, change=number), number

    def settle(self, item: Instruction | LateAnswer) -> None:
        self.instructions = [one for one in self.instructions if one.number != item.number]
        self.late = [one for one in self.late if one.number != item.number]

    def steal(self) -> None:
        """Free the lease, of which its holder hears nothing."""
        self.lease = Lease(Token(self.lease.token.term, ""))

    def close(self) -> None:
        """There is nothing to remove."""

    def snapshot(self) -> Database:
        return copy.deepcopy(self)

    @property
    def owners(self) -> list[str]:
        return [f"member {number}" for number in self.limits]

    @property
    def records(self) -> list[Record]:
        return [row.entry.record for row in self.rows.values()]


class SharedMemory:
    """One member."""

    def __init__(self, database: Database, length: float) -> None:
        self.database = database
        self.lease_length = length
        self._place = 0
        self.skew = 0.0
        self.is_local = database.is_local

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self.skew

    def wall(self) -> None:
        """By this machine's clock."""

    async def open(
        self,
        on_change: Callable[[], object] = lambda: None,
        *,
        limits: str = "",
        on_free: Callable[[], object] = lambda: None,  # noqa: ARG002 - nobody is told
    ) -> None:
        self._on_change = on_change
        self.database.limits[id(self)] = limits
        self._place = self.database.count

    def leave(self) -> None:
        """It is never silent."""

    async def close(self) -> None:
        self.database.limits.pop(id(self), None)

    async def lease(self) -> Lease:
        self.database.check()
        members = [Member(*said) for said in zip(self.database.owners, self.database.limits.values(), strict=True)]
        return evolve(self.database.lease, members=members, lost_at=self.database.restored_at)

    async def take(self) -> Token | None:
        self.database.check()
        lease, now = self.database.lease, self.now()
        if not lease.may_be_taken(now):
            return None
        token = Token(lease.token.term + 1, f"{id(self)}-{self.database.next()}")
        self.database.lease = evolve(lease, token=token, since=now, renewed=now, length=self.lease_length, stats="")
        return token

    async def renew(self, token: Token, stats: str = "") -> bool:
        await asyncio.sleep(self.database.renewal)
        self.database.check()
        if self.database.lease.token != token:
            return False
        self.database.lease = evolve(self.database.lease, renewed=self.now(), stats=stats)
        return True

    async def release(self, token: Token, *, crashed: bool = False) -> None:
        self.database.check()
        lease = self.database.lease
        if lease.token == token:
            crashes = lease.crashes + 1 if crashed else 0
            self.database.lease = evolve(lease, token=Token(token.term, ""), crashes=crashes)

    def term(self, token: Token, on_fenced: Callable[[], object]) -> MemoryTerm:
        return MemoryTerm(self.database, token, on_fenced)

    def insert(self, record: Record, choices: Choices, on_known: Callable[[Entry], object]) -> None:
        known = self.database.rows.get(record.key)
        if known is None:
            number = self.database.next()
            self.database.rows[record.key] = Row(Entry(record, choices=choices, change=number), number, number)
            self._on_change()
        else:
            asyncio.get_running_loop().call_soon(on_known, known.entry)

    def instruct(self, instruction: Instruction) -> None:
        if instruction.kind == "resume submissions":
            instruction = evolve(instruction, data={"seen": self.database.count})
        self.database.instructions.append(evolve(instruction, number=self.database.next()))
        self._on_change()

    async def flush(self) -> None:
        await asyncio.sleep(0)

    async def changes(self, wanted: Container[str]) -> Sequence[Entry]:
        self.database.check()
        rows = sorted(
            (row for row in self.database.rows.values() if row.change > self._place), key=lambda row: row.change
        )
        self._place = max([self._place, *(row.change for row in rows)])
        entries = [row.entry for row in rows if row.entry.record.key in wanted]
        return [evolve(entry, record=evolve(entry.record, request=None)) for entry in entries]

    def look(self, key: str, on_found: Callable[[Entry], object]) -> None:
        if key in self.database.rows:
            asyncio.get_running_loop().call_soon(on_found, self.database.rows[key].entry)

    def get(self, key: str) -> Entry | None:
        row = self.database.rows.get(key)
        return None if row is None else row.entry

    def find(self, generation_id: str) -> Entry | None:
        entries = (row.entry for row in self.database.rows.values())
        return next((entry for entry in entries if entry.record.generation_id == generation_id), None)

    async def history(self) -> AsyncIterator[Record]:
        for record in self.database.records:
            yield record

    async def load_learned(self) -> str | None:
        return None


def _is_begin(record: Record, waiter: object) -> bool:
    return record.state is JobState.SUBMITTING and waiter is not None


class MemoryTerm(MemoryJournal):
    """The leader's journal: a view of its own, and writes that reach the database later."""

    def __init__(self, database: Database, token: Token, on_fenced: Callable[[], object]) -> None:
        super().__init__()
        self.database = database
        self._token = token
        self._on_fenced = on_fenced
        self.is_fenced = False
        self._writes: list[tuple[Record | None, Callable[[], object], asyncio.Future[None] | None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._seen: set[str] = set()
        self._closing = False
        self._parked_at: dict[int, int] = {}

    async def load_open(self) -> Sequence[Record]:
        for row in self.database.rows.values():
            super().append(row.entry.record)
            self._seen.add(row.entry.record.key)
        return [
            row.entry.record
            for row in self.database.rows.values()
            if not row.entry.record.state.is_terminal and row.entry.parked is None
        ]

    async def news(self) -> News:
        self.database.check()
        new = [row.entry for key, row in self.database.rows.items() if key not in self._seen]
        for entry in new:
            self._seen.add(entry.record.key)
            MemoryJournal.append(self, entry.record)
        return News(new, tuple(self.database.instructions), tuple(self.database.late))

    def append(self, record: Record) -> None:
        super().append(record)
        self._seen.add(record.key)
        self._put(record, lambda: self.database.put(record))

    async def commit(self, record: Record) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._put(record, lambda: self.database.put(record), waiter)
        await waiter
        super().append(record)

    async def flush(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._put(None, lambda: None, waiter)
        await waiter

    def park(self, record: Record, error: KlingError, halt: int = 0) -> None:
        def park() -> None:
            self.database.park(record.key, error)
            self._parked_at.setdefault(halt, self.database.count)

        self._put(None, park)

    def was_seen(self, halt: int, seen: float) -> bool:
        return self._parked_at.get(halt, 0) <= seen

    def settle(self, item: Instruction | LateAnswer, *, keep: bool = False) -> None:
        if keep:
            self._put(None, lambda: self.database.kept.append(item))
        self._put(None, lambda: self.database.settle(item))

    def keep(self, records: Iterable[Record]) -> None:
        """Nothing is lost here."""

    def lost_at(self, record: Record) -> float | None:
        since, written_at = self.database.restored_at, max(record.queued_at, record.submitted_at or 0.0)
        return since if since is not None and written_at <= since else None

    def trust(self, seen: float = math.inf) -> None:  # noqa: ARG002 - a restored copy is told by nobody
        self.database.restored_at = None

    async def parked(self) -> Sequence[Record]:
        entries = [row.entry for row in self.database.rows.values()]
        return [one.record for one in entries if one.record.state is JobState.QUEUED and one.parked is not None]

    def choices(self, key: str) -> Choices:
        row = self.database.rows.get(key)
        return Choices() if row is None else row.entry.choices

    async def close(self) -> None:
        self._closing = True
        if self._writing is not None:
            await self._writing

    def _put(
        self, record: Record | None, write: Callable[[], object], waiter: asyncio.Future[None] | None = None
    ) -> None:
        self._writes.append((record, write, waiter))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._writes:
            await asyncio.sleep(self.database.delay)
            if self.database.away and not self._closing:
                await asyncio.sleep(0.1)
                continue
            if self.database.away:
                break
            writes, self._writes = self._writes, []
            if self.database.lease.token != self._token and not self.is_fenced:
                self.is_fenced = True
                self._on_fenced()
            for record, write, waiter in writes:
                if not self.is_fenced:
                    write()
                elif (
                    record is not None and (late := late_answer(record, is_begin=_is_begin(record, waiter))) is not None
                ):
                    self.database.late.append(evolve(late, number=self.database.next()))
                if waiter is not None and not waiter.done():
                    if self.is_fenced and record is not None and _is_begin(record, waiter):
                        waiter.set_exception(JournalError("another member leads by now"))
                    else:
                        waiter.set_result(None)
        self._writing = None
