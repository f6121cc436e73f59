"""``kling-async worker``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kling_async import JobState, LeadershipChanged
from kling_async.cli.connect import open_session
from kling_async.cli.journals import JournalArgument, Place, shown
from kling_async.cli.options import CONNECTION, Connection
from kling_async.cli.paths import check_folder, make_folder
from kling_async.cli.signals import run
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count, reason
from kling_async.files.video_names import NameAllocator, name_of, short_key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kling_async import Job, KlingSession

_FILES_EVERY, _SHARE = 2.0, 10  # seconds between looks for new videos; a look takes a tenth of the time at most


def worker(
    journal: JournalArgument,
    /,
    *,
    never_lead: bool = False,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    connection: Connection = CONNECTION,
) -> None:
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
    run(
        _serve(journal, output, terminal, connection, never_lead=never_lead),
        lambda: terminal.final_message("interrupted at once"),
    )


async def _serve(
    journal: Place, output: Path | None, terminal: Terminal, connection: Connection, *, never_lead: bool
) -> None:
    async with open_session(connection, journal=journal, shared=True, hold=never_lead) as kling:
        terminal.message(f"A member of {shown(journal)} until Ctrl-C.", "dim")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_tell(kling, terminal))
                if output is not None:
                    group.create_task(_Fetching(kling, output, terminal).run())
        finally:
            stats = kling.stats()
            files = f" and {count(stats.downloaded, 'file')}" if output is not None else ""
            terminal.message(f"left, after {count(stats.submits, 'submit')} of all members{files}")


async def _tell(kling: KlingSession, terminal: Terminal) -> None:
    async for event in kling.subscribe():
        if isinstance(event, LeadershipChanged):
            terminal.message("leads now" if event.leads else "does not lead any more")


class _Fetching:
    """Downloads what nobody has downloaded, again and again."""

    def __init__(self, kling: KlingSession, output: Path, terminal: Terminal) -> None:
        self._kling = kling
        self._output = output
        self._terminal = terminal
        self._names = NameAllocator()
        self._paths: dict[str, Path] = {}  # by key: what was begun in this run

    async def run(self) -> None:
        """Look and download until cancelled."""
        while True:
            began = monotonic()
            jobs = [job async for job in self._missing()]
            took = monotonic() - began
            async for delivery in self._kling.as_downloaded(jobs, path=lambda job: self._paths[job.key]):
                if delivery.error is not None:
                    self._terminal.message(f"{short_key(delivery.job.key)}: {reason(delivery.error)}", "red")
            await asyncio.sleep(max(_FILES_EVERY, _SHARE * took))

    async def _missing(self) -> AsyncGenerator[Job]:
        async for record in self._kling.history():
            if record.state is not JobState.COMPLETED or record.file is not None:
                continue
            job = self._kling.find(record.key)
            if job is not None:
                if job.key not in self._paths:
                    self._paths[job.key] = self._output / self._names.allocate(name_of(job.request, job.key, job.tag))
                yield job
