"""What was aimed for, and whether it was reached."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Final

from benchmarks.policy.exact import least_product
from benchmarks.policy.policies import FIXED
from benchmarks.policy.report import Target
from benchmarks.policy.scenarios import COLD_START, SESSION, steady_title, title
from benchmarks.policy.single import (
    COLD,
    COMPARED,
    FIVE,
    MAIN,
    OPTIMUM,
    THIRTY,
    WARMED,
    WIDE,
    WIDER,
    requests_at,
    value_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.policy.exact import Outcome
    from benchmarks.policy.report import Curve, Row

__all__ = ["targets"]

_SAMPLE_DELAY: Final = 5.0  # seconds: that of the vendor's own samples, which ask every ten
_OF_THE_LOOP: Final = 0.36


def targets(rows: Sequence[Row], curves: Sequence[Curve]) -> list[Target]:
    """Every target that what was played tells of."""
    found: list[Target] = []
    for scenario, law in ((MAIN, FIVE), (WIDER, WIDE)):
        by_policy = {curve.policy: curve.points for curve in curves if curve.scenario == scenario}
        if by_policy:
            found += [*_shares(scenario, by_policy), *_vendor_loop(scenario, by_policy, least_product(law))]
    for policy in (COLD_START, SESSION, WARMED):
        found += _rows(rows, title(1000, 10.0), policy, 0.92)
    for rate in (10.0, 20.0):
        found += _rows(rows, steady_title(1000, rate), "learned", 0.88)
    return found


def _shares(scenario: str, curves: dict[str, Sequence[Outcome]]) -> Iterable[Target]:
    for policy, wanted in ((WARMED, 0.95), (THIRTY, 0.88)):
        shares = [
            best / ours
            for each in COMPARED
            if (best := value_at(each, curves[OPTIMUM])) and (ours := value_at(each, curves[policy]))
        ]
        if shares:
            yield Target(
                f"{scenario}: {policy}, share of the optimum, mean over 8 to 20 requests", fmean(shares), wanted
            )


def _vendor_loop(scenario: str, curves: dict[str, Sequence[Outcome]], product: float) -> Iterable[Target]:
    """Requests for the delay of the vendor's loop, in the requests of that loop."""
    loop = requests_at(_SAMPLE_DELAY, curves[FIXED])
    least = requests_at(_SAMPLE_DELAY, curves[OPTIMUM])
    if loop is None or least is None:
        return
    within_reach = least / loop <= _OF_THE_LOOP

    def target(name: str, figure: float) -> Target:
        return Target(f"{scenario}: {name}", figure, _OF_THE_LOOP, most=True, within_reach=within_reach)

    for policy in (WARMED, THIRTY, COLD, OPTIMUM):
        requests = requests_at(_SAMPLE_DELAY, curves[policy])
        if requests is not None:
            yield target(f"requests of {policy} for a delay of 5 s ÷ the vendor's loop", requests / loop)
    yield target("the same by Keller's formula, without a programme", product / _SAMPLE_DELAY / loop)


def _rows(rows: Sequence[Row], scenario: str, policy: str, wanted: float) -> Iterable[Target]:
    """Yield the best profile's share."""
    shares = [row.share for row in rows if (row.scenario, row.policy) == (scenario, policy) and row.share is not None]
    if shares:
        yield Target(f"{scenario}: {policy}, share of the bound", max(shares), wanted)
