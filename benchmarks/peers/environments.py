"""An environment for each client, with what its requirements pin; made when first needed, and kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path
from shutil import rmtree

__all__ = ["CACHE", "Unavailable", "python_with"]

CACHE = Path(__file__).parents[2] / ".peers"
_REQUIREMENTS = Path(__file__).parent / "requirements"
_REASON = 300  # characters of what pip says


class Unavailable(Exception):
    """Something cannot be had or run, and why."""


def python_with(requirements: str | None) -> Path:
    """Return the interpreter that has these; without any, this one.

    Raises:
        Unavailable: They cannot be installed.
    """
    if requirements is None:
        return Path(sys.executable)
    file = _REQUIREMENTS / f"{requirements}.txt"
    digest = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()[:10]
    home = CACHE / f"{requirements}-{digest}"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (home / "complete").exists():
        _make(home, python, file)
    return python


def _make(home: Path, python: Path, file: Path) -> None:
    rmtree(home, ignore_errors=True)
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", "utf-8")
    sys.stderr.write(f"installing {file.name} …\n")
    venv.create(home, with_pip=True)
    # Everything is pinned, so nothing is resolved; the official SDK asks for a linter, which nothing here needs.
    command = [str(python), "-m", "pip", "install", "-q", "--no-deps", "-r", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise Unavailable(f"cannot be installed: {done.stderr.strip()[-_REASON:]}")
    (home / "complete").touch()
