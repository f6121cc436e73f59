"""What a run comes to, by the vendor's ledger and by the client's own word."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import PurePosixPath
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Outcome", "evaluate", "middle"]


@frozen(kw_only=True)
class Outcome:
    """The result of a run.

    Attributes:
        requests_per_job: All requests that reached the vendor, refused ones included.
        posts_per_job: The submits among them.
        refused_share: The share of requests that were refused (429).
        mean_delay_s: From a generation's completion to the client's knowing, over the jobs delivered; None without any.
        p99_delay_s: The delay that one delivered job in a hundred exceeds; of fewer jobs, the longest.
        cpu_ms_per_job: Processor time of the client's process, its own set-up included.
        peak_mb: The most memory the client's process had, imports and interpreter included; None if unknown.
        delivered: Jobs whose video the client came to know.
        twice: Jobs that were bought more than once.
        lost: Jobs that were bought, and whose video the client never came to know.
        took_s: From the start until the last job had ended, in the vendor's time.
        errors: What the other jobs ended with, by the error's name.
    """

    requests_per_job: float
    posts_per_job: float
    refused_share: float
    mean_delay_s: float | None
    p99_delay_s: float | None
    cpu_ms_per_job: float
    peak_mb: float | None
    delivered: float
    twice: float
    lost: float
    took_s: float
    errors: Mapping[str, int] = field(factory=dict[str, int])


def evaluate(ledger: Mapping[str, Any], report: Mapping[str, Any]) -> Outcome:
    """Compare what the vendor has sold with what the client says."""
    jobs, purchases = report["jobs"], {each["id"]: each for each in ledger["purchases"]}
    bought = Counter(each["job"] for each in purchases.values())
    known = {number: job for number, job in enumerate(jobs) if "video" in job}
    delays = sorted(job["known_at"] - _sold(purchases, number, job)["completes_at"] for number, job in known.items())
    return Outcome(
        requests_per_job=ledger["requests"] / len(jobs),
        posts_per_job=ledger["posts"] / len(jobs),
        refused_share=ledger["refused"] / max(1, ledger["requests"]),
        mean_delay_s=fmean(delays) if delays else None,
        p99_delay_s=delays[math.ceil(0.99 * len(delays)) - 1] if delays else None,
        cpu_ms_per_job=1000 * report["cpu_s"] / len(jobs),
        peak_mb=report["peak_mb"],
        delivered=len(known),
        twice=sum(times > 1 for times in bought.values()),
        lost=len(bought.keys() - known.keys()),
        took_s=report["took_s"],
        errors=dict(Counter(job["error"].partition(":")[0] for job in jobs if "error" in job)),
    )


def _sold(purchases: Mapping[str, Any], number: int, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the generation that a client says its job became."""
    purchase: Mapping[str, Any] = purchases[PurePosixPath(job["video"]).stem]
    if purchase["job"] != number:
        raise AssertionError(f"job {number} was given the video of job {purchase['job']}")
    return purchase


def middle(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the median of each number, and the first run's errors."""
    columns = {name: [asdict(each)[name] for each in outcomes] for name in asdict(outcomes[0]) if name != "errors"}
    return Outcome(**{name: _median(values) for name, values in columns.items()}, errors=outcomes[0].errors)


def _median(values: Sequence[float | None]) -> Any:  # noqa: ANN401 - None only where it may be
    numbers = [value for value in values if value is not None]
    return median(numbers) if numbers else None
