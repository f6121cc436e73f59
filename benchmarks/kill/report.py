"""The results of many rounds as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.kill.checks import RoundResult

__all__ = ["as_table"]


def as_table(results: Sequence[RoundResult]) -> str:
    """Return the sums of the rounds of each kind, and of all."""
    kinds = ("report", "resubmit")
    groups = {f"then={kind}": [each for each in results if each.then == kind] for kind in kinds}
    columns = {name: _sums(group) for name, group in (groups | {"all": list(results)}).items()}
    lines = [("", *columns), *((label, *(f"{sums[label]:,}" for sums in columns.values())) for label in columns["all"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def _sums(results: Sequence[RoundResult]) -> dict[str, int]:
    return {
        "rounds": len(results),
        "kills": sum(each.kills for each in results),
        "restarts": sum(each.restarts for each in results),
        "purchases": sum(each.purchases for each in results),
        "paid and lost": sum(len(each.lost) for each in results),
        "bought twice": sum(len(each.twice) for each in results),
        "adopted from the log": sum(each.adopted for each in results),
        "submitted again": sum(each.resubmitted for each in results),
        "reported": sum(len(each.reported) for each in results),
        "neither delivered nor reported": sum(len(each.missing) for each in results),
        "files whole": sum(each.whole for each in results),
        "files broken": sum(len(each.broken) for each in results),
    }
