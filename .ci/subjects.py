"""The public names by subject, in the order in which the API reference has them."""

from __future__ import annotations

from attrs import frozen


@frozen
class Subject:
    """A heading of the reference, and the names under it.

    Attributes:
        title: The heading.
        names: The names, in order.
        made: Whether callers make objects of these classes, so that their constructors are shown.
    """

    title: str
    names: tuple[str, ...]
    made: bool = True


def _subject(title: str, names: str, *, made: bool = True) -> Subject:
    return Subject(title, tuple(names.split()), made)


PACKAGES = {
    "kling_async": (
        _subject("The session", "KlingSession Submission"),
        _subject("Jobs", "Job JobState Progress ExpectedCompletion Delivery", made=False),
        _subject(
            "Requests",
            "TextToVideo ImageToVideo MultiImageToVideo Effect Avatar MotionControl ReferenceToVideo VideoEdit"
            " VideoReference Request",
        ),
        _subject(
            "Parts of requests",
            "CameraControl CameraConfig AdvancedCameraControl DynamicMask Point Element Shot to_dict"
            " from_dict from_row",
        ),
        _subject("Settings", "Limits Polling Timeouts Reconciliation Retry"),
        _subject("Results", "Video Usage Generation GenerationStatus", made=False),
        _subject("Models", "models get_model find_model Model Kind", made=False),
        _subject(
            "Events",
            "Event JobEvent Queued Submitted Accepted Polled Retrying Throttled Completed Failed Interrupted"
            " Downloading Downloaded DownloadFailed LeadershipChanged Subscription",
            made=False,
        ),
        _subject("Numbers", "Stats FeedStats LearnedDuration", made=False),
        _subject(
            "The account",
            "Balance BillingDetail AutoTopUp Transaction AccountUsage LogEntry Metrics ModelMetrics ModelList LiveModel"
            " Pricing CatalogueChanges Cost Estimate CostReport JobCost",
            made=False,
        ),
        _subject(
            "Errors",
            "KlingError InvalidRequest ConfigurationError GenerationFailed DeadlineExceeded SpendLimitReached"
            " SubmissionUncertain JobAbandoned SessionClosed JournalError DownloadError StorageError APIError"
            " BadRequest AuthenticationError OutOfCredits PermissionDenied NotFound RateLimited ServerError"
            " GatewayError TransportError ConnectFailed RequestTimeout MalformedResponse",
            made=False,
        ),
        _subject("Journals", "read_journal Journal Record MemoryJournal", made=False),
        _subject("Transports", "Transport HttpRequest HttpResponse StreamedResponse Lane UNIVERSAL LEGACY", made=False),
    ),
    "kling_async.sandbox": (
        _subject("The sandbox", "Sandbox SandboxThread Faults Recording Kind Trigger When"),
        _subject("What really happened", "CallRecorder Purchase Submit Poll FileRequest Charge", made=False),
    ),
    "kling_async.sync": (_subject("Without an event loop", "KlingSession Job"),),
    "kling_async.otel": (_subject("Tracing", "trace"),),
}
"""The public packages, each with its subjects; together these have every public name once."""
