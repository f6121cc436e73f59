"""Check a round: compare the vendor's ledger, the batch's journal and the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.kill.constants import JOBS, key_of
from kling_async import read_journal
from kling_async.sandbox.files import SampleVideo

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from benchmarks.kill.constants import Then
    from kling_async import Record
    from kling_async.sandbox import Sandbox
    from kling_async.sandbox.ledger import Purchase

__all__ = ["RoundResult", "check_round"]


@frozen(kw_only=True)
class RoundResult:
    """The result of a round.

    Attributes:
        seed: Which round it was.
        then: What was to become of submits that left no trace.
        kills: How many children were killed.
        restarts: How many children were started after the first.
        purchases: How many generations the vendor accepted.
        lost: Those of them, by id, that belong to no job of the batch, and whose job is not reported either.
        twice: The keys under which the vendor accepted more than one.
        adopted: How many were bought by a submit without an answer, or whose answer died with the child, and found.
        resubmitted: How many submits were begun anew since they had left no trace.
        reported: The keys of jobs that ended as possibly bought.
        missing: The keys of jobs that were neither delivered nor reported.
        whole: How many files are what the vendor serves, to the last byte.
        broken: The keys of the other files.
    """

    seed: int
    then: Then
    kills: int
    restarts: int
    purchases: int
    lost: AbstractSet[str]
    twice: AbstractSet[str]
    adopted: int
    resubmitted: int
    reported: AbstractSet[str]
    missing: AbstractSet[str]
    whole: int
    broken: AbstractSet[str]

    @property
    def good(self) -> bool:
        """True if every promise was kept."""
        kept = not (self.lost or self.twice or self.missing or self.broken)
        return kept and not (self.then == "resubmit" and self.reported)


def check_round(
    sandbox: Sandbox,
    folder: Path,
    journal: str,
    *,
    then: Then,
    kills: int,
    restarts: int,
    uncertain: AbstractSet[str],
    reported: AbstractSet[str],
) -> RoundResult:
    """Compare what was bought with what the batch knows of it, once the batch has ended.

    Args:
        sandbox: The vendor.
        folder: Where the batch's files are.
        journal: Where its journal is.
        then: As for `RoundResult`, like the next two.
        kills: As above.
        restarts: As above.
        uncertain: The names of submits under way, or of unknown outcome, whenever a child was killed.
        reported: The keys of jobs that the batch said in the end may have been bought.
    """
    ledger = sandbox.ledger
    records = {record.key: record for record in read_journal(journal).records()}
    bought = list(ledger.purchases.values())
    unanswered = {one.client_request_id for one in ledger.submits if one.status is None}
    found = [one for one in bought if _is_known(one, records)]
    files = {key: file for key in map(key_of, range(JOBS)) if (file := folder / f"{key}.mp4").exists()}
    broken = {key for key, file in files.items() if not _is_whole(file, records[key], sandbox)}
    return RoundResult(
        seed=sandbox.seed,
        then=then,
        kills=kills,
        restarts=restarts,
        purchases=len(bought),
        lost={one.generation_id for one in bought if one not in found and _key(one) not in reported},
        twice={key for key, purchases in ledger.by_key.items() if len(purchases) > 1},
        adopted=sum(one.client_request_id in unanswered | uncertain for one in found),
        resubmitted=sum(len(record.former_request_ids) for record in records.values()),
        reported=reported,
        missing=set(map(key_of, range(JOBS))) - files.keys() - reported,
        whole=len(files) - len(broken),
        broken=broken,
    )


def _key(purchase: Purchase) -> str:
    """Return the key of the job it was bought for: a submit is sent under its key, a colon and a random word."""
    return (purchase.client_request_id or "").rpartition(":")[0]


def _is_known(purchase: Purchase, records: dict[str, Record]) -> bool:
    record = records.get(_key(purchase))
    return record is not None and record.generation_id == purchase.generation_id


def _is_whole(file: Path, record: Record, sandbox: Sandbox) -> bool:
    """Return whether a file is the very video that the vendor made for this job."""
    video = SampleVideo(record.generation_id or "", sandbox.file_size)
    return file.read_bytes() == video.read(0, video.size)
