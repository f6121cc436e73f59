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
from kling_async.cli.progress.tracker import ProgressTracker
from kling_async.cli.text import clock, count, described, dollars, label_for, one_line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from rich.console import RenderableType

    from kling_async import Event, KlingSession, Subscription
    from kling_async.cli.progress.tracker import Row, Snapshot
    from kling_async.cli.terminal import Terminal


_LONGEST = 80  # characters of a reason; a warning has it in full


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


def render(snapshot: Snapshot, width: int) -> RenderableType:
    """Render a snapshot for a terminal of this width."""
    stages = [(f"{number:,} {stage}", _COLOURS.get(stage, "")) for stage, number in snapshot.counts]
    parts: list[RenderableType] = [Text(), _overall(snapshot), _row_of_words(stages), _rates(snapshot)]
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
    is_known = snapshot.left is not None and snapshot.finished < snapshot.total
    time = clock(snapshot.elapsed) + (f", about {clock(snapshot.left or 0.0)} left" if is_known else "")
    grid.add_row(bar, Text(f"{snapshot.finished:,} of {snapshot.total:,}", "bold"), time)
    return grid


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
        grid.add_row(*_cells(row, width))
    return grid


def _cells(row: Row, width: int) -> list[RenderableType]:
    name, prompt, status, age = Text(row.name), Text(row.prompt, "dim"), Text(row.status), clock(row.age)
    if width >= _WIDE:
        bar = ProgressBar(total=1, completed=row.share, complete_style="cyan", finished_style="cyan")
        return [name, prompt, Text(row.model), status, age, bar, count(row.polls, "poll")]
    return [Text.assemble(name, "  ", prompt), *([Text(row.model)] if width > _NARROW else []), status, age]


_SHORTEST = 0.1  # seconds
_REDRAW_EVERY = 0.125  # seconds
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
    live, said = None, ""
    if terminal.is_live:  # standard output may be redirected, so it is not captured
        live = Live(console=terminal.err, auto_refresh=False, transient=True, redirect_stdout=False)

    def snapshot() -> Snapshot:
        rows = max(0, terminal.err.height - _FRAME) if live is not None else 0
        return tracker.snapshot(kling.stats(own=True), loop.time(), rows=rows)

    async def redraw() -> None:
        nonlocal said
        while True:
            if live is not None:
                live.update(render(snapshot(), terminal.err.width), refresh=True)
            else:
                said = render_line(snapshot())
                terminal.message(said)
            await asyncio.sleep(interval if live is None else _REDRAW_EVERY)

    last: Snapshot | None = None
    try:
        with live or nullcontext():
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
            if line != said:
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
