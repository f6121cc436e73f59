"""Jobs, requests, errors and generations as JSON objects, for ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_async import JobState
from kling_async.api.labels import label_of
from kling_async.cli.tags import prompt_of

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import Generation, Job, KlingError, Request, Video


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
