"""A fair queue: items wait in lines, one for each priority, group and model, and the lines take turns.

A hierarchical round robin: the groups of one priority take turns, and within a group its models, so that neither many
items nor many models get a group more than its share. The highest priority goes first, but ages: one that has not been
served for ten minutes counts as one higher, after twenty as two, so that each is served from time to time. Within a
line, the lowest order goes first, then who came first.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, KeysView

T = TypeVar("T")

AGEING: Final = 600.0
"""The seconds without being served that make up for one priority, and those by which a failure puts an item back.

So a batch gets one place in ten minutes beside interactive work of one priority more, if there is no room for both.
"""


class Line(NamedTuple):
    """What the items of one line have in common."""

    priority: int
    group: str | None
    model: str


class Obstacle(NamedTuple):
    """A reason not to serve a line: the cause, equal for all lines it concerns, and until when, if that is known."""

    cause: Hashable
    until: float = math.inf


class _Waiting(Generic[T]):
    """The items of one line. It is in its group's ring, or parked."""

    __slots__ = ("items", "line", "woken_by")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.items: list[tuple[float, int, T]] = []  # a heap
        self.woken_by: Hashable = None


class _Level(Generic[T]):
    """The groups of one priority that have lines in their rings, each with its ring; the next one first."""

    __slots__ = ("groups", "head_start")

    def __init__(self, priority: int) -> None:
        self.groups: OrderedDict[str | None, deque[_Waiting[T]]] = OrderedDict()
        self.head_start = AGEING * priority


class FairQueue(Generic[T]):
    """Items in lines that take turns. Putting and taking cost O(log n), whatever the number of lines.

    Args:
        obstacle: Returns what is in a line's way now, or None, and then it is served. A line with an obstacle leaves
            its ring, and returns to its end at the obstacle's instant or when it is woken.

    Attributes:
        parked: The lines that have left their rings, by what is in their way.
    """

    __slots__ = ("_count", "_levels", "_lines", "_now", "_obstacle", "_order", "_seq", "_timers", "_waits", "parked")

    def __init__(self, obstacle: Callable[[Line, float], Obstacle | None]) -> None:
        self._obstacle = obstacle
        self._now = -math.inf  # the newest instant that was given
        self._lines: dict[Line, _Waiting[T]] = {}  # those that have items
        self._levels: dict[int, _Level[T]] = {}  # those with a line in a ring
        self._order: list[tuple[float, int, _Level[T]]] = []  # a heap of these, by when each was served, less its start
        self.parked: dict[Hashable, deque[_Waiting[T]]] = {}
        self._waits: dict[Hashable, float] = {}  # until when, where that is known
        self._timers: list[tuple[float, int, Hashable]] = []  # a heap of the same
        self._seq = 0  # breaks ties, first in first out
        self._count = 0

    def put(self, line: Line, item: T, order: float, now: float) -> None:
        """Add an item to its line, behind those of a lower or the same order."""
        self._now = now
        waiting = self._lines.get(line)
        if waiting is None:
            waiting = self._lines[line] = _Waiting(line)
            self._enter(waiting)
        self._seq += 1
        heappush(waiting.items, (order, self._seq, item))
        self._count += 1

    def take(self, now: float) -> T | None:
        """Remove and return the item whose turn it is; None if no line may be served now."""
        self._now = now
        while self._timers and self._timers[0][0] <= now:
            until, _, cause = heappop(self._timers)
            if self._waits.get(cause) == until:
                self.wake(cause, every=True)
        while self._order:
            level = self._order[0][2]
            group, ring = next(iter(level.groups.items()))
            waiting = ring.popleft()
            obstacle = self._obstacle(waiting.line, now)
            if obstacle is None:
                item = heappop(waiting.items)[2]
                self._served(level, group, waiting)
                return item
            if not ring:
                self._leave(level, group, waiting.line.priority)
            self._park(waiting, obstacle)
        return None

    def wake(self, cause: Hashable, *, every: bool = False) -> None:
        """Return one line, or every line, that this cause has kept out of its ring.

        If something else is in the way of one, it wakes the next.
        """
        parked = self.parked.get(cause)
        while parked:
            waiting = parked.popleft()
            waiting.woken_by = cause
            self._enter(waiting)
            if not parked:
                del self.parked[cause]
                self._waits.pop(cause, None)
            if not every:
                return

    def next_at(self) -> float:
        """Return the instant at which `take` may next return an item; it may be past, and infinity."""
        if self._order:
            return -math.inf
        return self._timers[0][0] if self._timers else math.inf

    @property
    def lines(self) -> KeysView[Line]:
        """The lines in which any item waits."""
        return self._lines.keys()

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<FairQueue of {self._count} in {len(self._lines)} lines>"

    def _enter(self, waiting: _Waiting[T]) -> None:
        priority, group, _ = waiting.line
        level = self._levels.get(priority)
        if level is None:
            level = self._levels[priority] = _Level(priority)
            self._seq += 1
            heappush(self._order, (self._now - level.head_start, self._seq, level))
        ring = level.groups.get(group)
        if ring is None:
            level.groups[group] = deque((waiting,))
        else:
            ring.append(waiting)

    def _served(self, level: _Level[T], group: str | None, waiting: _Waiting[T]) -> None:
        """Put a line, its group and its priority at the ends of their rings, as far as anything is left in them."""
        self._count -= 1
        waiting.woken_by = None
        ring = level.groups[group]
        if waiting.items:
            ring.append(waiting)
        else:
            del self._lines[waiting.line]
        if not ring:
            self._leave(level, group, waiting.line.priority)
        else:
            level.groups.move_to_end(group)
        if level.groups:
            self._seq += 1
            heapreplace(self._order, (self._now - level.head_start, self._seq, level))

    def _leave(self, level: _Level[T], group: str | None, priority: int) -> None:
        """Take a group with an empty ring out of the level that is first."""
        del level.groups[group]
        if not level.groups:
            del self._levels[priority]
            heappop(self._order)

    def _park(self, waiting: _Waiting[T], obstacle: Obstacle) -> None:
        cause, until = obstacle
        woken_by, waiting.woken_by = waiting.woken_by, None
        self.parked.setdefault(cause, deque()).append(waiting)
        if until < math.inf and self._waits.get(cause) != until:
            self._waits[cause] = until
            self._seq += 1
            heappush(self._timers, (until, self._seq, cause))
        if woken_by not in (None, cause):
            self.wake(woken_by)
