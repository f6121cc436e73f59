"""The command ``kling-async``, with the extra ``cli``.

It is built on the library's public names alone. What it does when, by module: ``app`` reads the command line, ``demo``
and ``serve`` are commands, ``progress`` shows how far a session is, ``report`` sums up.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kling_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code; see ``Exit``.

    Args:
        arguments: What follows the command's name; by default that of the process.
    """
    try:
        # Imported here: without the extra there is still something to say.
        from kling_async.cli.app import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write('kling-async needs its extra: python -m pip install "kling_async[cli]"\n')
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return run(sys.argv[1:] if arguments is None else arguments)
