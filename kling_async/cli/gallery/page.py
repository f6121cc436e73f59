"""What a page says of its entries as a whole, and how each is put for it."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from attrs import Factory, field, frozen
from jinja2 import Environment, StrictUndefined

from kling_async.cli.gallery.entry import Outcome
from kling_async.cli.gallery.texts import money, size
from kling_async.cli.text import clock, count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from jinja2 import Template

    from kling_async.cli.gallery.entry import Entry, VideoFile

__all__ = ["GalleryPage", "asked", "price", "render", "short_model", "told"]


@frozen
class GalleryPage:
    """The entries of one page, and what follows from them.

    Attributes:
        title: What the page is about.
        source: What to name in a command that goes on with it; None where there is nothing to go on with.
        entries: The entries, in their order.
        links: The URLs of their files, relative to the page.
        made_at: When it was made, in seconds since the epoch.
    """

    title: str
    source: str | None
    entries: Sequence[Entry]
    links: Mapping[Path, str]
    made_at: float
    groups: Mapping[int, int] = field(
        init=False, default=Factory(lambda sheet: _groups(sheet.entries), takes_self=True)
    )
    """By an entry's place, the number of its group: those that several models made of the same prompt."""

    @property
    def outcomes(self) -> list[tuple[Outcome, int]]:
        """How many entries have which outcome, in the outcomes' order; those that none has are left out."""
        counts = Counter(entry.outcome for entry in self.entries)
        return [(outcome, counts[outcome]) for outcome in Outcome if counts[outcome]]

    @property
    def models(self) -> list[str]:
        """The models there are, by name."""
        return sorted({entry.model for entry in self.entries if entry.model})

    @property
    def tags(self) -> list[str]:
        """The tags there are, by name."""
        return sorted({entry.tag for entry in self.entries if entry.tag})

    @property
    def totals(self) -> Iterator[tuple[str, str]]:
        """Figures about all entries, with what they count."""
        yield f"{len(self.entries):,}", count(len(self.entries), "video").partition(" ")[2]
        for outcome, number in self.outcomes:
            yield f"{number:,}", outcome.value.lower()
        files = {entry.footage.path: entry.footage for entry in self.entries if entry.footage is not None}.values()
        if files:
            yield clock(sum(file.seconds or 0 for file in files)), "playing time"
            yield size(sum(file.size for file in files)), "of files"
        yield from _spent(self.entries)

    @property
    def shape(self) -> str:
        """The form of frame that suits the videos: their own if they all have one, or else one that suits any."""
        shapes = {_shape(entry.footage) for entry in self.entries if entry.footage is not None} - {None}
        return next(iter(shapes)) or "wide" if len(shapes) == 1 else ("mixed" if shapes else "wide")

    def rows(self) -> list[dict[str, Any]]:
        """The entries as plain data, for the page's program; what is not known is left out."""
        return [_known(self._row(place, entry)) for place, entry in enumerate(self.entries)]

    def _row(self, place: int, entry: Entry) -> dict[str, Any]:
        file = entry.footage
        return {
            "name": entry.name,
            "state": entry.outcome.value,
            "prompt": entry.prompt,
            "model": entry.model,
            "tag": entry.tag,
            "parameters": entry.parameters,
            "request": entry.request,
            "id": entry.generation_id,
            "times": [entry.queued_at, entry.submitted_at, entry.accepted_at, entry.settled_at],
            "took": entry.took,
            "polls": entry.polls,
            "price": price(entry),
            "cost": _worth(entry),
            "reason": entry.reason,
            "command": self.command(entry),
            "group": self.groups.get(place),
            "link": None if file is None else self.links[file.path],
            "file": None if file is None else told(file),
            "size": None if file is None else file.size,
        }

    def command(self, entry: Entry) -> str | None:
        """The command that brings an entry's video nearer, if any does."""
        remedy = entry.outcome.remedy
        return None if remedy is None or self.source is None else f"kling-async {remedy} {self.source}"


def _groups(entries: Sequence[Entry]) -> dict[int, int]:
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(" ".join(entry.prompt.split()), []).append(place)
    alike = [some for prompt, some in places.items() if prompt and len({entries[place].model for place in some}) > 1]
    return {place: number for number, some in enumerate(alike) for place in some}


def short_model(model: str) -> str:
    """A model's id without the supplier's name."""
    return model.partition("/")[2] or model


def asked(entry: Entry) -> str:
    """The length and the form that were asked for, as far as they were."""
    parameters = dict(entry.parameters)
    length = parameters.get("duration")
    return ", ".join(filter(None, (length and f"{length} s", parameters.get("aspect_ratio"))))


def price(entry: Entry) -> str:
    """What an entry cost, in words, as far as the vendor said."""
    cost = entry.cost
    if cost.usd_spent is not None:
        return money(cost.usd_spent)
    if cost.credits_used is not None:
        return f"{cost.credits_used:,.6g} credits"
    return "" if cost.tokens_used is None else f"{cost.tokens_used:,.6g} tokens"


def told(file: VideoFile) -> str:
    """A file's measures, in words."""
    parts = [size(file.size)]
    if file.width is not None:
        parts.insert(0, f"{file.width} \N{MULTIPLICATION SIGN} {file.height}")
    if file.seconds is not None:
        parts.insert(1, f"{file.seconds:.3g} s")
    return ", ".join(parts)


def _worth(entry: Entry) -> float | None:
    """What entries are sorted by their cost by: the vendor's amounts of one batch are in one unit."""
    amounts = (entry.cost.usd_spent, entry.cost.credits_used, entry.cost.tokens_used)
    return next((amount for amount in amounts if amount is not None), None)


def _spent(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """What the entries cost together; with how many said so, where not all that were made did."""
    made = sum(entry.outcome in _MADE for entry in entries)
    dollars = [entry.cost.usd_spent for entry in entries if entry.cost.usd_spent is not None]
    others = [entry.cost.credits_used for entry in entries if entry.cost.usd_spent is None]
    credit = [amount for amount in others if amount is not None]
    for amounts, total, unit in (
        (dollars, money(sum(dollars)), "spent"),
        (credit, f"{sum(credit):,.6g}", "credits spent"),
    ):
        if amounts:
            yield total, unit if len(amounts) == made else f"{unit} on {count(len(amounts), 'video')}"


_MADE = frozenset({Outcome.READY, Outcome.NOT_DOWNLOADED, Outcome.MISSING})
_WIDE, _TALL = 1.2, 1 / 1.2  # between them, a frame is about square


def _shape(file: VideoFile) -> str | None:
    if file.width is None or file.height is None:
        return None
    ratio = file.width / file.height
    return "wide" if ratio > _WIDE else "tall" if ratio < _TALL else "square"


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "", ())}


def render(sheet: GalleryPage) -> str:
    """The page for a sheet. Every text in it stays text, and the browser is told to run nothing but the page's program.

    The document asks for no address but those of the sheet's files.
    """
    style, program = _part("gallery.css"), _part("gallery.js")
    return _template().render(
        sheet=sheet,
        style=style,
        program=program,
        policy=_policy(style, program),
        made=datetime.fromtimestamp(sheet.made_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters |= {"asked": asked, "clock": clock, "price": price, "short_model": short_model, "told": told}
    return environment.from_string(_part("page.html"))


@cache
def _part(name: str) -> str:
    return files("kling_async.cli.gallery").joinpath(name).read_text("utf-8")


def _policy(style: str, program: str) -> str:
    """The page's Content-Security-Policy: this style, this program, files beside the page, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hashed(style)}",
            f"script-src {_hashed(program)}",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
