"""The public API as a type checker sees it. This is read by type checkers and never run.

A checker that disagrees with an `assert_type`, or with a line as a caller would write it, fails the build.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from ssl import create_default_context
from typing import TYPE_CHECKING, Any, assert_never, assert_type

import anyio

import kling_async.sync
from kling_async import (
    LEGACY,
    UNIVERSAL,
    Accepted,
    AccountUsage,
    AdvancedCameraControl,
    APIError,
    AuthenticationError,
    AutoTopUp,
    Avatar,
    BadRequest,
    Balance,
    BillingDetail,
    CameraConfig,
    CameraControl,
    CatalogueChanges,
    Completed,
    ConfigurationError,
    ConnectFailed,
    Cost,
    CostReport,
    DeadlineExceeded,
    Delivery,
    Downloaded,
    DownloadError,
    DownloadFailed,
    Downloading,
    DynamicMask,
    Effect,
    Element,
    Estimate,
    Event,
    ExpectedCompletion,
    Failed,
    FeedStats,
    GatewayError,
    Generation,
    GenerationFailed,
    GenerationStatus,
    HttpRequest,
    HttpResponse,
    ImageToVideo,
    Interrupted,
    InvalidRequest,
    Job,
    JobAbandoned,
    JobCost,
    JobEvent,
    JobState,
    Journal,
    JournalError,
    Kind,
    KlingError,
    KlingSession,
    Lane,
    LeadershipChanged,
    LearnedDuration,
    Limits,
    LiveModel,
    LogEntry,
    MalformedResponse,
    MemoryJournal,
    Metrics,
    Model,
    ModelList,
    ModelMetrics,
    MotionControl,
    MultiImageToVideo,
    NotFound,
    OutOfCredits,
    PermissionDenied,
    Point,
    Polled,
    Polling,
    Pricing,
    Progress,
    Queued,
    RateLimited,
    Reconciliation,
    Record,
    ReferenceToVideo,
    Request,
    RequestTimeout,
    Retry,
    Retrying,
    ServerError,
    SessionClosed,
    Shot,
    SpendLimitReached,
    Stats,
    StorageError,
    StreamedResponse,
    Submission,
    SubmissionUncertain,
    Submitted,
    Subscription,
    TextToVideo,
    Throttled,
    Timeouts,
    Transaction,
    Transport,
    TransportError,
    Usage,
    Video,
    VideoEdit,
    VideoReference,
    find_model,
    from_dict,
    from_row,
    get_model,
    models,
    read_journal,
    to_dict,
)
from kling_async.api.account.models import UnitPrice
from kling_async.api.account.usage import Quantiles

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Coroutine, Iterator

    from kling_async.api.media import Media


class EchoTransport:
    """A caller's own transport: it need not inherit."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        assert_type(request.lane, Lane)
        return HttpResponse(200, {"content-type": "application/json"}, request.body or b"{}")

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[StreamedResponse]:
        raise TransportError(f"no file at {request.target}", sent=False)
        yield


async def sessions(journal: Journal, transport: Transport) -> None:
    async with KlingSession() as kling:
        assert_type(kling, KlingSession)
    assert_type(
        KlingSession(
            "key",
            base_url="https://proxy.example/kling",
            journal=journal,
            limits=Limits(requests_per_second=20, burst=10, max_in_flight=100, max_submits=4, per_group=5),
            polling=Polling(profile="fast", max_gap=timedelta(minutes=1), jitter=0.1, min_gap=1),
            timeouts=Timeouts(connect=5, submit=timedelta(minutes=1), generation=timedelta(hours=2), close=1.5),
            reconciliation=Reconciliation(after=timedelta(hours=2), then="resubmit", max_resubmits=2),
            transport=transport,
            rng=random.Random(7),
        ),
        KlingSession,
    )
    KlingSession(journal=MemoryJournal(), transport=EchoTransport())
    assert_type(await kling.aclose(), None)


async def one(kling: KlingSession) -> None:
    job = kling.submit(TextToVideo("a raccoon"), tag="row 1", key="row-1", deadline=timedelta(minutes=30))
    assert_type(kling.submit(TextToVideo("a raccoon"), priority=2, group="ann"), Job)
    assert_type(job, Job)
    assert_type(await job, Video)
    assert_type(await job.settled(), Job)
    assert_type(await job.accepted(), str)
    assert_type(await job.recorded(), Job)
    assert_type(kling.resume("an id", tag=("any", "label"), deadline=60, endpoint=LEGACY), Job)
    assert_type(kling.resume(job.token(), tag="row 1"), Job)
    assert_type(await kling.fetch("an id", endpoint=LEGACY), Generation)


