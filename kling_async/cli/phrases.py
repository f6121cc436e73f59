"""Commands as they are typed, and what happened in words."""

from __future__ import annotations

import os
import shlex
import subprocess

from kling_async.cli.figures import one_line

__all__ = ["command", "reason"]


def command(*words: object, windows: bool = os.name == "nt") -> str:
    """A command of this program, ready to be pasted into a terminal."""
    typed = ["kling-async", *map(str, words)]
    return subprocess.list2cmdline(typed) if windows else shlex.join(typed)


def reason(error: BaseException) -> str:
    """What went wrong, in a line, with the kind of error it is."""
    return f"{type(error).__name__}: {one_line(str(error))}"
