from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.cli.text import clock, count, dollars, one_line, percentile, short_model, span, table


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
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.1, "$0.10"), (0.056, "$0.056"), (-2.5, "$-2.50"), (0.0123, "$0.012")],
)
def test_dollars_have_cents_and_small_amounts_two_figures(usd: float, written: str) -> None:
    assert dollars(usd) == written


def test_a_models_short_name_is_without_its_supplier() -> None:
    assert short_model("klingai/v2.1-master-text-to-video") == "v2.1-master-text-to-video"
    assert short_model("plain") == "plain"


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert list(table([("a", "bb"), ("ccc", "")])) == ["a    bb", "ccc"]
