"""Benchmarks as programs of their own, which end with the test that runs them, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 600
"""Seconds for a test that runs a benchmark, or waits for the fixture that does: only what hangs takes so long."""
_RUN_AND_KILL = Path(__file__).with_name("run_and_kill.py")


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module``; if that is cut short, all of its processes are killed."""
    return run_program(sys.executable, "-m", module, *arguments)


def run_program(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program likewise."""
    near, far = os.pipe()
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, str(_RUN_AND_KILL), *command],
        cwd=ROOT,
        stdin=near,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        os.close(near)
        try:
            out, err = process.communicate()
        finally:
            os.close(far)
    return subprocess.CompletedProcess(command, process.returncode, out, err)
