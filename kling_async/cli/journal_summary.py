"""Where a journal's jobs stand."""

from __future__ import annotations

import os
import re
import secrets
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async import JobState, read_journal
from kling_async.cli.file_names import short
from kling_async.cli.json_output import error_facts
from kling_async.cli.tags import label_of
from kling_async.cli.text import clock, count, dollars, reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kling_async import KlingError, Record

__all__ = ["FailedJob", "JournalSummary", "discard_if_passing", "file_of", "lines", "passing_journal", "records_of"]

_PASSING = re.compile(r"generate-[0-9a-f]{8}\.db")


def passing_journal(folder: Path) -> Path:
    """Where to keep a journal that is needed only until what was bought is in this folder."""
    return folder / f"generate-{secrets.token_hex(4)}.db"


def discard_if_passing(journal: Path) -> None:
    """Remove such a journal, with what stands beside it; any other stays."""
    if _PASSING.fullmatch(journal.name):
        for file in journal.parent.glob(f"{journal.name}*"):
            with suppress(OSError):  # it is in nobody's way
                file.unlink()


def records_of(journal: Path) -> dict[str, Record]:
    """The records of a journal by their keys, in the order they were queued; none if there is no such file yet.

    Raises:
        JournalError: It is no journal, or cannot be read.
    """
    if not os.path.exists(journal) or not journal.stat().st_size:  # noqa: PTH110 - Path's raises for some names
        return {}
    return {record.key: record for record in read_journal(journal).records()}


def file_of(record: Record, *folders: Path) -> Path | None:
    """A record's file, if it is still there and whole: where it was put, or by its name in one of these folders."""
    if record.file is None:
        return None
    path = Path(record.file)
    places = [path, *(folder / path for folder in folders), *(folder / path.name for folder in folders)]
    return next((place for place in places if _is_whole(place, record.file_size)), None)


def _is_whole(path: Path, size: int | None) -> bool:
    try:
        return path.is_file() and size in (None, path.stat().st_size)
    except (OSError, ValueError):  # a name that no file can have is a ValueError
        return False


_MOST_TOLD = 20


@frozen
class FailedJob:
    """A job that will not have a video.

    Attributes:
        key: Its key.
        label: What to call it.
        state: How it ended.
        error: Why.
    """

    key: str
    label: str
    state: JobState
    error: KlingError | None

    def facts(self) -> dict[str, Any]:
        """The same as JSON."""
        error = None if self.error is None else error_facts(self.error)
        return {"key": self.key, "tag": self.label, "state": self.state.value, "error": error}


@frozen(eq=False)
class JournalSummary:
    """A journal at one moment.

    Attributes:
        counts: How many jobs are in each state.
        downloaded: How many of the completed ones were downloaded.
        usd: What the completed ones cost, in US dollars, as far as the vendor said.
        oldest: The one that is at the vendor for the longest time, if any is.
        troubles: Those that failed or were refused, in their order.
    """

    counts: Counter[JobState]
    downloaded: int
    usd: float
    oldest: Record | None
    troubles: tuple[FailedJob, ...]

    @classmethod
    def of(cls, records: Iterable[Record]) -> JournalSummary:
        """What records come to."""
        counts, downloaded, usd = Counter[JobState](), 0, 0.0
        oldest: Record | None = None
        troubles: list[FailedJob] = []
        for record in records:
            counts[record.state] += 1
            downloaded += record.state is JobState.COMPLETED and record.file is not None
            usd += 0.0 if record.video is None else record.video.usage.usd_spent or 0.0
            if record.state is JobState.PENDING and (oldest is None or _since(record) < _since(oldest)):
                oldest = record
            if record.state in (JobState.FAILED, JobState.REJECTED):
                troubles.append(_trouble(record))
        return cls(counts, downloaded, usd, oldest, tuple(troubles))

    @property
    def open(self) -> int:
        """How many jobs are not at their ends."""
        return sum(number for state, number in self.counts.items() if not state.is_terminal)

    def facts(self, now: float) -> dict[str, Any]:
        """The same as JSON; ``now`` is wall-clock time."""
        oldest = self.oldest
        return {
            "jobs": self.counts.total(),
            "open": self.open,
            **{state.value: self.counts[state] for state in JobState},
            "downloaded": self.downloaded,
            "usd": self.usd,
            "oldest_pending": None
            if oldest is None
            else {
                "key": oldest.key,
                "tag": _label(oldest),
                "generation_id": oldest.generation_id,
                "seconds": max(0.0, now - _since(oldest)),
            },
            "failures": [trouble.facts() for trouble in self.troubles],
        }


def lines(standing: JournalSummary, now: float) -> Iterator[str]:
    """The same for people; ``now`` is wall-clock time."""
    yield f"{count(standing.counts.total(), 'job')}, {standing.open:,} open"
    for state in JobState:
        if standing.counts[state]:
            yield f"  {state.value:<11}{standing.counts[state]:>8,}{_more(standing, state)}"
    if standing.oldest is not None:
        waits = clock(max(0.0, now - _since(standing.oldest)))
        yield f"longest at the vendor: {_label(standing.oldest)}, for {waits}, as {standing.oldest.generation_id}"
    for trouble in standing.troubles[:_MOST_TOLD]:
        why = "the vendor gave no reason" if trouble.error is None else reason(trouble.error)
        yield f"{trouble.state.value}: {trouble.label}: {why}"
    if len(standing.troubles) > _MOST_TOLD:
        yield f"and {len(standing.troubles) - _MOST_TOLD:,} more that failed; --json tells all"


def _more(standing: JournalSummary, state: JobState) -> str:
    if state is not JobState.COMPLETED:
        return ""
    spent = f", {dollars(standing.usd)} spent" if standing.usd else ""
    return f"  ({standing.downloaded:,} downloaded{spent})"


def _trouble(record: Record) -> FailedJob:
    return FailedJob(record.key, _label(record), record.state, record.error)


def _label(record: Record) -> str:
    label = label_of(record.tag)
    return label.tag or label.output or short(record.key)


def _since(record: Record) -> float:
    times = (record.accepted_at, record.submitted_at, record.queued_at)
    return next(time for time in times if time is not None)
