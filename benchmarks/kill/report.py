"""What became of many rounds, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.kill.checks import Verdict

__all__ = ["as_table"]


def as_table(verdicts: Sequence[Verdict]) -> str:
    """The sums of the rounds of each kind, and of all."""
    kinds = ("report", "resubmit")
    groups = {f"then={kind}": [each for each in verdicts if each.then == kind] for kind in kinds}
    columns = {name: _sums(group) for name, group in (groups | {"all": list(verdicts)}).items()}
    lines = [("", *columns), *((label, *(f"{sums[label]:,}" for sums in columns.values())) for label in columns["all"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def _sums(verdicts: Sequence[Verdict]) -> dict[str, int]:
    return {
        "rounds": len(verdicts),
        "kills": sum(each.kills for each in verdicts),
        "restarts": sum(each.restarts for each in verdicts),
        "purchases": sum(each.purchases for each in verdicts),
        "paid and lost": sum(len(each.lost) for each in verdicts),
        "bought twice": sum(len(each.twice) for each in verdicts),
        "adopted from the log": sum(each.adopted for each in verdicts),
        "submitted again": sum(each.resubmitted for each in verdicts),
        "reported": sum(len(each.reported) for each in verdicts),
        "neither delivered nor reported": sum(len(each.missing) for each in verdicts),
        "files whole": sum(each.whole for each in verdicts),
        "files broken": sum(len(each.broken) for each in verdicts),
    }
