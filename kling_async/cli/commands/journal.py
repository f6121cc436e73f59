"""What is done with a journal: ``status``, ``leader``, ``worker``, ``prune``."""

from __future__ import annotations

import asyncio
import re
from contextlib import nullcontext
from pathlib import Path
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.live import Live
from rich.text import Text

from kling_async import ConfigurationError, JobState, LeadershipChanged, read_journal
from kling_async.cli.journals import JournalArgument, JournalSummary, Place, lines, shared_lines, sharing_json, shown
from kling_async.cli.options import CONNECTION, AsJson, Connection, open_session
from kling_async.cli.paths import check_folder, make_folder
from kling_async.cli.signals import run_told
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count, reason
from kling_async.files.video_names import NameAllocator, name_of, short_key
from kling_async.journal.open import open_shared, prune_journal
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token

    from kling_async import Job, KlingSession


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
    is_redrawn = watch and terminal.out.is_interactive and not as_json
    with Live(console=terminal.out, auto_refresh=False) if is_redrawn else nullcontext() as live:
        while True:
            began = monotonic()
            summary = _look(journal)
            said = lines(summary, time(), boot_clock(), shown(journal))
            if live is not None:
                live.update(Text("\n".join(map(terminal.fitted, said))), refresh=True)
            elif as_json:
                terminal.json_result(summary.to_json(time(), boot_clock()))
            else:
                terminal.text(said)
            if not (watch and summary.open):
                return
            sleep(max(_EVERY, _SHARE * (monotonic() - began)))


def _look(journal: Place) -> JournalSummary:
    reader = read_journal(journal)
    in_use = reader.has_owner()  # asked first: whoever ends now leaves nothing open
    summary = JournalSummary.of(reader.records(), reader.sharing(boot_clock()), in_use=in_use)
    summary.damaged = [str(error) for error in reader.damaged]
    return summary


def leader(journal: JournalArgument, /, *, release: bool = False, as_json: AsJson = False) -> None:
    """Say which of the sessions that share a journal leads, and since when.

    Args:
        journal: The journal's file, or the URL of its database.
        release: Have another one lead, also after crashes in a row that let nobody lead; the next takes over at once.
    """
    reader, terminal = read_journal(journal), Terminal(as_json=as_json)
    sharing = reader.sharing(boot_clock())
    if sharing is None:
        raise ConfigurationError(f"journal {shown(journal)}: no sessions share it")
    if release:
        asyncio.run(_release(journal))
        sharing = reader.sharing(boot_clock()) or sharing
    if as_json:
        terminal.json_result(sharing_json(sharing, boot_clock()))
    else:
        terminal.text(shared_lines(sharing, boot_clock(), journal=shown(journal)))


async def _release(journal: Place) -> None:
    shared = open_shared(journal, boot_clock)
    await shared.open()
    try:
        await shared.release((await shared.lease()).token)
    finally:
        await shared.close()


def worker(
    journal: JournalArgument,
    /,
    *,
    never_lead: bool = False,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    connection: Connection = CONNECTION,
) -> int | None:
    """Join the sessions that share a journal until Ctrl-C: lead when nobody does, so that their jobs go on.

    Args:
        journal: The journal's file, which is made if there is none, or the URL of its database.
        never_lead: Never send the requests of others.
        output: A folder to which every finished video is downloaded that no session has downloaded yet.
    """
    if output is not None:
        check_folder(output)
        make_folder(output)
    terminal = Terminal()
    return run_told(_serve(journal, output, terminal, connection, never_lead=never_lead), terminal)


async def _serve(
    journal: Place, output: Path | None, terminal: Terminal, connection: Connection, *, never_lead: bool
) -> None:
    async with open_session(connection, journal=journal, shared=True, hold=never_lead) as kling:
        terminal.message(f"A member of {shown(journal)} until Ctrl-C.", "dim")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_tell(kling, terminal))
                if output is not None:
                    group.create_task(_fetch(kling, output, terminal))
        finally:
            stats = kling.stats()
            files = f" and {count(stats.downloaded, 'file')}" if output is not None else ""
            terminal.message(f"left, after {count(stats.submits, 'submit')} of all members{files}")


async def _tell(kling: KlingSession, terminal: Terminal) -> None:
    async for event in kling.subscribe():
        if isinstance(event, LeadershipChanged):
            terminal.message("leads now" if event.leads else "does not lead any more")


async def _fetch(kling: KlingSession, output: Path, terminal: Terminal) -> None:
    """Download what nobody has downloaded, again and again."""
    names = NameAllocator()
    paths: dict[str, Path] = {}  # by key: what was begun in this run
    while True:
        jobs: list[Job] = []
        began = monotonic()
        async for record in kling.history():
            is_missing = record.state is JobState.COMPLETED and record.file is None
            if is_missing and (job := kling.find(record.key)) is not None:
                if job.key not in paths:
                    paths[job.key] = output / names.allocate(name_of(job.request, job.key, job.tag))
                jobs.append(job)
        took = monotonic() - began
        async for delivery in kling.as_downloaded(jobs, path=lambda job: paths[job.key]):
            if delivery.error is not None:
                terminal.message(f"{short_key(delivery.job.key)}: {reason(delivery.error)}", "red")
        await asyncio.sleep(max(_EVERY, _SHARE * took))


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
