"""What is known of a job, as one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_async import JobState
from kling_async.cli.tags import label_of

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import Generation, Job, KlingError, Request, Video

__all__ = ["error_facts", "generation_facts", "job_facts", "request_facts"]


def job_facts(job: Job, file: Path | None, error: KlingError | None) -> dict[str, Any]:
    """What became of a job: ``ok`` says whether there is a video, on disk where that was asked for."""
    state = job.state
    video = job.result() if state is JobState.COMPLETED and job.done() and job.exception() is None else None
    label = label_of(job.tag)
    return {
        "ok": error is None,
        "key": job.key,
        "tag": label.tag,
        "output": label.output,
        **request_facts(job.request),
        "state": state.value,
        "generation_id": job.generation_id,
        "file": None if file is None else str(file),
        **_video_facts(video),
        "error": None if error is None else error_facts(error),
    }


def request_facts(request: Request | None) -> dict[str, Any]:
    """What was asked for, in short."""
    prompt: object = getattr(request, "prompt", None)
    return {"model": None if request is None else request.model, "prompt": prompt if isinstance(prompt, str) else None}


def error_facts(error: KlingError) -> dict[str, Any]:
    """What went wrong."""
    return {"type": type(error).__name__, "message": error.message}


def generation_facts(generation: Generation) -> dict[str, Any]:
    """What the vendor says of a generation."""
    video = generation.video
    return {
        "generation_id": generation.id,
        "status": generation.status.value,
        "raw_status": generation.raw_status,
        "url": None if video is None else video.url,
        **_video_facts(video),
        "failure": generation.failure,
    }


def _video_facts(video: Video | None) -> dict[str, Any]:
    usage = None if video is None else video.usage
    return {
        "file_size": None if video is None else video.file_size,
        "usd": None if usage is None else usage.usd_spent,
        "credits": None if usage is None else usage.credits_used,
    }
