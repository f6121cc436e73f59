"""When to ask about a generation: the protocol every cadence keeps, and the two that learn nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import optional as if_given

from kling_async.pacing.amounts import share
from kling_async.pacing.backoff import doubled
from kling_async.pacing.durations import positive, seconds

if TYPE_CHECKING:
    from kling_async.pacing.course import Course

__all__ = ["BackoffCadence", "Cadence", "FixedCadence"]


class Cadence(Protocol):
    """Decides when a generation is worth asking about. Pure: everything is in the course. Instants are the loop's."""

    def ripe(self, course: Course) -> float:
        """When it is worth asking about if there are polls to spare; may be past."""
        ...

    def due(self, course: Course) -> float:
        """When it is to be asked about as polls are now; the earliest is the most urgent. May be past."""
        ...

    def demand(self, course: Course, now: float) -> float:
        """What it adds to the demand for polls: how many per second it should have at a price of 1."""
        ...


def _at(course: Course, gap: float) -> float:
    at = course.seen + gap if course.held is None else course.held
    return min(at, max(course.seen, course.latest))


@frozen(kw_only=True)
class FixedCadence:
    """Asks at intervals. Durations are seconds or a ``timedelta``.

    Attributes:
        interval: From poll to poll.
        first: From acceptance to the first poll; None for an interval.
        jitter: How far an interval may be off, as a share of it, either way; the first never is.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    interval: float = field(converter=seconds, validator=positive)
    first: float | None = field(default=None, converter=optional(seconds), validator=if_given(positive))
    jitter: float = field(default=0.0, validator=share)

    def ripe(self, course: Course) -> float:
        """An interval after the last answer."""
        if self.first is not None and not course.polls:
            return _at(course, self.first)
        return _at(course, self.interval * (1.0 + self.jitter * course.swing))

    def due(self, course: Course) -> float:
        """The same: nothing makes one more urgent than another but how long it has waited."""
        return self.ripe(course)

    def demand(self, course: Course, now: float) -> float:  # noqa: ARG002 - the protocol's
        """None: there is no price to set."""
        return 0.0


@frozen(kw_only=True)
class BackoffCadence:
    """Asks ever more rarely: each gap is random, up to a length that doubles with every answer.

    Durations are seconds or a ``timedelta``.

    Attributes:
        base: The longest first gap.
        cap: Where the doubling ends.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    base: float = field(converter=seconds, validator=positive)
    cap: float = field(converter=seconds, validator=positive)

    def ripe(self, course: Course) -> float:
        """After a random part of the doubled base; half of it at first."""
        return _at(course, doubled(course.polls, base=self.base, cap=self.cap) * (0.5 + 0.5 * course.swing))

    def due(self, course: Course) -> float:
        """The same: nothing makes one more urgent than another but how long it has waited."""
        return self.ripe(course)

    def demand(self, course: Course, now: float) -> float:  # noqa: ARG002 - the protocol's
        """None: there is no price to set."""
        return 0.0
