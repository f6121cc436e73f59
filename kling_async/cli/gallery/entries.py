"""A journal's records as entries of a gallery."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kling_async import JobState, Usage, read_journal, to_dict
from kling_async.cli.gallery.entry import Entry, Outcome, VideoFile
from kling_async.cli.gallery.texts import as_json, finite, flat, visible, without_media
from kling_async.cli.gallery.videos import find, look_at, videos
from kling_async.cli.tags import label_of

if TYPE_CHECKING:
    from kling_async import Record, Video

__all__ = ["entry_of", "read_entries"]

_OUTCOMES = {
    JobState.QUEUED: Outcome.QUEUED,
    JobState.SUBMITTING: Outcome.RUNNING,
    JobState.PENDING: Outcome.RUNNING,
    JobState.UNCERTAIN: Outcome.UNCERTAIN,
    JobState.COMPLETED: Outcome.NOT_DOWNLOADED,  # unless its file is found
    JobState.FAILED: Outcome.FAILED,
    JobState.REJECTED: Outcome.REJECTED,
    JobState.ABANDONED: Outcome.ABANDONED,
}
_REASONS = {
    Outcome.NOT_DOWNLOADED: "The video is made and paid for; its file has not been downloaded yet.",
    Outcome.RUNNING: "The vendor had not finished it when the journal was last written.",
    Outcome.QUEUED: "It has not been sent yet.",
    Outcome.UNCERTAIN: "It was sent, and no answer says whether it was accepted.",
    Outcome.ABANDONED: "Its caller stopped watching it.",
}
_ELSEWHERE = frozenset({"kind", "model", "prompt"})  # shown in places of their own


def entry_of(record: Record, beside: Path) -> Entry:
    """The entry of a record, with its file if it is still where it was put.

    Args:
        record: The record.
        beside: The folder of its journal.
    """
    outcome, footage, reason = _outcome(record, beside)
    request: dict[str, Any] = {} if record.request is None else without_media(to_dict(record.request))
    rest = {name: part for name, part in request.items() if name not in _ELSEWHERE}
    return Entry(
        name=visible(record.key),
        outcome=outcome,
        prompt=visible(_prompt(request)),
        model=visible(_model(record)),
        tag=visible(label_of(record.tag).tag or ""),
        parameters=tuple((visible(name), visible(text)) for name, text in flat(rest)),
        request=visible(as_json(request)) if request else None,
        generation_id=None if record.generation_id is None else visible(record.generation_id),
        queued_at=finite(record.queued_at) or None,
        submitted_at=finite(record.submitted_at),
        accepted_at=finite(record.accepted_at),
        settled_at=finite(record.settled_at),
        polls=record.polls,
        cost=_cost(record.video),
        reason=visible(reason),
        footage=footage,
    )


def _outcome(record: Record, beside: Path) -> tuple[Outcome, VideoFile | None, str]:
    """What there is of a video, its file, and why there is none."""
    outcome = _OUTCOMES[record.state]
    if record.state is JobState.COMPLETED and record.file is not None:
        found = find(record.file, record.file_size, beside)
        return (Outcome.READY, found, "") if isinstance(found, VideoFile) else (Outcome.MISSING, None, found)
    usual = _REASONS.get(outcome, "The vendor gave no reason.")
    return outcome, None, usual if record.error is None else record.error.message or usual


def _prompt(request: dict[str, Any]) -> str:
    """The prompt, or those of several scenes, a line each."""
    prompt, scenes = request.get("prompt"), request.get("multi_prompt")
    if isinstance(prompt, str) or not isinstance(scenes, list):
        return prompt if isinstance(prompt, str) else ""
    return "\n".join(filter(None, map(_scene, cast("list[object]", scenes))))


def _scene(scene: object) -> str:
    text = cast("dict[str, object]", scene).get("prompt") if isinstance(scene, dict) else scene
    return text if isinstance(text, str) else ""


def _model(record: Record) -> str:
    """The model's id; that of a generation resumed by its id is often part of the id."""
    return (record.generation_id or "").partition(":")[2] if record.request is None else record.request.model


def _cost(video: Video | None) -> Usage:
    usage = Usage() if video is None else video.usage
    return Usage(finite(usage.credits_used), finite(usage.tokens_used), finite(usage.usd_spent))


def read_entries(source: Path) -> list[Entry]:
    """The entries of a journal, in the order in which they were queued, or those of a folder's videos, by name.

    Raises:
        JournalError: It is neither, or cannot be read.
        OSError: The folder cannot be read, or a video in it.
    """
    if source.is_dir():
        return [_entry_of(path, source) for path in videos(source)]
    beside = Path(os.path.realpath(source)).parent
    return [entry_of(record, beside) for record in read_journal(source).records()]


def _entry_of(path: Path, folder: Path) -> Entry:
    """The entry of a file of which nothing else is known."""
    name = visible(path.relative_to(folder).as_posix())
    return Entry(name, Outcome.READY, settled_at=path.stat().st_mtime, footage=look_at(path))
