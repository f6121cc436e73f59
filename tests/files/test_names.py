"""Names fit every file system, with all that is added to them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.labels import is_output
from kling_async.files.names import LONGEST, cut, folded, joined, numbered, safe, unusable
from kling_async.files.video_names import NameAllocator, requested_name

MOST_ADDED = len("..part.json")
TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from("\U00020000\U0001f469\u200d\u0301\u093f猫가\ud83d\udc69")), max_size=400
)


def size(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


@given(TEXTS)
def test_a_safe_part_can_be_a_name_anywhere(text: str) -> None:
    part = safe(text, 80)
    assert 0 < size(part) <= LONGEST
    assert part.encode()  # no half characters
    assert part == unicodedata.normalize("NFC", part)
    assert not set(part) & set('<>:"/\\|?*\0\n\u202e \u200d')
    assert part[0] not in "-. "
    assert part[-1] not in "-. "


@given(TEXTS, st.integers(0, 300))
def test_a_cut_text_is_a_beginning_that_fits(text: str, most: int) -> None:
    kept = cut(text, most)
    assert text.startswith(kept)
    assert size(kept) <= most
    assert size(text) > most or kept == text


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("cafe\u0301", 4, "caf"),
        ("cafe\u0301", 6, "cafe\u0301"),
        ("a\U0001f469\u200d\U0001f680", 8, "a"),
        ("ab\u0915\u093f", 5, "ab"),
        ("a\ud83d\udc69", 4, "a"),
        ("\u0301\u0301", 2, "\u0301"),
    ],
)
def test_what_is_shown_as_one_is_kept_or_left_as_one(text: str, most: int, kept: str) -> None:
    assert cut(text, most) == kept


@pytest.mark.parametrize("text", ["\U00020000" * 80, "猫" * 80, "\u0915\u093f" * 80, "é" * 300, "가" * 300])
@pytest.mark.parametrize("number", [2, 9999])
def test_a_long_name_can_be_written_with_all_that_is_added(tmp_path: Path, text: str, number: int) -> None:
    name = numbered(requested_name(text), number)
    assert name.endswith(f"-{number}.mp4")
    assert size(name) + MOST_ADDED <= 255
    (tmp_path / f".{name}.part.json").touch()


@given(st.lists(TEXTS.filter(is_output), max_size=12))
def test_no_two_outputs_get_one_name_nor_the_name_of_anothers_folder(outputs: list[str]) -> None:
    names = NameAllocator()
    given_out = [folded(names.allocate(requested_name(output))) for output in outputs]
    folders = {str(folder) for name in given_out for folder in PurePosixPath(name).parents}
    assert len(set(given_out)) == len(outputs)
    assert folders.isdisjoint(given_out)
    assert all(size(part) <= LONGEST for name in given_out for part in PurePosixPath(name).parts)


@pytest.mark.parametrize("device", ["com1", "COM\u00b9", "lpt\u00b2", "Lpt\u00b3", "con", "aux.x", "nul"])
def test_no_name_means_a_device_to_windows(device: str) -> None:
    assert safe(device, 80) == f"_{device}"


@pytest.mark.parametrize(
    ("one", "other"), [("FOX", "fox"), ("fo\u0301x", "f\u00d3x"), ("stra\u00dfe", "STRASSE"), ("\u03a3", "\u03c2")]
)
def test_what_some_file_system_takes_for_one_name_is_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def test_an_ending_is_never_cut() -> None:
    assert joined("猫" * 200, "~0123456789ab.mp4").endswith("猫~0123456789ab.mp4")


def test_a_path_that_fits_is_fine(tmp_path: Path) -> None:
    assert unusable(tmp_path / "new" / "folder" / "fox.mp4") is None


def test_a_name_or_a_path_that_is_too_long_for_the_system_is_told(tmp_path: Path) -> None:
    assert "has 256 bytes; allowed: 255" in str(unusable(tmp_path / ("x" * 256) / "fox.mp4"))
    deep = Path(tmp_path, *["d" * 200] * 25, "fox.mp4")
    assert f"its path has {len(os.fsencode(deep))} bytes" in str(unusable(deep))
