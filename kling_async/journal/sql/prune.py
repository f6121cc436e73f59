"""Making a journal smaller: of what was over long ago remains what keeps it from being bought again, or nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from kling_async.api.results import Video
from kling_async.journal.base import JobState
from kling_async.journal.sql.queries import PAGE
from kling_async.journal.sql.rows import DONE, read_video, write_video

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from kling_async.journal.sql.tables import Connection

_CUT = ", ".join(f"'{state.value}'" for state in DONE)
_MAY_BE_SENT = ", ".join(f"'{state.value}'" for state in JobState if state not in DONE)
_OVER = ", ".join(f"'{state.value}'" for state in JobState if state.is_terminal)
_NOT_LAST = " AND number < (SELECT max(number) FROM main.jobs)"
_NOT_LAST_CHANGE = " AND coalesce(change, 0) < (SELECT coalesce(max(change), 0) FROM main.jobs)"
_MEDIA = re.compile(r'"data:(?:bytes:)?([0-9a-f]{64})"')


@frozen
class Pruned:
    """What was done.

    Attributes:
        cut: Jobs of which key, digest, state, generation id, cost and file are left.
        forgotten: Jobs of which nothing is left, so that their keys can be bought again.
        media: Files of requests that no job needs any more.
    """

    cut: int
    forgotten: int
    media: int


def prune(
    connection: Connection,
    before: float,
    transaction: Callable[[], AbstractContextManager[object]],
    drop_media: Callable[[], int],
    *,
    forget_keys: bool,
    is_shared: bool,
) -> Pruned:
    """Cut down jobs that were over before this time, some hundred at a time; never one that is open.

    What failed or was rejected keeps its request, as it may be asked for again, unless its key is forgotten.

    Args:
        connection: One that writes.
        before: In seconds since the epoch.
        transaction: Makes what is written within its block one transaction.
        drop_media: Removes the media that nobody needs any more, and returns how many there were.
        forget_keys: Whether nothing of them is kept. The newest one is: its number is not to be given again.
        is_shared: Whether sessions share it, or did so once.
    """
    old = f"state IN ({_OVER if forget_keys else _CUT}) AND coalesce(settled_at, queued_at) < ?"
    old += _NOT_LAST + _NOT_LAST_CHANGE * is_shared if forget_keys else " AND request IS NOT NULL"
    done, place = 0, 0
    while True:
        page = f"SELECT number, video FROM main.jobs WHERE number > ? AND {old} ORDER BY number LIMIT {PAGE}"
        rows = connection.execute(page, (place, before)).fetchall()
        if not rows:
            break
        place = rows[-1][0]
        with transaction():
            for number, video in rows:
                deed = "UPDATE main.jobs SET request = NULL, tag = NULL, video = ?"
                given = [None if video is None else write_video(_without_url(read_video(str(video))))]
                if forget_keys:
                    deed, given = "DELETE FROM main.jobs", []
                done += connection.execute(f"{deed} WHERE number = ? AND {old}", (*given, number, before)).rowcount
    return Pruned(0 if forget_keys else done, done if forget_keys else 0, drop_media())


def _without_url(video: Video) -> Video:
    return evolve(Video(""), generation_id=video.generation_id, usage=video.usage)


def media_in_use(connection: Connection, condition: str = "number > 0") -> set[str]:
    """Return the digests of the media of all jobs that may still have to be sent, and of which this is true."""
    found: set[str] = set()
    place = 0
    while True:
        chosen = f"number > ? AND state IN ({_MAY_BE_SENT}) AND request LIKE ? AND {condition}"
        page = f"SELECT number, request FROM main.jobs WHERE {chosen} ORDER BY number LIMIT {PAGE}"
        rows = connection.execute(page, (place, '%"data:%')).fetchall()
        if not rows:
            return found
        place = rows[-1][0]
        found.update(digest for _, request in rows for digest in _MEDIA.findall(str(request)))
