"""Jobs for people and for ``--json``: what they are called in messages, and what they are as JSON objects."""

from __future__ import annotations

import json
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from kling_async import JobState
from kling_async.api.labels import label_of
from kling_async.cli.text import one_line
from kling_async.files.video_names import short_key

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import Generation, Job, KlingError, Record, Request, Video


_LONGEST = 60  # characters of a prompt in a message


def tag_text(tag: object) -> str:
    """Return the caller's own label in a job's tag, which may be any JSON, as a line of text; empty without one."""
    own = label_of(tag).tag
    if own is None:
        return ""
    return one_line(own if isinstance(own, str) else json.dumps(own, default=str, ensure_ascii=False))


def label_text(tag: object) -> str:
    """Return the label in a job's tag or else the name that was asked for its file, in a line; empty without both."""
    return tag_text(tag) or one_line(label_of(tag).output or "")


def label_for(job: Job | Record) -> str:
    """Return what a job is called in rows and messages: its label or its output, or else its key or id."""
    if known := label_text(job.tag):
        return known
    # A row's key says more than an id; any other key says less.
    return short_key(job.key) if short_key(job.key) != job.key else one_line(job.generation_id or job.key)


def prompt_of(request: Request | None) -> str | None:
    """Return a request's prompt; None for one that has none."""
    prompt: object = getattr(request, "prompt", None)
    return prompt if isinstance(prompt, str) else None


def described(label: str, request: Request | None) -> str:
    """Return a job's name in a message together with its prompt, cut to a length that can be read at a glance."""
    prompt = shorten(one_line(prompt_of(request) or ""), _LONGEST, placeholder="...")
    return f'{label}, "{prompt}"' if prompt else label


def job_json(job: Job, file: Path | None, error: KlingError | None) -> dict[str, Any]:
    """Describe a job's outcome: ``ok`` is true if there is a video, on disk where that was asked for."""
    state = job.state
    video = job.result() if state is JobState.COMPLETED and job.done() and job.exception() is None else None
    label = label_of(job.tag)
    return {
        "ok": error is None,
        "key": job.key,
        "tag": label.tag,
        "output": label.output,
        **request_json(job.request),
        "state": state.value,
        "generation_id": job.generation_id,
        "file": None if file is None else str(file),
        **_video_json(video),
        "error": None if error is None else error_json(error),
    }


def request_json(request: Request | None) -> dict[str, Any]:
    """Describe a request by its model and prompt."""
    return {"model": None if request is None else request.model, "prompt": prompt_of(request)}


def error_json(error: KlingError) -> dict[str, Any]:
    """Describe an error."""
    return {"type": type(error).__name__, "message": error.message}


def generation_json(generation: Generation) -> dict[str, Any]:
    """Describe a generation as the vendor reported it."""
    video = generation.video
    return {
        "generation_id": generation.id,
        "status": generation.status.value,
        "raw_status": generation.raw_status,
        "url": None if video is None else video.url,
        **_video_json(video),
        "failure": generation.failure,
    }


def _video_json(video: Video | None) -> dict[str, Any]:
    usage = None if video is None else video.usage
    return {
        "file_size": None if video is None else video.file_size,
        "usd": None if usage is None else usage.usd_spent,
        "credits": None if usage is None else usage.credits_used,
    }
