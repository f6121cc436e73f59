from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kling_async.cli.text import clock, count, dollars, one_line, percentile, short_model, span, table, wrapped


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"), (-3, "0:00")],
)
def test_a_clock_reads_in_hours_minutes_and_seconds(seconds: float, written: str) -> None:
    assert clock(seconds) == written


@pytest.mark.parametrize(("seconds", "written"), [(0.0384, "38 ms"), (1.234, "1.2 s"), (35.4, "35 s"), (0, "0 ms")])
def test_a_span_has_a_unit_that_fits(seconds: float, written: str) -> None:
    assert span(seconds) == written


@pytest.mark.parametrize(("number", "written"), [(0, "0 videos"), (1, "1 video"), (1200, "1,200 videos")])
def test_a_count_agrees_with_its_noun(number: int, written: str) -> None:
    assert count(number, "video") == written


def test_the_99th_percentile_of_a_hundred_is_the_99th() -> None:
    assert percentile(range(1, 101), 0.99) == 99


@given(st.lists(st.floats(0, 100), min_size=1).map(sorted), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_enough_values_do_not_exceed(values: list[float], share: float) -> None:
    chosen = percentile(values, share)
    assert chosen in values
    assert sum(value <= chosen for value in values) >= share * len(values) - 1e-9


def test_a_text_loses_what_could_move_the_cursor() -> None:
    assert one_line("a\x1b[2J b\r\n\tc\x07 \x9b1m d") == "a [2J b c 1m d"


@given(st.text())
def test_a_text_becomes_one_printable_line_of_bounded_length(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown) <= 300


@pytest.mark.parametrize(
    ("usd", "written"),
    [
        ("0", "$0.00"),
        ("1234.5", "$1,234.50"),
        ("0.1", "$0.10"),
        ("0.056", "$0.056"),
        ("-2.5", "$-2.50"),
        ("0.0123", "$0.012"),
    ],
)
def test_dollars_have_cents_and_small_amounts_two_figures(usd: str, written: str) -> None:
    assert dollars(Decimal(usd)) == written


def test_a_models_short_name_is_without_its_supplier() -> None:
    assert short_model("klingai/v2.1-master-text-to-video") == "v2.1-master-text-to-video"
    assert short_model("plain") == "plain"


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert list(table([("a", "bb"), ("ccc", "")])) == ["a    bb", "ccc"]


def test_cells_of_wide_characters_are_measured_in_columns() -> None:
    assert list(table([("\u68ee\u68ee", "a"), ("ab", "b")])) == ["\u68ee\u68ee  a", "ab    b"]


LOG = [("time", "model", "generation"), ("04:26:12", "v2.1-master", "Z_JuH9vVJC3dbihfKCi_Z"), ("04:26:13", "v3", "7")]


def test_a_row_that_is_too_wide_goes_on_on_the_next_line_with_whole_cells() -> None:
    assert list(table(LOG, 30)) == [
        "time      model",
        "    generation",
        "04:26:12  v2.1-master",
        "    Z_JuH9vVJC3dbihfKCi_Z",
        "04:26:13  v3",
        "    7",
    ]


def test_words_of_the_last_cell_are_wrapped_in_their_own_column() -> None:
    rows = [("field", "takes"), ("image_url", "a URL, a data: URI, or a file of at most 50 MB")]
    assert list(table(rows, 40)) == [
        "field      takes",
        "image_url  a URL, a data: URI, or a file",
        "           of at most 50 MB",
    ]


cells = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), min_size=1, max_size=12)


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.tuples(*[cells] * n), min_size=1)), st.integers(20, 60))
def test_a_table_keeps_to_its_width_and_loses_no_cell(rows: list[tuple[str, ...]], columns: int) -> None:
    lines = list(table(rows, columns))
    assert " ".join(lines).split() == [cell for row in rows for cell in row]
    assert all(cell_len(line) <= columns for line in lines if cell_len(line.strip()) + 4 <= columns)
    assert list(table(rows, 10_000)) == list(table(rows))


@given(st.lists(cells, min_size=1), st.integers(16, 60))
def test_a_wrapped_text_keeps_its_words_whole_and_in_order(words: list[str], columns: int) -> None:
    lines = list(wrapped(" ".join(words), columns))
    assert " ".join(lines).split() == words
    assert all(cell_len(line) <= columns or len(line.split()) == 1 for line in lines)


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert list(wrapped("  completed         7  (7 downloaded)", 80)) == ["  completed         7  (7 downloaded)"]


def test_a_command_is_not_broken_as_it_is_to_be_copied() -> None:
    text = "what is left is saved; go on with: kling-async resume 'my batch.db' -o videos --max-spend AMOUNT"
    assert list(wrapped(text, 40)) == [
        "what is left is saved; go on with:",
        "  kling-async resume 'my batch.db' -o videos --max-spend AMOUNT",
    ]
