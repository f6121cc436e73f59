"""Queues by instant: items until they are due, and the pending generations by urgency of their next poll."""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.poll_cost import PollCost
    from kling_async.pacing.schedules import PollSchedule
    from kling_async.pacing.tracking import GenerationTracker

T = TypeVar("T")
_Entry: TypeAlias = "tuple[float, int, GenerationTracker, T]"  # an instant, the entry's number, and what is polled


class DelayQueue(Generic[T]):
    """Items waiting for their instants. Putting and taking cost O(log n); items are never compared nor hashed.

    An item may be put in more than once, and then comes out as often. Nothing is removed but by taking it: an item that
    is no longer of interest is for its taker to drop.
    """

    __slots__ = ("_entries", "_sequence")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, T]] = []
        self._sequence = 0  # breaks ties, first in first out

    def put(self, due: float, item: T) -> None:
        """Keep the item until ``due``; with infinity, for good.

        Raises:
            ValueError: ``due`` is NaN, which would spoil the order of all items.
        """
        if math.isnan(due):
            raise ValueError(f"{item!r} cannot be due at NaN")
        heappush(self._entries, (due, self._sequence, item))
        self._sequence += 1

    @property
    def next_due(self) -> float:
        """The instant at which the earliest item is due; infinity when there is none."""
        return self._entries[0][0] if self._entries else math.inf

    def take_due(self, now: float) -> T | None:
        """Remove and return the earliest item due by ``now``, or None. Equals come out in the order they went in."""
        if not self._entries or self._entries[0][0] > now:
            return None
        return heappop(self._entries)[2]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<DelayQueue of {len(self)}, next due {self.next_due}>"


_NOTABLE: Final = 0.05  # the share of a gap by which an instant must be earlier to be changed at once
_MAX_REQUEUED: Final = 8  # entries that became less urgent are put back, at most, for one that is taken
_MAX_STALE: Final = 64  # stale entries are passed over, at most, for one that is taken: no step is long
_MAX_WOKEN: Final = 16  # entries move to the second heap, at most, for one that is taken, though all may be overdue