def facts(job: Job) -> None:
    assert_type(job.key, str)
    assert_type(job.tag, object)
    assert_type(job.request, Request | None)
    assert_type(job.state, JobState)
    assert_type(job.generation_id, str | None)
    assert_type(job.submitted_at, datetime | None)
    assert_type(job.expected_completion, ExpectedCompletion | None)
    assert_type(job.progress, Progress)
    assert_type((job.progress.fraction, job.progress.remaining), tuple[float, float | None])
    assert_type(job.last_status, str | None)
    assert_type(job.polls, int)
    assert_type(job.token(), str)
    assert_type(job.done(), bool)
    assert_type(job.result(), Video)
    assert_type(job.exception(), KlingError | None)
    assert_type(job.abandon(), None)
    job.add_done_callback(take_job)


def take_job(job: Job) -> None:
    """A callback that returns nothing."""


async def with_asyncio(kling: KlingSession, jobs: list[Job]) -> None:
    awaitable: Awaitable[Video] = jobs[0]
    coroutine: Coroutine[Any, Any, Job] = jobs[0].settled()
    assert_type(await awaitable, Video)
    assert_type(await coroutine, Job)
    assert_type(await asyncio.gather(*jobs), list[Video])
    assert_type(await asyncio.gather(*jobs, return_exceptions=True), list[Video | BaseException])
    assert_type(await asyncio.gather(jobs[0], jobs[1]), tuple[Video, Video])
    assert_type(await asyncio.wait_for(jobs[0], timeout=5), Video)
    assert_type(await asyncio.shield(jobs[0]), Video)
    assert_type(await asyncio.ensure_future(jobs[0]), Video)
    for earliest in asyncio.as_completed(jobs):
        assert_type(await earliest, Video)
    async with asyncio.TaskGroup() as tasks:
        assert_type(await tasks.create_task(jobs[0].settled()), Job)
    async with anyio.create_task_group() as group:
        group.start_soon(kling.submit(TextToVideo("a fox")).settled)
    done, _ = await asyncio.wait([asyncio.create_task(job.settled()) for job in jobs])
    assert_type({task.result() for task in done}, set[Job])


def prompts() -> Iterator[Request]:
    yield TextToVideo("a raccoon")
    yield ImageToVideo("https://images.example/raccoon.png")


async def rows(kling: KlingSession) -> AsyncGenerator[Request | Job]:
    yield TextToVideo("a raccoon")
    yield kling.resume("an id")


async def many(kling: KlingSession) -> None:
    async for job in kling.as_completed(prompts(), max_in_flight=50):
        assert_type(job, Job)
    async for job in kling.as_completed(rows(kling)):
        assert_type(job, Job)
    async for job in kling.as_completed([kling.submit(TextToVideo("a fox")), TextToVideo("a bear")]):
        assert_type(job, Job)
    async for job in kling.as_completed([Submission(TextToVideo("a fox"), key="k", tag=1, group="ann", priority=1)]):
        assert_type((job.group, job.priority), tuple[str | None, int])
    async for delivery in kling.as_downloaded([Submission(TextToVideo("a fox"), deadline=60.0)], into="out"):
        assert_type(delivery, Delivery)
    async for job in kling.as_completed([TextToVideo("a bear")]):
        assert_type(job, Job)
    assert_type(kling.pending, tuple[Job, ...])
    async for record in kling.history():
        assert_type(record, Record)
    assert_type(kling.resume_submissions(), None)
    assert_type(await kling.drain(), None)


async def deliveries(kling: KlingSession) -> None:
    async for delivery in kling.as_downloaded(prompts(), into="out", max_in_flight=50):
        assert_type(delivery, Delivery)
        assert_type((delivery.job, delivery.path, delivery.error), tuple[Job, Path | None, KlingError | None])
        assert_type(delivery.result(), Path)
    async for delivery in kling.as_downloaded([TextToVideo("a bear")], path=lambda job: f"{job.tag}.mp4"):
        assert_type(delivery.job.tag, object)


