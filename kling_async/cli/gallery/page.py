"""The gallery's page: totals, groups and rows of its entries, rendered by the template, and written into a folder."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import Factory, field, frozen
from jinja2 import Environment, FunctionLoader, StrictUndefined

from kling_async.cli.gallery.entries import EntryState, read_entries, size, visible
from kling_async.cli.gallery.folder import Folder
from kling_async.cli.journals import Place, name_of, shown
from kling_async.cli.text import clock, command, count, dollars, short_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kling_async.cli.gallery.entries import Entry, VideoFile


@frozen
class Outlook:
    """How a batch that runs comes along.

    Attributes:
        ended: How many of its jobs have ended.
        total: How many it has.
        text: When the others will have, and how fast they end, for people.
        sharing: Who leads, and what else is to be told of a shared journal, line by line.
    """

    ended: int
    total: int
    text: str
    sharing: tuple[str, ...] = ()


@frozen
class GalleryPage:
    """The entries of one page, with their totals and groups.

    Attributes:
        title: The page's title.
        source: The journal as it is typed in commands; None for a folder of videos.
        entries: The entries, in their order.
        links: The URLs of their files, relative to the page.
        made_at: The time, in seconds since the epoch.
        outlook: How the batch comes along, on a page that follows it.
    """

    title: str
    source: str | None
    entries: Sequence[Entry]
    links: Mapping[Path, str]
    made_at: float
    outlook: Outlook | None = None
    groups: Mapping[int, int] = field(init=False, default=Factory(lambda page: _groups(page.entries), takes_self=True))
    """The group of an entry, by its position: entries of several models with the same prompt form a group, which is
    known by the position of the first, as entries are only ever added."""

    @property
    def states(self) -> list[tuple[EntryState, int]]:
        """The states that occur, in their order, with the number of entries in each."""
        counts = Counter(entry.state for entry in self.entries)
        return [(state, counts[state]) for state in EntryState if counts[state]]

    @property
    def models(self) -> list[str]:
        """The ids of the models, sorted."""
        return sorted({entry.model for entry in self.entries if entry.model})

    @property
    def tags(self) -> list[str]:
        """The tags, sorted."""
        return sorted({entry.tag for entry in self.entries if entry.tag})

    @property
    def totals(self) -> Iterator[tuple[str, str]]:
        """Pairs of a figure and its unit, over all entries."""
        yield f"{len(self.entries):,}", count(len(self.entries), "video").partition(" ")[2]
        for state, number in self.states:
            yield f"{number:,}", state.value.lower()
        files = {entry.file.path: entry.file for entry in self.entries if entry.file is not None}.values()
        if files:
            yield clock(sum(file.seconds or 0 for file in files)), "playing time"
            yield size(sum(file.size for file in files)), "of files"
        yield from _spent(self.entries)

    @property
    def shape(self) -> str:
        """The frame's shape: ``wide``, ``tall`` or ``square`` if all videos have it, else ``mixed``."""
        shapes = {_shape(entry.file) for entry in self.entries if entry.file is not None} - {None}
        return next(iter(shapes)) or "wide" if len(shapes) == 1 else ("mixed" if shapes else "wide")

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries as plain data for the page's script; unknown values are left out."""
        rows = (self._row(place, entry) for place, entry in enumerate(self.entries))
        return [{name: value for name, value in row.items() if value not in (None, "", ())} for row in rows]

    def _row(self, place: int, entry: Entry) -> dict[str, Any]:
        file, cost = entry.file, entry.cost
        amounts = (cost.usd_spent, cost.credits_used, cost.tokens_used)  # of one batch, the vendor's share a unit
        return {
            "name": entry.name,
            "state": entry.state.value,
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
            "cost": next((float(amount) for amount in amounts if amount is not None), None),
            "reason": entry.reason,
            "command": self.command(entry),
            "group": self.groups.get(place),
            "link": None if file is None else self.links[file.path],
            "file": None if file is None else describe(file),
            "size": None if file is None else file.size,
        }

    def command(self, entry: Entry) -> str | None:
        """Return the command that brings an entry's video nearer; None if none does, or the batch may be running."""
        name = entry.state.next_command
        is_told = name is not None and self.source is not None and self.outlook is None
        return visible(command(name, self.source)) if is_told else None


def _groups(entries: Sequence[Entry]) -> dict[int, int]:
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(" ".join(entry.prompt.split()), []).append(place)
    alike = [some for prompt, some in places.items() if prompt and len({entries[place].model for place in some}) > 1]
    return {place: some[0] for some in alike for place in some}


