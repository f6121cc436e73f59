from __future__ import annotations

import json
import math
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.cli.gallery.entries import as_json, finite, flat, label, size, visible, without_media

ANYTHING = st.text(st.characters(codec=None, categories=None))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1b[0m\x7f", "a\u2400b\u241b[0m\u2421"),
        ("a\ud800b\x85c", "a\ufffdb\ufffdc"),
        ("one\r\ntwo\nthree\tfour\r", "one\ntwo\nthree\tfour\u240d"),
        ("שלום \u202e é 🦝", "שלום \u202e é 🦝"),
    ],
)
def test_control_characters_show_and_everything_else_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(ANYTHING)
def test_any_text_can_be_written_once_it_is_visible(text: str) -> None:
    shown = visible(text)
    assert shown.encode().decode() == shown
    assert visible(shown) == shown
    assert not set(shown) & {chr(code) for code in range(32) if code not in (9, 10)}


def test_media_are_described_wherever_they_are() -> None:
    image = "DATA:image/png;base64," + "A" * 40_000
    plain = without_media({"a": image, "b": [image, {"c": b"\x89PNG"}], "d": PurePosixPath("/x/cat.png"), "e": 5})
    assert plain["a"].startswith("<image/png, 30 KB inline, sha256 ")
    assert plain["b"][0] == plain["a"]
    assert plain["b"][1]["c"].startswith("<a file, 4 B inline, sha256 ")
    assert (plain["d"], plain["e"]) == (str(PurePosixPath("/x/cat.png")), 5)
    assert len(json.dumps(plain)) < 400


def test_different_media_have_different_descriptions() -> None:
    assert without_media("data:,a") != without_media("data:,b")


def test_a_half_character_in_a_data_uri_is_no_trouble() -> None:
    assert without_media("data:,\ud800").startswith("<a file, 3 B inline")


def test_an_endless_text_is_cut() -> None:
    assert without_media("x" * 30_000).endswith("x... (30,000 characters)")
    assert without_media("x" * 20_000) == "x" * 20_000


def test_nested_data_gets_dotted_names() -> None:
    data = {"duration": 5, "camera": {"type": "simple", "config": {"zoom": 2.5}}, "shots": ["a", "b"], "audio": True}
    assert list(flat(data)) == [
        ("duration", "5"),
        ("camera.type", "simple"),
        ("camera.config.zoom", "2.5"),
        ("shots", '["a", "b"]'),
        ("audio", "true"),
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), ("a tag", "a tag"), (7, "7"), ({"row": 1}, '{"row": 1}'), (["é"], '["é"]')]
)
def test_a_tag_is_shown_in_a_line(value: object, shown: str) -> None:
    assert label(value) == shown


def test_a_request_is_shown_as_json_of_several_lines() -> None:
    assert as_json({"prompt": "é", "duration": 5}) == '{\n  "prompt": "é",\n  "duration": 5\n}'


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_json_has_no_number_for_is_not_known(value: float | None) -> None:
    assert finite(value) is None
    assert finite(0.5) == 0.5


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (999_499, "999 KB"),
        (1_234_567, "1.2 MB"),
        (15_000_000, "15 MB"),
        (999_600_000, "1.0 GB"),
        (12_345_678_901, "12.3 GB"),
    ],
)
def test_sizes_are_in_thousands(number: int, shown: str) -> None:
    assert size(number) == shown
