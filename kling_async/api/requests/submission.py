"""A request with what a session needs to know beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from datetime import timedelta

    from kling_async.api.requests.base import Request


@frozen(kw_only=True)
class Submission:
    """A request with what `KlingSession.submit` takes beside it, for that, ``as_completed`` and ``as_downloaded``.

    It is checked when it is submitted; in a source, one that cannot be comes out as a job settled with the error.

    Attributes:
        request: The request; may be given by position.
        tag: As for ``submit``, like all others.
    """

    request: Request = field(kw_only=False)
    tag: object = None
    key: str | None = None
    deadline: float | timedelta | None = None
    priority: int = 0
    group: str | None = None
