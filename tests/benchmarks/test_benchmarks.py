from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from made_once import made_once
from programs import TIMEOUT, run

from benchmarks.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What one quick run of all that needs one session alone printed, and wrote."""
    folder = tmp_path_factory.mktemp("figures")
    return made_once(tmp_path_factory, "figures", lambda: measured(folder / "figures.json", *_ALONE))


_ALONE = ("cpu", "decision", "lines", "memory", "stall", "import", "journal", "downloads")


def measured(file: Path, *names: str) -> tuple[str, dict[str, Any]]:
    """What a quick run of measurements printed, and wrote."""
    done = run("benchmarks", "--quick", "--json", str(file), *names)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text("utf-8"))


def figure(data: dict[str, Any], beginning: str) -> dict[str, Any]:
    found: dict[str, Any]
    [found] = [each for each in data["figures"] if each["name"].startswith(beginning)]
    return found


def test_every_figure_is_in_the_table_and_in_the_data(quick: tuple[str, dict[str, Any]]) -> None:
    table, data = quick

    assert data["quick"]
    assert len(data["figures"]) == 19
    for each in data["figures"]:
        assert each["name"] in table
        assert each["value"] > 0
    aimed = [each["met"] for each in data["figures"] if each["target"] is not None]
    assert f"{sum(aimed)} of {len(aimed)} targets met" in table


@pytest.mark.parametrize(
    ("target", "at_least", "met"),
    [(2.0, False, True), (1.0, False, False), (2.0, True, True), (3.0, True, False), (None, False, None)],
)
def test_a_target_is_the_most_or_the_least_a_figure_may_be(
    *, target: float | None, at_least: bool, met: bool | None
) -> None:
    assert Figure("a figure", 2.0, target, at_least=at_least).met is met


def test_cpu_is_counted_for_both_sides(quick: tuple[str, dict[str, Any]]) -> None:
    raw = figure(quick[1], "CPU per poll, learned")["raw"]

    assert raw["polls_a_round"] == 1000
    assert raw["rounds"] == 2
    assert min(raw["session_us"], raw["bare_us"]) > 0
    assert raw["lowest_ratio"] <= raw["highest_ratio"]


def test_memory_is_told_for_jobs_that_are_really_there(quick: tuple[str, dict[str, Any]]) -> None:
    raw = figure(quick[1], "Resident" if sys.platform == "linux" else "Allocated")["raw"]

    assert raw["allocated_jobs"] == 500
    assert raw["allocated_bytes"] > 100  # a key, an id and two objects at the very least


def test_the_loop_is_watched_while_polls_go_on(quick: tuple[str, dict[str, Any]]) -> None:
    raw = figure(quick[1], "Longest stall")["raw"]

    assert raw["looks"] > 10
    assert raw["polls_per_s"] > 10
    assert raw["full_gc_max_ms"] > 0


def test_importing_is_timed_in_as_many_interpreters_as_asked(quick: tuple[str, dict[str, Any]]) -> None:
    raw = figure(quick[1], "Import")["raw"]

    assert raw["rounds"] == 2
    assert raw["library_ms"] > raw["dependencies_ms"] / 2


def test_submits_are_counted_with_either_journal(quick: tuple[str, dict[str, Any]]) -> None:
    found = figure(quick[1], "Submits per second")

    assert found["at_least"]
    assert found["raw"]["rounds"] == 2
    assert min(found["raw"]["sqlite_per_s"], found["raw"]["memory_per_s"]) > 10
    assert found["raw"]["lowest_ratio"] <= found["value"] <= found["raw"]["highest_ratio"]


def test_the_journals_that_are_opened_hold_the_jobs_that_are_told(quick: tuple[str, dict[str, Any]]) -> None:
    small = figure(quick[1], "Opening a journal, 500 jobs")
    large = figure(quick[1], "Opening a journal, 2,000 jobs")

    assert small["raw"]["file_mb"] > 500 * 200 / 1e6  # a row has its request, its id and its instants at least
    assert large["raw"]["file_mb"] > 2 * small["raw"]["file_mb"]
    assert figure(quick[1], "Peak memory for that")["unit"] == "MB"


@pytest.mark.timeout(TIMEOUT)
def test_journals_that_are_shared_are_measured_on_either_database(tmp_path: Path) -> None:
    _, data = measured(tmp_path / "figures.json", "sharing", "database")

    assert figure(data, "The leader's CPU a job")["raw"]["followed_ms"] > 0
    submits = figure(data, "Submits per second, PostgreSQL")
    assert submits["raw"]["lowest_ratio"] <= submits["value"] <= submits["raw"]["highest_ratio"]
    for kind in ("SQLite", "PostgreSQL"):
        for beginning in ("From a release to the next leader", "What watching adds to a follower's notice, median"):
            assert figure(data, f"{beginning}, {kind}")["value"] > 0


def test_an_unknown_measurement_is_refused_by_name() -> None:
    done = run("benchmarks", "speed")

    assert done.returncode == 2
    assert "speed" in done.stderr
