from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from benchmarks import downloads
from benchmarks.file_server import serving_files

if TYPE_CHECKING:
    from benchmarks.figure import Figure


@pytest.fixture(scope="module")
def quick() -> list[Figure]:
    return downloads.measure(downloads.QUICK)


def test_both_sides_fetch_every_file_in_every_round(quick: list[Figure]) -> None:
    raw = quick[0].raw

    assert (raw["files"], raw["file_mb"], raw["rounds"]) == (6, 2, 2)
    assert raw["session_mb_per_s"] > 0
    if "curl_mb_per_s" in raw:
        assert quick[0].target == 0.8
        assert raw["lowest_ratio"] <= raw["highest_ratio"]
    else:
        assert quick[0].target is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_memory_is_looked_at_for_small_and_for_large_files(quick: list[Figure]) -> None:
    raw = quick[1].raw

    assert raw["files_of_1_mb_peak_mb"] > 10
    assert raw["files_of_4_mb_peak_mb"] > 10
    assert quick[1].target == 1.1


def test_without_curl_the_throughput_is_told_without_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    few = downloads.Load(files=2, megabytes=1, rounds=1, memory_megabytes=(1,), memory_files=1)

    figure = downloads.measure(few)[0]

    assert (figure.target, figure.unit) == (None, "MB/s")


def test_the_server_has_a_file_of_that_size_under_any_name() -> None:
    with serving_files(5) as base:
        for name in ("a", "b/c"):
            with urlopen(f"{base}/{name}") as answer:  # noqa: S310 - on loopback
                assert (answer.headers["ETag"], len(answer.read())) == ('"a-film"', 5)
