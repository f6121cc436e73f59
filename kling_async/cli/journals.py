"""Which journal a command means, and its records, read and summarised."""

from __future__ import annotations

import os
import re
import secrets
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from attrs import define, field
from cyclopts import Parameter

from kling_async import ConfigurationError, JobState, read_journal
from kling_async.api.labels import label_of
from kling_async.cli.text import clock, command, count, described, dollars, error_json, label_for, one_line, reason
from kling_async.files.video_names import name_of as name_of_video
from kling_async.files.video_names import short_key
from kling_async.journal.open import is_url, journal_exists
from kling_async.journal.shared import MOST_CRASHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cyclopts import Token

    from kling_async import Record
    from kling_async.journal.shared import Sharing


DEFAULT_OUTPUT = Path("videos")
Place: TypeAlias = Path | str
"""A file's path, or a URL as a text."""

_PASSWORD = re.compile(r"(?<=//)([^/@:]*):[^/@]*(?=@)|(?<=[?&])\w*(?:password|secret|token)\w*=[^&]*")


def as_place(text: str) -> Place:
    """Return the place that a text names."""
    return text if is_url(text) else Path(text)


def _convert(_: object, tokens: Sequence[Token]) -> Place:
    return as_place(tokens[0].value)


JOURNAL: Parameter = Parameter(converter=_convert, n_tokens=1, metavar="PATH|URL")
JournalArgument = Annotated[Place, JOURNAL]

Shared = Annotated[
    bool,
    Parameter(
        negative="",
        help="Share the journal with other sessions of this machine that do, such as this command once more. A journal"
        " that was ever shared, and one in a database, is shared without being told.",
    ),
]


def shown(place: Place) -> str:
    """Return the place as people may see it: without a password."""
    return str(place) if isinstance(place, Path) else _PASSWORD.sub(r"\1", place)


def name_of(place: Place) -> str:
    """Return the name of a file without its ending, or that of a database."""
    path = os.path.realpath(place) if isinstance(place, Path) else urlsplit(place).path
    return Path(path).stem


def folder_of(place: Place) -> Path:
    """Return the folder that files may be beside: that of the journal's file, or else the present one."""
    return place.parent if isinstance(place, Path) else Path()


_TEMPORARY = re.compile(r"generate-[0-9a-f]{8}\.db")


def temporary_journal(folder: Path) -> Path:
    """Choose the path of a journal that is kept only until what was bought is in this folder."""
    return folder / f"generate-{secrets.token_hex(4)}.db"


def discard_if_temporary(journal: Place) -> None:
    """Remove such a journal and its side files; any other journal stays."""
    if isinstance(journal, Path) and _TEMPORARY.fullmatch(journal.name):
        for file in journal.parent.glob(f"{journal.name}*"):
            with suppress(OSError):  # it is in nobody's way
                file.unlink()


def records_of(journal: Place) -> dict[str, Record]:
    """Read a journal's records by key, in queueing order; none if there is no journal yet.

    Raises:
        JournalError: It is no journal, or cannot be read.
    """
    return {record.key: record for record in read_journal(journal).records()} if journal_exists(journal) else {}


def check_sandbox(journal: Place, records: Iterable[Record], output: Path) -> None:
    """Refuse a journal with jobs of a sandbox that has ended with the command that had started it.

    Raises:
        ConfigurationError: Some of them are not done, or their files are not there.
    """
    lost = sum(_was_lost(record, folder_of(journal), output) for record in records)
    if lost:
        raise ConfigurationError(
            f"journal {shown(journal)}: the sandbox of {count(lost, 'job')} in it is gone, with all that was in it:"
            " delete the journal to begin anew"
        )


def _was_lost(record: Record, *folders: Path) -> bool:
    if record.state is JobState.COMPLETED:
        return file_of(record, *folders) is None
    return record.state not in (JobState.QUEUED, JobState.FAILED, JobState.REJECTED, JobState.ABANDONED)


def file_of(record: Record, *folders: Path) -> Path | None:
    """Find a record's file, whole, where it was put or by its name in one of these folders."""
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


_MOST_SHOWN = 20
_GROUPS = 5  # of the queued jobs, those with most of them


