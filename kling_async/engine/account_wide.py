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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kling_async.journal.shared import Member
    from kling_async.settings import Limits

_SHARED = ("requests_per_second", "submits_per_second", "max_in_flight", "per_group", "per_model", "max_spend_usd")
_MOST_LEARNED = 50.0  # requests per second, where the limit on them is the default

Brought = Mapping[str, Any]
"""A member's limits for the account, by name; whether unpriced jobs are submitted only where spending is limited."""


def _brought(limits: Limits) -> Brought:
    found = {name: getattr(limits, name) for name in _SHARED}
    return found | ({"allow_unpriced": limits.allow_unpriced} if limits.max_spend_usd is not None else {})


def write_limits(limits: Limits) -> str:
    """Write limits as a text. A mapping is written as pairs, as a group may be None."""
    brought = _brought(limits).items()
    pairs = {name: list(value.items()) if _is_mapping(value) else value for name, value in brought}
    return json.dumps(pairs, default=float)


def _read(text: str) -> Brought:
    found: dict[str, Any] = json.loads(text) if text else {}
    values: dict[str, Any] = {
        name: dict(cast("list[tuple[Any, int]]", value)) if isinstance(value, list) else value
        for name, value in found.items()
    }
    return values | {"max_spend_usd": dollars(values.get("max_spend_usd"))}


def strictest(own: Limits, members: Iterable[Member]) -> Limits:
    """Return a session's limits; those for the account are the strictest of all members, defaults included."""
    said = [_brought(own), *(_read(member.limits) for member in members)]
    wanted = {name: [limits[name] for limits in said if name in limits] for name in (*_SHARED, "allow_unpriced")}
    return evolve(own, **{name: _strictest(name, values) for name, values in wanted.items() if values})


def _strictest(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401 - a number, a mapping of numbers, a flag, or None
    mappings = [cast("Mapping[Any, int]", value) for value in values if _is_mapping(value)]
    numbers = [value for value in values if not (value is None or _is_mapping(value))]
    if not mappings:
        least = min(numbers, default=None)
        is_usual = name == "requests_per_second" and None in values and (least or 0.0) > _MOST_LEARNED
        return None if is_usual else least
    if numbers:  # a limit for each, and others for some: no setting says both, so the smallest of all is for each
        return min(*numbers, *(most for mapping in mappings for most in mapping.values()))
    names = {each: None for mapping in mappings for each in mapping}
    return {each: min(mapping[each] for mapping in mappings if each in mapping) for each in names}


def changed(limits: Limits, others: Limits) -> dict[str, tuple[str, str]]:
    """Return the limits for the account that differ, by name, each as it is told."""
    both = {name: (getattr(limits, name), getattr(others, name)) for name in (*_SHARED, "allow_unpriced")}
    return {name: (_told(one), _told(other)) for name, (one, other) in both.items() if one != other}


def _told(limit: object) -> str:
    return "the default" if limit is None else str(limit)


def stricter(own: Limits, members: Sequence[Member]) -> Iterator[str]:
    """Yield a message for each limit of a session that a stricter one of another member replaces."""
    for name, (mine, whole) in changed(own, strictest(own, members)).items():
        others = {member.owner for member in members if name in changed(own, strictest(own, [member]))}
        yield f"{name} is {whole} for the account, by {', '.join(sorted(others))}, and not {mine}"


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
