"""Members, database and vendor as a state machine: whatever befalls them, nothing is lost or bought twice.

Hypothesis chooses what happens next; between two steps virtual time passes, in which the real engines act. One machine
plays with a journal in memory, in SQLite and in PostgreSQL; with the latter it takes longer, and is played less often.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from contextlib import suppress
from typing import Any

from attrs import define, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scripted import ScriptedVendor, envelope, prompt, session
from shared_engines import Engine
from shared_memory import Database
from test_retry_failed import failed
from virtual import VirtualLoop

from kling_async import Job, JobState, JournalError, KlingSession, Polling, Reconciliation, RequestTimeout, Retry
from kling_async.engine import leadership, member

KEYS = st.sampled_from(["a", "b", "c"])
WHO = st.integers(0, 1)
MODEL = "klingai/v2.1-master-text-to-video"


@define
class Vendor(ScriptedVendor):
    """Keeps books of what it sold, and shows all of it in its log."""

    fate: str = "answers"  # of the next POST
    fails: bool = False  # the generation that it buys
    bought: dict[str, list[str]] = field(factory=dict)  # by key: the names
    failed: set[str] = field(factory=set)  # names and ids of those that fail
    hold: float = 0.0  # seconds for which the next answer to a POST is delayed

    async def _submit(self) -> Any:
        fate, self.fate = self.fate, "answers"
        hold, self.hold = self.hold, 0.0
        name, number = self.names[-1], len(self.names)
        if fate == "refuses":
            await asyncio.sleep(hold)
            return envelope(503, "busy")
        if fate != "is lost before":
            self._sell(name, f"g{number}")
        await asyncio.sleep(hold)
        if fate != "answers":
            raise RequestTimeout("lost")
        self.submits = number - 1
        self.done_at[f"g{number}"] = 0.0
        return await self._accept(number)

    async def _accept(self, number: int) -> Any:
        from scripted import answer  # noqa: PLC0415 - beside its use

        return answer(200, {"id": f"g{number}", "status": "queued"})

    def _sell(self, name: str, generation_id: str) -> None:
        self.bought.setdefault(name.rpartition(":")[0], []).append(name)
        if self.fails:
            self.fails = False
            self.failed |= {name, generation_id}
        status = "failed" if generation_id in self.failed else "succeeded"
        row = {"status": status, "inference_id": generation_id, "client_request_id": name, "model": MODEL}
        self.rows.insert(0, row | {"created": "2027-01-15T08:00:00+00:00"})


class Shared(RuleBasedStateMachine):
    """Two members that come, go, stop and lose their lease."""

    def __init__(self) -> None:
        super().__init__()
        self.database, self.loop = self.place()
        asyncio.set_event_loop(self.loop)
        logging.getLogger("kling_async").setLevel(logging.CRITICAL)  # it would tell of thousands of faults
        self.vendor = Vendor(takes=30.0)
        self.vendor.on_poll = lambda generation_id, _: (
            failed(generation_id) if generation_id in self.vendor.failed else None
        )
        self.members: list[KlingSession | None] = [None, None]
        self.jobs: list[Job] = []

    def place(self) -> tuple[Database | Engine, VirtualLoop]:
        """The journal, and the loop for it."""
        return Database(), VirtualLoop()

    def run(self, what: Any) -> Any:
        return self.loop.run_until_complete(what)

    @initialize()
    def begin(self) -> None:
        self.join(0)
        self.join(1)

    def _member(self, who: int) -> KlingSession:
        return session(
            self.vendor,
            journal=self.database.member(),
            shared=True,
            polling=Polling.fixed(5, first=5),
            reconciliation=Reconciliation(after=30).at_speed(10),
            retry=Retry(failed=who),
            rng=random.Random(1),
        )

    @rule(who=WHO)
    def join(self, who: int) -> None:
        if self.members[who] is None:
            with suppress(JournalError):  # the database is away
                self.members[who] = self.run(self._member(who).__aenter__())

    @rule(who=WHO)
    def leave(self, who: int) -> None:
        kling, self.members[who] = self.members[who], None
        if kling is not None:
            with suppress(JournalError):  # what could not be written is lost
                self.run(kling.aclose())

    @rule(who=WHO, key=KEYS, again=st.booleans())
    def submit(self, who: int, key: str, *, again: bool) -> None:
        kling = self.members[who]
        if kling is not None:
            self.jobs.append(self.run(self._submit(kling, key, again=again)))

    async def _submit(self, kling: KlingSession, key: str, *, again: bool) -> Job:
        return kling.submit(prompt(key), key=key, retry_failed=again)

    @rule(who=WHO, key=KEYS)
    def abandon(self, who: int, key: str) -> None:
        for job in self.members[who].pending if self.members[who] else ():  # type: ignore[union-attr] # asked for above
            if job.key == key:
                self.run(self._abandon(job))

    async def _abandon(self, job: Job) -> None:
        job.abandon()

    @rule(fate=st.sampled_from(["refuses", "is lost before", "is lost after"]), hold=st.sampled_from([0.0, 5.0, 25.0]))
    def let_the_next_post_fail(self, fate: str, hold: float) -> None:
        self.vendor.fate, self.vendor.hold = fate, hold

    @rule()
    def let_the_next_generation_fail(self) -> None:
        self.vendor.fails = True

    @rule(hold=st.sampled_from([1.0, 9.0, 30.0]))
    def hold_the_next_answer(self, hold: float) -> None:
        self.vendor.hold = hold

    @rule()
    def steal_the_lease(self) -> None:
        """As after a stop: the lease is free, and who had it does not know."""
        self.database.steal()

    @rule(away=st.booleans())
    def lose_or_find_the_database(self, *, away: bool) -> None:
        self.database.away = away

    @rule()
    def lose_the_next_answer_of_the_database(self) -> None:
        self.database.unanswered += 1

    @rule(delay=st.sampled_from([0.0, 0.5, 4.0]))
    def slow_the_database(self, delay: float) -> None:
        self.database.delay = delay

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 12.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @invariant()
    def nothing_is_bought_twice(self) -> None:
        """But for what has failed."""
        for names in self.vendor.bought.values():
            assert self.vendor.failed.issuperset(names[:-1]), self.vendor.bought

    def teardown(self) -> None:
        """In the end all is well again: every waiter settles, and no id that the vendor gave is unrecorded."""
        self.database.away, self.database.delay, self.database.unanswered = False, 0.0, 0
        self.vendor.fate, self.vendor.hold, self.vendor.fails = "answers", 0.0, False
        self.join(0)
        self.run(asyncio.sleep(70))
        for who in (0, 1):
            self.leave(who)
        self.run(asyncio.sleep(1))
        self.nothing_is_bought_twice()
        assert all(job.done() for job in self.jobs), self.jobs
        records = {record.key: record for record in self.database.records}
        for key in self.vendor.bought:
            record = records[key]
            assert record.generation_id is not None or record.state is JobState.ABANDONED, record
        assert (self.database.late, self.database.kept) == ([], [])
        tasks = asyncio.all_tasks(self.loop)
        assert not tasks, tasks
        self.database.close()
        self.loop.close()
        asyncio.set_event_loop(None)
        logging.getLogger("kling_async").setLevel(logging.NOTSET)


class OnSQLite(Shared):
    """Members on a file, with the threads and statements that are its own."""

    kind = "sqlite"

    def place(self) -> tuple[Engine, VirtualLoop]:
        made = Engine(self.kind)
        for module in (leadership, member):  # a look takes real time here
            made.patch(module, "LOOK_EVERY", 1.0)
        return made, made.loop


class OnPostgreSQL(OnSQLite):
    """Members on a server."""

    kind = "postgresql"


def played(machine: type[Shared], examples: int, steps: int) -> Any:
    """The machine as a test; KLING_TEST_PLAYS makes it play so many times as often."""
    case: Any = machine.TestCase
    case.settings = settings(
        max_examples=examples * int(os.environ.get("KLING_TEST_PLAYS", "1")),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    return case


TestShared = played(Shared, 50, 25)
TestOnSQLite = played(OnSQLite, 6, 12)
TestOnPostgreSQL = played(OnPostgreSQL, 6, 12)