@define(eq=False)
class JournalSummary:
    """The state of a journal's jobs at one moment.

    Attributes:
        sharing: How sessions share it; None if they do not.
        in_use: Whether a session has it for itself; None if that cannot be told.
        damaged: Why the records that are not counted cannot be read.
        counts: The number of jobs in each state.
        downloaded: Completed jobs whose files were downloaded.
        usd: The cost of completed jobs in US dollars, as far as the vendor said.
        oldest_pending: The job that is at the vendor for the longest time, or None.
        failures: Failed and rejected jobs, in queueing order.
        queued: The number of queued jobs of each group.
        output: The folder that the last file was downloaded to; None without one.
    """

    sharing: Sharing | None = None
    in_use: bool | None = None
    damaged: Sequence[str] = ()
    counts: Counter[JobState] = field(factory=Counter[JobState])
    downloaded: int = 0
    usd: Decimal = Decimal(0)
    oldest_pending: Record | None = None
    failures: list[Record] = field(factory=list["Record"])
    queued: Counter[str | None] = field(factory=Counter[str | None])
    output: Path | None = None

    @classmethod
    def of(
        cls, records: Iterable[Record], sharing: Sharing | None = None, *, in_use: bool | None = None
    ) -> JournalSummary:
        """Summarise records, and who works on them."""
        summary = cls(sharing, in_use)
        for record in records:
            summary.add(record)
        return summary

    def add(self, record: Record) -> None:
        """Count a record."""
        self.counts[record.state] += 1
        self.usd += 0 if record.video is None else record.video.usage.usd_spent or 0
        if record.state is JobState.COMPLETED and record.file is not None:
            self.downloaded += 1
            self.output = _folder_of_file(record.file, record)
        elif record.state is JobState.QUEUED:
            self.queued[record.group] += 1
        elif record.state is JobState.PENDING:
            self.oldest_pending = min(self.oldest_pending or record, record, key=_since)
        elif record.state in (JobState.FAILED, JobState.REJECTED):
            self.failures.append(record)

    @property
    def open(self) -> int:
        """The number of jobs that are not in a terminal state."""
        return sum(number for state, number in self.counts.items() if not state.is_terminal)

    def to_json(self, now: float, members_now: float = 0.0) -> dict[str, Any]:
        """Return the same as a JSON object; ``now`` is wall-clock time, and the other by the members' clock."""
        oldest = self.oldest_pending
        return {
            "jobs": self.counts.total(),
            "open": self.open,
            **{state.value: self.counts[state] for state in JobState},
            "queued_by_group": [{"group": group, "jobs": number} for group, number in self.queued.most_common()],
            "downloaded": self.downloaded,
            "usd": self.usd,
            "oldest_pending": oldest
            and {
                "key": oldest.key,
                "tag": label_of(oldest.tag).tag,
                "generation_id": oldest.generation_id,
                "seconds": max(0.0, now - _since(oldest)),
            },
            "failures": [
                {
                    "key": failed.key,
                    "tag": label_of(failed.tag).tag,
                    "state": failed.state.value,
                    "error": failed.error and error_json(failed.error),
                }
                for failed in self.failures
            ],
            "in_use": self.in_use,
            "damaged": list(self.damaged),
            "sharing": self.sharing and sharing_json(self.sharing, members_now),
        }


def lines(summary: JournalSummary, now: float, members_now: float = 0.0, journal: str = "JOURNAL") -> Iterator[str]:
    """Format the summary as lines; ``now`` is wall-clock time, and the other by the members' clock."""
    yield f"{count(summary.counts.total(), 'job')}, {summary.open:,} open"
    for state in JobState:
        if summary.counts[state]:
            yield f"  {state.value:<11}{summary.counts[state]:>8,}{_more(summary, state)}"
    yield from worker_lines(summary, members_now, journal)
    if summary.damaged:
        many = count(len(summary.damaged), "job")
        yield f"{many} that nobody works on, as their records are damaged: {one_line(summary.damaged[0])}"
    oldest = summary.oldest_pending
    if oldest is not None:
        waits = clock(max(0.0, now - _since(oldest)))
        yield f"longest at the vendor: {label_for(oldest)}, for {waits}, as {oldest.generation_id}"
    for failed in summary.failures[:_MOST_SHOWN]:
        why = "the vendor gave no reason" if failed.error is None else reason(failed.error)
        yield f"{failed.state.value}: {described(label_for(failed), failed.request)}: {why}"
    if len(summary.failures) > _MOST_SHOWN:
        yield f"and {len(summary.failures) - _MOST_SHOWN:,} more that failed; --json tells all"


