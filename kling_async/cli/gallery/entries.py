"""Read gallery entries from a journal's records or a folder's files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kling_async import JobState, Usage, read_journal, to_dict
from kling_async.cli.gallery.entry import Entry, EntryState, VideoFile
from kling_async.cli.gallery.texts import as_json, finite, flat, visible, without_media
from kling_async.cli.gallery.videos import find_video_file, list_videos, read_video_file
from kling_async.cli.tags import tag_text
from kling_async.cli.text import bare

if TYPE_CHECKING:
    from kling_async import Record, Video
    from kling_async.cli.journals import Place

_STATES = {
    JobState.QUEUED: EntryState.QUEUED,
    JobState.SUBMITTING: EntryState.RUNNING,
    JobState.PENDING: EntryState.RUNNING,
    JobState.UNCERTAIN: EntryState.UNCERTAIN,
    JobState.COMPLETED: EntryState.NOT_DOWNLOADED,  # unless its file is found
    JobState.FAILED: EntryState.FAILED,
    JobState.REJECTED: EntryState.REJECTED,
    JobState.ABANDONED: EntryState.ABANDONED,
}
_REASONS = {
    EntryState.NOT_DOWNLOADED: "The video is made and paid for; its file has not been downloaded yet.",
    EntryState.RUNNING: "The vendor had not finished it when the journal was last written.",
    EntryState.QUEUED: "It has not been sent yet.",
    EntryState.UNCERTAIN: "It was sent, and no answer says whether it was accepted.",
    EntryState.ABANDONED: "Its caller stopped watching it.",
}
_ELSEWHERE = frozenset({"kind", "model", "prompt"})  # these have fields of their own


def entry_of(record: Record, beside: Path) -> Entry:
    """Build the entry of a record, with its file if that is still there.

    Args:
        record: The record.
        beside: The folder of its journal.
    """
    state, video_file, reason = _state(record, beside)
    request: dict[str, Any] = {} if record.request is None else without_media(to_dict(record.request))
    rest = {name: part for name, part in request.items() if name not in _ELSEWHERE}
    return Entry(
        name=visible(record.key),
        state=state,
        prompt=visible(_prompt(request)),
        model=visible(_model(record)),
        tag=visible(tag_text(record.tag)),
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
        file=video_file,
    )


def _state(record: Record, beside: Path) -> tuple[EntryState, VideoFile | None, str]:
    """Return the entry's state, its file, and why there is none."""
    state = _STATES[record.state]
    if record.state is JobState.COMPLETED and record.file is not None:
        found = find_video_file(record.file, record.file_size, beside)
        return (EntryState.READY, found, "") if isinstance(found, VideoFile) else (EntryState.MISSING, None, found)
    usual = _REASONS.get(state, "The vendor gave no reason.")
    return state, None, usual if record.error is None else bare(record.error.message) or usual


def _prompt(request: dict[str, Any]) -> str:
    """Return the prompt, or those of several scenes, one a line."""
    prompt, scenes = request.get("prompt"), request.get("multi_prompt")
    if isinstance(prompt, str) or not isinstance(scenes, list):
        return prompt if isinstance(prompt, str) else ""
    return "\n".join(filter(None, map(_scene, cast("list[object]", scenes))))


def _scene(scene: object) -> str:
    text = cast("dict[str, object]", scene).get("prompt") if isinstance(scene, dict) else scene
    return text if isinstance(text, str) else ""


def _model(record: Record) -> str:
    """Return the model's id, of a generation resumed by its id the part after the colon."""
    return (record.generation_id or "").partition(":")[2] if record.request is None else record.request.model


def _cost(video: Video | None) -> Usage:
    usage = Usage() if video is None else video.usage
    return Usage(finite(usage.credits_used), finite(usage.tokens_used), usage.usd_spent)


def read_entries(source: Place) -> list[Entry]:
    """Read the entries of a journal in queueing order, or those of a folder's videos by name.

    Raises:
        JournalError: It is neither a journal nor a folder, or cannot be read.
        OSError: The folder cannot be read, or a video in it.
    """
    if isinstance(source, Path) and source.is_dir():
        return [_entry_of(path, source) for path in list_videos(source)]
    return [entry_of(record, folder_beside(source)) for record in read_journal(source).records()]


def folder_beside(source: Place) -> Path:
    """Return the folder that files may be beside: that of the journal's file, links followed, or the present one."""
    return Path(os.path.realpath(source)).parent if isinstance(source, Path) else Path()


def _entry_of(path: Path, folder: Path) -> Entry:
    """Build the entry of a file of which nothing else is known."""
    name = visible(path.relative_to(folder).as_posix())
    return Entry(name, EntryState.READY, settled_at=path.stat().st_mtime, file=read_video_file(path))
