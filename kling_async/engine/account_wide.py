"""Limits and numbers that hold for the whole account, whichever member leads.

Both travel as texts, which the shared journal keeps without reading them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from attrs import asdict, evolve

from kling_async.api.parsing import dollars
from kling_async.engine.stats import FeedStats, LearnedDuration, Stats
from kling_async.settings import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kling_async.journal.shared import Member

_SHARED = ("requests_per_second", "submits_per_second", "max_in_flight", "per_group", "per_model", "max_spend_usd")
_USUAL = Limits()

Brought = Mapping[str, Any]
"""A member's limits for the account, by name; those at their defaults are left out."""


def brought(limits: Limits) -> Brought:
    """Return the limits that a session's settings set for the account."""
    given = asdict(limits, recurse=False)
    found = {name: given[name] for name in _SHARED if given[name] != getattr(_USUAL, name)}
    return found | ({"allow_unpriced": limits.allow_unpriced} if limits.max_spend_usd is not None else {})


def write_limits(limits: Limits) -> str:
    """Write limits as a text. A mapping is written as pairs, as a group may be None."""
    pairs = {name: list(value.items()) if _is_mapping(value) else value for name, value in brought(limits).items()}
    return json.dumps(pairs, default=float)


def _read(text: str) -> Brought:
    found: dict[str, Any] = json.loads(text) if text else {}
    values: dict[str, Any] = {
        name: dict(cast("list[tuple[Any, int]]", value)) if isinstance(value, list) else value
        for name, value in found.items()
    }
    return values | {"max_spend_usd": dollars(values["max_spend_usd"])} if "max_spend_usd" in values else values


def strictest(own: Limits, members: Iterable[Member]) -> Limits:
    """Return a session's limits; those that hold for the account are the strictest that any member sets."""
    said = [brought(own), *(_read(member.limits) for member in members)]
    wanted = {name: [limits[name] for limits in said if name in limits] for name in (*_SHARED, "allow_unpriced")}
    return evolve(own, **{name: _strictest(values) for name, values in wanted.items() if values})


def _strictest(values: Sequence[Any]) -> Any:  # noqa: ANN401 - a number, a mapping of numbers, or a flag
    mappings = [cast("Mapping[Any, int]", value) for value in values if _is_mapping(value)]
    numbers = [value for value in values if not _is_mapping(value)]
    if not mappings:
        return min(numbers)
    if numbers:  # a limit for each, and others for some: no setting says both, so the smallest of all is for each
        return min(*numbers, *(most for mapping in mappings for most in mapping.values()))
    names = {name: None for mapping in mappings for name in mapping}
    return {name: min(mapping[name] for mapping in mappings if name in mapping) for name in names}


def stricter(own: Limits, members: Sequence[Member]) -> Iterator[str]:
    """Yield a message for each limit of a session that a stricter one of another member replaces."""
    whole = strictest(own, members)
    for name in (*_SHARED, "allow_unpriced"):
        if getattr(whole, name) == getattr(own, name):
            continue
        mine = brought(own).get(name)
        others = {member.owner for member in members if _read(member.limits).get(name, mine) != mine}
        whose = ", ".join(sorted(others)) or "another member"
        yield f"{name} is {getattr(whole, name)} for the account, by {whose}, and not {getattr(own, name)}"


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def write_stats(stats: Stats) -> str:
    """Write the leader's numbers as a text."""
    return json.dumps(asdict(stats))


def read_stats(text: str) -> Stats | None:
    """Read what `write_stats` wrote; None if nobody has led yet, or a member of another version does."""
    try:
        data: dict[str, Any] = json.loads(text)
        data["learned"] = tuple(LearnedDuration(**kind) for kind in data["learned"])
        data["feed"] = None if data["feed"] is None else FeedStats(**data["feed"])
        return Stats(**data)
    except (ValueError, TypeError, KeyError):
        return None


_FILES = ("downloading", "downloaded", "downloaded_bytes")
_JOBS = ("queued", "submitting", "pending", "uncertain", "completed", "failed", "rejected", "abandoned", "interrupted")


def with_own(account: Stats, mine: Stats, *, jobs: bool) -> Stats:
    """Return the account's numbers with those of files, and if wanted of jobs, of the member that asks."""
    names = _FILES + (_JOBS if jobs else ())
    return evolve(account, **{name: getattr(mine, name) for name in names})
