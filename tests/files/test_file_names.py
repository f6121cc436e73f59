from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async import ImageToVideo, TextToVideo
from kling_async.api.labels import is_output
from kling_async.files.video_names import NameAllocator, default_name, free_path, requested_name, short_key

KEY = "0123456789abcdef0123456789abcdef-1"
OUTPUTS = st.text(min_size=1, max_size=200).filter(is_output)


@pytest.mark.parametrize(
    ("key", "shown"), [(KEY, "01234567"), (KEY[:-1] + "12", "01234567-12"), ("row-9", "row-9"), ("a" * 32, "a" * 32)]
)
def test_a_rows_key_is_shown_short(key: str, shown: str) -> None:
    assert short_key(key) == shown


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red fox!", "a-red-fox-01234567.mp4"),
        ("D\u00e9j\u00e0 vu", "deja-vu-01234567.mp4"),
        ("\u30ad\u30c4\u30cd", "01234567.mp4"),
        ("one two three four five six seven eight nine ten", "one-two-three-four-five-six-seven-eight-01234567.mp4"),
        ("x" * 100, f"{'x' * 40}-01234567.mp4"),
    ],
)
def test_a_file_is_named_after_the_first_words_of_the_prompt_and_the_key(prompt: str, name: str) -> None:
    assert default_name(TextToVideo(prompt), KEY) == name


def test_without_a_prompt_a_file_is_named_after_the_key() -> None:
    assert default_name(ImageToVideo("https://a.example/b.jpg"), "row-9") == "row-9.mp4"
    assert default_name(None, KEY) == "01234567.mp4"


@given(st.lists(st.text("aA.:_-", min_size=1, max_size=4) | st.just("x" * 105 + "ab"), unique=True))
def test_different_keys_have_different_names_on_any_file_system(keys: list[str]) -> None:
    assert len({default_name(TextToVideo("A fox"), key).lower() for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("fox", "fox.mp4"),
        ("Fox.MOV", "Fox.mov"),
        ("v1.5", "v1.5.mp4"),
        ("beach/day 1/fox.mp4", "beach/day-1/fox.mp4"),
        ("beach\\fox", "beach/fox.mp4"),
        ("con.mp4", "_con.mp4"),
        ("?*", "video.mp4"),
        (".hidden", "hidden.mp4"),
    ],
)
def test_the_name_asked_for_is_made_safe(output: str, name: str) -> None:
    assert requested_name(output) == name


@pytest.mark.parametrize("output", ["", " ", "/etc/fox", "../fox", "a/../../fox", "C:/fox", "C:fox", 5, "."])
def test_a_name_outside_the_folder_is_none(output: object) -> None:
    assert not is_output(output)


@given(OUTPUTS)
def test_any_name_that_is_allowed_stays_inside_the_folder(output: str) -> None:
    path = PurePosixPath(requested_name(output))
    assert not path.is_absolute()
    assert all(part.strip(". ") == part.rstrip(" .") and len(part) <= 90 and "\0" not in part for part in path.parts)
    assert path.suffix


@given(st.lists(st.sampled_from(["fox.mp4", "FOX.mp4", "fox-2.mp4", "fo\u0301x.mp4", "f\u00f3x.mp4", "a/fox.mp4"])))
def test_no_two_names_are_the_same_on_any_file_system(wanted: list[str]) -> None:
    names = NameAllocator()
    given = [names.allocate(name) for name in wanted]
    assert len({name.casefold() for name in given}) == len(wanted)


def test_equal_names_are_numbered_in_their_order() -> None:
    names = NameAllocator()
    assert [names.allocate(name) for name in ("fox.mp4", "fox.mp4", "a/fox.mp4", "fox.mp4", "fox-2.mp4")] == [
        "fox.mp4",
        "fox-2.mp4",
        "a/fox.mp4",
        "fox-3.mp4",
        "fox-2-2.mp4",
    ]


def test_what_is_there_is_never_in_the_way_of_another(tmp_path: Path) -> None:
    (tmp_path / "fox.mp4").touch()
    (tmp_path / "fox-2.mp4").mkdir()
    taken = set[str]()
    given = [free_path(tmp_path / "fox.mp4", taken).name for _ in range(2)]
    assert given == ["fox-3.mp4", "fox-4.mp4"]
    assert free_path(tmp_path / "a.mp4", taken).name == "a.mp4"
