"""The same batch in a whole session: the library's engine, on a virtual clock, with a vendor in memory."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

from benchmarks.policy.exact import outcome
from benchmarks.policy.virtual import play
from benchmarks.policy.world import MODEL
from kling_async import HttpRequest, HttpResponse, KlingSession, Lane, Limits, Polling, TextToVideo
from kling_async.pacing.durations import GenerationKind, to_data

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from benchmarks.policy.exact import Outcome
    from kling_async import StreamedResponse
    from kling_async.pacing.durations import DurationModels

__all__ = ["run_session"]

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
        """There are no files here."""
        return _no_file(request)


def run_session(
    experience: DurationModels, durations: Sequence[float], rate: float, profile: str, seed: int
) -> Outcome:
    """All of them asked for at once, on a session with this experience that keeps to this rate.

    Raises:
        AssertionError: Not all of them were noticed.
    """
    vendor = _Vendor(durations)
    play(_batch(vendor, experience, rate, profile, seed))
    if len(vendor.delays) != len(durations):
        raise AssertionError(f"of {len(durations)} generations {len(vendor.delays)} were noticed")
    return outcome([(vendor.polls[number], delay) for number, delay in vendor.delays.items()])


async def _batch(vendor: _Vendor, experience: DurationModels, rate: float, profile: str, seed: int) -> None:
    count = len(vendor.polls)
    limits = Limits(requests_per_second=rate, burst=1, max_in_flight=count)
    polling = Polling(profile=profile, learned=_learned(experience), feed=False)  # one by one, as the others do
    async with KlingSession(transport=vendor, limits=limits, polling=polling, rng=Random(seed)) as kling:  # noqa: S311
        jobs = [kling.submit(TextToVideo(f"take {number}", model=MODEL, duration=5)) for number in range(count)]
        for job in jobs:
            await job


def _learned(experience: DurationModels) -> dict[str, object]:
    """As a session takes it; with the figures that a catalogue would have, even if nothing has been seen yet."""
    experience.estimator(GenerationKind(MODEL, 5)).observe_pending(0.0, _UNSEEN_LIFE)
    return to_data(experience)


def _answer(body: object) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode())


def _no_file(request: HttpRequest) -> NoReturn:
    raise NotImplementedError(f"no file is expected: {request.target}")
