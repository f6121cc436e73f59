"""OpenTelemetry spans of a session's jobs, with the extra ``otel``: ``python -m pip install "kling_async[otel]"``.

::

    async with KlingSession() as kling:
        tracing = asyncio.create_task(trace(kling.subscribe()))
        ...
    await tracing

**A job** is a span of the kind CLIENT, named ``generate_content MODEL``, from its submit to its settlement. A job that
was begun before the subscription has its span from the first event on. Its parent is the span that was current where
``trace`` was begun. Attributes, those under ``gen_ai``, ``error`` and ``file`` by OpenTelemetry's semantic conventions:

========================== =============================================================================================
``gen_ai.operation.name``  ``generate_content``
``gen_ai.provider.name``   ``aimlapi``
``gen_ai.output.type``     ``video``
``gen_ai.request.model``   the vendor's id of the model; absent if the job was resumed by its id
``gen_ai.response.id``     the generation's id, once accepted
``kling.job.key``          the job's key
``kling.job.tag``          the caller's label, if it is a text, a number or a bool
``kling.job.state``        at the end: the state, such as ``completed``
``kling.job.polls``        at the end: how often the vendor was asked
``kling.job.usd``          at the end: what it cost in US dollars, if the vendor said so
``error.type``             the error's class, if it settled with one; the span's status is then ERROR
========================== =============================================================================================

Span events tell what happens in between:

=================== ====================================================================================================
``kling.submitted`` a POST was begun; ``kling.attempt`` counts them
``kling.accepted``  the vendor took it
``kling.polled``    the vendor gave its status: ``kling.status``
``kling.retrying``  a request failed: ``error.type``; it is tried again after ``kling.wait`` seconds
``kling.throttled`` a request was refused by a rate limit (429); requests go on after ``kling.wait`` seconds
=================== ====================================================================================================

**A download** is a span of the kind CLIENT, named ``kling.download``, child of its job's: ``kling.job.key``,
``file.path``, at the end ``file.size`` in bytes, and ``error.type`` if it failed.

No attribute holds a prompt, a URL's query or the API key.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

try:
    from opentelemetry.trace import SpanKind, StatusCode, get_tracer, set_span_in_context
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError('kling_async.otel needs its extra: pip install "kling_async[otel]"') from _error

from kling_async import (
    Accepted,
    Completed,
    Downloaded,
    DownloadFailed,
    Downloading,
    Failed,
    Interrupted,
    JobEvent,
    Polled,
    Retrying,
    Submitted,
    Throttled,
    __version__,
)
from kling_async.api.arguments import refused

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from kling_async import Event, Job, KlingError, Subscription

__all__ = ["trace"]

_OPERATION = "generate_content"
_PER_SECOND = 1_000_000_000  # nanoseconds


async def trace(events: Subscription[Event], *, tracer_provider: TracerProvider | None = None) -> None:
    """Make spans of the events, until the session closes.

    Run it as a task of its own; cancelling it ends the spans that are open. Each span ends even if events were missed,
    at the next event after its job has settled.

    Args:
        events: From ``session.subscribe()``. Under heavy load give that a larger ``buffer``.
        tracer_provider: The source of tracers; by default OpenTelemetry's global one.

    Raises:
        InvalidRequest: ``events`` is no subscription.
    """
    if not (hasattr(events, "__anext__") and hasattr(events, "missed")):
        raise refused("events", events, "what session.subscribe() returns")
    spans = _Spans(tracer_provider)
    missed = 0
    try:
        async for event in events:
            spans.take(event)
            if events.missed != missed:
                missed = events.missed
                spans.end_settled(event.at)
    finally:
        spans.end_all()


class _Spans:
    """The open spans of jobs and downloads, and the contexts of later ones."""

    def __init__(self, tracer_provider: TracerProvider | None) -> None:
        self._tracer = get_tracer("kling_async", __version__, tracer_provider)
        self._epoch = _epoch()
        self._jobs: dict[Job, Span] = {}
        self._downloads: dict[tuple[Job, Path], Span] = {}
        self._parents: WeakKeyDictionary[Job, Context] = WeakKeyDictionary()

    def take(self, event: Event) -> None:
        """Begin, extend or end the span that an event is about."""
        at = self._timestamp(event.at)
        match event:
            case Downloading(job=job, path=path):
                self._downloads[job, path] = self._begin_download(job, path, at)
            case Downloaded(job=job, path=path, size=size):
                self._end_download(job, path, at, size=size)
            case DownloadFailed(job=job, path=path, error=error):
                self._end_download(job, path, at, error=error)
            case Completed(job=job):
                self._end(self._span_of(job, at), job, at)
            case Failed(job=job, error=error) | Interrupted(job=job, error=error):
                self._end(self._span_of(job, at), job, at, error)
            case JobEvent(job=job):
                _add_event(self._span_of(job, at), event, at)
            case _:
                pass

    def end_settled(self, now: float) -> None:
        """End the spans of jobs whose last event was missed."""
        for job in [job for job in self._jobs if job.done()]:
            self._end(self._jobs[job], job, self._timestamp(now), job.exception())

    def end_all(self) -> None:
        """End all open spans, as no more events will come."""
        for span in (*self._jobs.values(), *self._downloads.values()):
            span.end()

    def _timestamp(self, at: float) -> int:
        # The loop's clock stands still while the machine sleeps. A wall clock that is set back moves nothing, so that
        # no span ends before it began.
        self._epoch = max(self._epoch, _epoch())
        return self._epoch + int(at * _PER_SECOND)

    def _span_of(self, job: Job, at: int) -> Span:
        """Return a job's span, begun if there is none."""
        if job not in self._jobs:
            model = job.request.model if job.request is not None else ""
            attributes = _attributes(job)
            name = f"{_OPERATION} {model}".rstrip()
            span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=at)
            self._jobs[job] = span
            self._parents[job] = set_span_in_context(span)
        return self._jobs[job]

    def _end(self, span: Span, job: Job, at: int, error: KlingError | None = None) -> None:
        span.set_attribute("kling.job.state", job.state.value)
        span.set_attribute("kling.job.polls", job.polls)
        if error is not None:
            _set_error(span, error)
        elif (usd := job.result().usage.usd_spent) is not None:
            span.set_attribute("kling.job.usd", float(usd))
        span.end(at)
        del self._jobs[job]

    def _begin_download(self, job: Job, path: Path, at: int) -> Span:
        return self._tracer.start_span(
            "kling.download",
            self._parents.get(job),
            kind=SpanKind.CLIENT,
            attributes={"kling.job.key": job.key, "file.path": str(path)},
            start_time=at,
        )

    def _end_download(
        self, job: Job, path: Path, at: int, *, size: int | None = None, error: KlingError | None = None
    ) -> None:
        span = self._downloads.pop((job, path), None)
        if span is None:  # it was begun before the subscription
            return
        if size is not None:
            span.set_attribute("file.size", size)
        if error is not None:
            _set_error(span, error)
        span.end(at)


