"""Docstrings as Markdown: literal blocks, simple tables, and the fields that a class describes."""

from __future__ import annotations

import re
from textwrap import dedent

_LITERAL = re.compile(r"^(?P<lead>.*?) ?::\n\n(?P<code>(?:(?: {4}.*)?\n)+)", re.MULTILINE)
_TABLE = re.compile(r"^=+ =+\n(?P<rows>(?:.+\n)+?)=+ =+$", re.MULTILINE)
_FIELDS = re.compile(r"^Attributes:\n(?P<items>(?:(?: {4}.*)?(?:\n|\Z))+)", re.MULTILINE)
_FIELD = re.compile(r"^(?P<name>\w+): (?P<text>.*(?:\n(?: .*)?)*)", re.MULTILINE)


def to_markdown(docstring: str) -> str:
    """Return a docstring with its literal blocks fenced, and its simple tables as Markdown's."""
    return _TABLE.sub(_table, _LITERAL.sub(_fenced, f"{docstring}\n")).strip()


def take_fields(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a class's docstring without its list of attributes, and each attribute's description."""
    found = _FIELDS.search(docstring)
    if found is None:
        return docstring, {}
    fields = {match["name"]: _joined(match["text"]) for match in _FIELD.finditer(dedent(found["items"]))}
    return f"{docstring[: found.start()]}{docstring[found.end() :]}".strip(), fields


def _joined(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first}\n{dedent(rest)}".strip()


def _fenced(match: re.Match[str]) -> str:
    lead = f"{match['lead']}:\n\n" if match["lead"] else ""
    return f"{lead}```python\n{dedent(match['code']).strip()}\n```\n\n"


def _table(match: re.Match[str]) -> str:
    rows = [re.split(r" {2,}|(?<=``) ", row.strip(), maxsplit=1) for row in match["rows"].splitlines()]
    return "\n".join(["| | |", "|---|---|", *(f"| {' | '.join(cells)} |" for cells in rows)])
