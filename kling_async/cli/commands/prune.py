"""``kling-async prune``."""

from __future__ import annotations

import re
from time import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kling_async import ConfigurationError
from kling_async.cli.journals import JournalArgument
from kling_async.cli.options import AsJson
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count
from kling_async.journal.open import prune_journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def _seconds(_: object, tokens: Sequence[Token]) -> float:
    text = tokens[0].value
    found = _AGE.fullmatch(text)
    if found is None:
        allowed = "a number and s, m, h, d or w, such as 30d"
        raise ConfigurationError(f"--older-than is {text!r:.80}; allowed: {allowed}")
    return float(found[1]) * _SECONDS[found[2]]


Age = Annotated[float, Parameter(converter=_seconds, n_tokens=1, metavar="AGE", show_default=False)]


def prune(journal: JournalArgument, /, *, older_than: Age, forget_keys: bool = False, as_json: AsJson = False) -> None:
    """Make a journal smaller: of videos that were done or abandoned long ago, forget requests, tags and URLs.

    Keys, costs and files are still known, so that nothing is bought again; what is open, or has failed, stays as it is.

    Args:
        journal: The journal's file, or the URL of its database.
        older_than: How long ago a job ended, such as 30d or 12h.
        forget_keys: Forget such jobs altogether, failed ones as well. **Their keys can then be bought again.**
    """
    pruned, terminal = prune_journal(journal, time() - older_than, forget_keys=forget_keys), Terminal(as_json=as_json)
    if as_json:
        terminal.json_result({"cut": pruned.cut, "forgotten": pruned.forgotten, "media": pruned.media})
        return
    what = f"forgot {count(pruned.forgotten, 'job')}" if forget_keys else f"cut down {count(pruned.cut, 'job')}"
    terminal.text([f"{what}, and dropped {count(pruned.media, 'file')} of their requests"])