def requested(entry: Entry) -> str:
    """Format the duration and the aspect ratio that were asked for."""
    parameters = dict(entry.parameters)
    length = parameters.get("duration")
    return ", ".join(filter(None, (length and f"{length} s", parameters.get("aspect_ratio"))))


def price(entry: Entry) -> str:
    """Format an entry's cost, as far as the vendor said."""
    cost = entry.cost
    if cost.usd_spent is not None:
        return dollars(cost.usd_spent)
    if cost.credits_used is not None:
        return f"{cost.credits_used:,.6g} credits"
    return "" if cost.tokens_used is None else f"{cost.tokens_used:,.6g} tokens"


def describe(file: VideoFile) -> str:
    """Format a file's pixels, length and size."""
    parts = [size(file.size)]
    if file.width is not None:
        parts.insert(0, f"{file.width} \N{MULTIPLICATION SIGN} {file.height}")
    if file.seconds is not None:
        parts.insert(1, f"{file.seconds:.3g} s")
    return ", ".join(parts)


def _spent(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """Yield the total cost; with the number of videos it covers, unless it covers all."""
    made = sum(entry.state in _MADE for entry in entries)
    usd = [entry.cost.usd_spent for entry in entries if entry.cost.usd_spent is not None]
    others = [entry.cost.credits_used for entry in entries if entry.cost.usd_spent is None]
    credit = [amount for amount in others if amount is not None]
    for amounts, total, unit in (
        (usd, dollars(sum(usd, Decimal(0))), "spent"),
        (credit, f"{sum(credit):,.6g}", "credits spent"),
    ):
        if amounts:
            yield total, unit if len(amounts) == made else f"{unit} on {count(len(amounts), 'video')}"


_MADE = frozenset({EntryState.READY, EntryState.NOT_DOWNLOADED, EntryState.MISSING})
_WIDE, _TALL = 1.2, 1 / 1.2  # between them, a frame is about square


def _shape(file: VideoFile) -> str | None:
    if file.width is None or file.height is None:
        return None
    ratio = file.width / file.height
    return "wide" if ratio > _WIDE else "tall" if ratio < _TALL else "square"


def render(page: GalleryPage, *, live: str = "") -> str:
    """Render the page. All texts are escaped, and the policy lets the browser run only the page's own script.

    The document loads nothing but the entries' files, and news of itself if it is live.

    Args:
        page: What is on it.
        live: The version of a page that its server keeps up to date.
    """
    style, program = _part("gallery.css"), _part("gallery.js")
    files = "'self'" if live else "'self' file:"
    policy = (
        "default-src 'none'",
        f"style-src {_hashed(style)}",
        f"script-src {_hashed(program)}",
        f"media-src {files}",
        *(["connect-src 'self'"] if live else []),
        "base-uri 'none'",
        "form-action 'none'",
    )
    made = datetime.fromtimestamp(page.made_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    template = _environment().get_template("page.html")
    return template.render(page=page, live=live, style=style, program=program, policy="; ".join(policy), made=made)


def render_head(page: GalleryPage) -> str:
    """Render the head of a live page alone."""
    return _environment().get_template("head.html").render(page=page)


def render_card(page: GalleryPage, place: int) -> str:
    """Render one entry's card alone."""
    return _environment().get_template("card.html").render(page=page, entry=page.entries[place], number=place)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters |= {
        "requested": requested,
        "clock": clock,
        "price": price,
        "short_model": short_model,
        "describe": describe,
    }
    return environment


@cache
def _part(name: str) -> str:
    return files("kling_async.cli.gallery").joinpath(name).read_text("utf-8")


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def build(source: Place, folder: Path, *, now: float) -> GalleryPage:
    """Write the gallery of a journal, or of a folder of videos, into a folder; return what is on its page.

    It only reads its source, so a session may own the journal meanwhile; it needs no network and no API key.

    Args:
        source: The journal, or the folder.
        folder: The folder to write; it is made if there is none. An earlier gallery there is updated, and no other
            file in it is changed.
        now: The time, in seconds since the epoch.

    Raises:
        ConfigurationError: A file that no gallery wrote is in the way; nothing was changed.
        JournalError: The source does not exist, is no journal, or cannot be read.
        OSError: Something cannot be read or written.
    """
    entries = read_entries(source)
    place = Folder(Path(os.path.realpath(folder)))
    place.plan(entry.file.path for entry in entries if entry.file is not None)
    is_folder = isinstance(source, Path) and source.is_dir()
    journal = None if is_folder else shown(source)
    page = GalleryPage(title_of(source), journal, entries, place.links, now)
    place.write(render(page))
    return page


def title_of(source: Place) -> str:
    """Return the title of a source's page."""
    return visible(Path(os.path.realpath(source)).name if isinstance(source, Path) else name_of(source))
