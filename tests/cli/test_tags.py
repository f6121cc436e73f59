from __future__ import annotations

import pytest

from kling_async.api.labels import tag_of
from kling_async.cli.text import label_text, tag_text


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (None, ""),
        (7, "7"),
        (["a\n"], '["a\\n"]'),
        ({"output": 5}, '{"output": 5}'),
        ({"output": "a", "other": 1}, '{"output": "a", "other": 1}'),
        ("a\x1b[2J", "a [2J"),
        (tag_of({"take": "é"}, "x.mp4"), '{"take": "é"}'),
    ],
)
def test_a_tag_is_shown_in_a_line(tag: object, text: str) -> None:
    assert tag_text(tag) == label_text(tag) == text


def test_without_a_tag_the_name_that_was_asked_for_is_shown() -> None:
    assert (tag_text({"output": "x\n"}), label_text({"output": "x\n"})) == ("", "x")
