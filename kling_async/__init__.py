"""Run many Kling AI video generations at once through AI/ML API.

Everything public is a name of this package; its modules are not part of the API.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from kling_async.api.account.billing import (
        AutoTopUp as AutoTopUp,
        Balance as Balance,
        BillingDetail as BillingDetail,
        Transaction as Transaction,
    )
    from kling_async.api.account.estimates import Cost as Cost, Estimate as Estimate
    from kling_async.api.account.logs import LogEntry as LogEntry
    from kling_async.api.account.usage import Metrics as Metrics, ModelMetrics as ModelMetrics
    from kling_async.api.account.models import (
        CatalogueChanges as CatalogueChanges,
        LiveModel as LiveModel,
        ModelList as ModelList,
        Pricing as Pricing,
    )
    from kling_async.api.account.usage import AccountUsage as AccountUsage
    from kling_async.api.catalogue.lookup import find_model as find_model, get_model as get_model, models as models
    from kling_async.api.catalogue.model import Kind as Kind, Model as Model
    from kling_async.api.messages import HttpRequest as HttpRequest, HttpResponse as HttpResponse, Lane as Lane
    from kling_async.api.protocol import LEGACY as LEGACY, UNIVERSAL as UNIVERSAL
    from kling_async.api.requests import (
        Avatar as Avatar,
        Effect as Effect,
        ImageToVideo as ImageToVideo,
        MotionControl as MotionControl,
        MultiImageToVideo as MultiImageToVideo,
        ReferenceToVideo as ReferenceToVideo,
        Request as Request,
        TextToVideo as TextToVideo,
        VideoEdit as VideoEdit,
        VideoReference as VideoReference,
    )
    from kling_async.api.requests.codec import from_dict as from_dict, from_row as from_row, to_dict as to_dict
    from kling_async.api.requests.base import Submission as Submission
    from kling_async.api.requests.types import (
        AdvancedCameraControl as AdvancedCameraControl,
        CameraConfig as CameraConfig,
        CameraControl as CameraControl,
        DynamicMask as DynamicMask,
        Element as Element,
        Point as Point,
        Shot as Shot,
    )
    from kling_async.api.results import (
        Generation as Generation,
        GenerationStatus as GenerationStatus,
        Usage as Usage,
        Video as Video,
    )
    from kling_async.engine.cost_report import CostReport as CostReport, JobCost as JobCost
    from kling_async.engine.downloads import Delivery as Delivery
    from kling_async.engine.event_bus import Event as Event, Subscription as Subscription
    from kling_async.engine.events import (
        Accepted as Accepted,
        Completed as Completed,
        Downloaded as Downloaded,
        DownloadFailed as DownloadFailed,
        Downloading as Downloading,
        Failed as Failed,
        Interrupted as Interrupted,
        LeadershipChanged as LeadershipChanged,
        Polled as Polled,
        Queued as Queued,
        Retrying as Retrying,
        Submitted as Submitted,
        Throttled as Throttled,
    )
    from kling_async.engine.job import (
        ExpectedCompletion as ExpectedCompletion,
        Job as Job,
        JobEvent as JobEvent,
        Progress as Progress,
    )
    from kling_async.engine.stats import FeedStats as FeedStats, LearnedDuration as LearnedDuration, Stats as Stats
    from kling_async.errors import (
        APIError as APIError,
        AuthenticationError as AuthenticationError,
        BadRequest as BadRequest,
        ConfigurationError as ConfigurationError,
        ConnectFailed as ConnectFailed,
        DeadlineExceeded as DeadlineExceeded,
        DownloadError as DownloadError,
        GatewayError as GatewayError,
        GenerationFailed as GenerationFailed,
        InvalidRequest as InvalidRequest,
        JobAbandoned as JobAbandoned,
        JournalError as JournalError,
        KlingError as KlingError,
        MalformedResponse as MalformedResponse,
        NotFound as NotFound,
        OutOfCredits as OutOfCredits,
        PermissionDenied as PermissionDenied,
        RateLimited as RateLimited,
        RequestTimeout as RequestTimeout,
        ServerError as ServerError,
        SessionClosed as SessionClosed,
        SpendLimitReached as SpendLimitReached,
        StorageError as StorageError,
        SubmissionUncertain as SubmissionUncertain,
        TransportError as TransportError,
    )
    from kling_async.journal.base import JobState as JobState, Journal as Journal, Record as Record
    from kling_async.journal.memory import MemoryJournal as MemoryJournal
    from kling_async.journal.open import read_journal as read_journal
    from kling_async.session import KlingSession as KlingSession
    from kling_async.settings import (
        Limits as Limits,
        Polling as Polling,
        Reconciliation as Reconciliation,
        Retry as Retry,
        Timeouts as Timeouts,
    )
    from kling_async.transport.base import StreamedResponse as StreamedResponse, Transport as Transport

    __all__: list[str]

__version__ = "0.1.0"

_LATER = {
    name: module
    for module, names in {
        "api.account.billing": "AutoTopUp Balance BillingDetail Transaction",
        "api.account.estimates": "Cost Estimate",
        "api.account.logs": "LogEntry",
        "api.account.models": "CatalogueChanges LiveModel ModelList Pricing",
        "api.account.usage": "AccountUsage Metrics ModelMetrics",
        "api.catalogue.lookup": "find_model get_model models",
        "api.catalogue.model": "Kind Model",
        "api.messages": "HttpRequest HttpResponse Lane",
        "api.protocol": "LEGACY UNIVERSAL",
        "api.requests": "Request Avatar Effect ImageToVideo MotionControl MultiImageToVideo ReferenceToVideo"
        " TextToVideo VideoEdit VideoReference",
        "api.requests.codec": "from_dict from_row to_dict",
        "api.requests.base": "Submission",
        "api.requests.types": "AdvancedCameraControl CameraConfig CameraControl DynamicMask Element Point Shot",
        "api.results": "Generation GenerationStatus Usage Video",
        "engine.cost_report": "CostReport JobCost",
        "engine.downloads": "Delivery",
        "engine.event_bus": "Event Subscription",
        "engine.events": "Accepted Completed Downloaded DownloadFailed Downloading Failed Interrupted"
        " LeadershipChanged Polled Queued Retrying Submitted Throttled",
        "engine.job": "Job JobEvent ExpectedCompletion Progress",
        "engine.stats": "FeedStats LearnedDuration Stats",
        "errors": "APIError AuthenticationError BadRequest ConfigurationError ConnectFailed"
        " DeadlineExceeded DownloadError GatewayError GenerationFailed InvalidRequest JobAbandoned"
        " JournalError KlingError MalformedResponse NotFound OutOfCredits PermissionDenied"
        " RateLimited RequestTimeout ServerError SessionClosed SpendLimitReached StorageError"
        " SubmissionUncertain TransportError",
        "journal.base": "JobState Journal Record",
        "journal.memory": "MemoryJournal",
        "journal.open": "read_journal",
        "session": "KlingSession",
        "settings": "Limits Polling Reconciliation Retry Timeouts",
        "transport.base": "StreamedResponse Transport",
    }.items()
    for name in names.split()
}
"""The modules of the names. Each is imported when a name of it is first used, so that the command can catch a Ctrl-C
from its first moment on, and no program waits for what it does not use."""


if not _typing.TYPE_CHECKING:  # or a type checker would believe that there is any name at all
    __all__ = list(_LATER)

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(_importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
