"""The command ``kling-async``, with the extra ``cli``.

It is built on the library's public names alone. ``app`` reads the command line, and ``commands`` has a file for each
command; ``options`` and ``wishes`` are what many of them take, ``connect`` makes their session.

A batch comes from ``source``: ``cells`` reads text as rows, ``media`` finds the files in them, ``rows`` makes requests
with keys of them, and ``names`` names their files. ``work`` runs a journal's jobs to their ends, which ``collector``
sees through to their files, and ``interrupts`` knows Ctrl-C, SIGTERM and SIGHUP. ``progress`` shows how far a session
is: ``board`` says what there is to show, ``screen`` and ``lines`` show it. ``quote``, ``standing`` and ``facts`` put
things in words.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kling_async.cli.exits import Exit
from kling_async.cli.interrupts import exit_of, heeded

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "jinja2", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code; see ``Exit``.

    Args:
        arguments: What follows the command's name; by default that of the process.
    """
    try:
        with heeded():
            return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt as interrupt:
        return exit_of(interrupt)


def _run(arguments: Sequence[str]) -> int:
    try:
        # Imported here: without the extra there is still something to say.
        from kling_async.cli.app import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write('kling-async needs its extra: python -m pip install "kling_async[cli]"\n')
        return Exit.USAGE
    return run(arguments)
