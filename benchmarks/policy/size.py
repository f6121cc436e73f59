"""How much is played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FULL", "QUICK", "Size"]

_FIRST_SEED: Final = 1000
_FIRST_SEEN: Final = 2000  # those below were used while the learned tables were tuned, and would flatter them
_SESSIONS_A_RUN: Final = 3  # that have seen generations of their own: it is luck what thirty teach


@frozen
class Size:
    """The size of a run of the benchmark.

    Attributes:
        runs: Times that what is random is drawn again.
        requests: At how many requests a generation policies are compared.
        intervals: Settings of each rival.
        prices: Settings of ours: seconds of delay that a poll is worth.
        optimum: Prices of a poll that the optimum is worked out for.
        workloads: How many of the workloads single generations are played in; None: all.
        batches: How many generations there are at once, the requests per second they share, and the step in seconds
            that their bound is worked out to: small beside the gaps between polls. None: there is no bound, as the
            rate hardly leaves a poll for each.
        batch_intervals: Settings of each rival there.
        groups: Into how many the bound takes those together that begin one after the other.
        in_flight: How many are always in flight in a steady stream.
        streams: Requests per second that those share.
        stream_jobs: How many are measured there.
        queued: How many come at once to a vendor with fifty slots.
        drifting: How many come in the day on which durations grow.
        sessions: Which of the batches are played in whole sessions as well: generations, and requests per second.
    """

    runs: int = 3
    requests: Sequence[float] = (8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
    intervals: Sequence[float] = (2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
    prices: Sequence[float] = (0.02, 0.05, 0.1, 0.15, 0.3, 0.5, 1.0, 2.0, 4.0)
    optimum: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.0, 12.0, 24.0, 48.0)
    workloads: int | None = None
    batches: Sequence[tuple[int, float, float | None]] = (
        (100, 10.0, 1.0),
        (100, 50.0, 0.5),
        (1000, 10.0, 2.5),
        (1000, 50.0, 1.0),
        (10_000, 10.0, None),
        (10_000, 50.0, 2.5),
    )
    batch_intervals: Sequence[float] = (10.0, 30.0)
    groups: int = 10
    in_flight: int = 1000
    streams: Sequence[float] = (10.0, 20.0)
    stream_jobs: int = 3000
    queued: int = 400
    drifting: int = 1500
    sessions: Sequence[tuple[int, float]] = ((100, 10.0), (1000, 10.0), (10_000, 10.0), (10_000, 50.0))

    @property
    def seeds(self) -> range:
        """What each run is drawn from."""
        return range(_FIRST_SEED, _FIRST_SEED + self.runs)

    @property
    def seen(self) -> range:
        """What the generations that sessions have seen are drawn from, where single ones are played."""
        return range(_FIRST_SEEN, _FIRST_SEEN + _SESSIONS_A_RUN * self.runs)


FULL: Final = Size()
QUICK: Final = Size(
    runs=1,
    requests=(12.0,),
    intervals=(5.0, 10.0, 40.0),
    prices=(0.1, 0.3, 1.0),
    optimum=(0.1, 0.4, 1.6),
    workloads=1,
    batches=((60, 2.0, 5.0),),
    batch_intervals=(10.0,),
    groups=4,
    in_flight=200,
    streams=(2.0,),
    stream_jobs=60,
    queued=80,
    drifting=60,
    sessions=((60, 2.0),),
)
