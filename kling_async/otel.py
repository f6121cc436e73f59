"""OpenTelemetry spans and metrics of a session's jobs, with the extra ``otel``.

``python -m pip install "kling_async[otel]"`` brings it.

::

    async with KlingSession() as kling:
        tracing = asyncio.create_task(trace(kling.subscribe()))
        ...
    await tracing

**A job** is a span of the kind CLIENT, named ``generate_content MODEL``, from its submit to its settlement. Its parent
is the span that was current at its ``submit``, or else where ``trace`` was begun. A job that was begun before the
subscription, or resumed, has its span from the first event on, and the latter parent. Attributes, those under
``gen_ai``, ``error`` and ``file`` by OpenTelemetry's semantic conventions:

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

**Metrics**, for a meter provider beside the tracers', with ``gen_ai.operation.name``, ``gen_ai.provider.name``,
``gen_ai.request.model``, and ``error.type`` after a failure:

==================================== ===========================================================================
``gen_ai.client.operation.duration`` a histogram of jobs' seconds from their submit, if that was heard of, to
                                     their settlement
``kling.job.cost``                   a counter of what videos cost, in ``{USD}``, as far as the vendor says so
``kling.request.throttled``          a counter of requests that were refused by a rate limit (429)
``kling.download.size``              a counter of the bytes of complete files, in ``By``
==================================== ===========================================================================

No attribute holds a prompt, but where a file's name is made of it, a URL's query or the API key.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

try:
    import opentelemetry.trace as otel
    from opentelemetry.context import get_current
    from opentelemetry.metrics import get_meter
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError('kling_async.otel needs its extra: pip install "kling_async[otel]"') from _error

import kling_async as kling
from kling_async.api.arguments import refused

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, SpanContext, TracerProvider
    from opentelemetry.util.types import AttributeValue


__all__ = ["trace"]

_OPERATION = "generate_content"
_ENDED_KEPT = 10_000  # spans of settled jobs, as parents of downloads
_PER_SECOND = 1_000_000_000  # nanoseconds
_BOUNDARIES = (5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120)  # seconds: the conventions' end where videos begin


async def trace(
    events: kling.Subscription[kling.Event],
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Make spans and metrics of the events, until the session closes.

    Run it as a task of its own; cancelling it ends the spans that are open. Each span ends even if events were missed,
    at the next event after its job has settled.

    Args:
        events: From ``session.subscribe()``. Under heavy load give that a larger ``buffer``.
        tracer_provider: The source of tracers; by default OpenTelemetry's global one.
        meter_provider: The source of meters likewise.

    Raises:
        InvalidRequest: ``events`` is no subscription.
    """
    if not (hasattr(events, "__anext__") and hasattr(events, "missed")):
        raise refused("events", events, "what session.subscribe() returns")
    spans, metrics = _Spans(tracer_provider), _Metrics(meter_provider)
    missed = 0
    try:
        async for event in events:
            spans.take(event)
            metrics.take(event)
            if events.missed != missed:
                missed = events.missed
                spans.end_settled(event.at)
    finally:
        spans.end_all()


class _Metrics:
    """The instruments, and the instants at which open jobs were submitted."""

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        meter = get_meter("kling_async", kling.__version__, meter_provider)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._cost = meter.create_counter("kling.job.cost", "{USD}", "What videos cost.")
        self._throttled = meter.create_counter("kling.request.throttled", "{request}", "Requests refused with 429.")
        self._downloaded = meter.create_counter("kling.download.size", "By", "Bytes of complete files.")
        self._begun: WeakKeyDictionary[kling.Job, float] = WeakKeyDictionary()

    def take(self, event: kling.Event) -> None:
        """Count an event."""
        match event:
            case kling.Queued():
                self._begun[event.job] = event.at
            case kling.Throttled(job=job):
                self._throttled.add(1, _operation(job))
            case kling.Completed(job=job, video=video):
                self._settled(event, None)
                if (usd := video.usage.usd_spent) is not None:
                    self._cost.add(float(usd), _operation(job))
            case kling.Failed(error=error) | kling.Interrupted(error=error):
                self._settled(event, error)
            case kling.Downloaded(job=job, size=size):
                self._downloaded.add(size, _operation(job))
            case _:
                pass

    def _settled(self, event: kling.JobEvent, error: kling.KlingError | None) -> None:
        begun, attributes = self._begun.pop(event.job, None), _operation(event.job)
        if error is not None:
            attributes["error.type"] = type(error).__name__
        if begun is not None:
            self._duration.record(event.at - begun, attributes)