def worker_lines(summary: JournalSummary, now: float, journal: str) -> Iterator[str]:
    """Say who works on open jobs, or how to go on; ``now`` is by the clock that members share."""
    if (sharing := summary.sharing) is not None:
        yield from shared_lines(sharing, now, summary.open - sum(sharing.parked.values()), journal)
    elif summary.open and summary.in_use is False:
        options = () if summary.output in (None, DEFAULT_OUTPUT) else ("-o", summary.output)
        yield f"nobody works on it; go on with: {command('resume', journal, *options)}"


def shared_lines(sharing: Sharing, now: float, waiting: int = 0, journal: str = "JOURNAL") -> Iterator[str]:
    """Say who leads, and what nobody works on; ``now`` is by the clock that members share, ``waiting`` counts jobs."""
    lease = sharing.lease
    if lease.is_held(now):
        led = f"{lease.owner} leads, for {clock(now - lease.since)}"
    elif lease.crashes >= MOST_CRASHES:
        led = f"nobody leads: {lease.crashes} leaders crashed in a row; {command('leader', journal, '--release')}"
    else:
        led = "nobody leads"
        led += f", and {count(waiting, 'job')} would go on with: {command('worker', journal)}" if waiting else ""
    yield f"shared by {count(len(lease.members), 'member')}; {led}"
    if sharing.parked:
        why = ", ".join(f"{kind} {number:,}" for kind, number in sharing.parked.items())
        jobs = count(sum(sharing.parked.values()), "job")
        yield f"{jobs} that nobody works on ({why}): submit them again, under their keys"
    if lease.lost_at is not None:
        found = datetime.fromtimestamp(lease.lost_at, UTC).isoformat(" ", "seconds")
        yield f"it has lost commits, as was found on {found}: what was queued before is looked for in the account's log"
    if sharing.waiting:
        yield f"{count(sharing.waiting, 'request')} of members that nobody has acted on yet"
    for late in sharing.second_purchases[:_MOST_SHOWN]:
        yield f"bought a second time: {short_key(late.key)}, as {late.generation_id}"


def sharing_json(sharing: Sharing, now: float) -> dict[str, Any]:
    """Return how a journal is shared as a JSON object; ``now`` is by the clock that members share."""
    lease = sharing.lease
    is_held = lease.is_held(now)
    return {
        "leader": lease.owner if is_held else None,
        "seconds": max(0.0, now - lease.since) if is_held else None,
        "crashes": lease.crashes,
        "members": [member.owner for member in lease.members],
        "parked": dict(sharing.parked),
        "not_acted_on": sharing.waiting,
        "lost_commits_at": lease.lost_at,
        "bought_twice": [{"key": late.key, "generation_id": late.generation_id} for late in sharing.second_purchases],
    }


def _more(summary: JournalSummary, state: JobState) -> str:
    if state is JobState.QUEUED and summary.queued.keys() - {None}:
        groups = [
            f"{one_line(group or 'no group')}: {number:,}" for group, number in summary.queued.most_common(_GROUPS)
        ]
        rest = [f"and {count(len(summary.queued) - _GROUPS, 'more group')}"] if len(summary.queued) > _GROUPS else []
        return f"  ({', '.join(groups + rest)})"
    if state is not JobState.COMPLETED:
        return ""
    spent = f", {dollars(summary.usd)} spent" if summary.usd else ""
    return f"  ({summary.downloaded:,} downloaded{spent})"


def _folder_of_file(file: str, record: Record) -> Path | None:
    """Return the folder that was asked for when this file was downloaded, from here if it is below the present one."""
    depth = len(Path(name_of_video(record.request, record.key, record.tag)).parts)
    folder = next(iter(Path(file).parents[depth - 1 : depth]), None)
    with suppress(ValueError, OSError):
        return folder and folder.relative_to(Path.cwd())
    return folder


def _since(record: Record) -> float:
    times = (record.accepted_at, record.submitted_at, record.queued_at)
    return next(time for time in times if time is not None)
