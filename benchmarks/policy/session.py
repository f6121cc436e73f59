"""The same batch in a whole session: the library's engine on a virtual clock, with a vendor in memory."""

from __future__ import annotations

import asyncio
import json
import selectors
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, cast
from unittest.mock import patch
from urllib.parse import unquote

from benchmarks.policy.exact import outcome
from benchmarks.policy.learned import MODEL
from kling_async import HttpRequest, HttpResponse, KlingSession, Lane, Limits, Polling, TextToVideo, session
from kling_async.pacing.durations import GenerationKind, to_data

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from contextlib import AbstractAsyncContextManager

    from benchmarks.policy.exact import Outcome
    from kling_async import StreamedResponse
    from kling_async.pacing.durations import DurationModels
    from kling_async.settings import Profile

__all__ = ["run_session", "run_virtual"]


_UNSEEN_LIFE = 1e-3  # seconds, of which nothing can be learned


class _Vendor:
    """Accepts what is submitted, in the order of its durations, and counts what it is asked."""

    def __init__(self, durations: Sequence[float]) -> None:
        self._durations = durations
        self._ends: list[float] = []
        self.polls = [0] * len(durations)
        self.delays: dict[int, float] = {}

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer at once."""
        now = asyncio.get_running_loop().time()
        if request.lane is Lane.SUBMIT:
            number = len(self._ends)
            self._ends.append(now + self._durations[number])
            return _answer({"id": f"g{number}", "status": "queued"})
        number = int(unquote(request.target.partition("generation_id=")[2])[1:])
        self.polls[number] += 1
        if now < self._ends[number]:
            return _answer({"id": f"g{number}", "status": "generating", "video": None})
        self.delays.setdefault(number, now - self._ends[number])
        return _answer({"id": f"g{number}", "status": "completed", "video": {"url": "https://cdn.example/v.mp4"}})

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[StreamedResponse]:
        """Refuse: there are no files here."""
        return _no_file(request)


def run_session(models: DurationModels, durations: Sequence[float], rate: float, profile: str, seed: int) -> Outcome:
    """Ask for all of them at once, on a session with these models that keeps to this rate.

    Raises:
        AssertionError: Not all of them were noticed.
    """
    vendor = _Vendor(durations)
    run_virtual(_batch(vendor, models, rate, profile, seed))
    if len(vendor.delays) != len(durations):
        raise AssertionError(f"of {len(durations)} generations {len(vendor.delays)} were noticed")
    return outcome([(vendor.polls[number], delay) for number, delay in vendor.delays.items()])


async def _batch(vendor: _Vendor, models: DurationModels, rate: float, profile: str, seed: int) -> None:
    count = len(vendor.polls)
    limits = Limits(requests_per_second=rate, burst=1, max_in_flight=count)
    # One by one, and from what is given alone, as the others do.
    polling = Polling(profile=cast("Profile", profile), learned=_learned(models), feed=False, metrics=False)
    async with KlingSession(transport=vendor, limits=limits, polling=polling, rng=Random(seed)) as kling:  # noqa: S311
        jobs = [kling.submit(TextToVideo(f"take {number}", model=MODEL, duration=5)) for number in range(count)]
        for job in jobs:
            await job


def _learned(models: DurationModels) -> dict[str, object]:
    """As a session takes it; with the figures that a catalogue would have, even if nothing has been seen yet."""
    models.estimator(GenerationKind(MODEL, 5)).observe_pending(0.0, _UNSEEN_LIFE)
    return to_data(models)


def _answer(body: object) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode())


def _no_file(request: HttpRequest) -> NoReturn:
    raise NotImplementedError(f"no file is expected: {request.target}")


class _Jumping(selectors.SelectSelector):
    """Never waits for anything but what is there already."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: _VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - whatever the standard library's returns
        ready = super().select(0)
        if not ready and timeout != 0:
            assert self.loop is not None  # noqa: S101 - set as soon as there is a loop
            self.loop.jump(timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = _Jumping()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self._now

    def jump(self, timeout: float | None) -> None:
        """Go on to the next timer.

        Raises:
            RuntimeError: There is none, so that nothing would ever happen.
        """
        if timeout is None:
            raise RuntimeError("everything waits, and nothing is scheduled")
        self._now += timeout


def run_virtual(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, in virtual time, which is a session's calendar as well: the same each time it is played."""
    with (
        asyncio.Runner(loop_factory=_VirtualLoop) as runner,
        patch.object(session, "wall_clock", runner.get_loop().time),
    ):
        runner.run(work)
