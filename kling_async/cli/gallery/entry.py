"""One entry of a gallery: a video that was asked for, its state and its file."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen

from kling_async import Usage

if TYPE_CHECKING:
    from pathlib import Path


class EntryState(Enum):
    """The state of an entry, in the words of the page and in its order."""

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
    def is_bad(self) -> bool:
        """True if it asks for attention: nothing will bring the video, or its file is gone."""
        return self in (EntryState.FAILED, EntryState.REJECTED, EntryState.MISSING, EntryState.UNCERTAIN)

    @property
    def next_command(self) -> str | None:
        """The command that brings the video nearer, or None."""
        return _NEXT_COMMANDS.get(self)


_NEXT_COMMANDS = {
    EntryState.NOT_DOWNLOADED: "download",
    EntryState.MISSING: "download",
    EntryState.RUNNING: "resume",
    EntryState.QUEUED: "resume",
    EntryState.UNCERTAIN: "resume",
}


@frozen
class VideoFile:
    """A video's file.

    Attributes:
        path: Its absolute path.
        size: Its size in bytes.
        width: Its width in pixels as shown, rotation included; None where the file does not say.
        height: Their height.
        seconds: Its length.
    """

    path: Path
    size: int
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


@frozen
class Entry:
    """One video that was asked for. Texts are safe to show once they are escaped.

    Attributes:
        name: A job's key, or a file's path within its folder.
        state: How far it is, and whether its file is there.
        prompt: The prompt.
        model: The vendor's id of the model.
        tag: The caller's own label.
        parameters: The other fields of the request by dotted names.
        request: The whole request as JSON, media described rather than contained.
        generation_id: The vendor's id.
        queued_at: Wall-clock time, in seconds since the epoch, as are the others.
        submitted_at: When the last POST was begun.
        accepted_at: When the vendor accepted it.
        settled_at: When it ended.
        polls: The number of polls.
        cost: The cost that the vendor reported.
        reason: Why there is no video.
        file: Its file, if it is there.
    """

    name: str
    state: EntryState
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
    file: VideoFile | None = None

    @property
    def took(self) -> float | None:
        """Seconds from the vendor's acceptance to the end, or None."""
        began = self.accepted_at if self.accepted_at is not None else self.submitted_at
        return None if began is None or self.settled_at is None else max(0.0, self.settled_at - began)
