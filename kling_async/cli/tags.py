"""A job's tag as a text for people."""

from __future__ import annotations

import json

from kling_async.api.labels import label_of
from kling_async.cli.text import one_line


def tag_text(tag: object) -> str:
    """Return the caller's own label in a job's tag, which may be any JSON, as a line of text; empty without one."""
    own = label_of(tag).tag
    if own is None:
        return ""
    return one_line(own if isinstance(own, str) else json.dumps(own, default=str, ensure_ascii=False))


def label_text(tag: object) -> str:
    """Return the label in a job's tag or else the name that was asked for its file, in a line; empty without both."""
    return tag_text(tag) or one_line(label_of(tag).output or "")
