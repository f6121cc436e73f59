"""Cancellations that somebody asked for, and others."""

from __future__ import annotations

import asyncio

__all__ = ["was_asked_for"]


def was_asked_for(error: BaseException) -> bool:
    """Whether this is a cancellation of the current task, not one of something it awaited, such as a shared future.

    Another's cancellation is a failure like any other, and must not end this task as if it had been told to.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
