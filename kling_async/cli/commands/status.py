"""``kling-async status``."""

from __future__ import annotations

from time import monotonic, sleep, time

from rich.live import Live
from rich.text import Text

from kling_async import read_journal
from kling_async.cli.journal_summary import JournalSummary, lines
from kling_async.cli.journals import JournalArgument, Place, shown
from kling_async.cli.options import AsJson
from kling_async.cli.terminal import Terminal
from kling_async.session import boot_clock

_EVERY = 2.0  # seconds from one look to the next
_SHARE = 10  # a look takes a tenth of the time at most: it holds up the process that writes the journal


def status(journal: JournalArgument, /, *, watch: bool = False, as_json: AsJson = False) -> None:
    """Say where a journal's jobs stand: how many are in which state, which waits longest, and what failed, and why.

    It also says when nobody works on what is open. The journal is only read, also while a batch is running, and nothing
    is asked of the vendor.

    Args:
        journal: The journal's file, or the URL of its database.
        watch: Look again and again, until no job is open or Ctrl-C.
    """
    terminal = Terminal(as_json=as_json)
    if watch and terminal.out.is_interactive and not as_json:
        _watch_live(journal, terminal)
    elif watch:
        _watch_lines(journal, terminal)
    else:
        _tell(journal, _look(journal), terminal)


def _look(journal: Place) -> JournalSummary:
    reader = read_journal(journal)
    in_use = reader.has_owner()  # asked first: whoever ends now leaves nothing open
    return JournalSummary.of(reader.records(), reader.sharing(boot_clock()), in_use=in_use)


def _tell(journal: Place, summary: JournalSummary, terminal: Terminal) -> None:
    now = time()
    if terminal.as_json:
        terminal.json_result(summary.to_json(now, boot_clock()))
        return
    terminal.text(lines(summary, now, boot_clock(), shown(journal)))


def _watch_lines(journal: Place, terminal: Terminal) -> None:
    while True:
        began = monotonic()
        summary = _look(journal)
        _tell(journal, summary, terminal)
        if not summary.open:
            return
        _rest(began)


def _watch_live(journal: Place, terminal: Terminal) -> None:
    with Live(console=terminal.out, auto_refresh=False) as live:
        while True:
            began = monotonic()
            summary = _look(journal)
            said = lines(summary, time(), boot_clock(), shown(journal))
            live.update(Text("\n".join(map(terminal.fitted, said))), refresh=True)
            if not summary.open:
                return
            _rest(began)


def _rest(began: float) -> None:
    sleep(max(_EVERY, _SHARE * (monotonic() - began)))
