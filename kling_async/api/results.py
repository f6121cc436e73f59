"""The vendor's answers about a generation, as values."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - the journal reads the annotation
from enum import Enum

from attrs import field, frozen

from kling_async.api.parsing import dollars


class GenerationStatus(Enum):
    """The status of a generation, normalised from the vendor's several vocabularies."""

    QUEUED = "queued"
    GENERATING = "generating"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """A word this library does not know; treated as still running."""

    @property
    def is_running(self) -> bool:
        """True for every status but ``COMPLETED`` and ``FAILED``."""
        return self not in (GenerationStatus.COMPLETED, GenerationStatus.FAILED)


@frozen
class Usage:
    """The cost of a generation; a field is None where the vendor did not state it. ``usd_spent`` is in US dollars."""

    credits_used: float | None = None
    tokens_used: float | None = None
    usd_spent: Decimal | None = field(default=None, converter=dollars)


@frozen
class Video:
    """A finished video.

    Attributes:
        url: The file's current URL. It is often signed and expires within hours: keep the id, or download soon.
        content_type: The file's media type, as the vendor states it.
        file_name: The vendor's name for the file: a label, never a path to write to.
        file_size: The file's size in bytes, as the vendor states it.
        generation_id: The vendor's id of the generation, good for fetching a fresh url.
        usage: Its cost.
    """

    url: str = field(repr=lambda url: repr(url.partition("?")[0]))
    content_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    generation_id: str = ""
    usage: Usage = field(factory=Usage)


@frozen
class Generation:
    """An answer to a poll.

    Attributes:
        id: The id that was asked about.
        status: Its status.
        raw_status: The vendor's own word.
        video: The video; only with ``COMPLETED``, and None even then if the vendor gave no url.
        failure: A readable reason; only with ``FAILED``.
        reason: The vendor's error object as it came, whatever its shape.
        is_charged: Whether a failed one states a cost all the same.
    """

    id: str
    status: GenerationStatus
    raw_status: str
    video: Video | None = None
    failure: str | None = None
    reason: object = None
    is_charged: bool = False
