"""Parse a batch's text into rows: JSON Lines, or a table with a header. Requests are not known here."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from attrs import field, frozen

from kling_async.api.reprs import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DELIMITERS = (",", ";", "\t")
_DECLARED = re.compile(r'"?sep=([^"\r\n])"?[ \t]*(?:\r\n|\r|\n|\Z)')  # a first line that Excel takes for no row
_LINE_END = re.compile(rb"\r\n|\r|\n")
_ZIP = b"PK\x03\x04"  # what .xlsx, .ods and .numbers are
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
        header: The line that names those, if it is from a table.
    """

    line: int
    values: Mapping[str, Any]
    columns: Mapping[str, int] = field(factory=dict[str, int], repr=False)
    header: int | None = None

    def error(self, name: str, reason: str) -> InputError:
        """Return an error about the field of this dotted name, with its column."""
        number = self.columns.get(name.partition(".")[0])
        return InputError(self.line, "" if number is None else f"column {number}", reason)


def read_table(content: bytes) -> Iterator[InputRow | InputError]:
    """Read rows and errors from a text, in order; blank lines and rows are skipped.

    What begins with ``{`` is JSON Lines; anything else is a table whose first row names the columns, parted by commas,
    semicolons or tabs, or by what a line ``sep=`` before it says. The text is UTF-8, or UTF-16 with a byte order mark;
    lines end as on any system.
    """
    if content.startswith(_ZIP):
        yield InputError(None, "", "it is a workbook or another ZIP file; save it as CSV (in Excel: CSV UTF-8)")
        return
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not is_wide and (nul := content.find(0)) >= 0:
        is_unmarked = content.count(0) * 3 > len(content)
        reason = "it looks like UTF-16 without a byte order mark" if is_unmarked else "it holds a NUL character"
        yield _undecodable(content, nul, reason)
        return
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        yield _undecodable(content, error.start, f"it is not {'UTF-16' if is_wide else 'UTF-8'}")
        return
    start = text.lstrip()[:1]
    if start == "[":
        yield InputError(
            None, "", "it is one JSON list; a batch has one JSON object on each line, without commas in between"
        )
    else:
        yield from _json_lines(text) if start == "{" else _table(text)


def _undecodable(content: bytes, at: int, reason: str) -> InputError:
    ends = [end.end() for end in _LINE_END.finditer(content, 0, at)]
    where = f"byte {at - (ends[-1] if ends else 0) + 1}"
    return InputError(len(ends) + 1, where, f"{reason}; save it as UTF-8 (in Excel: CSV UTF-8)")


def _json_lines(text: str) -> Iterator[InputRow | InputError]:
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
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
    declared = _DECLARED.match(text)
    if declared is not None:
        text = text[declared.end() :]
    before = 0 if declared is None else 1
    reader = _reader(text, _delimiter(text) if declared is None else declared[1])
    names: list[str] = []
    header = line = before + 1
    try:
        for row in reader:
            if any(map(str.strip, row)):
                if names:
                    yield _row(row, names, line, header)
                else:
                    names, header = [name.strip() for name in row], line
                    yield from _header_errors(names, line)
            line = before + reader.line_num + 1
    except csv.Error as error:
        yield InputError(line, "", f"the table cannot be read: {error}")


def _reader(text: str, delimiter: str) -> Any:  # noqa: ANN401 - of a class that csv does not name
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _delimiter(text: str) -> str:
    """Return what parts the header into most columns."""

    def columns(delimiter: str) -> int:
        with suppress(csv.Error):
            return next((len(row) for row in _reader(text, delimiter) if any(map(str.strip, row))), 0)
        return 0

    return max(_DELIMITERS, key=columns)


def _header_errors(names: list[str], line: int) -> Iterator[InputError]:
    times = Counter(names)
    for number, name in enumerate(names, start=1):
        if not name:
            yield InputError(line, f"column {number}", "it has no name; the first row names the columns")
        elif times[name] > 1:
            yield InputError(line, f"column {number}", f"there are {times[name]} columns named {cut(name)}")


def _row(row: list[str], names: list[str], line: int, header: int) -> InputRow | InputError:
    spare = row[len(names) :]
    if any(map(str.strip, spare)):
        return InputError(line, f"column {len(names) + 1}", f"it has {len(row)} cells; there are {len(names)} columns")
    columns = {name: number for number, name in enumerate(names, start=1)}
    return InputRow(line, dict(zip(names, row, strict=False)), columns, header)
