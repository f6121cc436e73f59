from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.cli.gallery.folder import names_for

PARTS = st.text(st.sampled_from("aAé\u0301ß .-~#?%&<\\:*\"'\n\u202e猫"), min_size=1, max_size=70).filter(
    lambda text: text not in (".", "..")
)
PATHS = st.builds(lambda folder, name: Path("/videos", folder, f"{name}.mp4"), PARTS, PARTS)


def test_names_are_the_files_own_where_they_can_be() -> None:
    paths = [Path("/a/01-raccoon.mp4"), Path("/b/猫 và mèo.MOV"), Path("/c/5% off? #1.mp4")]
    assert list(names_for(paths).values()) == ["01-raccoon.mp4", "猫-và-mèo.mov", "5-off-1.mp4"]


def test_files_that_want_the_same_name_all_get_another_whatever_their_order() -> None:
    paths = [Path("/a/out.mp4"), Path("/b/OUT.mp4"), Path("/c/in.mp4")]
    names = names_for(paths)
    assert names[paths[2]] == "in.mp4"
    assert names[paths[0]].startswith("out~")
    assert names[paths[1]].startswith("OUT~")
    assert names_for(reversed(paths)) == names


def test_a_name_that_is_taken_is_left_alone() -> None:
    (name,) = names_for([Path("/a/out.mp4")], taken={"OUT.mp4"}).values()
    assert name.startswith("out~")
    assert name.endswith(".mp4")


@pytest.mark.parametrize("name", ["con.mp4", "NUL.tar.mp4", "....mp4", " .mp4", "a" * 300 + ".mp4", ".hidden.mp4"])
def test_a_name_that_some_system_cannot_have_is_changed(name: str) -> None:
    (safe,) = names_for([Path("/a", name)]).values()
    assert safe[0] not in ". -"
    assert len(safe.encode()) < 240
    assert safe.partition(".")[0].lower() not in {"con", "nul", ""}


@given(st.lists(PATHS, unique=True, max_size=12))
def test_no_two_names_are_the_same_to_any_file_system(paths: list[Path]) -> None:
    names = names_for(paths)
    assert list(names) == paths
    assert len({name.casefold() for name in names.values()}) == len(paths)
    assert not any(set(name) & set('<>:"/\\|?*%#& \n\u202e') for name in names.values())
