from __future__ import annotations

from pathlib import Path

import pytest

import kling_async.sandbox
from kling_async.cli.commands.sandbox import file_problem

SAMPLE = (Path(kling_async.sandbox.__file__).parent / "films/16x9-0.mp4").read_bytes()


def box(name: bytes, size: int = 16) -> bytes:
    return size.to_bytes(4) + name + bytes(size - 8)


def found(tmp_path: Path, content: bytes, expected_size: int | None = None) -> str | None:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    return file_problem(path, expected_size)


def test_a_real_video_is_whole(tmp_path: Path) -> None:
    assert found(tmp_path, SAMPLE, len(SAMPLE)) is None


def test_a_video_of_another_size_is_not(tmp_path: Path) -> None:
    assert found(tmp_path, SAMPLE, len(SAMPLE) + 1) == f"it has {len(SAMPLE):,} bytes, not {len(SAMPLE) + 1:,}"


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_a_video_cut_short_is_not(tmp_path: Path, cut: int) -> None:
    assert found(tmp_path, SAMPLE[:-cut]) == "it breaks off"


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", SAMPLE[4:]])
def test_another_file_is_not(tmp_path: Path, content: bytes) -> None:
    assert found(tmp_path, content) == "it does not begin as an mp4 file"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((b"moov",), "it has no mdat box"),
        ((b"mdat",), "it has no moov box"),
        ((b"free",), "it has no moov and no mdat box"),
    ],
)
def test_a_video_without_its_parts_is_not(tmp_path: Path, names: tuple[bytes, ...], said: str) -> None:
    assert found(tmp_path, box(b"ftyp") + b"".join(map(box, names))) == said


def test_a_last_box_may_reach_to_the_end_of_the_file(tmp_path: Path) -> None:
    assert found(tmp_path, box(b"ftyp") + box(b"moov") + bytes(4) + b"mdat" + bytes(99)) is None


def test_a_box_may_have_a_long_size(tmp_path: Path) -> None:
    long = (1).to_bytes(4) + b"mdat" + (116).to_bytes(8) + bytes(100)
    assert found(tmp_path, box(b"ftyp") + box(b"moov") + long) is None


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_problem(tmp_path / "video.mp4", None)
