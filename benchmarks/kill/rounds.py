"""One round: a vendor, and the children that run a batch against it until they are killed, or done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import monotonic
from typing import TYPE_CHECKING

from attrs import Factory, define, field

from benchmarks.kill.checks import check_round
from benchmarks.kill.constants import JOBS, LEASE, OF_MEMBERS, REFUSED, RESTART, SPEED, STARTED
from benchmarks.kill.faults import faulty_sandbox
from benchmarks.postgres import own_schema
from kling_async import JobState, read_journal
from kling_async.sandbox import Faults, SandboxThread

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from benchmarks.kill.checks import RoundResult
    from benchmarks.kill.constants import Then, Trouble
    from kling_async.sandbox import Sandbox

__all__ = ["Round", "play"]

_CHILD = (sys.executable, "-m", "benchmarks.kill.child")
_ROOT = Path(__file__).parents[2]
_FAULTS = Faults(drop_after=0.10, server_error=0.05, rate_limited=0.03, log_lag=300.0)
_MOST_KILLS = 4
_MEAN_LIFETIME = 0.35  # seconds until a kill, on average; a batch that is left alone takes about one
_TIMEOUT = 180.0  # seconds; nothing hangs, but a machine may be busy
_MOST_STOPS = 30  # of the child that is to come to its end
_MOST_RUNS = 5  # of children that are left alone, until one has nothing to report


def play(seed: int, troubles: Collection[Trouble] = (), members: int = 0, database: str = "") -> RoundResult:
    """Play a round to its end; its files are removed if all is well, and kept in the temporary folder if not.

    Args:
        seed: Which round.
        troubles: What it has beside its kills.
        members: How many children share the journal, and are killed one after another; 0 for one that owns it.
        database: The URL of a PostgreSQL database, in which the journal gets a schema of its own; empty for a file.

    Raises:
        RuntimeError: A child failed by itself, or did not end; the message holds the end of what it said.
    """
    if members:
        troubles = [*(trouble for trouble in troubles if trouble in OF_MEMBERS), "members"]
    folder = Path(mkdtemp(prefix=f"kill-{seed}-"))
    # Ends of generations are not spread as far as usually, so that AFTER need not be long to be long enough.
    vendor = faulty_sandbox(
        frozenset(troubles),
        folder / "clock",
        seed,
        speed=SPEED,
        sigma=0.2,
        max_concurrent=JOBS // 2,
        file_size=128 * 1024,
        faults=_FAULTS,
    )
    rng = Random(seed)  # noqa: S311 - a plan that can be repeated
    lifetimes = [rng.expovariate(1 / _MEAN_LIFETIME) for _ in range(rng.randint(1, _MOST_KILLS))]
    then: Then = "report" if seed % 2 else "resubmit"
    with SandboxThread(vendor) as sandbox, ExitStack() as stack:
        journal = stack.enter_context(own_schema(database)) if database else str(folder / "batch.db")
        result = Round(sandbox, folder, then, troubles, members, journal).play(lifetimes)
    if result.good:
        shutil.rmtree(folder)
    return result


@define
class Round:
    """One batch, against one sandbox that runs in this process.

    Args:
        sandbox: The vendor, of the speed that the child counts on.
        folder: An empty one, for the batch's journal and files.
        then: What becomes of submits that left no trace.
        troubles: What the children have to live with.
        members: How many children share the journal; 0 for one that owns it.
        journal: Where the journal is; by default a file in the folder.
    """

    _sandbox: Sandbox
    _folder: Path
    _then: Then
    _troubles: Collection[Trouble] = ()
    _members: int = 0
    _journal: str = field(default=Factory(lambda self: str(self._folder / "batch.db"), takes_self=True))
    _runs: int = field(default=0, init=False)
    _kills: int = field(default=0, init=False)
    _uncertain: set[str] = field(factory=set[str], init=False)  # names of submits whose outcome a kill left unknown

    def play(self, lifetimes: Iterable[float] = ()) -> RoundResult:
        """Kill children after these times, in seconds, unless one ends by itself before; then let the last one end.

        Raises:
            RuntimeError: As for the function.
        """
        for lifetime in lifetimes:
            if not self._killed(lifetime):
                break
        return check_round(
            self._sandbox,
            self._folder,
            self._journal,
            reported=self._finish(),  # first: it adds to the others
            then=self._then,
            kills=self._kills,
            restarts=self._runs - 1,
            uncertain=self._uncertain,
        )

    def _finish(self) -> set[str]:
        """Run the batch to its end; returns the keys it reports. Further jobs help it to prove what it must not.

        Each run has one more: what an earlier run's job proved may have become uncertain again by another POST.
        """
        reported, more = self._run_to_its_end(JOBS), 0
        while reported and self._then == "resubmit" and more < _MOST_RUNS:
            more += 1
            reported = self._run_to_its_end(JOBS + more)
        return reported

    def _run_to_its_end(self, jobs: int) -> set[str]:
        for _ in range(_MOST_STOPS):
            with self._child(jobs) as child:
                try:
                    said, _ = child.communicate(timeout=_TIMEOUT)
                except subprocess.TimeoutExpired:
                    child.kill()
                    raise RuntimeError(f"round {self._sandbox.seed}: a child hangs:\n{self._log()}") from None
            self._check(child, RESTART)
            if child.returncode == 0:
                return set(said.split())
        raise RuntimeError(f"round {self._sandbox.seed}: its child is stopped again and again:\n{self._log()}")

    def _killed(self, lifetime: float) -> bool:
        """Start a child and kill it so many seconds later; False if it has ended by itself before.

        Where it reads its own journal, another is started beside it, which is to be refused as long as it lives.
        """
        with ExitStack() as children:
            count = self._members or 1 + ("reader" in self._troubles)
            both = [children.enter_context(self._child(JOBS)) for _ in range(count)]
            until = monotonic() + lifetime
            for child in both:
                until += LEASE if self._members else 0.0  # each may lead for a while
                try:
                    child.wait(max(0.0, until - monotonic()))
                except subprocess.TimeoutExpired:
                    child.kill()
                    self._kills += 1
                else:
                    self._check(child, RESTART, REFUSED)
        self._uncertain |= self._uncertain_names()
        return all(child.returncode != 0 for child in both)

    def _child(self, jobs: int) -> subprocess.Popen[str]:
        """Return a child that has begun. Its log goes to a file that all children of a round share."""
        self._runs += 1
        with self._log_file.open("a", encoding="utf-8") as log:
            child = subprocess.Popen(  # noqa: S603 - our own
                [*_CHILD, str(self._folder), self._journal, str(jobs), self._then, *self._troubles],
                cwd=_ROOT,
                env=os.environ | {"AIMLAPI_API_KEY": self._sandbox.api_key, "AIMLAPI_BASE_URL": self._sandbox.url},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        if child.stdout is None or child.stdout.readline().strip() != STARTED:
            child.communicate()
            self._check(child)
        return child

    def _check(self, child: subprocess.Popen[str], *other_ends: int) -> None:
        if child.returncode not in (0, *other_ends):
            seed, code = self._sandbox.seed, child.returncode
            raise RuntimeError(f"round {seed}: a child ended with code {code}:\n{self._log()}")

    @property
    def _log_file(self) -> Path:
        return self._folder / "children.log"

    def _log(self) -> str:
        return self._log_file.read_text("utf-8")[-5000:]

    def _uncertain_names(self) -> set[str]:
        """Return the client request ids of submits whose outcome the journal does not know now."""
        if not self._sandbox.ledger.submits:
            return set()  # there may be no journal yet
        return {
            record.client_request_id
            for record in read_journal(self._journal).records()
            if record.state in (JobState.SUBMITTING, JobState.UNCERTAIN) and record.client_request_id is not None
        }
