"""``kling-async generate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from kling_async import JobState, KlingError
from kling_async.cli.batch.rows import WISHES, VideoOptions, read_request
from kling_async.cli.connect import connected
from kling_async.cli.exit_codes import Exit
from kling_async.cli.file_names import free, usual_name
from kling_async.cli.journal_summary import discard_if_passing, passing_journal
from kling_async.cli.json_output import job_facts
from kling_async.cli.options import CONNECTION, AsJson, Connection, Output
from kling_async.cli.paths import made_folder
from kling_async.cli.progress.progress import progress
from kling_async.cli.signals import exit_of, run, told
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import command, reason
from kling_async.files.uploads import check_files

if TYPE_CHECKING:
    from kling_async import Job, KlingSession, Request

__all__ = ["generate"]

_OWED = frozenset({JobState.SUBMITTING, JobState.UNCERTAIN, JobState.PENDING, JobState.COMPLETED})
_SHORT = 8  # characters of a generation's id: enough to tell one file from another


def generate(  # noqa: D417 - what commands share is described once, in options
    prompt: str = "",
    /,
    *,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    wishes: VideoOptions = WISHES,
    connection: Connection = CONNECTION,
) -> int:
    """Make one video, wait for it, and download it; the path of its file is printed.

    As soon as the vendor has accepted it, its id is shown: it is paid for, and can be had by that id from then on,
    whatever becomes of this command. Until the video is there, a journal in its folder, such as generate-1f8a03c7.db,
    knows what was bought: `kling-async resume` goes on with it, and removes it in the end.

    Args:
        prompt: What to show.
    """
    request = read_request(wishes.cells() | {"prompt": prompt})
    request.check()
    check_files(request)
    journal = None if connection.sandbox else passing_journal(output)  # a sandbox is gone when this ends
    return _Generation(request, output, connection, Terminal(as_json=as_json), journal).run()


@define(eq=False)
class _Generation:
    """One video, from its request to its file."""

    request: Request
    output: Path
    connection: Connection
    terminal: Terminal
    journal: Path | None
    job: Job | None = None
    path: Path | None = None

    def run(self) -> Exit:
        made_folder(self.output)
        try:
            return run(self._make(), self._say_last_words)
        except KeyboardInterrupt as interrupt:
            self.terminal.say(self._how_to_go_on("interrupted"), "yellow")
            return exit_of(interrupt)
        finally:
            if self.journal is not None and not self._is_owed():
                discard_if_passing(self.journal)

    def _is_owed(self) -> bool:
        """Whether something was or may have been bought, and the video is not here."""
        return self.job is not None and self.path is None and self.job.state in _OWED

    async def _make(self) -> Exit:
        async with (
            connected(self.connection, journal=self.journal) as kling,
            progress(kling, self.terminal, 1, pace=1 / self.connection.pace),
            told(self.terminal),
        ):
            job = self.job = kling.submit(self.request)
            try:
                self.path = await self._obtain(job, kling)
            except KlingError as error:
                return self._failed(job, error)
        self._tell(job, self.path, None)
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
        if not self._is_owed():
            return Exit.FAILED
        self.terminal.say(self._how_to_go_on("it is or may be paid for"), "yellow")
        return Exit.STOPPED

    def _tell(self, job: Job, path: Path | None, error: KlingError | None) -> None:
        if self.terminal.as_json:
            self.terminal.tell_facts(job_facts(job, path, error))
        elif path is not None:
            self.terminal.tell(str(path))

    def _say_last_words(self) -> None:
        self.terminal.end(self._how_to_go_on("interrupted at once"))

    def _how_to_go_on(self, what: str) -> str:
        if self.journal is None:
            return what
        if not self._is_owed():
            return f"{what}; nothing was bought" if self.path is None else f"{what}; the video is {self.path}"
        again = command("resume", self.journal, "-o", self.output, *self.connection.words())
        return f"{what}; get the video with: {again}"
