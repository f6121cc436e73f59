"""Price the rows of a batch, and show what would be submitted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async import Cost, Estimate, KlingError
from kling_async.api.labels import label_of
from kling_async.cli.batch.rows import InvalidBatch
from kling_async.cli.batch.table import InputError
from kling_async.cli.options import ask, has_key
from kling_async.cli.text import count, dollars, one_line, reason, request_json
from kling_async.files.names import unusable
from kling_async.files.video_names import NameAllocator, name_of, short_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kling_async.cli.batch.rows import Row
    from kling_async.cli.options import Connection


@frozen(eq=False)
class Quote:
    """A row with the name of its file and its cost.

    Attributes:
        row: The row.
        output: The name of its file.
        state: Its state in the journal, if it is there.
        estimate: Its cost.
    """

    row: Row
    output: str
    state: str | None
    estimate: Estimate

    @property
    def price(self) -> str:
        """The cost as text."""
        return _amount(self.estimate.at_least, self.estimate.usd)

    def to_json(self) -> dict[str, Any]:
        """Return the same as a JSON object."""
        return {
            "line": self.row.line,
            "key": self.row.key,
            "tag": label_of(self.row.submission.tag).tag,
            "output": self.output,
            **request_json(self.row.request),
            "state": self.state,
            "usd": self.estimate.usd,
            "usd_at_least": self.estimate.at_least,
            "note": self.estimate.note or None,
        }


def prices(connection: Connection, rows: Sequence[Row]) -> tuple[Cost, str]:
    """Estimate the cost of rows; where no prices can be had, nothing is known, and the reason is told."""
    unknown = "there is no API key to ask for the price list with"
    if has_key(connection):
        try:
            return ask(connection, lambda kling: kling.estimate([row.request for row in rows])), ""
        except KlingError as error:
            unknown = reason(error)
    return Cost.of(Estimate(row.request, None) for row in rows), unknown


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


def quote(rows: Sequence[Row], cost: Cost, states: dict[str, str]) -> list[Quote]:
    """Combine each row with its file name, its journal state and its cost."""
    names = NameAllocator()
    return [
        Quote(row, names.allocate(_name(row)), states.get(row.key), estimate)
        for row, estimate in zip(rows, cost.estimates, strict=True)
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
    cost = Cost.of(one.estimate for one in quotes)
    if cost.unknown == len(quotes):
        return "unknown"
    said = _amount(cost.at_least, cost.usd)
    return f"{said}, and {count(cost.unknown, 'video')} of unknown cost" if cost.unknown else said


def total_json(quotes: Sequence[Quote]) -> dict[str, Any]:
    """Return the sums as a JSON object."""
    cost = Cost.of(one.estimate for one in quotes)
    return {"videos": len(quotes), "usd": cost.usd, "usd_at_least": cost.at_least, "of_unknown_cost": cost.unknown}


def notes(quotes: Sequence[Quote]) -> list[str]:
    """Return the reasons why costs are not exact, each once."""
    return list(dict.fromkeys(one_line(one.estimate.note) for one in quotes if one.estimate.note))


def _amount(least: Decimal | None, most: Decimal | None) -> str:
    if most is None:
        return "unknown"
    upper = dollars(most)
    return upper if least in (None, most) else f"{dollars(least or Decimal(0))} to {upper}"
