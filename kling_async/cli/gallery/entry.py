"""What a gallery shows: one entry for each video that was asked for."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen

from kling_async import Usage

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entry", "Outcome", "VideoFile"]


class Outcome(Enum):
    """What there is of a video, in the words of the page, those first that a reader looks for first."""

    READY = "Ready"
    NOT_DOWNLOADED = "Not downloaded"
    MISSING = "File missing"
    """It was downloaded, and is not where it was."""
    RUNNING = "Generating"
    QUEUED = "Queued"
    UNCERTAIN = "Uncertain"
    """Nobody knows whether it was bought."""
    FAILED = "Failed"
    REJECTED = "Refused"
    ABANDONED = "Abandoned"

    @property
    def remedy(self) -> str | None:
        """The command that brings the video nearer, if any does."""
        return _REMEDIES.get(self)


_REMEDIES = {
    Outcome.NOT_DOWNLOADED: "download",
    Outcome.MISSING: "download",
    Outcome.RUNNING: "resume",
    Outcome.QUEUED: "resume",
    Outcome.UNCERTAIN: "resume",
}


@frozen
class VideoFile:
    """A video's file.

    Attributes:
        path: Where it is, absolute.
        size: Its size in bytes.
        width: Its pictures' width in pixels, as they are to be shown; None where the file does not say.
        height: Their height.
        seconds: How long it plays.
    """

    path: Path
    size: int
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


@frozen
class Entry:
    """One video, or what became of it. Texts are safe to show once they are escaped.

    Attributes:
        name: What it is told by: a job's key, or a file's path within its folder.
        outcome: What there is of it.
        prompt: What was asked for, as far as words go.
        model: The vendor's id of the model.
        tag: The caller's own label.
        parameters: What else was asked for, by name; nested ones have dotted names.
        request: The whole request as JSON, media described rather than contained.
        generation_id: The vendor's id.
        queued_at: Wall-clock time, in seconds since the epoch, as are the others.
        submitted_at: When the last POST was begun.
        accepted_at: When the vendor accepted it.
        settled_at: When it was over.
        polls: How many times the vendor was asked about it.
        cost: What the vendor said it cost.
        reason: Why there is no video.
        footage: Its file, if it is there.
    """

    name: str
    outcome: Outcome
    prompt: str = ""
    model: str = ""
    tag: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    request: str | None = None
    generation_id: str | None = None
    queued_at: float | None = None
    submitted_at: float | None = None
    accepted_at: float | None = None
    settled_at: float | None = None
    polls: int = 0
    cost: Usage = field(factory=Usage)
    reason: str = ""
    footage: VideoFile | None = None

    @property
    def took(self) -> float | None:
        """From the vendor's acceptance to the end, in seconds."""
        began = self.accepted_at if self.accepted_at is not None else self.submitted_at
        return None if began is None or self.settled_at is None else max(0.0, self.settled_at - began)
