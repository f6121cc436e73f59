"""Child processes that use a journal."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

SCRIPT = Path(__file__).with_name("journal_child.py")
PATIENCE = 45


@contextmanager
def child(deed: str, path: Path, mode: str = "TRUNCATE") -> Generator[subprocess.Popen[str]]:
    """A child at work; killed at the end of the block, if it still is."""
    process = subprocess.Popen(  # noqa: S603 - this project's own program
        [sys.executable, str(SCRIPT), deed, str(path), mode],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def finished(deed: str, path: Path, mode: str = "TRUNCATE") -> int:
    """The exit code of a child that ends by itself."""
    with child(deed, path, mode) as process:
        return process.wait(PATIENCE)


def told(deed: str, path: Path, mode: str = "TRUNCATE") -> str:
    """The one line of a child that ends by itself."""
    with child(deed, path, mode) as process:
        return process.communicate(timeout=PATIENCE)[0].strip()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a child writes."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
