"""Run many Kling AI video generations at once through AI/ML API.

Everything public is a name of this package; the modules below it are not part of the promise.
"""

from kling_async.api.catalogue import Kind, Model, find_model, models
from kling_async.api.codec import from_dict, to_dict
from kling_async.api.messages import HttpRequest, HttpResponse, Lane
from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.api.requests import ImageToVideo, Request, TextToVideo
from kling_async.api.results import Generation, Status, Usage, Video
from kling_async.api.values import AdvancedCameraControl, CameraConfig, CameraControl, DynamicMask, Element, Shot
from kling_async.engine.events import (
    Accepted,
    Completed,
    Downloaded,
    Event,
    Failed,
    Interrupted,
    Polled,
    Queued,
    Retrying,
    Submitted,
    Subscription,
    Throttled,
)
from kling_async.engine.job import Job
from kling_async.engine.stats import Stats
from kling_async.errors import (
    APIError,
    AuthenticationError,
    BadRequest,
    ConfigurationError,
    ConnectFailed,
    DeadlineExceeded,
    DownloadError,
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
    SubmissionUncertain,
    TransportError,
)
from kling_async.journal.base import Journal, Record, State
from kling_async.journal.memory import MemoryJournal
from kling_async.journal.opening import read_journal
from kling_async.pacing.cadence import Polling
from kling_async.pacing.rate import Limits
from kling_async.pacing.reconciliation import Reconciliation
from kling_async.session import KlingSession
from kling_async.transport.base import StreamedResponse, Timeouts, Transport

__version__ = "0.1.0"

__all__ = [
    "LEGACY",
    "UNIVERSAL",
    "APIError",
    "Accepted",
    "AdvancedCameraControl",
    "AuthenticationError",
    "BadRequest",
    "CameraConfig",
    "CameraControl",
    "Completed",
    "ConfigurationError",
    "ConnectFailed",
    "DeadlineExceeded",
    "DownloadError",
    "Downloaded",
    "DynamicMask",
    "Element",
    "Event",
    "Failed",
    "Generation",
    "GenerationFailed",
    "HttpRequest",
    "HttpResponse",
    "ImageToVideo",
    "Interrupted",
    "InvalidRequest",
    "Job",
    "JobAbandoned",
    "Journal",
    "JournalError",
    "Kind",
    "KlingError",
    "KlingSession",
    "Lane",
    "Limits",
    "MalformedResponse",
    "MemoryJournal",
    "Model",
    "NotFound",
    "OutOfCredits",
    "PermissionDenied",
    "Polled",
    "Polling",
    "Queued",
    "RateLimited",
    "Reconciliation",
    "Record",
    "Request",
    "RequestTimeout",
    "Retrying",
    "ServerError",
    "SessionClosed",
    "Shot",
    "State",
    "Stats",
    "Status",
    "StreamedResponse",
    "SubmissionUncertain",
    "Submitted",
    "Subscription",
    "TextToVideo",
    "Throttled",
    "Timeouts",
    "Transport",
    "TransportError",
    "Usage",
    "Video",
    "find_model",
    "from_dict",
    "models",
    "read_journal",
    "to_dict",
]
