from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.cli.batch.table import InputError, InputRow, read_table

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def rows(text: str | bytes) -> list[tuple[int, dict[str, object]]]:
    read = list(read_table(text.encode() if isinstance(text, str) else text))
    assert all(isinstance(one, InputRow) for one in read), read
    return [(one.line, dict(one.values)) for one in read if isinstance(one, InputRow)]


def errors(text: str | bytes) -> list[str]:
    read = read_table(text.encode() if isinstance(text, str) else text)
    return [str(one) for one in read if isinstance(one, InputError)]


def test_json_lines_are_objects_and_blank_ones_are_passed_over() -> None:
    assert rows('\n{"prompt": "a"}\r\n  \n{"prompt": "b\\n"}') == [(2, {"prompt": "a"}), (4, {"prompt": "b\n"})]


def test_a_table_has_cells_by_the_names_of_its_columns() -> None:
    assert rows("prompt, tag\na,1\n,\n\nb\n") == [
        (2, {"prompt": "a", "tag": "1"}),
        (5, {"prompt": "b"}),
    ]


def test_a_row_of_several_lines_has_the_number_of_its_first() -> None:
    assert [line for line, _ in rows('prompt\n"a\nb"\nc')] == [2, 4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_part_cells_as_they_like(delimiter: str) -> None:
    assert rows(
        f"prompt{delimiter}tag\na, b; c{delimiter}d" if delimiter == "\t" else f"prompt{delimiter}tag\na{delimiter}d"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_header_alone_says_what_parts_cells(end: str) -> None:
    assert rows(end.join(["prompt,tag", "a; b; c; d,1", ""])) == [(2, {"prompt": "a; b; c; d", "tag": "1"})]
    assert rows(end.join(["prompt", "a; b", "c; d"])) == [(2, {"prompt": "a; b"}), (3, {"prompt": "c; d"})]
    assert rows(end.join(['"tag";"a, or b"', "1;2"])) == [(2, {"tag": "1", "a, or b": "2"})]


@pytest.mark.parametrize("declared", ["sep=;", '"sep=;"', "sep=; "])
def test_a_line_may_say_what_parts_cells(declared: str) -> None:
    assert rows(f"{declared}\r\nprompt;a,b,c,d\r\nx;y") == [(3, {"prompt": "x", "a,b,c,d": "y"})]
    assert rows("sep=|\nprompt|tag\nx|y") == [(3, {"prompt": "x", "tag": "y"})]
    assert errors(f"{declared}\nprompt;prompt")[0].startswith("line 2, column 1: there are 2 columns")


def test_a_table_may_begin_with_blank_rows() -> None:
    assert rows("\n,\nprompt,tag\na,b") == [(4, {"prompt": "a", "tag": "b"})]


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_json_lines_end_as_on_any_system(end: str) -> None:
    assert rows(end.join(['{"a": 1}', "", '{"a": 2}'])) == [(1, {"a": 1}), (3, {"a": 2})]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_text_with_a_mark_says_how_it_is_encoded(encoding: str) -> None:
    assert rows("prompt\tété\na\tß".encode(encoding)) == [(2, {"prompt": "a", "été": "ß"})]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert rows(b"\xef\xbb\xbfprompt\na") == [(2, {"prompt": "a"})]
    assert rows(b'\xef\xbb\xbf{"prompt": "a"}') == [(1, {"prompt": "a"})]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b'{"a": 1}\n{"b": "\xff"}', "line 2, byte 8: it is not UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)"),
        ('{"a" 1}', "line 1, column 6: it is not JSON: Expecting ':' delimiter"),
        ('{"a": 1}\n[2]', 'line 2: a row is a JSON object, such as {"prompt": "a red fox"}'),
        ('{"a": 1, "a": 2}', "line 1: it cannot be read: a is given twice"),
        ('[{"a": 1}]', "it is one JSON list; a batch has one JSON object on each line, without commas in between"),
        ("a\r1\r\0", "line 3, byte 1: it holds a NUL character; save it as UTF-8 (in Excel: CSV UTF-8)"),
        (
            "prompt\na féx".encode("utf-16-le"),
            "line 1, byte 2: it looks like UTF-16 without a byte order mark; save it as UTF-8 (in Excel: CSV UTF-8)",
        ),
        (b"PK\x03\x04\x14\0", "it is a workbook or another ZIP file; save it as CSV (in Excel: CSV UTF-8)"),
        (b"\xff\xfea", "line 1, byte 3: it is not UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)"),
        ("a,\n1,2", "line 1, column 2: it has no name; the first row names the columns"),
        ("a,a\n1,", "line 1, column 1: there are 2 columns named a"),
        ("a\n1,2", "line 2, column 2: it has 2 cells; there are 1 columns"),
        ('a\nb\n"c', "line 3: the table cannot be read: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str | bytes, error: str) -> None:
    assert errors(text)[0] == error


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    assert errors('{"a": ' + "[" * 100_000)[0].startswith("line 1")


def test_every_line_that_is_wrong_is_told() -> None:
    assert len(errors('{"a": 1}\n{\n{"b": 2}\n}\n3')) == 3


def test_a_error_of_a_cell_has_its_column() -> None:
    (cells,) = (one for one in read_table(b"prompt,elements\na,b") if isinstance(one, InputRow))
    assert str(cells.error("elements.0.name", "why")) == "line 2, column 2: why"
    assert str(cells.error("other", "why")) == "line 2: why"


@given(st.lists(st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), min_size=1), min_size=1))
def test_any_json_lines_are_read_as_they_were_written(objects: list[dict[str, object]]) -> None:
    assert [values for _, values in rows("\n".join(map(json.dumps, objects)))] == objects


@given(
    table=st.lists(st.tuples(TEXTS, TEXTS).filter(lambda row: any(map(str.strip, row)))),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    declared=st.booleans(),
)
def test_any_table_is_read_as_it_was_written(
    table: list[tuple[str, str]], delimiter: str, end: str, quoting: int, encoding: str, *, declared: bool
) -> None:
    written = io.StringIO(f"sep={delimiter}{end}" if declared else "", newline="")
    written.seek(0, io.SEEK_END)
    if any(char in cell for row in table for cell in row for char in "\r\n"):
        quoting = csv.QUOTE_ALL  # csv quotes only the one that ends lines
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("prompt", "tag"), *table])
    assert [tuple(values.values()) for _, values in rows(written.getvalue().encode(encoding))] == table


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_whatever_a_file_holds_it_is_read_or_what_is_wrong_is_told(content: bytes) -> None:
    assert all(isinstance(one, InputRow | InputError) for one in read_table(content))
