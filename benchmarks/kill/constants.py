"""The constants that the driver and the child share: the jobs, the speed, the exit codes."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = [
    "AFTER",
    "JOBS",
    "LEASE",
    "OF_MEMBERS",
    "REFUSED",
    "RESTART",
    "SPEED",
    "STARTED",
    "TROUBLES",
    "Then",
    "Trouble",
    "key_of",
]

Then: TypeAlias = Literal["report", "resubmit"]

Trouble: TypeAlias = Literal["suspend", "skew", "gateway", "log", "reader", "members"]

TROUBLES: tuple[Trouble, ...] = ("suspend", "skew", "gateway", "log", "reader")
"""What a round can have beside its kills, see the package; with ``members``, several children share the journal."""

OF_MEMBERS: tuple[Trouble, ...] = ("gateway", "log")
"""Those that a round with members can have: they share a machine, and so its clock."""

LEASE = 0.5
"""Seconds for which a member leads without renewing."""

RESTART = 3
"""The exit code of a child that was stopped, and has to be run again."""

REFUSED = 4
"""That of one that cannot have the journal, since another has it."""

JOBS = 60

SPEED = 1000.0
"""How many times as fast as the real vendor's time passes: a usual generation takes a quarter of a second."""

AFTER = 2.0
"""``Reconciliation(after=…)`` in seconds. The sandbox shows every submit in its log after less than half of that."""

STARTED = "begun"
"""What the child says once it is about to open its session."""


def key_of(number: int) -> str:
    """Return the key of a job, and its file's name without the ending."""
    return f"k{number}"
