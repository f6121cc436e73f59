"""Who is asked next: the pending generations of a session, the most urgent first."""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.poll_cost import PollCost
    from kling_async.pacing.schedules import PollSchedule
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["DelayQueue", "PollQueue"]

T = TypeVar("T")


class DelayQueue(Generic[T]):
    """Items waiting for their instants. Putting and taking cost O(log n); items are never compared nor hashed.

    An item may be put in more than once, and then comes out as often. Nothing is ever removed but by taking it:
    whoever loses interest in an item drops it when it comes.
    """

    __slots__ = ("_entries", "_sequence")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, T]] = []
        self._sequence = 0  # breaks ties, first in first out

    def put(self, due: float, item: T) -> None:
        """Keep the item until ``due``; with infinity, for good.

        Raises:
            ValueError: ``due`` is NaN, which has no place in any order and would spoil everyone else's.
        """
        if math.isnan(due):
            raise ValueError(f"{item!r} cannot be due at NaN")
        heappush(self._entries, (due, self._sequence, item))
        self._sequence += 1

    @property
    def next_due(self) -> float:
        """When the earliest item is due; infinity when there is none."""
        return self._entries[0][0] if self._entries else math.inf

    @property
    def first(self) -> T:
        """The earliest item, left where it is.

        Raises:
            IndexError: There is none.
        """
        return self._entries[0][2]

    def take_due(self, now: float) -> T | None:
        """Remove and return the earliest item due by ``now``, or None. Equals come out in the order they went in."""
        if not self._entries or self._entries[0][0] > now:
            return None
        return heappop(self._entries)[2]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        """Every item waiting, in no promised order. Nothing may be put or taken meanwhile."""
        return (item for _, _, item in self._entries)

    def __repr__(self) -> str:
        return f"<DelayQueue of {len(self)}, next due {self.next_due}>"


_NOTABLE: Final = 0.05  # how much sooner, as a share of the sleep, an instant must be to be changed at once
_DOUBTS: Final = 8  # how many that are less urgent than they were are put back for one that is taken
_AT_ONCE: Final = 64  # how many entries are passed over for one that is taken: no step is long
_WAKING: Final = 16  # how many wake for one that is taken, though all may be overdue: each then has a new entry


