"""Holds jobs against the account's ledger: what was paid for which, and what is paid for nothing that is known."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.api.account.billing import bare_id
from kling_async.api.arguments import refused
from kling_async.api.parsing import dollars, shown
from kling_async.engine.job import Job
from kling_async.journal.base import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kling_async.api.account.billing import Transaction
    from kling_async.api.requests import Request
    from kling_async.api.results import Video
    from kling_async.journal.base import JobState

__all__ = ["BillableJob", "CostReport", "JobCost", "bought", "join"]

_ZERO = Decimal(0)


@frozen(eq=False)
class BillableJob:
    """A job that has a generation, as far as its bill is concerned."""

    key: str
    generation_id: str
    state: JobState
    request: Request | None
    video: Video | None
    since: float | None  # when it was submitted, in seconds since the epoch


@frozen
class JobCost:
    """A job and what was paid for it, in US dollars.

    Attributes:
        key: The job's key.
        generation_id: The vendor's id of its generation, by which the ledger knows it.
        state: Where its life stands; only a completed generation is charged.
        model: The model that was asked for; None for a generation that was resumed by its id.
        estimated_usd: What the price list said it would cost at most; None where that is unknown.
        reported_usd: What the vendor said it cost when it was done, as in ``video.usage``; None where it did not.
        charged_usd: What the ledger has for it; None if there is nothing, or not yet.
        charges: The ledger's entries for it.
    """

    key: str
    generation_id: str
    state: JobState
    model: str | None
    estimated_usd: Decimal | None
    reported_usd: Decimal | None
    charged_usd: Decimal | None
    charges: tuple[Transaction, ...] = ()


@frozen(eq=False)
class CostReport:
    """Jobs beside the ledger. Readable as text.

    Attributes:
        rows: The jobs that have a generation, in the order given.
        uncharged: The completed ones of those without an entry: none yet, as charges come late, or charged before the
            time that was looked at.
        unexplained: Charges for models within that time that belong to none of the jobs. The ledger is the whole
            account's, so these may be of other programs.
        charged_usd: What all of ``rows`` were charged, added up.
    """

    rows: tuple[JobCost, ...]
    uncharged: tuple[JobCost, ...]
    unexplained: tuple[Transaction, ...]
    charged_usd: Decimal

    def __str__(self) -> str:
        charged = sum(row.charged_usd is not None for row in self.rows)
        return (
            f"{shown(self.charged_usd)} charged for {charged} of {len(self.rows)} generations;"
            f" {len(self.uncharged)} completed without a charge, {len(self.unexplained)} charges for others"
        )


def bought(jobs: Iterable[Job | Record]) -> list[BillableJob]:
    """Those of the jobs, or of what a journal knows of them, that have a generation."""
    read = (_of_job(job) if isinstance(job, Job) else _of_record(job) for job in jobs)
    return [one for one in read if one is not None]


def _of_job(job: Job) -> BillableJob | None:
    if job.generation_id is None:
        return None
    video = job.result() if job.done() and job.exception() is None else None
    since = None if job.submitted_at is None else job.submitted_at.timestamp()
    return BillableJob(job.key, job.generation_id, job.state, job.request, video, since)


def _of_record(record: Record) -> BillableJob | None:
    if not isinstance(record, Record):
        raise refused("jobs", record, "only jobs and records in it")
    if record.generation_id is None:
        return None
    since = record.submitted_at if record.submitted_at is not None else record.accepted_at
    return BillableJob(record.key, record.generation_id, record.state, record.request, record.video, since)


def join(
    jobs: Sequence[BillableJob], ledger: Iterable[Transaction], prices: Mapping[str, Decimal | None]
) -> CostReport:
    """Put each charge to its job, by generation id; ``prices`` are what jobs were to cost, by key."""
    charges: dict[str, list[Transaction]] = {bare_id(job.generation_id): [] for job in jobs}
    unexplained = [
        entry for entry in ledger if entry.is_charge and not _put(charges.get(bare_id(entry.reference_id or "")), entry)
    ]
    rows = tuple(_row(job, tuple(charges[bare_id(job.generation_id)]), prices.get(job.key)) for job in jobs)
    return CostReport(
        rows=rows,
        uncharged=tuple(row for row in rows if row.charged_usd is None and row.state.value == "completed"),
        unexplained=tuple(unexplained),
        charged_usd=sum((row.charged_usd for row in rows if row.charged_usd is not None), _ZERO),
    )


def _put(charges: list[Transaction] | None, entry: Transaction) -> bool:
    if charges is None:
        return False
    charges.append(entry)
    return True


def _row(job: BillableJob, charges: tuple[Transaction, ...], price: Decimal | None) -> JobCost:
    amounts = [entry.usd for entry in charges if entry.usd is not None]
    return JobCost(
        key=job.key,
        generation_id=job.generation_id,
        state=job.state,
        model=None if job.request is None else job.request.model,
        estimated_usd=price,
        reported_usd=None if job.video is None else dollars(job.video.usage.usd_spent),
        charged_usd=sum(amounts, _ZERO) if amounts else None,
        charges=charges,
    )
