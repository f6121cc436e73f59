"""Price the rows of a batch, and show what would be submitted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async import KlingError
from kling_async.api.labels import label_of
from kling_async.cli.batch.rows import InvalidBatch
from kling_async.cli.batch.table import InputError
from kling_async.cli.options import has_key, open_session
from kling_async.cli.text import count, dollars, one_line, reason, request_json
from kling_async.files.names import unusable
from kling_async.files.video_names import NameAllocator, name_of, short_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kling_async import Cost, Estimate
    from kling_async.cli.batch.rows import Row
    from kling_async.cli.options import Connection


@frozen(eq=False)
class Quote:
    """A row with the name of its file and its cost.

    Attributes:
        row: The row.
        output: The name of its file.
        state: Its state in the journal, if it is there.
        estimate: Its cost; None if no prices are known.
    """

    row: Row
    output: str
    state: str | None
    estimate: Estimate | None

    @property
    def price(self) -> str:
        """The cost as text."""
        return "unknown" if self.estimate is None else _amount(self.estimate.at_least, self.estimate.usd)

    def to_json(self) -> dict[str, Any]:
        """Return the same as a JSON object."""
        known = self.estimate
        return {
            "line": self.row.line,
            "key": self.row.key,
            "tag": label_of(self.row.submission.tag).tag,
            "output": self.output,
            **request_json(self.row.request),
            "state": self.state,
            "usd": None if known is None else known.usd,
            "usd_at_least": None if known is None else known.at_least,
            "note": None if known is None else known.note or None,
        }


async def prices(connection: Connection, rows: Sequence[Row]) -> tuple[Cost | None, str]:
    """Estimate the cost of rows; return None and the reason where no prices can be had."""
    if not has_key(connection):
        return None, "there is no API key to ask for the price list with"
    try:
        async with open_session(connection) as kling:
            return await kling.estimate([row.request for row in rows]), ""
    except KlingError as error:
        return None, reason(error)


def check_output_paths(rows: Sequence[Row], output: Path, source: str) -> None:
    """Check that every row's file can be written under its name.

    Raises:
        InvalidBatch: Some paths are too long.
    """
    names = NameAllocator()
    refusals = ((row.line, unusable(output / names.allocate(_name(row)))) for row in rows)
    errors = tuple(InputError(line, "", f"output: {refusal}") for line, refusal in refusals if refusal is not None)
    if errors:
        raise InvalidBatch(source, errors)


def quote(rows: Sequence[Row], cost: Cost | None, states: dict[str, str]) -> list[Quote]:
    """Combine each row with its file name, its journal state and its cost."""
    names = NameAllocator()
    estimates = [None] * len(rows) if cost is None else cost.estimates
    return [
        Quote(row, names.allocate(_name(row)), states.get(row.key), estimate)
        for row, estimate in zip(rows, estimates, strict=True)
    ]


def _name(row: Row) -> str:
    return name_of(row.request, row.key, row.submission.tag)


def rows(quotes: Sequence[Quote]) -> list[tuple[str, ...]]:
    """Return the quotes as the rows of a table."""
    head = ("line", "key", "model", "output", "cost", "so far")
    cells = [
        (str(one.row.line), short_key(one.row.key), one.row.request.model, one.output, one.price, one.state or "new")
        for one in quotes
    ]
    return [head, *cells]


def by_model(quotes: Sequence[Quote]) -> list[tuple[str, ...]]:
    """Return the cost of each model as the rows of a table."""
    groups: dict[str, list[Quote]] = {}
    for one in quotes:
        groups.setdefault(one.row.request.model, []).append(one)
    cells = [(model, f"{len(group):,}", total(group)) for model, group in sorted(groups.items())]
    return [("model", "videos", "cost"), *cells]


def total(quotes: Sequence[Quote]) -> str:
    """Sum the costs, and count the videos of unknown cost."""
    least, most, unknown = _sum(quotes)
    if unknown == len(quotes):
        return "unknown"
    said = _amount(least, most)
    return f"{said}, and {count(unknown, 'video')} of unknown cost" if unknown else said


def total_json(quotes: Sequence[Quote]) -> dict[str, Any]:
    """Return the sums as a JSON object."""
    least, most, unknown = _sum(quotes)
    return {"videos": len(quotes), "usd": most, "usd_at_least": least, "of_unknown_cost": unknown}


def _sum(quotes: Sequence[Quote]) -> tuple[Decimal, Decimal, int]:
    """Return the least and the most that videos of known cost cost, and the number of others."""
    known = [one.estimate for one in quotes if one.estimate is not None and one.estimate.usd is not None]
    least = sum((one.at_least or Decimal(0) for one in known), Decimal(0))
    most = sum((one.usd or Decimal(0) for one in known), Decimal(0))
    return least, most, len(quotes) - len(known)


def notes(quotes: Sequence[Quote]) -> list[str]:
    """Return the reasons why costs are not exact, each once."""
    return list(dict.fromkeys(one_line(one.estimate.note) for one in quotes if one.estimate and one.estimate.note))


def _amount(least: Decimal | None, most: Decimal | None) -> str:
    if most is None:
        return "unknown"
    upper = dollars(most)
    return upper if least in (None, most) else f"{dollars(least or Decimal(0))} to {upper}"
