"""A job's tag as a text for people, and what a job is called in messages."""

from __future__ import annotations

import json
from textwrap import shorten
from typing import TYPE_CHECKING

from kling_async.api.labels import label_of
from kling_async.cli.text import one_line
from kling_async.files.video_names import short_key

if TYPE_CHECKING:
    from kling_async import Job, Record, Request

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
