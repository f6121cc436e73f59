"""Runs a program, and kills it with all it has started once standard input ends: ``run_and_kill.py PROGRAM ARGUMENT…``.

Whoever starts this holds the other end of standard input. The system closes that end however its holder dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from threading import Thread


def watch() -> None:
    """Kill this process's group, which is to be its own, when standard input ends."""
    os.read(0, 1)  # not sys.stdin, whose lock this thread would hold to the very end
    if sys.platform == "win32":
        os._exit(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    Thread(target=watch, daemon=True).start()
    sys.exit(subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=False).returncode)  # noqa: S603 - our own