def _epoch() -> int:
    """Return the wall clock's time at the loop's zero, in nanoseconds."""
    return time.time_ns() - int(asyncio.get_running_loop().time() * _PER_SECOND)


def _attributes(job: Job) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": "aimlapi",
        "gen_ai.output.type": "video",
        "kling.job.key": job.key,
    }
    if job.request is not None:
        attributes["gen_ai.request.model"] = job.request.model
    if job.generation_id is not None:
        attributes["gen_ai.response.id"] = job.generation_id
    if isinstance(job.tag, str | int | float | bool):
        attributes["kling.job.tag"] = job.tag
    return attributes


def _add_event(span: Span, event: Event, at: int) -> None:
    """Add a span event for an event before the end."""
    match event:
        case Submitted(attempt=attempt):
            span.add_event("kling.submitted", {"kling.attempt": attempt}, at)
        case Accepted(generation_id=generation_id):
            span.set_attribute("gen_ai.response.id", generation_id)
            span.add_event("kling.accepted", timestamp=at)
        case Polled(status=status):
            span.add_event("kling.polled", {"kling.status": status.value}, at)
        case Retrying(error=error, retry_at=retry_at):
            wait = retry_at - event.at
            span.add_event("kling.retrying", {"error.type": type(error).__name__, "kling.wait": wait}, at)
        case Throttled(until=until):
            span.add_event("kling.throttled", {"kling.wait": until - event.at}, at)
        case _:
            pass


def _set_error(span: Span, error: KlingError) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR, error.message)