class _Spans:
    """The open spans of jobs and downloads, and the contexts of later ones."""

    def __init__(self, tracer_provider: TracerProvider | None) -> None:
        self._tracer = otel.get_tracer("kling_async", kling.__version__, tracer_provider)
        self._epoch = _epoch()
        self._jobs: dict[kling.Job, Span] = {}
        self._downloads: dict[tuple[kling.Job, Path], Span] = {}
        self._ended: dict[str, SpanContext] = {}  # by the jobs' keys: a download may have another handle of its job

    def take(self, event: kling.Event) -> None:
        """Begin, extend or end the span that an event is about."""
        at = self._timestamp(event.at)
        match event:
            case kling.Downloading(job=job, path=path):
                self._downloads[job, path] = self._begin_download(job, path, at)
            case kling.Downloaded(job=job, path=path, size=size):
                self._end_download(job, path, at, size=size)
            case kling.DownloadFailed(job=job, path=path, error=error):
                self._end_download(job, path, at, error=error)
            case kling.Completed(job=job):
                self._end(self._span_of(job, at), job, at)
            case kling.Failed(job=job, error=error) | kling.Interrupted(job=job, error=error):
                self._end(self._span_of(job, at), job, at, error)
            case kling.Queued(job=job):
                self._span_of(job, at, event.context.run(get_current))
            case kling.JobEvent(job=job):
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

    def _span_of(self, job: kling.Job, at: int, parent: Context | None = None) -> Span:
        """Return a job's span, begun if there is none, under the span that is current in that context, if one is."""
        if job not in self._jobs:
            model = job.request.model if job.request is not None else ""
            attributes = _attributes(job)
            context = parent if otel.get_current_span(parent).get_span_context().is_valid else None
            name = f"{_OPERATION} {model}".rstrip()
            span = self._tracer.start_span(
                name, context, kind=otel.SpanKind.CLIENT, attributes=attributes, start_time=at
            )
            self._jobs[job] = span
        return self._jobs[job]

    def _end(self, span: Span, job: kling.Job, at: int, error: kling.KlingError | None = None) -> None:
        span.set_attribute("kling.job.state", job.state.value)
        span.set_attribute("kling.job.polls", job.polls)
        if error is not None:
            _set_error(span, error)
        elif (usd := job.result().usage.usd_spent) is not None:
            span.set_attribute("kling.job.usd", float(usd))
        span.end(at)
        del self._jobs[job]
        self._ended[job.key] = span.get_span_context()
        if len(self._ended) > _ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def _begin_download(self, job: kling.Job, path: Path, at: int) -> Span:
        ended = self._ended.get(job.key)
        parent = self._jobs.get(job) if ended is None else otel.NonRecordingSpan(ended)
        return self._tracer.start_span(
            "kling.download",
            None if parent is None else otel.set_span_in_context(parent),
            kind=otel.SpanKind.CLIENT,
            attributes={"kling.job.key": job.key, "file.path": str(path)},
            start_time=at,
        )

    def _end_download(
        self, job: kling.Job, path: Path, at: int, *, size: int | None = None, error: kling.KlingError | None = None
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


def _operation(job: kling.Job) -> dict[str, AttributeValue]:
    """Return what spans and metrics have in common."""
    model = {} if job.request is None else {"gen_ai.request.model": job.request.model}
    return {"gen_ai.operation.name": _OPERATION, "gen_ai.provider.name": "aimlapi", **model}


def _attributes(job: kling.Job) -> dict[str, AttributeValue]:
    attributes = _operation(job) | {"gen_ai.output.type": "video", "kling.job.key": job.key}
    if job.generation_id is not None:
        attributes["gen_ai.response.id"] = job.generation_id
    if isinstance(job.tag, str | int | float | bool):
        attributes["kling.job.tag"] = job.tag
    return attributes


def _add_event(span: Span, event: kling.Event, at: int) -> None:
    """Add a span event for an event before the end."""
    match event:
        case kling.Submitted(attempt=attempt):
            span.add_event("kling.submitted", {"kling.attempt": attempt}, at)
        case kling.Accepted(generation_id=generation_id):
            span.set_attribute("gen_ai.response.id", generation_id)
            span.add_event("kling.accepted", timestamp=at)
        case kling.Polled(status=status):
            span.add_event("kling.polled", {"kling.status": status.value}, at)
        case kling.Retrying(error=error, retry_at=retry_at):
            wait = retry_at - event.at
            span.add_event("kling.retrying", {"error.type": type(error).__name__, "kling.wait": wait}, at)
        case kling.Throttled(until=until):
            span.add_event("kling.throttled", {"kling.wait": until - event.at}, at)
        case _:
            pass


def _set_error(span: Span, error: kling.KlingError) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(otel.StatusCode.ERROR, error.message)
