"""Progress as a display that is redrawn in place, for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kling_async.cli.text import clock, count, dollars

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import RenderableType

    from kling_async.cli.progress.tracker import Row, Snapshot
    from kling_async.cli.terminal import Terminal

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
