"""The exit codes, apart from what uses them: they are read before the extra ``cli`` is known to be there."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit code of ``kling-async``."""

    OK = 0
    """All is done."""
    FAILED = 1
    """Something failed; standard error says what, and why."""
    USAGE = 2
    """It was asked for what it cannot do, and did nothing."""
    STOPPED = 3
    """It ended early, and can go on: out of credits, at the limit on spending, at a wrong address, without room for
    files, or before the vendor was done."""
    HUNG_UP = 129
    """SIGHUP, as when its terminal is closed. As after Ctrl-C."""
    INTERRUPTED = 130
    """Ctrl-C. What was under way is saved; standard error says how to go on."""
    TERMINATED = 143
    """SIGTERM. As after Ctrl-C."""