async def files(kling: KlingSession, job: Job, video: Video) -> None:
    assert_type(await kling.download(video, "out.mp4", progress=take_progress), Path)
    assert_type(await kling.download(job, into=Path("out")), Path)
    assert_type(kling.find("row-1"), Job | None)
    assert_type(video.url, str)
    assert_type(video.content_type, str | None)
    assert_type(video.file_name, str | None)
    assert_type(video.file_size, int | None)
    assert_type(video.usage, Usage)
    assert_type(video.usage.usd_spent, Decimal | None)


def take_progress(so_far: int, whole: int | None) -> None:
    """A callback that returns nothing."""


async def watching(kling: KlingSession, job: Job) -> None:
    subscription = kling.subscribe(buffer=100)
    assert_type(subscription, Subscription[Event])
    async for event in subscription:
        assert_type(event, Event)
        assert_type((event.at, event.time), tuple[float, datetime])
        assert_type(event.to_dict(), dict[str, Any])
        assert_type(told(event), str)
    assert_type(subscription.missed, int)
    watched: Subscription[Event] = kling.subscribe(job=job)
    assert_type(watched.close(), None)
    assert_type(kling.subscribe(job=job, buffer=10), Subscription[JobEvent])
    async for progress in job.watch(every=0.5):
        assert_type(progress, Progress)
    async for about_it in job.events():
        assert_type(about_it, JobEvent)
        assert_type((about_it.job, about_it.key, about_it.state), tuple[Job, str, JobState])
        assert_type((about_it.tag, about_it.generation_id), tuple[object, str | None])
    stats = kling.stats()
    assert_type(stats, Stats)
    assert_type(stats.feed, FeedStats | None)
    assert_type(stats.learned, tuple[LearnedDuration, ...])
    assert_type(kling.learned(), dict[str, Any])
    assert_type(stats.open + stats.settled, int)
    assert_type(stats.paused_for, float)


def told(event: Event) -> str:  # noqa: C901, PLR0911 - one case for each event there is
    match event:
        case Queued(job=job):
            return f"{assert_type(job, Job)} waits"
        case Submitted(attempt=attempt):
            return f"attempt {assert_type(attempt, int)}"
        case Accepted(generation_id=generation_id):
            return assert_type(generation_id, str)
        case Polled(status=status, polls=polls):
            return f"{assert_type(status, GenerationStatus).value} after {assert_type(polls, int)}"
        case Retrying(error=error, retry_at=retry_at):
            return f"{assert_type(error, KlingError).message}, again at {assert_type(retry_at, float)}"
        case Throttled(is_submit=submit, until=until):
            return f"{assert_type(submit, bool)} until {assert_type(until, float)}"
        case Completed(_, job, video):
            return f"{assert_type(job, Job).key}: {assert_type(video, Video).url}"
        case Failed(error=error) | Interrupted(error=error) | DownloadFailed(error=error):
            return assert_type(error, KlingError).message
        case LeadershipChanged(leads=leads):
            return f"it leads: {assert_type(leads, bool)}"
        case Downloading(path=path):
            return f"{assert_type(path, Path)} comes in"
        case Downloaded(path=path, size=size):
            return f"{assert_type(path, Path)}: {assert_type(size, int)}"
        case _:
            return f"{assert_type(event.at, float)}"


async def failures(job: Job) -> None:  # noqa: C901, PLR0912 - one branch for each error there is
    try:
        await job
    except GenerationFailed as error:
        assert_type(error.reason, object)
    except SubmissionUncertain as error:
        assert_type(error.client_request_id, str | None)
    except RateLimited as error:
        assert_type(error.retry_after, float | None)
    except GatewayError as error:
        assert_type(error.location, str | None)
    except (AuthenticationError, BadRequest, NotFound, OutOfCredits, PermissionDenied, ServerError) as error:
        assert_type(error.body, object)
    except APIError as error:
        assert_type(error.status, int)
        assert_type(error.request_id, str | None)
    except MalformedResponse as error:
        assert_type((error.status, error.excerpt), tuple[int, str])
    except ConnectFailed as error:
        assert_type(error.tls, bool)
    except (RequestTimeout, TransportError) as error:
        assert_type(error.sent, bool)
    except (StorageError, DownloadError) as error:
        assert_type(error.url, str | None)
    except DeadlineExceeded as error:
        as_timeout(error)
    except (ConfigurationError, JobAbandoned, JournalError, SessionClosed) as error:
        assert_type(error.generation_id, str | None)
    except KlingError as error:
        assert_type(error.retryable, bool)
        assert_type((error.key, error.generation_id, error.last_status), tuple[str | None, str | None, str | None])