class PollQueue(Generic[T]):
    """Those who sleep, by when they are worth a poll; those who are worth one, by when the present price says.

    So a poll that can be afforded goes to somebody if it is of use to anybody, and to who needs it most. What was
    learned meanwhile, and how the price moved, is taken into account by `review`, which looks at everybody in turn, and
    whenever somebody's turn comes. Putting and taking cost O(log n).
    """

    __slots__ = (
        "_asleep",
        "_awake",
        "_cost",
        "_counting",
        "_demand",
        "_feed",
        "_looked_at",
        "_round",
        "_schedule",
        "_sequence",
        "_shown",
        "_waiting",
    )

    def __init__(self, schedule: PollSchedule, price: PollCost, feed: CompletionFeed | None = None) -> None:
        self._schedule = schedule
        self._cost = price
        self._feed = feed
        self._counting = False  # whether the feed counts in this round
        self._shown: deque[tuple[int, GenerationTracker, T]] = deque()  # whose end the feed has shown
        self._asleep: list[tuple[float, int, GenerationTracker, T]] = []
        self._awake: list[tuple[float, int, GenerationTracker, T]] = []
        self._sequence = 0  # breaks ties, first in first out, and tells an entry that counts from older ones
        self._waiting = 0
        self._round: Iterator[tuple[float, int, GenerationTracker, T]] | None = (
            None  # who is still to be looked at in it
        )
        self._demand = 0.0  # of those who were, ...
        self._looked_at = 0  # ... and how many they were

    def put(self, tracker: GenerationTracker, item: T) -> None:
        """Let it sleep until it is worth a poll. It must not be on the rota."""
        self._waiting += 1
        tracker.awake = False
        if tracker.shown is not None:
            self._enter_shown(tracker, item)
        else:
            self._enter(self._asleep, self._schedule.earliest(tracker), tracker, item)

    def show(self, tracker: GenerationTracker, item: T) -> None:
        """The feed has shown its end: take it before all others, or when it is put back if it is not here."""
        if tracker.entry is not None:
            self._enter_shown(tracker, item)

    @property
    def has_shown(self) -> bool:
        """Whether `take` has one next whose end the feed has shown; nothing should be sent before its poll."""
        while self._shown and self._shown[0][1].entry != self._shown[0][0]:
            self._shown.popleft()
        return bool(self._shown)

    def drop(self, tracker: GenerationTracker) -> None:
        """Forget it, if it is there."""
        if tracker.entry is not None:
            tracker.entry = None
            self._waiting -= 1

    def next_at(self) -> float:
        """When `take` may next have something, which may be past; infinity if nobody is here."""
        if _clear(self._awake) or (self._shown and self.has_shown):
            return -math.inf
        return self._asleep[0][0] if _clear(self._asleep) else math.inf

    def take(self, now: float) -> T | None:
        """Remove and return the most urgent one that is worth a poll by ``now``, or None."""
        if self._shown and self.has_shown:
            _, tracker, item = self._shown.popleft()
            self.drop(tracker)
            return item
        if not self._awake and not self._cost.is_short:
            return self._take_earliest(now)
        looked_at = self._sequence  # entries from here on are as they should be
        self._wake_due(now)
        doubts = 0
        while _clear(self._awake):
            _, ticket, tracker, item = heappop(self._awake)
            if tracker.entry != ticket:  # so many do not count that others have the loop before the rest is cleared
                return None
            if ticket >= looked_at or doubts == _DOUBTS or not self._awake:
                self.drop(tracker)
                return item
            due = self._schedule.due(tracker)
            if due <= self._awake[0][0]:
                self.drop(tracker)
                return item
            self._enter(self._awake, due, tracker, item)
            doubts += 1
        return None

    def _take_earliest(self, now: float) -> T | None:
        """The one that has been worth a poll for longest; with polls to spare, that is the most urgent one."""
        for _ in range(_AT_ONCE):
            if not self._asleep or self._asleep[0][0] > now:
                return None
            _, ticket, tracker, item = heappop(self._asleep)
            if tracker.entry != ticket:
                continue
            ripe = self._schedule.earliest(tracker)
            if ripe <= now and (not self._asleep or ripe <= self._asleep[0][0]):
                self.drop(tracker)
                return item
            self._enter(self._asleep, ripe, tracker, item)
        return None

    def review(self, now: float, rate: float, most: int = 128) -> bool:
        """Look at ``most`` more of those waiting; whether that ends a round.

        At a round's end the price is set, so that ``rate`` polls per second (infinity: no limit) go round. Between two
        calls others may come and go; a few may then be looked at twice in a round, or not before the next one.
        """
        if self._round is None:
            self._round, self._demand, self._looked_at = self._everybody(), 0.0, 0
            self._counting = self._feed is not None and self._feed.begin_round()
        seen = 0
        for entry in islice(self._round, most):
            seen += 1
            if entry[2].entry == entry[1]:
                self._look_at(entry, now)
        if seen == most:
            return False
        self._round = None
        scale = self._waiting / self._looked_at if self._looked_at else 1.0
        if self._feed is not None:
            rate = self._feed.end_round(now, rate, scale)
        self._cost.spread(self._demand * scale, rate)
        return True

    def _everybody(self) -> Iterator[tuple[float, int, GenerationTracker, T]]:
        """Every entry where it stands, from the last to the first: to list 100,000 of them would hold up the loop.

        Not only that itself, but every collection of garbage until the list is an old one. In this order, most of those
        who are moved about in a heap meanwhile are moved ahead, to where they are still met.
        """
        for heap in (self._asleep, self._awake):
            place = len(heap)
            while (place := min(place, len(heap)) - 1) >= 0:
                yield heap[place]

    def __len__(self) -> int:
        """How many are waiting."""
        return self._waiting

    def __repr__(self) -> str:
        return f"<PollQueue of {len(self)} at {self._cost.now:.2f}>"

    def _enter(
        self, heap: list[tuple[float, int, GenerationTracker, T]], at: float, tracker: GenerationTracker, item: T
    ) -> None:
        tracker.entry = self._sequence
        heappush(heap, (at, self._sequence, tracker, item))
        self._sequence += 1

    def _enter_shown(self, tracker: GenerationTracker, item: T) -> None:
        tracker.entry = self._sequence
        self._shown.append((self._sequence, tracker, item))
        self._sequence += 1

    def _wake_due(self, now: float) -> None:
        """Move those who are worth a poll to where the most urgent comes first."""
        for _ in range(_WAKING):
            if not self._asleep or self._asleep[0][0] > now:
                return
            _, ticket, tracker, item = heappop(self._asleep)
            if tracker.entry != ticket:
                continue
            ripe = self._schedule.earliest(tracker)
            if ripe > now:
                self._enter(self._asleep, ripe, tracker, item)
            else:
                tracker.awake = True
                # With polls to spare, what is worth one is due.
                self._enter(self._awake, self._schedule.due(tracker) if self._cost.is_short else ripe, tracker, item)

    def _look_at(self, entry: tuple[float, int, GenerationTracker, T], now: float) -> None:
        at, _, tracker, item = entry
        self._demand += self._schedule.demand(tracker, now)
        self._looked_at += 1
        if self._counting and self._feed is not None:
            self._feed.count(tracker, now)
        fresh = self._schedule.due(tracker) if tracker.awake else self._schedule.earliest(tracker)
        if fresh < at - _NOTABLE * (at - tracker.seen):
            self._enter(self._awake if tracker.awake else self._asleep, fresh, tracker, item)


def _clear(heap: list[tuple[float, int, GenerationTracker, T]]) -> bool:
    """Drop entries that no longer count from the top, but not too many at once; whether any is left."""
    for _ in range(_AT_ONCE):
        if not heap or heap[0][2].entry == heap[0][1]:
            break
        heappop(heap)
    return bool(heap)
