"""The command ``kling-async``, with the extra ``cli``.

``app`` reads the command line, and ``commands`` has the commands. ``batch``, ``progress`` and ``gallery`` are what the
larger ones are made of; the ``README.md`` beside this file lists the rest.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from kling_async.cli.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_STREAMS = 3  # standard input, output and error
_EXTRA = frozenset({"cyclopts", "jinja2", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code; see ``Exit``.

    Args:
        arguments: What follows the command's name; by default that of the process.
    """
    try:
        _open_closed_streams()
        from kling_async.cli.signals import termination_signals  # noqa: PLC0415 - a Ctrl-C may come meanwhile

        with termination_signals():
            return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "exit", Exit.INTERRUPTED)


def _run(arguments: Sequence[str]) -> int:
    try:
        from kling_async.cli.app import run  # noqa: PLC0415 - without the extra there is still something to say
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write('kling-async needs its extra: python -m pip install "kling_async[cli]"\n')
        return Exit.USAGE
    return run(arguments)


def _open_closed_streams() -> None:
    """Open the null device for each closed standard stream, so that no other file takes its descriptor."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < _STREAMS:
        """It stays."""
    os.close(descriptor)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
