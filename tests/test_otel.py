"""Spans of jobs and downloads, as an exporter gets them."""

from __future__ import annotations

import asyncio
import importlib
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kling_async import Accepted, GenerationFailed, KlingError, TextToVideo
from kling_async.sandbox import Faults, Sandbox

pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kling_async.otel import trace

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from kling_async import Job, KlingSession

pytestmark = pytest.mark.asyncio

MODEL = "klingai/video-v3-turbo-pro-text-to-video"


class Traced:
    """A provider whose spans are kept."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def begin(self, kling: KlingSession, **settings: Any) -> asyncio.Task[None]:
        return asyncio.create_task(trace(kling.subscribe(**settings), tracer_provider=self.provider))

    @property
    def jobs(self) -> list[ReadableSpan]:
        return self._named("generate_content")

    @property
    def downloads(self) -> list[ReadableSpan]:
        return self._named("kling.download")

    def _named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name.partition(" ")[0] == name]


@pytest.fixture
def traced() -> Traced:
    return Traced()


def events_of(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_job_is_a_span_from_its_submit_to_its_settlement(traced: Traced) -> None:
    async with Sandbox(speed=2000) as sandbox:
        async with sandbox.session() as kling:
            tracing = traced.begin(kling)
            job = kling.submit(TextToVideo("a fox", model=MODEL), tag="fox-1")
            video = await job
        await tracing

    (span,) = traced.jobs
    assert (span.name, span.kind, span.parent) == (f"generate_content {MODEL}", SpanKind.CLIENT, None)
    assert attributes_of(span) == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "aimlapi",
        "gen_ai.output.type": "video",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.id": job.generation_id,
        "kling.job.key": job.key,
        "kling.job.tag": "fox-1",
        "kling.job.state": "completed",
        "kling.job.polls": job.polls,
        "kling.job.usd": float(video.usage.usd_spent or 0),
    }
    names = events_of(span)
    assert names[:2] == ["kling.submitted", "kling.accepted"]
    assert names.count("kling.polled") == job.polls


async def test_spans_stand_on_the_wall_clock_in_the_order_in_which_things_happened(traced: Traced) -> None:
    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        tracing = traced.begin(kling)
        await kling.submit(TextToVideo("a fox"))
        before = kling.pending
    await tracing

    (span,) = traced.jobs
    assert before == ()
    assert span.start_time is not None
    assert span.end_time is not None
    moments = [span.start_time, *(event.timestamp for event in span.events), span.end_time]
    assert moments == sorted(moments)
    assert moments[0] > 1_700_000_000 * 10**9  # nanoseconds since the epoch, not since the machine was started


@pytest.mark.parametrize("by_video", [False, True])
async def test_a_download_is_a_child_of_its_job_and_knows_its_file(
    traced: Traced, tmp_path: Path, *, by_video: bool
) -> None:
    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        tracing = traced.begin(kling)
        job = kling.submit(TextToVideo("a fox"))
        path = await kling.download(await job if by_video else job, into=tmp_path)
    await tracing

    (span,), (parent,) = traced.downloads, traced.jobs
    size = len(path.read_bytes())
    assert span.parent == parent.context
    assert attributes_of(span) == {"kling.job.key": job.key, "file.path": str(path), "file.size": size}
    assert span.kind is SpanKind.CLIENT


async def test_a_failure_says_its_class_and_its_reason(traced: Traced) -> None:
    faults = Faults(error_outcome=1, error_shape="message")
    async with Sandbox(speed=2000, faults=faults) as sandbox, sandbox.session() as kling:
        tracing = traced.begin(kling)
        job = await kling.submit(TextToVideo("a fox")).settled()
    await tracing

    (span,) = traced.jobs
    error = job.exception()
    assert isinstance(error, GenerationFailed)
    assert attributes_of(span)["error.type"] == "GenerationFailed"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, error.message)
    assert attributes_of(span)["kling.job.state"] == "failed"


async def test_a_download_that_fails_says_why(traced: Traced, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        tracing = traced.begin(kling)
        with pytest.raises(KlingError):
            await kling.download(kling.submit(TextToVideo("a fox")), tmp_path / "taken")
    await tracing

    (span,) = traced.downloads
    assert attributes_of(span)["error.type"] == "DownloadError"
    assert span.status.status_code is StatusCode.ERROR


async def test_trouble_on_the_way_is_noted(traced: Traced) -> None:
    faults = Faults(rate_limited={"submit": {1}}, server_error={"poll": {1}})
    async with Sandbox(speed=2000, faults=faults) as sandbox, sandbox.session() as kling:
        tracing = traced.begin(kling)
        await kling.submit(TextToVideo("a fox"))
    await tracing

    (span,) = traced.jobs
    noted: dict[str, dict[str, Any]] = {event.name: dict(event.attributes or {}) for event in span.events}
    assert noted["kling.retrying"]["error.type"] == "ServerError"
    assert noted["kling.retrying"]["kling.wait"] >= 0
    assert noted["kling.throttled"]["kling.wait"] > 0
    assert noted["kling.submitted"] == {"kling.attempt": 2}


async def test_what_is_open_when_the_session_closes_says_so(traced: Traced) -> None:
    async with Sandbox(speed=1) as sandbox:
        async with sandbox.session() as kling:
            tracing = traced.begin(kling)
            await kling.submit(TextToVideo("a fox"), tag=("not", "an", "attribute")).accepted()
        await tracing

    (span,) = traced.jobs
    assert attributes_of(span)["error.type"] == "SessionClosed"
    assert attributes_of(span)["kling.job.state"] == "pending"
    assert "kling.job.tag" not in attributes_of(span)


async def test_a_generation_that_is_resumed_has_a_span_from_the_first_that_is_heard_of_it(traced: Traced) -> None:
    async with Sandbox(speed=1) as sandbox:
        async with sandbox.session() as kling:
            bought = await kling.submit(TextToVideo("a fox")).accepted()
        async with sandbox.session() as kling:
            kling.resume(bought)
            tracing = traced.begin(kling)
        await tracing

    (span,) = traced.jobs
    assert span.name == "generate_content"
    assert attributes_of(span)["gen_ai.response.id"] == bought
    assert "gen_ai.request.model" not in attributes_of(span)


async def test_a_download_of_a_job_that_was_done_before_stands_by_itself(traced: Traced, tmp_path: Path) -> None:
    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        job = await kling.submit(TextToVideo("a fox")).settled()
        tracing = traced.begin(kling)
        await kling.download(job, into=tmp_path)
    await tracing

    (span,) = traced.downloads
    assert span.parent is None
    assert traced.jobs == []


async def test_a_download_that_began_unheard_is_left_out(traced: Traced, tmp_path: Path) -> None:
    tracing: list[asyncio.Task[None]] = []

    def begin(_done: int, _size: int | None) -> None:
        tracing.append(traced.begin(kling))

    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        await kling.download(kling.submit(TextToVideo("a fox")), into=tmp_path, progress=begin)
    await asyncio.gather(*tracing)

    assert traced.downloads == []


async def test_the_span_that_is_current_where_tracing_begins_is_the_parent(traced: Traced) -> None:
    tracer = traced.provider.get_tracer("a caller")
    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        with tracer.start_as_current_span("batch") as batch:
            tracing = traced.begin(kling)
        await kling.submit(TextToVideo("a fox"))
    await tracing

    (span,) = traced.jobs
    assert span.parent == batch.get_span_context()


async def test_the_span_that_is_current_at_submit_comes_before_the_one_where_tracing_begins(traced: Traced) -> None:
    tracer = traced.provider.get_tracer("a caller")
    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        with tracer.start_as_current_span("service"):
            tracing = traced.begin(kling)
        with tracer.start_as_current_span("request") as request:
            job = kling.submit(TextToVideo("a fox"))
        await job
    await tracing

    (span,) = traced.jobs
    assert span.parent == request.get_span_context()


async def test_metrics_have_the_durations_costs_refusals_and_bytes_of_jobs(traced: Traced, tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    faults = Faults(error_outcome={2}, rate_limited={"submit": {1}})
    async with Sandbox(speed=2000, faults=faults) as sandbox, sandbox.session() as kling:
        tracing = asyncio.create_task(trace(kling.subscribe(), tracer_provider=traced.provider, meter_provider=meters))
        good, bad = kling.submit(TextToVideo("a fox", model=MODEL)), kling.submit(TextToVideo("an owl", model=MODEL))
        await asyncio.gather(good.settled(), bad.settled())
        made = good if good.exception() is None else bad
        path = await kling.download(made, into=tmp_path)
    await tracing

    seen = reader.get_metrics_data()
    assert seen is not None
    every = {
        metric.name: metric for one in seen.resource_metrics for scope in one.scope_metrics for metric in scope.metrics
    }
    points: dict[str, list[Any]] = {name: list(metric.data.data_points) for name, metric in every.items()}
    common = {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "aimlapi",
        "gen_ai.request.model": MODEL,
    }
    durations = points["gen_ai.client.operation.duration"]
    assert [point.count for point in durations] == [1, 1]
    assert {point.attributes.get("error.type") for point in durations} == {None, "GenerationFailed"}
    assert all(common.items() <= dict(point.attributes).items() for point in durations)
    assert all(0 < point.sum < 60 and point.explicit_bounds[-1] == 5120 for point in durations)
    assert [point.value for point in points["kling.job.cost"]] == [float(made.result().usage.usd_spent or 0)]
    assert [point.value for point in points["kling.request.throttled"]] == [1]
    assert [point.value for point in points["kling.download.size"]] == [path.stat().st_size]
    assert {name: metric.unit for name, metric in every.items()} == {
        "gen_ai.client.operation.duration": "s",
        "kling.job.cost": "{USD}",
        "kling.request.throttled": "{request}",
        "kling.download.size": "By",
    }


async def test_a_span_whose_end_was_missed_ends_with_the_next_event(traced: Traced) -> None:
    async with Sandbox(speed=1) as sandbox, sandbox.session() as kling:
        events = kling.subscribe(buffer=1)
        job, other = kling.submit(TextToVideo("a fox")), kling.submit(TextToVideo("a bear"))
        await asyncio.gather(job.accepted(), other.accepted())
        events.push(accepted(job))
        tracing = asyncio.create_task(trace(events, tracer_provider=traced.provider))
        while " 0 buffered" not in repr(events):  # noqa: ASYNC110 - being read raises no event
            await asyncio.sleep(0)
        job.abandon()  # what tells of this is pushed out of the buffer at once
        events.push(accepted(other))
        while not traced.jobs:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        (span,) = traced.jobs
    await tracing

    assert events.missed
    assert attributes_of(span)["kling.job.key"] == job.key
    assert attributes_of(span)["error.type"] == "JobAbandoned"


def accepted(job: Job) -> Accepted:
    return Accepted(asyncio.get_running_loop().time(), job, time=datetime.now(UTC))


async def test_a_cancelled_tracing_ends_what_is_open(traced: Traced) -> None:
    async with Sandbox(speed=1) as sandbox, sandbox.session() as kling:
        tracing = traced.begin(kling)
        await kling.submit(TextToVideo("a fox")).accepted()
        tracing.cancel()
        await asyncio.gather(tracing, return_exceptions=True)

    (span,) = traced.jobs
    assert "kling.job.state" not in attributes_of(span)


async def test_no_span_holds_the_prompt_or_the_key(traced: Traced, tmp_path: Path) -> None:
    async with Sandbox(speed=2000) as sandbox, sandbox.session() as kling:
        tracing = traced.begin(kling)
        await kling.download(kling.submit(TextToVideo("a most secret fox")), tmp_path / "fox.mp4")
    await tracing

    told = "".join(span.to_json() for span in (*traced.jobs, *traced.downloads))
    assert "secret" not in told
    assert sandbox.api_key not in told
    assert "Signature" not in told


async def test_without_the_extra_the_import_says_which_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    monkeypatch.delitem(sys.modules, "kling_async.otel")
    with pytest.raises(ModuleNotFoundError, match=r"kling_async\[otel\]"):
        importlib.import_module("kling_async.otel")
