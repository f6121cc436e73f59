"""Parse a batch's text into rows: JSON Lines, or a table with a header. Requests are not known here."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from attrs import field, frozen

from kling_async.api.reprs import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DELIMITERS = (",", ";", "\t")
_LONGEST_CELL = 100 * 1024 * 1024  # characters: a data URI may be that long


@frozen
class InputError:
    """An error in a batch.

    Attributes:
        line: The line, from 1; None for the whole text.
        place: The place on the line; empty for all of it.
        reason: The error in words.
    """

    line: int | None
    place: str
    reason: str

    def __str__(self) -> str:
        places = [f"line {self.line}"] if self.line is not None else []
        return ": ".join([", ".join([*places, *filter(None, [self.place])]), self.reason]).removeprefix(": ")


@frozen
class InputRow:
    """A row as it was read.

    Attributes:
        line: The line it begins on, from 1.
        values: Its values by the names of their columns.
        columns: The numbers of the columns, from 1, if it is from a table.
    """

    line: int
    values: Mapping[str, Any]
    columns: Mapping[str, int] = field(factory=dict[str, int], repr=False)

    def error(self, name: str, reason: str) -> InputError:
        """Return an error about the field of this dotted name, with its column."""
        number = self.columns.get(name.partition(".")[0])
        return InputError(self.line, "" if number is None else f"column {number}", reason)


def read_table(content: bytes) -> Iterator[InputRow | InputError]:
    """Read rows and errors from a text, in order; blank lines and rows are skipped.

    What begins with ``{`` is JSON Lines; anything else is a table whose first row names the columns, parted by commas,
    semicolons or tabs. The text is UTF-8, with or without a byte order mark.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield _not_utf8(content, error.start)
        return
    start = text.lstrip()[:1]
    if start == "[":
        yield InputError(
            None, "", "it is one JSON list; a batch has one JSON object on each line, without commas in between"
        )
    else:
        yield from _json_lines(text) if start == "{" else _table(text)


def _not_utf8(content: bytes, at: int) -> InputError:
    line_start = content.rfind(b"\n", 0, at) + 1
    where = f"byte {at - line_start + 1}"
    return InputError(content.count(b"\n", 0, at) + 1, where, "it is not UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)")


def _json_lines(text: str) -> Iterator[InputRow | InputError]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _json_line(number, line)


def _json_line(number: int, line: str) -> InputRow | InputError:
    try:
        value: object = json.loads(line, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        return InputError(number, f"column {error.colno}", f"it is not JSON: {error.msg}")
    except (ValueError, RecursionError) as error:
        return InputError(number, "", f"it cannot be read: {error}")
    if not isinstance(value, dict):
        return InputError(number, "", 'a row is a JSON object, such as {"prompt": "a red fox"}')
    return InputRow(number, cast("dict[str, Any]", value))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"{cut(twice)} is given twice")
    return members


def _table(text: str) -> Iterator[InputRow | InputError]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    names: list[str] | None = None
    line = 1
    try:
        for row in reader:
            if names is None:
                names = [name.strip() for name in row]
                yield from _header_errors(names, line)
            elif any(map(str.strip, row)):
                yield _row(row, names, line)
            line = reader.line_num + 1
    except csv.Error as error:
        yield InputError(line, "", f"the table cannot be read: {error}")


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(_DELIMITERS, key=header.count)


def _header_errors(names: list[str], line: int) -> Iterator[InputError]:
    times = Counter(names)
    for number, name in enumerate(names, start=1):
        if not name:
            yield InputError(line, f"column {number}", "it has no name; the first row names the columns")
        elif times[name] > 1:
            yield InputError(line, f"column {number}", f"there are {times[name]} columns named {cut(name)}")


def _row(row: list[str], names: list[str], line: int) -> InputRow | InputError:
    spare = row[len(names) :]
    if any(map(str.strip, spare)):
        return InputError(line, f"column {len(names) + 1}", f"it has {len(row)} cells; there are {len(names)} columns")
    columns = {name: number for number, name in enumerate(names, start=1)}
    return InputRow(line, dict(zip(names, row, strict=False)), columns)
