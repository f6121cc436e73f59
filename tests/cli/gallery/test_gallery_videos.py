from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gallery_samples import film
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kling_async.cli.gallery.entries import read_video_file

if TYPE_CHECKING:
    from pathlib import Path

UPRIGHT = (1, 0, 0, 0, 1, 0, 0, 0, 1)
TURNED = (0, 1, 0, 1, 0, 0, 0, 0, 1)


def box(kind: bytes, content: bytes, *, long: bool = False, to_the_end: bool = False) -> bytes:
    if long:
        return (1).to_bytes(4) + kind + (len(content) + 16).to_bytes(8) + content
    return (0 if to_the_end else len(content) + 8).to_bytes(4) + kind + content


def track(width: int, height: int, matrix: tuple[int, ...] = UPRIGHT) -> bytes:
    numbers = [part * 65536 for part in (*matrix, width, height)]
    return box(b"trak", box(b"tkhd", bytes(40) + b"".join(number.to_bytes(4) for number in numbers)))


def movie(seconds: int, *, version: int = 0) -> bytes:
    times = bytes(8) + (1000).to_bytes(4) + (seconds * 1000).to_bytes(4)
    if version == 1:
        times = bytes(16) + (1000).to_bytes(4) + (seconds * 1000).to_bytes(8)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times)


def dimensions(path: Path) -> tuple[int, int, float | None] | None:
    file = read_video_file(path)
    return None if file.width is None or file.height is None else (file.width, file.height, file.seconds)


def test_a_real_video_says_how_large_and_how_long_it_is(tmp_path: Path) -> None:
    assert dimensions(film(tmp_path / "a.mp4")) == (640, 360, 2.0)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (box(b"moov", movie(5) + track(0, 0) + track(720, 1280)), (720, 1280, 5.0)),
        (box(b"moov", movie(5, version=1) + track(960, 960)), (960, 960, 5.0)),
        (box(b"moov", movie(5) + track(1280, 720, TURNED)), (720, 1280, 5.0)),
        (box(b"moov", track(640, 360)), (640, 360, None)),
        (box(b"moov", movie(5) + track(640, 360), to_the_end=True), (640, 360, 5.0)),
        (box(b"mdat", bytes(99), long=True) + box(b"moov", movie(5) + track(8, 9), long=True), (8, 9, 5.0)),
        (box(b"moov", movie(5) + track(0, 0)), None),
        (box(b"moov", box(b"trak", box(b"tkhd", b"short"))), None),
        (box(b"moov", box(b"trak", b"")), None),
        (box(b"free", b"") * 1001 + box(b"moov", track(640, 360)), None),
        (box(b"moov", movie(5) + track(640, 360))[:-1], None),
        (box(b"mdat", bytes(10), to_the_end=True), None),
        (b"RIFF....WEBPVP8 and so on", None),
        (b"", None),
    ],
)
def test_whatever_the_file_is_made_of_its_dimensions_are_read_or_unknown(
    tmp_path: Path, content: bytes, found: tuple[object, ...] | None
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert dimensions(path) == found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(content=st.binary(max_size=80), at=st.integers(0, 4000))
def test_a_broken_video_is_no_trouble(tmp_path: Path, content: bytes, at: int) -> None:
    path = film(tmp_path / "a.mp4")
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + content + whole[at + len(content) :])
    found = dimensions(path)
    assert found is None or (found[0] > 0 and found[1] > 0)
