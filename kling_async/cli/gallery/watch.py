"""Snapshots of a journal while it is written, each with what has changed since the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async import JobState, LearnedDuration, read_journal
from kling_async.cli.gallery.build import title_of
from kling_async.cli.gallery.entries import entry_of, folder_beside
from kling_async.cli.gallery.entry import EntryState
from kling_async.cli.gallery.page import GalleryPage, Outlook
from kling_async.cli.gallery.texts import visible
from kling_async.cli.journal_summary import worker_lines
from kling_async.cli.journals import shown
from kling_async.cli.progress.eta import EtaEstimator
from kling_async.cli.text import clock, percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from kling_async import Record
    from kling_async.cli.gallery.entry import Entry
    from kling_async.cli.journals import Place


@frozen(eq=False)
class Snapshot:
    """A journal's page at one moment.

    Attributes:
        page: The page.
        version: Grows with each snapshot that differs from the one before.
        versions: The version since which each entry is as it is.
        rows: The entries as plain data.
        records: The records that they are of.
    """

    page: GalleryPage
    version: int
    versions: Sequence[int]
    rows: Sequence[dict[str, Any]]
    records: Sequence[Record]

    @property
    def keys(self) -> list[str]:
        """The keys of the records."""
        return [record.key for record in self.records]

    def changed_since(self, version: int) -> list[int]:
        """Return the places of the entries that have changed since a version."""
        return [place for place, changed in enumerate(self.versions) if changed > version]


def look(journal: Place, before: Snapshot | None, *, now: float, boot: float) -> Snapshot:
    """Read a journal, and return its snapshot; the one before if nothing has changed.

    Args:
        journal: Its file, or the URL of its database.
        before: The snapshot before, if there is one.
        now: The wall-clock time.
        boot: The time by the clock that sessions share.

    Raises:
        JournalError: It cannot be read.
    """
    reader = read_journal(journal)
    in_use = reader.has_owner()  # asked first: whoever ends now leaves nothing open
    records = list(reader.records())
    jobs = sum(not record.state.is_terminal for record in records)
    sharing = reader.sharing(boot)
    is_worked_on = in_use is not False if sharing is None else sharing.lease.is_held(boot)
    workers = worker_lines(sharing, boot, jobs, shown(journal), in_use=in_use)
    return advance(before, journal, records, outlook(records, workers, now, is_worked_on=is_worked_on), now)


def advance(
    before: Snapshot | None, journal: Place, records: Sequence[Record], outlook: Outlook, now: float
) -> Snapshot:
    """Return the snapshot of records; the one before if nothing has changed.

    Where records have gone, as after a journal was pruned, it is a first one.
    """
    if before is not None and [record.key for record in records[: len(before.records)]] != before.keys:
        before = None
    entries = _entries(before, records, folder_beside(journal))
    links = {entry.file.path: f"video/{place}" for place, entry in enumerate(entries) if entry.file is not None}
    page = GalleryPage(title_of(journal), shown(journal), entries, links, now, outlook)
    rows = page.rows()
    known: Sequence[dict[str, Any]] = () if before is None else before.rows
    version = 1 + (before.version if before is not None else 0)
    is_old = [place < len(known) and row == known[place] for place, row in enumerate(rows)]
    if before is not None and all(is_old) and outlook == before.page.outlook:
        return before
    versions = [before.versions[place] if before is not None and old else version for place, old in enumerate(is_old)]
    return Snapshot(page, version, versions, rows, records)


def _entries(before: Snapshot | None, records: Sequence[Record], beside: Path) -> list[Entry]:
    """Make the entries of records, those apart that have not changed; a file may still get its name."""
    known: list[tuple[Record, Entry]] = []
    if before is not None:
        known = list(zip(before.records, before.page.entries, strict=True))
    return [
        known[place][1]
        if place < len(known) and known[place][0] == record and known[place][1].state is not EntryState.MISSING
        else entry_of(record, beside)
        for place, record in enumerate(records)
    ]


_WINDOW = 60.0  # seconds over which the rate is taken
_NEWEST = 32  # jobs, those accepted last, that the estimate uses


def outlook(records: Sequence[Record], sharing: Iterable[str], now: float, *, is_worked_on: bool = True) -> Outlook:
    """Say how far the jobs are, and, if they are worked on, how fast they end and when all will have.

    Args:
        records: The jobs.
        sharing: What else is to be told.
        now: The wall-clock time.
        is_worked_on: Whether anybody works on them.
    """
    ended = sum(record.state.is_terminal for record in records)
    begun = [record.submitted_at for record in records if record.submitted_at is not None]
    lately = sum(record.settled_at is not None and record.settled_at > now - _WINDOW for record in records)
    per_second = lately / max(1.0, min(_WINDOW, now - min(begun, default=now)))
    return Outlook(
        ended,
        len(records),
        _said(records, ended, per_second if is_worked_on else None, now),
        tuple(map(visible, sharing)),
    )


def _said(records: Sequence[Record], ended: int, per_second: float | None, now: float) -> str:
    if ended == len(records):
        return "all done" if records else "nothing yet"
    if per_second is None:
        return f"{len(records) - ended:,} open"
    left, rate = _left(records, per_second, now), per_second * 60
    parts = [f"{len(records) - ended:,} open"]
    parts += [f"about {clock(left)} left"] if left is not None else []
    parts += [f"{rate:.0f} a minute" if rate >= 10 else f"{rate:.1f} a minute"] if rate else []  # noqa: PLR2004 - two digits are enough
    return ", ".join(parts)


def _left(records: Sequence[Record], per_second: float, now: float) -> float | None:
    """Estimate the seconds until all have ended, by how those took that have; None before any has."""
    estimator = EtaEstimator()
    estimator.learn(learned := tuple(_learned(records)))
    if not learned:
        return None
    running = [record for record in records if record.state is JobState.PENDING]
    newest = sorted(running, key=lambda record: record.accepted_at or 0.0)[-_NEWEST:]
    queued = sum(record.state is JobState.QUEUED for record in records)
    ages = [(record.request, max(0.0, now - (record.accepted_at or now))) for record in newest]
    return estimator.left(queued, len(running), ages, per_second)


def _learned(records: Sequence[Record]) -> Iterator[LearnedDuration]:
    """Yield how long each kind has taken."""
    took: dict[tuple[str, int | None], list[float]] = {}
    for record in records:
        if record.state is JobState.COMPLETED and record.request and record.settled_at and record.accepted_at:
            kind = (record.request.model, record.request.duration_seconds)
            took.setdefault(kind, []).append(max(1e-3, record.settled_at - record.accepted_at))
    for (model, duration), seconds in took.items():
        middle, late = (percentile(sorted(seconds), share) for share in (0.5, 0.9))
        yield LearnedDuration(model=model, duration=duration, median=middle, p90=late, generations=len(seconds))
