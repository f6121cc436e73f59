"""When to look at the account's ledger, which tells of all ends at once, and what follows for polls.

Once a generation has completed, its charge is entered in the ledger. If that happens before a poll has shown the end,
the ledger *leads*: one request (a *look*) then tells of every completion since the last look, and each needs but one
poll more, for its URL. Whether it leads is not known beforehand, and is learned (`kling_async.pacing.recording_lag`).

*While it is not known to*, looks are rare: when there should be something to see, within one in two hundred of the
requests made and certain to come, and ever further apart. *Once it leads*, a look is a poll of all: with G the share of
ends that it shows before their own poll, and h the hazards, a gap t between looks costs c / t for the looks and t / 2
of delay for G sum(h) ends per second, which is least at t = sqrt(2 c / (G sum(h))). *Once that was seen often enough*,
own polls are thinned (`kling_async.pacing.thinning`). Either is done only while it costs less than it saves, by what is
believed.

Everything is decided in rounds, which `PollQueue` makes when it reviews all generations that wait: each adds to the
sums, and at the end they give the gap between looks and the rate that is left for polls.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from kling_async.pacing.backoff import doubled
from kling_async.pacing.recording_lag import RecordingLag
from kling_async.pacing.thinning import Thinning
from kling_async.pacing.tracking import still_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kling_async.pacing.poll_cost import PollCost
    from kling_async.pacing.tracking import GenerationTracker

_SHORTEST_GAP: Final = 0.4  # seconds between looks, or what is best for one end a second if that is more, ...
_MANY: Final = 10.0  # ... unless that is more than it takes for so many ends to be shown
_FEWEST: Final = 4  # generations under way: for fewer, a look saves nothing
_SOMETHING: Final = 0.5  # ends that should be there to be seen for a look to be worth its while before the ledger leads
_EARLY: Final = 0.02  # the share of a kind until which an end is likely to be a failure, which has no charge
_EXPLORING: Final = 200.0  # requests before the first such look, and from one to the next, ...
_YET_TO_COME: Final = 4.0  # requests that each generation under way takes at least until it is done
_SOON: Final = 5.0  # times as many requests as now may count by the end of a round
_RARER: Final = 1.25  # ... times this after each that showed nothing new
_LONGEST_GAP: Final = 60.0  # seconds between looks that own polls are thinned for
_GIVEN_UP: Final = 90.0  # seconds after an end: what is not recorded by then counts as never recorded
_AWAITED: Final = 5000  # charges at most
_KNOWN: Final = 2000  # entries that are remembered
_MOST_FOREIGN: Final = 500  # new entries of others in one look: with more, the ledger is too busy to be read
_OFF: Final = 60.0  # seconds after a first trouble, then ever longer, ...
_LONGEST_OFF: Final = 3600.0  # ... up to an hour
_LATELY: Final = 15.0  # seconds that the rate of what looks show is the mean of
_LEFT_FOR_POLLS: Final = 0.1  # of the rate, whatever the looks and their finds take
_CERTAIN: Final = 0.95  # of charges that are recorded so long after the end: what is not shown by then still runs


class CompletionFeed:
    """Decides when to look at the ledger, and what its entries mean for polls. Instants are the loop's, in seconds.

    The caller looks whenever `next_look_at` is past and any job waits: `begin_look`, then `page` for each page as long
    as `goes_on` is true, or `failed`. It reports every end that a poll finds (`polled`), and has the `PollQueue` make
    rounds, at once if `wants_round` is true.

    Attributes:
        lag: The belief about the lag.
        told_first: The number of completions that the ledger showed before any poll did.
        wants_round: Whether a round is due at once, as the belief has changed.
        leading: Whether looks come for what they save.
        goes_on: Whether the look under way needs the next page, if there is one.
    """

    def __init__(
        self, cost: PollCost, requests: Callable[[], int], *, lag: RecordingLag | None = None, scale: float = 1.0
    ) -> None:
        """Begin with the lag that an earlier session has learned, if any.

        ``requests`` returns the number of requests the session has made so far; ``scale`` is the number of times as
        fast as the vendor that a sandbox is.
        """
        self.lag: RecordingLag = RecordingLag(scale) if lag is None else lag
        self.told_first: int = 0
        self.wants_round: bool = False
        self.leading: bool = False
        self.goes_on: bool = False
        self._cost = cost
        self._requests = requests
        self._scale = scale
        self._acted_on = (False, False)  # what was known of the lag when the last round began
        self._thinning: Thinning | None = None  # as of then; None while the ledger does not lead
        self._still_runs = math.inf  # so long before a look, what it does not show was running
        self._gap = _SHORTEST_GAP / scale
        self._counted, self._unseen, self._shown, self._saved = 0, 0.0, 0.0, 0.0
        self._looked_at = -math.inf  # when the last look that was answered was begun
        self._look_begun: float | None = None  # when the one under way was
        self._next_look = math.inf
        self._fresh: dict[str, None] = {}  # new entries in the one under way, ...
        self._foreign = 0  # ... and how many of them are others'
        self._known: dict[str, None] = {}  # entries that whole looks have shown, oldest first
        self._awaited: dict[str, float] = {}  # what polls found, and when, and no look has shown yet; oldest first
        self._fruitless = 0  # looks in a row, while the ledger does not lead, that told of nothing first
        self._explore_after = _EXPLORING  # requests
        self._wants_look = False  # whether there should be something to see
        self._told_lately = 0.0  # ends that looks have shown; older ones count less, ...
        self._faded_at = -math.inf  # ... by so much as of then
        self._under_way = 0.0  # generations, as of the last round
        self._troubles = 0  # in a row
        self._off_until = -math.inf

    @property
    def thinning(self) -> Thinning | None:
        """The thinning of own polls; None while they are not thinned."""
        return self._thinning if self.leading and self._acted_on[1] else None

    # Rounds

    def begin_round(self) -> bool:
        """Begin a round over all generations that wait; return whether they are to be counted by `count`."""
        self.wants_round = False
        self._acted_on = leads, is_trusted = self._standing
        self._counted, self._unseen, self._shown, self._saved = 0, 0.0, 0.0, 0.0
        self._thinning = None
        if leads:
            self._thinning = Thinning(self.lag, min(self._gap, _LONGEST_GAP), self._scale, stretched=is_trusted)
            self._still_runs = self.lag.within(_CERTAIN)
        return leads or self._requests() * _SOON >= self._explore_after

    def count(self, tracker: GenerationTracker, now: float) -> None:
        """Count a generation that waits for a poll."""
        if tracker.queued:
            return
        self._counted += 1
        hazard, age = tracker.run_estimator.hazard, max(0.0, now - tracker.since)
        if self._thinning is None:
            strain = hazard.cumulative_hazard(age)
            if strain > _EARLY:
                self._unseen -= math.expm1(hazard.cumulative_hazard(tracker.seen - tracker.since) - strain)
            return
        root = hazard.sqrt_hazard(age)
        place = self._thinning.place(self._cost.now / root)
        self._shown += root * root * self._thinning.shown[place]
        self._saved += root * root * self._thinning.savings[place]
        if self.leading and self._acted_on[1] and not tracker.plain:
            still_running(tracker, self._looked_at - self._still_runs)

    def end_round(self, now: float, rate: float, scale: float = 1.0) -> float:
        """End a round; return the polls per second that looks leave of ``rate`` (infinity: no limit).

        ``scale`` is the number of waiting generations that each counted one stands for.
        """
        shown = self._shown * scale
        self._gap = self._gap_for(shown) if shown > 0.0 else math.inf
        cost = self._cost.now**2 / 2.0 / self._gap
        is_worth_it = self._saved * scale > cost and self._counted * scale >= _FEWEST
        self._lead(leading=is_worth_it and now >= self._off_until)
        if not self.leading:
            self._explore(now, scale)
            return rate
        self._wants_look = False
        self._next_look = max(now, self._looked_at + self._gap)
        self._fade(now)
        # What a hazard that is half learned expects to be shown may be far off; what was shown of late is not.
        taken = min(shown, self._told_lately * self._scale / _LATELY)
        return max(_LEFT_FOR_POLLS * rate, rate - taken - 1.0 / self._gap)

    def _fade(self, now: float) -> None:
        self._told_lately *= math.exp(min(0.0, self._faded_at - now) * self._scale / _LATELY)
        self._faded_at = now

    def _lead(self, *, leading: bool) -> None:
        self.wants_round |= leading is not self.leading
        self.leading = leading

    def _explore(self, now: float, scale: float) -> None:
        """Look now, or as soon as a poll finds an end, if the ledger should have something to show."""
        there_is = self._thinning is not None or self._unseen * scale >= _SOMETHING
        self._under_way = self._counted * scale
        self._next_look = math.inf
        self._wants_look = there_is and self._under_way >= _FEWEST
        self._look_if_affordable(now)

    def _look_if_affordable(self, now: float) -> None:
        requests = self._requests() + _YET_TO_COME * self._under_way
        if self._wants_look and requests >= self._explore_after and now >= self._off_until:
            self._next_look, self._wants_look = now, False

    @property
    def _standing(self) -> tuple[bool, bool]:
        return self.lag.leads, self.lag.is_trusted

    def _gap_for(self, shown: float) -> float:
        """Return the seconds between looks that show so many ends per second."""
        worth = min(self._cost.least / math.sqrt(self._scale), _MANY / shown)
        return max(_SHORTEST_GAP / self._scale, worth, self._cost.now / math.sqrt(shown))

    # Looks

    @property
    def next_look_at(self) -> float:
        """The instant of the next look; infinity while one is under way, or if none comes before the next round."""
        return self._next_look if self._look_begun is None else math.inf

    def begin_look(self, now: float) -> None:
        """Begin a look: its first page is asked for at this instant."""
        self._look_begun = now
        self._next_look = math.inf
        self._fresh, self._foreign = {}, 0
        self._explore_after = self._requests() + _EXPLORING * _RARER**self._fruitless
        self._fruitless += not self.leading

    def page(
        self, ids: Iterable[str], find: Callable[[str], GenerationTracker | None], *, last: bool = False
    ) -> list[str]:
        """Read a page of the ledger, the ids of generations, newest first; return those to be polled at once.

        ``find`` returns the tracker of a generation that is not known to have ended; it is marked as ``shown``.
        ``last`` says that there are no further pages. Sets `goes_on`: a look ends where it meets what an earlier one
        has shown.
        """
        assert self._look_begun is not None  # noqa: S101 - begun first
        page = list(ids)
        fresh = [each for each in page if each not in self._known]
        is_complete = last or len(fresh) < len(page)
        found = [each for each in fresh if each not in self._fresh and self._show(each, find(each))]
        self._fresh.update(dict.fromkeys(fresh))
        self._fade(self._look_begun)
        self._told_lately += len(found)
        too_many = self._foreign > _MOST_FOREIGN
        self.goes_on = self.leading and bool(self._known) and not is_complete and not too_many
        if too_many:
            self.failed(self._look_begun)
        elif not self.goes_on:
            self._end_look(self._look_begun, is_complete=is_complete)
        return found

    def failed(self, now: float) -> bool:
        """Count a look that was refused or could not be read; return whether it is the first in a row."""
        self._look_begun, self.goes_on = None, False
        self._off_until = now + doubled(self._troubles, base=_OFF, cap=_LONGEST_OFF) / self._scale
        self._troubles += 1
        self._next_look = math.inf
        self._lead(leading=False)
        return self._troubles == 1

    def _show(self, generation_id: str, tracker: GenerationTracker | None) -> bool:
        """Take a new entry; return whether it is of a generation that is not known to have ended."""
        assert self._look_begun is not None  # noqa: S101 - a page is part of a look
        if tracker is None:
            if generation_id in self._awaited:
                del self._awaited[generation_id]
                self.lag.ended(self._look_begun, recorded=True)
            else:
                self._foreign += 1
            return False
        if tracker.shown is not None:  # by a look that failed on a later page
            return False
        if tracker.entry is not None and not tracker.unanswered:  # no poll can have made the vendor record it
            self.told_first += 1
            self._fruitless = 0
            self._explore_after = self._requests() + _EXPLORING
            self.lag.shown_first(self._looked_at - tracker.seen, self._look_begun - tracker.seen)
        tracker.shown = self._look_begun
        return True

    def _end_look(self, begun: float, *, is_complete: bool) -> None:
        self._looked_at, self._look_begun = begun, None
        self._known.update(self._fresh)
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        self._troubles = 0
        self.lag.advance(begun)
        self._next_look = begun + self._gap if self.leading else math.inf
        if is_complete:
            self._give_up(begun - _GIVEN_UP / self._scale)
        else:  # what it has not read may have been recorded
            self._awaited.clear()
        self.lag.awaited = len(self._awaited)
        self.wants_round |= self._standing != self._acted_on

    # Polls

    def polled(self, tracker: GenerationTracker, generation_id: str, at: float, *, completed: bool) -> None:
        """Count a generation that a poll begun at that instant found ended; call it before the learner is told."""
        if tracker.shown is not None:
            return
        if completed:
            self.lag.polled_first(min(self._looked_at, at) - tracker.seen, at - tracker.seen)
            self.wants_round |= self._standing != self._acted_on
            self._look_if_affordable(at)
        if len(self._awaited) < _AWAITED:
            self._awaited[generation_id] = at
            self.lag.awaited = len(self._awaited)

    def awaits(self, generation_id: str) -> bool:
        """Return whether a poll has found its end while its charge is still to come."""
        return generation_id in self._awaited

    def _give_up(self, until: float) -> None:
        """Count the generations that ended by then, and are not recorded, as never to be recorded."""
        while self._awaited:
            generation_id, at = next(iter(self._awaited.items()))
            if at > until:
                return
            del self._awaited[generation_id]
            self.lag.ended(until, recorded=False)

    def __repr__(self) -> str:
        return f"<CompletionFeed {'leading' if self.leading else 'not leading'}, {self.lag}>"
