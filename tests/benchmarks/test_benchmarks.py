from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What one quick run of everything printed, and wrote."""
    file = tmp_path_factory.mktemp("figures") / "figures.json"
    done = run("--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text("utf-8"))


def figure(data: dict[str, Any], beginning: str) -> dict[str, Any]:
    [found] = [each for each in data["figures"] if each["name"].startswith(beginning)]
    return found


def test_every_figure_is_in_the_table_and_in_the_data(quick: tuple[str, dict[str, Any]]) -> None:
    table, data = quick

    assert data["quick"]
    assert len(data["figures"]) == 4
    for each in data["figures"]:
        assert each["name"] in table
        assert each["value"] > 0
        assert each["met"] == (each["value"] <= each["target"])
    assert f"{sum(each['met'] for each in data['figures'])} of 4 targets met" in table


def test_cpu_is_counted_for_both_sides(quick: tuple[str, dict[str, Any]]) -> None:
    raw = figure(quick[1], "CPU per poll")["raw"]

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


def test_an_unknown_measurement_is_refused_by_name() -> None:
    done = run("speed")

    assert done.returncode == 2
    assert "speed" in done.stderr
