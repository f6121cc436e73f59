"""``kling-async download``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kling_async import ConfigurationError
from kling_async.api.reprs import cut
from kling_async.cli.batch.run import BatchRun
from kling_async.cli.commands.resume import Resumption
from kling_async.cli.connect import open_session
from kling_async.cli.exit_codes import Exit
from kling_async.cli.journals import as_place, is_shared_journal
from kling_async.cli.json_output import job_json
from kling_async.cli.options import CONNECTION, RUNNING, AsJson, Connection, Output
from kling_async.cli.paths import check_folder, file_problem
from kling_async.cli.progress.progress import show_progress
from kling_async.cli.signals import exit_code, run
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import command

if TYPE_CHECKING:
    from collections.abc import Coroutine


def download(
    what: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> int:
    """Download the video of a generation, once it is made, or every finished video of a journal that is missing.

    Nothing is bought. A video that is there already and whole is not fetched again.

    Args:
        what: A generation's id, or a journal's file, or the URL of its database.
    """
    check_folder(output)
    place = as_place(what)
    if os.path.lexists(what) and not os.path.isfile(what):  # noqa: PTH113 - Path's raises for some names
        raise ConfigurationError(f"{cut(what)} is no journal: {file_problem(Path(what))}")
    terminal = Terminal(as_json=as_json)
    if isinstance(place, Path) and not os.path.isfile(what):  # noqa: PTH113 - Path's raises for some names
        again = command("download", what, "-o", output, *connection.arguments())
        return _fetch(_one(what, output, connection, terminal), terminal, again)
    batch_run = BatchRun(
        journal=place,
        output=output,
        connection=connection,
        running=RUNNING,
        terminal=terminal,
        hold=True,
        shared=is_shared_journal(place, connection, wanted=False),
    )
    return Resumption.of(batch_run, with_open=False).run()


def _fetch(work: Coroutine[object, object, Exit], terminal: Terminal, again: str) -> Exit:
    try:
        return run(work, lambda: terminal.final_message(f"interrupted at once; go on with: {again}"))
    except KeyboardInterrupt as interrupt:
        terminal.message(f"interrupted; go on with: {again}", "yellow")
        return exit_code(interrupt)


async def _one(generation_id: str, output: Path, connection: Connection, terminal: Terminal) -> Exit:
    async with (
        open_session(connection) as kling,
        show_progress(kling, terminal, 1),
    ):
        job = kling.resume(generation_id)
        path = await kling.download(job, into=output)
    if terminal.as_json:
        terminal.json_result(job_json(job, path, None))
    else:
        terminal.result(str(path))
    return Exit.OK
