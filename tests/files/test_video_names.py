"""The file names that generations' videos get."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.results import Video
from kling_async.files.names import safe_name

VIDEO = Video("https://cdn.example.com/a")


@pytest.mark.parametrize("generation_id", ["ce81dc29-4c5a-4d0e-8c4c-000000000000", "1234567890", "v1xuz_9a0-b2"])
def test_an_id_that_is_safe_as_it_is_stays(generation_id: str) -> None:
    assert safe_name(generation_id, VIDEO) == f"{generation_id}.mp4"


def test_an_id_with_a_model_in_it_keeps_what_can_be_kept() -> None:
    name = safe_name("ce81dc29:kling-video/v2.1/master/text-to-video", VIDEO)

    assert re.fullmatch(r"ce81dc29-kling-video-v2\.1-master-text-to-video~[0-9a-f]{12}\.mp4", name)


@pytest.mark.parametrize(
    "ids",
    [
        ("V1StGXR8_Z5jdHi6B-myT", "v1stgxr8_z5jdhi6b-myt", "V1stGXR8_Z5jdHi6B-myT"),
        ("a:b", "a/b", "a-b", "a\\b"),
        ("-a", "a", "--a", ".a", "a."),
        ("", "video", "..", "/", "-"),
        ("x" * 100, "x" * 101, "x" * 102),
    ],
)
def test_different_ids_have_different_names_even_where_case_does_not_count(ids: tuple[str, ...]) -> None:
    assert len({safe_name(generation_id, VIDEO).lower() for generation_id in ids}) == len(ids)


@pytest.mark.parametrize("generation_id", ["con", "NUL", "com1", "lpt9", "aux.x", "prn.:1"])
def test_names_that_mean_a_device_to_windows_are_not_used(generation_id: str) -> None:
    assert safe_name(generation_id, VIDEO).startswith("_")


@given(st.text(max_size=400), st.text(max_size=400))
def test_every_name_is_safe_and_stands_for_one_id(first: str, second: str) -> None:
    name = safe_name(first, VIDEO)

    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._~-]*\.mp4", name)
    assert len(name) <= 120
    assert (name.lower() == safe_name(second, VIDEO).lower()) == (first == second)


@pytest.mark.parametrize(
    ("video", "suffix"),
    [
        (Video("https://h/a.webm", content_type="video/mp4; codecs=avc1"), ".mp4"),
        (Video("https://h/a", content_type="VIDEO/QuickTime"), ".mov"),
        (Video("https://h/a.mp4", content_type="application/octet-stream", file_name="b.WebM"), ".webm"),
        (Video("https://h/a.MOV?x=.webm"), ".mov"),
        (Video("https://h/a.exe", file_name="b.sh"), ".mp4"),
        (Video("https://h/a", file_name="../../etc/cron.d/x"), ".mp4"),
        (Video("https://h/a"), ".mp4"),
    ],
)
def test_the_suffix_is_what_the_vendor_says_the_file_is(video: Video, suffix: str) -> None:
    assert safe_name("1", video) == f"1{suffix}"


def test_the_vendors_file_name_is_never_a_part_of_the_name() -> None:
    assert safe_name("1", Video("https://h/a", file_name="/etc/passwd.mov")) == "1.mov"