def without_a_loop() -> None:
    with kling_async.sync.KlingSession("key", polling=Polling(profile="fast"), journal="a.db") as kling:
        job = kling.submit(TextToVideo("a fox"), key="k")
        assert_type(job, kling_async.sync.Job)
        assert_type(job.result(timeout=5), Video)
        assert_type(kling.download(job, into="out"), Path)
        assert_type(kling.balance(), Balance)
        assert_type(kling.history(), Generator[Record, None, None])
        for one in kling.as_completed([job, TextToVideo("a bear")], max_in_flight=5):
            assert_type(one.accepted(), str)
        for delivery in kling.as_downloaded([job], into="out"):
            assert_type(delivery, Delivery)
        kling.balance(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    kling_async.sync.KlingSession(apikey="key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def as_timeout(error: TimeoutError) -> None:
    """What handles any timeout handles a deadline."""


def requests() -> None:
    any_text = str(random.random())
    assert_type(TextToVideo("a", model=any_text, aspect_ratio=any_text), TextToVideo)
    assert_type(TextToVideo("a", model="klingai/v9", aspect_ratio="9:16"), TextToVideo)
    Polling(profile="slow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text = TextToVideo(
        "a raccoon",
        model="klingai/v2-master-text-to-video",
        endpoint=LEGACY,
        aspect_ratio="16:9",
        duration=5,
        negative_prompt="rain",
        cfg_scale=0.9,
        advanced_camera_control=AdvancedCameraControl("zoom", 5),
        extra={"seed": 7},
    )
    image = ImageToVideo(
        endpoint=UNIVERSAL,
        image_url="https://images.example/raccoon.png",
        prompt="it runs",
        dynamic_masks=[DynamicMask("https://images.example/mask.png", [{"x": 1, "y": 2}])],
        camera_control=CameraControl("simple", CameraConfig(zoom=5)),
        elements=[Element(["https://images.example/fox.png"])],
        multi_prompt=[Shot("a fox", 5), "a bear"],
    )
    front = Path("fox.png")
    others: list[Request] = [
        MultiImageToVideo(["https://images.example/fox.png", Path("bear.png")], prompt="they meet", aspect_ratio="1:1"),
        Effect(["https://images.example/ann.png", b"content"], "hug", duration=5),
        Effect(front, "squish"),
        Avatar(front, Path("voice.mp3"), prompt="gladly"),
        MotionControl(front, Path("dance.mp4"), keep_audio=False, mode="pro", character_orientation="image"),
        ReferenceToVideo("a fox", image_list=[front], elements=[Element([front], front)]),
        VideoEdit("make it snow", "https://videos.example/a.mp4", keep_audio=True),
        VideoReference("the next scene", Path("a.mp4"), image_list=(front,), duration=10),
        ImageToVideo(front, dynamic_masks=[DynamicMask(front, [Point(1, 2), Point(3, 4)])]),
    ]
    for request in (*others, text, image, Request(model="klingai/some-other", extra={"prompt": "a fox"})):
        assert_type(request.duration_seconds, int | None)
        assert_type(request.check(), None)
        assert_type([problem.field for problem in request.problems()], list[str])
        assert_type(request.body(), dict[str, Any])
        assert_type(from_dict(to_dict(request)), Request)
        assert_type(from_row({"prompt": "a fox"}, defaults={"duration": 5}, folder="here"), Submission)
    assert_type(text.prompt, str | None)
    try:
        text.check()
    except ValueError as error:
        if isinstance(error, InvalidRequest):
            assert_type((error.field, error.value, error.allowed), tuple[str, object, str])
            assert_type(error.problems, tuple[InvalidRequest, ...])


def catalogue() -> None:
    assert_type(models(), tuple[Model, ...])
    assert_type(models(Kind.TEXT_TO_VIDEO, family="video", version="v2.1", tier="master"), tuple[Model, ...])
    assert_type(get_model("kling-video/v1/pro/text-to-video").version, str | None)
    assert_type(models("image-to-video")[0].required, tuple[str, ...])
    model = find_model("kling-video/v1/pro/text-to-video")
    assert_type(model, Model | None)
    if model is not None:
        assert_type(model.kind, Kind)


def outcome(state: JobState) -> str:
    match state:
        case JobState.QUEUED | JobState.SUBMITTING | JobState.PENDING | JobState.UNCERTAIN:
            return "open"
        case JobState.COMPLETED | JobState.FAILED | JobState.REJECTED | JobState.ABANDONED:
            return "closed"
        case _:
            assert_never(state)


def journals(record: Record) -> None:
    journal: Journal = MemoryJournal()
    assert_type(journal.get("row-1"), Record | None)
    assert_type(record.error, KlingError | None)
    assert_type(list(read_journal("batch.db").records()), list[Record])
    kling = KlingSession("a-key", journal=Path("batch.db"), hold=True, retry=Retry(failed=2))
    assert_type(kling.submit(TextToVideo("a fox"), key="fox", retry_failed="all"), Job)
    assert_type(kling.submit(TextToVideo("a fox"), key="fox", retry_failed=True), Job)
    KlingSession(proxy="http://proxy.example.com:3128", ssl=Path("ca.pem"), headers={"X-Team": "films"}, user_agent="a")
    KlingSession(ssl=create_default_context(), trust_env=False, allow_http=True)


async def account(kling: KlingSession, job: Job) -> None:
    assert_type(await kling.balance(), Balance)
    detail = await kling.billing_detail()
    assert_type(detail, BillingDetail)
    assert_type(detail.auto_top_up, AutoTopUp | None)
    assert_type((await kling.balance()).usd, Decimal)
    assert_type(await kling.usage("7d"), AccountUsage)
    async for entry in kling.transactions(direction="CHARGE", type="MODEL_USAGE", start=datetime.now(UTC)):
        assert_type(entry, Transaction)
        assert_type(entry.usd, Decimal | None)
    async for row in kling.logs("24h", models="klingai/v2-master-text-to-video", statuses=["failed"]):
        assert_type(row, LogEntry)
    costs = await kling.reconcile_costs([job], start=datetime.now(UTC))
    assert_type(costs, CostReport)
    assert_type(costs.rows, tuple[JobCost, ...])


async def live(kling: KlingSession) -> None:
    metrics = await kling.metrics(["klingai/v2-master-text-to-video"])
    assert_type(metrics, Metrics)
    assert_type(metrics.find("klingai/v2-master-text-to-video"), ModelMetrics | None)
    assert_type(metrics.models[0].duration_ms, Quantiles | None)
    listing = await kling.list_models(include="pricing", ids=["klingai/v2-master-text-to-video"])
    assert_type(listing, ModelList)
    for model in listing:
        assert_type(model, LiveModel)
        assert_type(model.pricing, Pricing | None)
    assert_type(await kling.list_kling_models(), ModelList)
    assert_type(await kling.catalogue_changes(), CatalogueChanges)


async def costs(kling: KlingSession, pricing: Pricing) -> None:
    cost = await kling.estimate(TextToVideo("a fox"))
    assert_type(cost, Cost)
    assert_type(await kling.estimate([TextToVideo("a fox"), ImageToVideo("https://images.example/fox.png")]), Cost)
    assert_type(cost.estimates, tuple[Estimate, ...])
    assert_type(cost.usd, Decimal)
    assert_type(cost.estimates[0].usd, Decimal | None)
    assert_type(pricing.rates, tuple[UnitPrice, ...])
    assert_type(Limits(max_spend_usd=Decimal("0.3")).max_spend_usd, Decimal | None)
    KlingSession("key", limits=Limits(max_spend_usd=25, allow_unpriced=True, max_polls=8))
    KlingSession("key", limits=Limits(per_group={"ann": 5, None: 2}, per_model={"klingai/video-o1-image-to-video": 3}))


def overspent(error: SpendLimitReached) -> None:
    assert_type((error.limit_usd, error.committed_usd, error.price_usd), tuple[Decimal, Decimal, Decimal | None])


def beginning(image: Media) -> ImageToVideo:
    return ImageToVideo(image, prompt="a fox")