class PollQueue(Generic[T]):
    """Pending generations in two heaps: asleep, by the instant they are worth a poll; awake, by when they are due.

    So a poll that can be afforded goes to the generation that needs it most, and is never left over while any is worth
    one. Changes of hazards and of the cost are taken into account when a generation reaches the top of a heap, and by
    `review`, which goes through all of them. Putting and taking cost O(log n).

    To go through all at each poll, for the one with the highest cost at which it would be due now, is no better: in
    made-up batches and streams of 200, means are 1 to 4 % less and the latest hundredth 6 % sooner to 13 % later, much
    as with a higher cost in these heaps.
    """

    def __init__(self, schedule: PollSchedule, cost: PollCost, feed: CompletionFeed | None = None) -> None:
        self._schedule = schedule
        self._cost = cost
        self._feed = feed
        self._counting = False  # whether the feed counts in this round
        self._shown: deque[tuple[int, GenerationTracker, T]] = deque()  # those whose end the feed has shown
        self._asleep: list[_Entry[T]] = []
        self._awake: list[_Entry[T]] = []
        self._sequence = 0  # breaks ties, first in first out, and tells an entry that counts from older ones
        self._waiting = 0
        self._round: Iterator[_Entry[T]] | None = None  # the entries that are still to be reviewed
        self._demand = 0.0  # of the generations reviewed in this round, ...
        self._reviewed = 0  # ... and their number

    def put(self, tracker: GenerationTracker, item: T) -> None:
        """Add a generation, asleep until it is worth a poll. It must not be in the queue."""
        self._waiting += 1
        tracker.awake = False
        if tracker.shown is not None:
            self._enter_shown(tracker, item)
        else:
            self._enter(self._asleep, self._schedule.earliest(tracker), tracker, item)

    def show(self, tracker: GenerationTracker, item: T) -> None:
        """Have a generation whose end the feed has shown taken first; if it is not here, once it is put back."""
        if tracker.entry is not None:
            if self._feed is not None and not tracker.unanswered:
                self._feed.lag.spared(self._schedule.due(tracker))
            self._enter_shown(tracker, item)

    @property
    def has_shown(self) -> bool:
        """Return whether `take` next returns one whose end the feed has shown; no other request should go before."""
        while self._shown and self._shown[0][1].entry != self._shown[0][0]:
            self._shown.popleft()
        return bool(self._shown)

    def drop(self, tracker: GenerationTracker) -> None:
        """Remove a generation, if it is there."""
        if tracker.entry is not None:
            tracker.entry = None
            self._waiting -= 1

    def next_at(self) -> float:
        """Return the instant at which `take` may next return one, which may be past; infinity if the queue is empty."""
        if (self._awake and _drop_stale(self._awake)) or (self._shown and self.has_shown):
            return -math.inf
        asleep = self._asleep
        if asleep and asleep[0][2].entry != asleep[0][1]:
            _drop_stale(asleep)
        return asleep[0][0] if asleep else math.inf

    def take(self, now: float) -> T | None:
        """Remove and return the most urgent one that is worth a poll by ``now``, or None."""
        if self._shown and self.has_shown:
            _, tracker, item = self._shown.popleft()
            self.drop(tracker)
            return item
        if not self._awake and not self._cost.is_short:
            return self._take_earliest(now)
        fresh_from = self._sequence  # entries from here on are as they should be
        self._wake_due(now)
        requeued = 0
        while _drop_stale(self._awake):
            _, entry, tracker, item = heappop(self._awake)
            if tracker.entry != entry:  # many are stale: the rest is cleared in a later step
                return None
            if entry >= fresh_from or requeued == _MAX_REQUEUED or not self._awake:
                self.drop(tracker)
                return item
            due = self._schedule.due(tracker)
            if due <= self._awake[0][0]:
                self.drop(tracker)
                return item
            self._enter(self._awake, due, tracker, item)
            requeued += 1
        return None

    def _take_earliest(self, now: float) -> T | None:
        """Remove and return the one that has been worth a poll for longest: the most urgent with polls to spare."""
        for _ in range(_MAX_STALE):
            if not self._asleep or self._asleep[0][0] > now:
                return None
            _, entry, tracker, item = heappop(self._asleep)
            if tracker.entry != entry:
                continue
            earliest = self._schedule.earliest(tracker)
            if earliest <= now and (not self._asleep or earliest <= self._asleep[0][0]):
                self.drop(tracker)
                return item
            self._enter(self._asleep, earliest, tracker, item)
        return None

    def review(self, now: float, rate: float, most: int = 128) -> bool:
        """Review ``most`` more of the generations; returns whether that ends a round.

        At a round's end the cost is set for ``rate`` polls per second (infinity: no limit). Between two calls
        generations may come and go; a few may then be reviewed twice in a round, or not before the next.
        """
        if self._round is None:
            self._round, self._demand, self._reviewed = self._entries(), 0.0, 0
            self._counting = self._feed is not None and self._feed.begin_round()
        seen = 0
        for entry in islice(self._round, most):
            seen += 1
            if entry[2].entry == entry[1]:
                self._review_entry(entry, now)
        if seen == most:
            return False
        self._round = None
        scale = self._waiting / self._reviewed if self._reviewed else 1.0
        if self._feed is not None:
            rate = self._feed.end_round(now, rate, scale)
        self._cost.spread(self._demand * scale, rate)
        return True

    def _entries(self) -> Iterator[_Entry[T]]:
        """Yield every entry in place, from the last to the first.

        To list 100,000 of them would hold up the loop, as would garbage collections while the list is young. In this
        order, most entries that are moved within a heap meanwhile move to where they are still met.
        """
        for heap in (self._asleep, self._awake):
            place = len(heap)
            while (place := min(place, len(heap)) - 1) >= 0:
                yield heap[place]

    def __len__(self) -> int:
        """Return the number of generations."""
        return self._waiting

    def __repr__(self) -> str:
        return f"<PollQueue of {len(self)} at {self._cost.now:.2f}>"

    def _enter(self, heap: list[_Entry[T]], at: float, tracker: GenerationTracker, item: T) -> None:
        tracker.entry = self._sequence
        heappush(heap, (at, self._sequence, tracker, item))
        self._sequence += 1

    def _enter_shown(self, tracker: GenerationTracker, item: T) -> None:
        tracker.entry = self._sequence
        self._shown.append((self._sequence, tracker, item))
        self._sequence += 1

    def _wake_due(self, now: float) -> None:
        """Move generations that are worth a poll to the heap by urgency."""
        for _ in range(_MAX_WOKEN):
            if not self._asleep or self._asleep[0][0] > now:
                return
            _, entry, tracker, item = heappop(self._asleep)
            if tracker.entry != entry:
                continue
            earliest = self._schedule.earliest(tracker)
            if earliest > now:
                self._enter(self._asleep, earliest, tracker, item)
            else:
                tracker.awake = True
                # With polls to spare, what is worth one is due.
                self._enter(
                    self._awake, self._schedule.due(tracker) if self._cost.is_short else earliest, tracker, item
                )

    def _review_entry(self, entry: _Entry[T], now: float) -> None:
        at, _, tracker, item = entry
        self._demand += self._schedule.demand(tracker, now)
        self._reviewed += 1
        if self._counting and self._feed is not None:
            self._feed.count(tracker, now)
        fresh = self._schedule.due(tracker) if tracker.awake else self._schedule.earliest(tracker)
        if fresh < at - _NOTABLE * (at - tracker.seen):
            self._enter(self._awake if tracker.awake else self._asleep, fresh, tracker, item)


def _drop_stale(heap: list[_Entry[T]]) -> bool:
    """Drop stale entries from the top, at most 64; returns whether any entry is left."""
    left = _MAX_STALE
    while heap and heap[0][2].entry != heap[0][1] and left:
        heappop(heap)
        left -= 1
    return bool(heap)
