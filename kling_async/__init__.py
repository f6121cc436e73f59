"""Run many Kling AI video generations at once through AI/ML API.

Everything public is a name of this package; its modules are not part of the API.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from kling_async.api.account.billing import AutoTopUp, Balance, BillingDetail, Transaction
    from kling_async.api.account.estimates import Cost, Estimate
    from kling_async.api.account.logs import LogEntry
    from kling_async.api.account.metrics import Metrics, ModelMetrics
    from kling_async.api.account.models import CatalogueChanges, LiveModel, ModelList, Pricing
    from kling_async.api.account.usage import AccountUsage
    from kling_async.api.catalogue.lookup import find_model, get_model, models
    from kling_async.api.catalogue.model import Kind, Model
    from kling_async.api.messages import HttpRequest, HttpResponse, Lane
    from kling_async.api.protocol import LEGACY, UNIVERSAL
    from kling_async.api.requests import (
        Avatar,
        Effect,
        ImageToVideo,
        MotionControl,
        MultiImageToVideo,
        ReferenceToVideo,
        Request,
        TextToVideo,
        VideoEdit,
        VideoReference,
    )
    from kling_async.api.requests.codec import from_dict, to_dict
    from kling_async.api.requests.rows import from_row
    from kling_async.api.requests.submission import Submission
    from kling_async.api.requests.values import (
        AdvancedCameraControl,
        CameraConfig,
        CameraControl,
        DynamicMask,
        Element,
        Point,
        Shot,
    )
    from kling_async.api.results import Generation, GenerationStatus, Usage, Video
    from kling_async.engine.cost_report import CostReport, JobCost
    from kling_async.engine.downloads import Delivery
    from kling_async.engine.event_bus import Event, Subscription
    from kling_async.engine.events import (
        Accepted,
        Completed,
        Downloaded,
        DownloadFailed,
        Downloading,
        Failed,
        Interrupted,
        LeadershipChanged,
        Polled,
        Queued,
        Retrying,
        Submitted,
        Throttled,
    )
    from kling_async.engine.job import ExpectedCompletion, Job, JobEvent, Progress
    from kling_async.engine.stats import FeedStats, LearnedDuration, Stats
    from kling_async.errors import (
        APIError,
        AuthenticationError,
        BadRequest,
        ConfigurationError,
        ConnectFailed,
        DeadlineExceeded,
        DownloadError,
        GatewayError,
        GenerationFailed,
        InvalidRequest,
        JobAbandoned,
        JournalError,
        KlingError,
        MalformedResponse,
        NotFound,
        OutOfCredits,
        PermissionDenied,
        RateLimited,
        RequestTimeout,
        ServerError,
        SessionClosed,
        SpendLimitReached,
        StorageError,
        SubmissionUncertain,
        TransportError,
    )
    from kling_async.journal.base import JobState, Journal, Record
    from kling_async.journal.memory import MemoryJournal
    from kling_async.journal.open import read_journal
    from kling_async.session import KlingSession
    from kling_async.settings import Limits, Polling, Reconciliation, Retry, Timeouts
    from kling_async.transport.base import StreamedResponse, Transport

__version__ = "0.1.0"

__all__ = [
    "LEGACY",
    "UNIVERSAL",
    "APIError",
    "Accepted",
    "AccountUsage",
    "AdvancedCameraControl",
    "AuthenticationError",
    "AutoTopUp",
    "Avatar",
    "BadRequest",
    "Balance",
    "BillingDetail",
    "CameraConfig",
    "CameraControl",
    "CatalogueChanges",
    "Completed",
    "ConfigurationError",
    "ConnectFailed",
    "Cost",
    "CostReport",
    "DeadlineExceeded",
    "Delivery",
    "DownloadError",
    "DownloadFailed",
    "Downloaded",
    "Downloading",
    "DynamicMask",
    "Effect",
    "Element",
    "Estimate",
    "Event",
    "ExpectedCompletion",
    "Failed",
    "FeedStats",
    "GatewayError",
    "Generation",
    "GenerationFailed",
    "GenerationStatus",
    "HttpRequest",
    "HttpResponse",
    "ImageToVideo",
    "Interrupted",
    "InvalidRequest",
    "Job",
    "JobAbandoned",
    "JobCost",
    "JobEvent",
    "JobState",
    "Journal",
    "JournalError",
    "Kind",
    "KlingError",
    "KlingSession",
    "Lane",
    "LeadershipChanged",
    "LearnedDuration",
    "Limits",
    "LiveModel",
    "LogEntry",
    "MalformedResponse",
    "MemoryJournal",
    "Metrics",
    "Model",
    "ModelList",
    "ModelMetrics",
    "MotionControl",
    "MultiImageToVideo",
    "NotFound",
    "OutOfCredits",
    "PermissionDenied",
    "Point",
    "Polled",
    "Polling",
    "Pricing",
    "Progress",
    "Queued",
    "RateLimited",
    "Reconciliation",
    "Record",
    "ReferenceToVideo",
    "Request",
    "RequestTimeout",
    "Retry",
    "Retrying",
    "ServerError",
    "SessionClosed",
    "Shot",
    "SpendLimitReached",
    "Stats",
    "StorageError",
    "StreamedResponse",
    "Submission",
    "SubmissionUncertain",
    "Submitted",
    "Subscription",
    "TextToVideo",
    "Throttled",
    "Timeouts",
    "Transaction",
    "Transport",
    "TransportError",
    "Usage",
    "Video",
    "VideoEdit",
    "VideoReference",
    "find_model",
    "from_dict",
    "from_row",
    "get_model",
    "models",
    "read_journal",
    "to_dict",
]

_LATER = {
    name: module
    for module, names in {
        "api.account.billing": "AutoTopUp Balance BillingDetail Transaction",
        "api.account.estimates": "Cost Estimate",
        "api.account.logs": "LogEntry",
        "api.account.metrics": "Metrics ModelMetrics",
        "api.account.models": "CatalogueChanges LiveModel ModelList Pricing",
        "api.account.usage": "AccountUsage",
        "api.catalogue.lookup": "find_model get_model models",
        "api.catalogue.model": "Kind Model",
        "api.messages": "HttpRequest HttpResponse Lane",
        "api.protocol": "LEGACY UNIVERSAL",
        "api.requests": "Request Avatar Effect ImageToVideo MotionControl MultiImageToVideo ReferenceToVideo"
        " TextToVideo VideoEdit VideoReference",
        "api.requests.codec": "from_dict to_dict",
        "api.requests.rows": "from_row",
        "api.requests.submission": "Submission",
        "api.requests.values": "AdvancedCameraControl CameraConfig CameraControl DynamicMask Element Point Shot",
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

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(_importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
