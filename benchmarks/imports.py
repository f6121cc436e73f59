"""How long importing the library takes, beside importing what it stands on."""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.figure import Size

__all__ = ["measure"]

_LIBRARY = "kling_async.session"  # which the package itself imports when it is first used
_DEPENDENCIES = "aiohttp, attrs, cattrs, anyio"
_TIMED = "from time import process_time; begun = process_time(); import {}; print(process_time() - begun)"


def measure(size: Size) -> list[Figure]:
    """CPU time of importing ``KlingSession`` as a multiple of importing its dependencies, interpreters taking turns."""
    with TemporaryDirectory(prefix="bytecode-") as bytecode:
        environment = _writing_to(bytecode)
        for modules in (_DEPENDENCIES, _LIBRARY):  # writes the bytecode, and warms the system's file cache
            _import(modules, environment)
        turns = [(_import(_DEPENDENCIES, environment), _import(_LIBRARY, environment)) for _ in range(size.imports)]
    dependencies, library = (median(side) * 1e3 for side in zip(*turns, strict=True))
    raw = {"library_ms": library, "dependencies_ms": dependencies, "rounds": size.imports}
    return [Figure("Import ÷ importing the four dependencies", library / dependencies, 1.25, raw=raw)]


def _writing_to(bytecode: str) -> dict[str, str]:
    """Return an environment in which bytecode is kept there, even where it usually is not kept at all."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": bytecode}


def _import(modules: str, environment: Mapping[str, str]) -> float:
    """CPU seconds an import takes in a new interpreter, its start not counted."""
    command = [sys.executable, "-c", _TIMED.format(modules)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 - our own
    return float(done.stdout)
