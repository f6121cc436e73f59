"""``kling-async generate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define
from cyclopts.types import NonNegativeInt

from kling_async import JobState, KlingError, from_row
from kling_async.cli.batch.rows import VIDEO_OPTIONS, VideoOptions
from kling_async.cli.exit_codes import Exit
from kling_async.cli.jobs import job_json
from kling_async.cli.journals import discard_if_temporary, temporary_journal
from kling_async.cli.options import CONNECTION, AsJson, Connection, Output, Running, open_session
from kling_async.cli.paths import make_folder
from kling_async.cli.progress.display import show_progress
from kling_async.cli.signals import announced_stop, run_told
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import command, reason
from kling_async.files.uploads import check_files
from kling_async.files.video_names import default_name, free_path

if TYPE_CHECKING:
    from kling_async import Job, KlingSession, Request

_OUTSTANDING = frozenset({JobState.SUBMITTING, JobState.UNCERTAIN, JobState.PENDING, JobState.COMPLETED})
_SHORT = 8  # characters of a generation's id: enough to tell one file from another


def generate(
    prompt: str = "",
    /,
    *,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    retry: NonNegativeInt = 0,
    video: VideoOptions = VIDEO_OPTIONS,
    connection: Connection = CONNECTION,
) -> int:
    """Make one video, wait for it, and download it; the path of its file is printed.

    As soon as the vendor has accepted it, its id is shown: it is paid for, and can be had by that id from then on,
    whatever becomes of this command. Until the video is there, a journal in its folder, such as generate-1f8a03c7.db,
    knows what was bought: `kling-async resume` goes on with it, and removes it in the end.

    Args:
        prompt: What to show.
        retry: How often to make it again if it fails, which is not charged; not if it fails for its content.
    """
    request = from_row(video.fields() | {"prompt": prompt}).request
    check_files(request)
    journal = None if connection.sandbox else temporary_journal(output)  # a sandbox is gone when this ends
    return _SingleRun(request, output, connection, Terminal(as_json=as_json), journal, retry).run()


@define(eq=False)
class _SingleRun:
    """One video, from its request to its file."""

    request: Request
    output: Path
    connection: Connection
    terminal: Terminal
    journal: Path | None
    retry: int
    job: Job | None = None
    path: Path | None = None

    def run(self) -> Exit:
        make_folder(self.output)
        try:
            return run_told(self._make(), self.terminal, self._how_to_go_on)
        finally:
            if self.journal is not None and not self._is_outstanding():
                discard_if_temporary(self.journal)

    def _is_outstanding(self) -> bool:
        """Tell whether something was or may have been bought whose video is not on disk."""
        return self.job is not None and self.path is None and self.job.state in _OUTSTANDING

    async def _make(self) -> Exit:
        async with (
            open_session(self.connection, Running(retry=self.retry), journal=self.journal) as kling,
            show_progress(kling, self.terminal, 1),
            announced_stop(self.terminal),
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
        self.terminal.message(f"accepted as {generation_id}")
        await job
        target = free_path(self.output / default_name(self.request, generation_id[:_SHORT]), set())
        return await kling.download(job, target)

    def _failed(self, job: Job, error: KlingError) -> Exit:
        self.terminal.message(reason(error), "red")
        self._tell(job, None, error)
        if not self._is_outstanding():
            return Exit.FAILED
        self.terminal.message(self._how_to_go_on("it is or may be paid for"), "yellow")
        return Exit.STOPPED

    def _tell(self, job: Job, path: Path | None, error: KlingError | None) -> None:
        if self.terminal.as_json:
            self.terminal.json_result(job_json(job, path, error))
        elif path is not None:
            self.terminal.result(str(path))

    def _how_to_go_on(self, what: str) -> str:
        if self.journal is None:
            return what
        if not self._is_outstanding():
            return f"{what}; nothing was bought" if self.path is None else f"{what}; the video is {self.path}"
        again = command("resume", self.journal, "-o", self.output, *self.connection.arguments())
        return f"{what}; get the video with: {again}"
