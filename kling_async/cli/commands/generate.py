"""``kling-async generate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from kling_async import GenerationFailed, KlingError
from kling_async.cli.connect import connected
from kling_async.cli.exits import Exit
from kling_async.cli.facts import job_facts
from kling_async.cli.files import made_folder
from kling_async.cli.interrupts import run
from kling_async.cli.names import free, usual_name
from kling_async.cli.options import CONNECTION, AsJson, Connection, Output
from kling_async.cli.phrases import command, reason
from kling_async.cli.progress import progress
from kling_async.cli.rows import read_request
from kling_async.cli.terminal import Terminal
from kling_async.cli.wishes import WISHES, Wishes
from kling_async.engine.media import check_files

if TYPE_CHECKING:
    from kling_async import Job, KlingSession, Request

__all__ = ["generate"]

_SHORT = 8  # characters of a generation's id: enough to tell one file from another


def generate(  # noqa: D417 - what commands share is described once, in options
    prompt: str = "",
    /,
    *,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    wishes: Wishes = WISHES,
    connection: Connection = CONNECTION,
) -> int:
    """Make one video, wait for it, and download it; the path of its file is printed.

    As soon as the vendor has accepted it, its id is shown: it is paid for, and can be had by that id from then on,
    whatever becomes of this command.

    Args:
        prompt: What to show.
    """
    request = read_request(wishes.cells() | {"prompt": prompt})
    request.check()
    check_files(request)
    return _Generation(request, output, connection, Terminal(as_json=as_json)).run()


@define(eq=False)
class _Generation:
    """One video, from its request to its file."""

    request: Request
    output: Path
    connection: Connection
    terminal: Terminal
    job: Job | None = None

    def run(self) -> Exit:
        made_folder(self.output)
        try:
            return run(self._make(), self._say_last_words)
        except KeyboardInterrupt:
            self.terminal.say(self._how_to_go_on("interrupted"), "yellow")
            return Exit.INTERRUPTED

    async def _make(self) -> Exit:
        async with (
            connected(self.connection) as kling,
            progress(kling, self.terminal, 1, pace=1 / self.connection.pace),
        ):
            job = self.job = kling.submit(self.request)
            try:
                path = await self._obtain(job, kling)
            except KlingError as error:
                return self._failed(job, error)
        self._tell(job, path, None)
        return Exit.OK

    async def _obtain(self, job: Job, kling: KlingSession) -> Path:
        generation_id = await job.accepted()
        self.terminal.say(f"accepted as {generation_id}")
        await job
        target = free(self.output / usual_name(self.request, generation_id[:_SHORT]), set())
        return await kling.download(job, target)

    def _failed(self, job: Job, error: KlingError) -> Exit:
        self.terminal.say(reason(error), "red")
        self._tell(job, None, error)
        if isinstance(error, GenerationFailed) or job.generation_id is None:
            return Exit.FAILED
        self.terminal.say(self._how_to_go_on("it is paid for"), "yellow")
        return Exit.STOPPED

    def _tell(self, job: Job, path: Path | None, error: KlingError | None) -> None:
        if self.terminal.as_json:
            self.terminal.tell_facts(job_facts(job, path, error))
        elif path is not None:
            self.terminal.tell(str(path))

    def _say_last_words(self) -> None:
        self.terminal.end(self._how_to_go_on("interrupted at once"))

    def _how_to_go_on(self, what: str) -> str:
        generation_id = None if self.job is None else self.job.generation_id
        if generation_id is None or self.connection.sandbox:
            return what
        again = command("download", generation_id, "-o", self.output, *self.connection.words())
        return f"{what}; get the video with: {again}"
