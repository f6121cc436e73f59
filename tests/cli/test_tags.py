from __future__ import annotations

import pytest

from kling_async.cli.tags import Label, label_of, tag_of


@pytest.mark.parametrize(("tag", "output"), [(None, None), ("t", None), (None, "o.mp4"), ("t", "o.mp4")])
def test_what_is_put_in_comes_out(tag: str | None, output: str | None) -> None:
    assert label_of(tag_of(tag, output)) == Label(tag, output)


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        (7, Label("7")),
        (["a\n"], Label('["a\\n"]')),
        ({"output": 5}, Label('{"output": 5}')),
        ({"output": "a", "other": 1}, Label('{"output": "a", "other": 1}')),
        ("a\x1b[2J", Label("a [2J")),
    ],
)
def test_a_tag_that_others_made_is_shown_in_a_line(tag: object, label: Label) -> None:
    assert label_of(tag) == label
