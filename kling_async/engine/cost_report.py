"""Matches jobs with the charges in the account's ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.api.arguments import refused
from kling_async.api.parsing import format_usd
from kling_async.api.protocol import bare_id
from kling_async.engine.job import Job, active_job
from kling_async.journal.base import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kling_async.api.account.billing import Transaction
    from kling_async.journal.base import JobState

_ZERO = Decimal(0)


@frozen
class JobCost:
    """A job and its costs, in US dollars.

    Attributes:
        key: The job's key.
        generation_id: The vendor's id of its generation, which the ledger's entries refer to.
        state: Its state; only a completed generation is charged.
        model: The model that was asked for; None for a generation that was resumed by its id.
        estimated_usd: The most it costs by the price list; None where that is unknown.
        reported_usd: The cost the vendor stated when it was done, as in ``video.usage``; None where it did not.
        charged_usd: The sum of its charges; None if there are none, or none yet.
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
    """Jobs with their charges; ``str()`` gives a summary.

    Attributes:
        rows: The jobs that have a generation, in the order given.
        uncharged: Those of them that completed without a charge in the span read: charges come late.
        unexplained: Charges for models within that span that belong to none of the jobs. The ledger is the whole
            account's, so they may be other programs'.
        charged_usd: The sum of the charges of ``rows``.
    """

    rows: tuple[JobCost, ...]
    uncharged: tuple[JobCost, ...]
    unexplained: tuple[Transaction, ...]
    charged_usd: Decimal

    def __str__(self) -> str:
        charged = sum(row.charged_usd is not None for row in self.rows)
        return (
            f"{format_usd(self.charged_usd)} charged for {charged} of {len(self.rows)} generations;"
            f" {len(self.uncharged)} completed without a charge, {len(self.unexplained)} charges for others"
        )


def billable(jobs: Iterable[Job | Record]) -> list[Record]:
    """Return the records of the jobs that have a generation.

    Raises:
        InvalidRequest: There is something else among them.
    """
    records = [active_job(job).record if isinstance(job, Job) else job for job in jobs]
    for record in records:
        if not isinstance(record, Record):
            raise refused("jobs", record, "only jobs and records in it")
    return [record for record in records if record.generation_id is not None]


def match_charges(
    jobs: Sequence[Record], ledger: Iterable[Transaction], prices: Mapping[str, Decimal | None]
) -> CostReport:
    """Assign each charge to its job, by generation id; ``prices`` are the jobs' estimates in US dollars, by key."""
    charges: dict[str, list[Transaction]] = {bare_id(job.generation_id or ""): [] for job in jobs}
    unexplained: list[Transaction] = []
    for entry in ledger:
        if entry.is_charge:
            charges.get(bare_id(entry.reference_id or ""), unexplained).append(entry)
    rows = tuple(_row(job, tuple(charges[bare_id(job.generation_id or "")]), prices.get(job.key)) for job in jobs)
    return CostReport(
        rows=rows,
        uncharged=tuple(row for row in rows if row.charged_usd is None and row.state.value == "completed"),
        unexplained=tuple(unexplained),
        charged_usd=sum((row.charged_usd for row in rows if row.charged_usd is not None), _ZERO),
    )


def _row(job: Record, charges: tuple[Transaction, ...], price: Decimal | None) -> JobCost:
    amounts = [entry.usd for entry in charges if entry.usd is not None]
    return JobCost(
        key=job.key,
        generation_id=job.generation_id or "",
        state=job.state,
        model=None if job.request is None else job.request.model,
        estimated_usd=price,
        reported_usd=None if job.video is None else job.video.usage.usd_spent,
        charged_usd=sum(amounts, _ZERO) if amounts else None,
        charges=charges,
    )
