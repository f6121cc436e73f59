"""Measured numbers, and how much is measured for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FULL", "QUICK", "Figure", "Size"]


@frozen
class Figure:
    """A measured number.

    Attributes:
        name: What it is of, in words.
        value: The number, in ``unit``.
        target: The most it may be, or the least; None if it is only told.
        unit: What it is counted in; empty for a ratio.
        raw: What it was made from, by name and with units in the names.
        at_least: Whether the target is the least it may be.
    """

    name: str
    value: float
    target: float | None
    unit: str = ""
    raw: Mapping[str, float] = field(factory=dict[str, float])
    at_least: bool = field(default=False, kw_only=True)

    @property
    def met(self) -> bool | None:
        """True if the target is met; None if there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


@frozen(kw_only=True)
class Size:
    """The size of a run: enough to quote, or just enough to see that it runs.

    Attributes:
        rounds: Turns each side takes where two are compared.
        polls: Polls a side and turn.
        cpu_jobs: Pending jobs while those are counted.
        memory_jobs: For how many pending jobs memory is measured.
        traced_jobs: For how many the allocator is asked as well, which is slow.
        stall_jobs: Pending jobs while the event loop is watched.
        stall_seconds: How long it is watched.
        decision_jobs: For how many pending jobs a decision of the scheduler's is timed.
        decisions: How many decisions are timed.
        imports: Interpreters started a side.
        submit_rounds: Turns each side takes where submits are compared.
        submits: Submits a side and turn.
        resumed_jobs: For how many pending jobs the opening of a journal is timed, where a target is set for it.
        opened_jobs: For how many it is timed at most.
        lease: The seconds of the lease whose leader is killed.
        followed_rounds: How often a leader's cost is counted, alone and with followers.
        noticed_jobs: For how many jobs a follower's notice is timed.
        idle_leases: For how many lengths of the lease an idle member's statements are counted.
    """

    rounds: int
    polls: int
    cpu_jobs: int
    memory_jobs: tuple[int, ...]
    traced_jobs: int
    stall_jobs: int
    stall_seconds: float
    decision_jobs: tuple[int, ...]
    decisions: int
    imports: int
    submit_rounds: int
    submits: int
    resumed_jobs: int
    opened_jobs: int
    lease: float
    followed_rounds: int
    noticed_jobs: int
    idle_leases: int


FULL = Size(
    rounds=10,
    polls=10_000,
    cpu_jobs=1000,
    memory_jobs=(10_000, 100_000),
    traced_jobs=10_000,
    stall_jobs=100_000,
    stall_seconds=20.0,
    decision_jobs=(1000, 10_000, 100_000),
    decisions=20_000,
    imports=15,
    submit_rounds=15,
    submits=2000,
    resumed_jobs=10_000,
    opened_jobs=100_000,
    lease=10.0,
    followed_rounds=3,
    noticed_jobs=40,
    idle_leases=3,
)

QUICK = Size(
    rounds=2,
    polls=1000,
    cpu_jobs=200,
    memory_jobs=(1000,),
    traced_jobs=500,
    stall_jobs=2000,
    stall_seconds=1.0,
    decision_jobs=(500, 2000),
    decisions=500,
    imports=2,
    submit_rounds=2,
    submits=200,
    resumed_jobs=500,
    opened_jobs=2000,
    lease=1.0,
    followed_rounds=1,
    noticed_jobs=8,
    idle_leases=1,
)
