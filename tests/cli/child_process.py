"""The command as a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COMMAND = [sys.executable, "-m", "kling_async"]
QUICK = ["--speed", "2000"]
TIMEOUT = 45
_COLOURING = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, without what would colour the output or set its width."""
    kept = {name: value for name, value in os.environ.items() if name not in _COLOURING}
    return kept | {"TERM": "xterm-256color"} | changes


def run(*arguments: str, cwd: Path | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command, its output piped."""
    return run_child([*COMMAND, *arguments], cwd=cwd, **changes)


def run_child(command: Sequence[str], *, cwd: Path | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a program, its output piped."""
    return subprocess.run(  # noqa: S603 - this project's own programs
        command,
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


def start(*arguments: str, stderr: int = subprocess.PIPE, **changes: str) -> subprocess.Popen[str]:
    """Start the command and leave it running; signals reach it even where this process ignores them."""
    return subprocess.Popen(  # noqa: S603 - this project's own program
        [sys.executable, "-c", _WITH_INTERRUPTS, *arguments],
        env=environment(PYTHONUNBUFFERED="1", **changes),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
    )


_WITH_INTERRUPTS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
for other in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
    signal.signal(getattr(signal, other), signal.SIG_DFL)
from kling_async.cli import main
sys.exit(main())
"""


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[str, str]:
    """Send a Ctrl-C, or another signal, and return what the process wrote from then on."""
    process.send_signal(number)
    return process.communicate(timeout=TIMEOUT)
