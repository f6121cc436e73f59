"""Problems of requests and arguments: what is wrong, what is allowed, and what may have been meant, in words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from kling_async.api.media import Brief, LocalFile, brief
from kling_async.api.reprs import cut, show
from kling_async.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_LONGEST = 200  # of a name that is looked at
_KEPT = 10_000  # characters of a text that a problem keeps: more than any field takes, and less than a file


def _kept(value: object) -> object:
    """Shorten a value for a problem to hold: errors are logged, pickled and stored, and files are large."""
    if isinstance(value, str) and len(value) > _KEPT:
        return Brief(show(value))
    return brief(value) if isinstance(value, bytes | LocalFile) else value


@frozen
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        field: The vendor's name of the field, dotted where it is nested: ``image_list.0``.
        value: The value it has, None where it is missing; of a file that was looked into, a few words.
        allowed: The values it takes, in words.
    """

    field: str
    value: object = attrs.field(repr=show, converter=_kept)
    allowed: str

    def __str__(self) -> str:
        found = "missing" if self.value is None else show(self.value)
        return f"{cut(self.field)} is {found}; allowed: {self.allowed}"


def refusal(problems: Sequence[Problem]) -> InvalidRequest:
    """Return the error for these problems: its attributes tell the first of them, its message all."""
    single = [
        InvalidRequest(str(problem), field=problem.field, value=problem.value, allowed=problem.allowed)
        for problem in problems
    ]
    if len(single) == 1:
        return single[0]
    first, message = problems[0], "; ".join(str(problem) for problem in problems)
    return InvalidRequest(message, field=first.field, value=first.value, allowed=first.allowed, parts=single)


def unknown_fields(values: Mapping[Any, object], known: Collection[str], path: str = "") -> list[Problem]:
    """Return a problem for each name that is not known, with what it may have been meant to be."""
    unknown = [name for name in values if name not in known]
    if not unknown:  # the usual case, for each record of a journal
        return []
    only = f"only the fields {', '.join(known)}"
    return [Problem(join(path, name), values[name], only + did_you_mean(str(name), known)) for name in unknown]


def either(words: Sequence[str]) -> str:
    """Return words as a choice between them; there is at least one."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def join(path: str, name: object) -> str:
    """Return the dotted name of a part of what ``path`` names; either may be empty."""
    part = str(name)
    return f"{path}.{part}" if path and part else path or part


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the up to three known names most like this one, best first; none where nothing is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only once something is misspelt

    return get_close_matches(name[:_LONGEST], list(known), n=3, cutoff=0.7)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that offers the closest known name; empty where nothing is close."""
    close = close_names(name, known)
    return f" (did you mean {close[0]}?)" if close else ""


@lru_cache(maxsize=256)  # ten thousand rows may have one and the same typing error
def misspelt(name: str, known: tuple[str, ...]) -> str | None:
    """Return the known name from which this one differs only in letters of similar words, or in case; else None."""
    parts = _parts(name[:_LONGEST])
    return next((other for other in close_names(name.lower(), known) if _are_alike(parts, _parts(other))), None)


def _parts(name: str) -> list[str]:
    """Return a name's words, and what stands between them."""
    return re.findall(r"[a-z]+|[^a-z]+", name.lower())


def _are_alike(parts: list[str], others: list[str]) -> bool:
    pairs = [(part, other) for part, other in zip(parts, others, strict=False) if part != other]
    return len(parts) == len(others) and all(part.isalpha() and close_names(part, [other]) for part, other in pairs)
