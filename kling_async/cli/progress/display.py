"""Show the progress of a session: a display that is redrawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from textwrap import shorten
from typing import TYPE_CHECKING

from attrs import evolve
from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kling_async import GenerationFailed, Retrying
from kling_async.cli.jobs import described, label_for
from kling_async.cli.progress.tracker import ProgressTracker
from kling_async.cli.text import clock, count, dollars, one_line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine
    from types import TracebackType
    from typing import Self

    from rich.console import RenderableType

    from kling_async import Event, KlingSession, Subscription
    from kling_async.cli.progress.tracker import Row, Snapshot
    from kling_async.cli.terminal import Terminal


_LONGEST = 80  # characters of a reason; a warning has it in full


class LineDisplay(nullcontext[None]):
    """Prints a line of progress at intervals, without control characters.

    Args:
        terminal: The output streams.
        interval: Seconds between lines.
    """

    rows = 0
    """Single jobs are not shown."""
    shown: str = ""
    """The line that was printed last."""

    def __init__(self, terminal: Terminal, interval: float) -> None:
        super().__init__()
        self.interval = interval
        self._terminal = terminal

    def show(self, snapshot: Snapshot) -> None:
        """Print a line."""
        self.shown = render_line(snapshot)
        self._terminal.message(self.shown)


def render_line(snapshot: Snapshot) -> str:
    """Format a snapshot in one line."""
    counts = ", ".join(f"{number:,} {stage}" for stage, number in snapshot.counts)
    sent = f"{count(snapshot.requests, 'request')}, {snapshot.per_second:.1f}/s"
    if snapshot.throttled:
        sent += f", {snapshot.throttled:,} refused (429)"
    parts = [f"{clock(snapshot.elapsed)}  {snapshot.finished:,} of {snapshot.total:,}", counts, sent]
    if snapshot.ledger:
        parts.append(snapshot.ledger)
    if snapshot.spent:
        parts.append(f"{dollars(snapshot.spent)} spent")
    if snapshot.halted is not None:
        parts.append(f"no more submits: {shorten(snapshot.halted, _LONGEST, placeholder='...')}")
    elif snapshot.left is not None and snapshot.finished < snapshot.total:
        parts.append(f"about {clock(snapshot.left)} left")
    return "; ".join(filter(None, parts))


_FRAME = 8  # lines that are not rows: a message, the bar, counts, rates, blank ones, "and more", and the cursor's
_NARROW = 64  # columns up to which there is no room for models
_WIDE = 110  # columns from which on there is room for a whole prompt and a bar on each row
_NAME, _MODEL, _PROMPT = 28, 32, 76  # the most columns they get
_BAR, _FIXED = 16, len("downloading") + len("12:34") + len("12 polls") + 6 * 2  # the least; what others and gaps take
_COLOURS = {"done": "green", "failed": "bold red", "stopped": "bold red", "uncertain": "yellow", "generating": "cyan"}


class LiveDisplay:
    """Redraws the progress in place, and removes it at the end.

    Args:
        terminal: The output streams; ``is_live`` must be true.
    """

    interval: float = 0.125
    """Seconds between redraws."""
    shown: str = ""
    """Nothing that is drawn stays."""

    def __init__(self, terminal: Terminal) -> None:
        self._console = terminal.err
        # Standard output may be redirected, so it is not captured.
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)

    @property
    def rows(self) -> int:
        """The number of job rows that fit the terminal."""
        return max(0, self._console.height - _FRAME)

    def show(self, snapshot: Snapshot) -> None:
        """Redraw."""
        self._live.update(render(snapshot, self._console.width), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def render(snapshot: Snapshot, width: int) -> RenderableType:
    """Render a snapshot for a terminal of this width."""
    parts: list[RenderableType] = [Text(), _overall(snapshot), _stages(snapshot), _rates(snapshot)]
    if snapshot.rows:
        parts += [Text(), _jobs(snapshot.rows, width)]
    if snapshot.rows and snapshot.more:
        parts.append(Text(f"and {snapshot.more:,} more", "dim"))
    return Group(*parts)


def _overall(snapshot: Snapshot) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    bar = ProgressBar(total=max(1, snapshot.total), completed=snapshot.finished, complete_style="green")
    grid.add_row(bar, Text(f"{snapshot.finished:,} of {snapshot.total:,}", "bold"), _time(snapshot))
    return grid


def _time(snapshot: Snapshot) -> str:
    if snapshot.left is None or snapshot.finished >= snapshot.total:
        return clock(snapshot.elapsed)
    return f"{clock(snapshot.elapsed)}, about {clock(snapshot.left)} left"


def _stages(snapshot: Snapshot) -> Text:
    return _row_of_words([(f"{number:,} {stage}", _COLOURS.get(stage, "")) for stage, number in snapshot.counts])


def _rates(snapshot: Snapshot) -> Text:
    words = [(count(snapshot.requests, "request"), "dim"), (f"{snapshot.per_second:.1f}/s", "dim")]
    words.append((f"{snapshot.throttled:,} refused (429)", "yellow" if snapshot.throttled else "dim"))
    if snapshot.ledger:
        words.append((snapshot.ledger, "dim"))
    if snapshot.spent:
        words.append((f"{dollars(snapshot.spent)} spent", ""))
    if snapshot.paused_for > 0:
        words.append((f"held for {snapshot.paused_for:.1f} s", "yellow"))
    if snapshot.halted is not None:
        words.append((f"no more submits: {snapshot.halted}", "bold red"))
    return _row_of_words(words)


def _row_of_words(words: list[tuple[str, str]]) -> Text:
    line = Text("   ").join(Text(word, style) for word, style in words)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _jobs(rows: tuple[Row, ...], width: int) -> Table:
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    is_wide = width >= _WIDE
    prompt = None
    if is_wide:
        name = min(_NAME, max(cell_len(row.name) for row in rows))
        model = min(_MODEL, max(cell_len(row.model) for row in rows))
        prompt = min(_PROMPT, width - name - model - _BAR - _FIXED)
        grid.add_column(no_wrap=True, overflow="ellipsis", max_width=_NAME)
    grid.add_column(ratio=None if is_wide else 1, width=prompt, no_wrap=True, overflow="ellipsis")
    if width > _NARROW:
        grid.add_column(no_wrap=True, overflow="ellipsis", max_width=_MODEL, style="dim")
    grid.add_column(no_wrap=True, min_width=len("downloading"), style="cyan")
    grid.add_column(no_wrap=True, justify="right", min_width=len("12:34"))
    if is_wide:
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True, justify="right", min_width=len("12 polls"), style="dim")
    for row in rows:
        grid.add_row(*(_wide_cells(row) if is_wide else _cells(row, with_model=width > _NARROW)))
    return grid


def _cells(row: Row, *, with_model: bool) -> list[RenderableType]:
    label = Text.assemble(row.name, "  ", (row.prompt, "dim"))
    model = [Text(row.model)] if with_model else []
    return [label, *model, Text(row.status), clock(row.age)]


def _wide_cells(row: Row) -> list[RenderableType]:
    bar = ProgressBar(total=1, completed=row.share, complete_style="cyan", finished_style="cyan")
    _, *others = _cells(row, with_model=True)
    return [Text(row.name), Text(row.prompt, "dim"), *others, bar, count(row.polls, "poll")]


_SHORTEST = 0.1  # seconds
_BUFFER = 100_000  # events: as many as a whole batch that is submitted in one go


@asynccontextmanager
async def show_progress(
    kling: KlingSession, terminal: Terminal, total: int, *, interval: float = 5.0
) -> AsyncGenerator[ProgressTracker]:
    """Show the progress of a session until the context is left.

    On a terminal this is a live display, of which one line stays; elsewhere a line at intervals, and a last one. What
    `Retry` buys again is told.

    Args:
        kling: The session, entered.
        terminal: The output streams.
        total: The number of jobs.
        interval: Seconds between lines.
    """
    loop = asyncio.get_running_loop()
    tracker = ProgressTracker(total, started=loop.time())
    display = LiveDisplay(terminal) if terminal.is_live else LineDisplay(terminal, interval)

    def snapshot() -> Snapshot:
        return tracker.snapshot(kling.stats(own=True), loop.time(), rows=display.rows)

    async def redraw() -> None:
        while True:
            display.show(snapshot())
            await asyncio.sleep(display.interval)

    last: Snapshot | None = None
    try:
        with display:
            follow = _follow(kling.subscribe(buffer=_BUFFER), tracker, terminal)
            async with _alongside(follow), _alongside(redraw()):
                try:
                    yield tracker
                finally:
                    await asyncio.sleep(0)  # the last events are delivered only now
                    last = snapshot()
    finally:
        if last is not None:  # as it stands when it ends, also by Ctrl-C; the summary says why submits have halted
            mean = last.requests / max(last.elapsed, _SHORTEST)
            line = render_line(evolve(last, per_second=mean, halted=None, left=None))
            if line != display.shown:
                terminal.message(line)


async def _follow(events: Subscription[Event], tracker: ProgressTracker, terminal: Terminal) -> None:
    async for event in events:
        tracker.handle(event)
        if isinstance(event, Retrying) and isinstance(event.error, GenerationFailed):
            label = described(label_for(event.job), event.job.request)
            terminal.message(f"{label}: made again, as its {one_line(event.error.message)}", "yellow")


@asynccontextmanager
async def _alongside(work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
    """Run a task while the context lasts; its error is raised at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
