from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import programs
import pytest

from benchmarks.policy.feed.ledger import LEDGERS, Ledger, Recording
from benchmarks.policy.feed.plan import AIMS, FULL
from benchmarks.policy.feed.play import Cell, Figures, play_cell
from benchmarks.policy.feed.report import OFF, Harm, Played, Report

POLLED = Recording(polled=True)
CELL = Cell(500, "economy")


@pytest.mark.timeout(programs.TIMEOUT)
def test_a_quick_run_shows_every_cell_at_every_ledger(tmp_path: Any) -> None:
    files = ["--json", str(tmp_path / "feed.json"), "--markdown", str(tmp_path / "feed.md")]
    done = programs.run("benchmarks.policy.feed", "--quick", *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "feed.md").read_text("utf-8")
    data = json.loads((tmp_path / "feed.json").read_text("utf-8"))
    assert {run["ledger"] for run in data["runs"]} == {"off", "lag 0", "lag 2 s", "each minute", "refused"}
    assert len(data["runs"]) == 3 * 5
    assert data["one by one under a rate"].keys() == {"80"}
    assert all(run["requests"] > 2.0 for run in data["runs"])


def test_every_aim_is_played_in_full() -> None:
    assert {aim.cell for aim in AIMS} <= set(FULL.cells)
    assert {aim.ledger for aim in AIMS} <= set(FULL.ledgers)
    assert all(len(FULL.seeds(cell)) >= 8 for cell in FULL.cells)


def figures(requests: float, delay: float) -> Figures:
    return Figures(requests, delay, delay, 9.0, 0.5, 0.9)


def report(on: list[Figures]) -> Report:
    off = Played(CELL, OFF, [figures(10.0, 5.0), figures(20.0, 10.0)])
    return Report({(CELL, OFF): off, (CELL, "lag 0"): Played(CELL, "lag 0", on)}, [], {})


def test_harm_is_judged_run_by_run_by_requests_and_delay_together() -> None:
    found = report([figures(10.0, 6.0), figures(20.0, 8.0)])
    assert found.harm(CELL, "lag 0").mean == pytest.approx((0.1 - 0.1) / 2)
    assert found.harm(CELL, "lag 0").error == pytest.approx(0.1)
    assert str(Harm(0.021, 0.004)) == "**+2.1 ± 0.4**"
    assert str(Harm(0.019, 0.004)) == "+1.9 ± 0.4"


def test_aims_that_are_missed_and_harm_are_told() -> None:
    text = report([figures(11.0, 5.5), figures(22.0, 11.0)]).as_markdown()
    assert "| 500, economy, cold, lag 0: requests | 16.5 | ≤ 5 | **missed** |" in text
    assert "| most harm: 500, economy, cold, lag 0 | 0.1 | ≤ 0.02 | **missed** |" in text
    assert "| 500, economy, cold | 2 | **+10.0 ± 0.0** |" in text
    assert (
        "| most harm: 500, economy, cold, lag 0 | -0.625 | ≤ 0.02 | met |"
        in report([figures(5.0, 2.5)] * 2).as_markdown()
    )


@pytest.mark.parametrize("ledger", [None, "each minute"])
def test_one_alone_has_no_luck_and_is_not_looked_for(ledger: str | None) -> None:
    cell = Cell(1, "economy", warm=True)
    one, other = (play_cell(cell, ledger, seed) for seed in (1, 2))
    assert one.looks == one.told == 0.0
    assert one.cost("economy") == pytest.approx(other.cost("economy"), rel=0.03)
    assert play_cell(Cell(1, "economy"), ledger, 1) == play_cell(Cell(1, "economy"), None, 1)


def test_a_ledger_is_paged_newest_first_and_records_as_it_is_told_to() -> None:
    plain, minutely, late = (Ledger(recording, 1) for recording in (Recording(), Recording(batch=60.0), POLLED))
    for ledger in (plain, minutely, late):
        for number in range(150):
            ledger.charge(f"g{number}", float(number))
    [(first, first_is_last), (second, second_is_last)] = plain.pages(119.5)
    assert first is not None
    assert (first[0], len(first), second, first_is_last, second_is_last) == (
        "g119",
        100,
        [f"g{number}" for number in range(19, -1, -1)],
        False,
        True,
    )
    assert [len(ids or []) for ids, _ in minutely.pages(119.5)] == [61]
    assert [ids for ids, _ in late.pages(1e6)] == [[]]
    late.told("g7", 20.0)
    assert [ids for ids, _ in late.pages(1e6)] == [["g7"]]
    assert list(Ledger(Recording(refused=True), 1).pages(0.0)) == [(None, True)]


@pytest.mark.parametrize("name", LEDGERS)
def test_no_vendor_makes_the_feed_harmful(name: str) -> None:
    cell = Cell(150, "economy")
    off, on = ([play_cell(cell, ledger, seed).cost("economy") for seed in range(4)] for ledger in (None, name))
    assert fmean(on) < 1.06 * fmean(off)  # four runs of 150 are off by some 2 %


def test_the_feed_saves_half_of_everything_where_the_ledger_leads() -> None:
    cell = Cell(300, "economy", warm=True)
    off, on = play_cell(cell, None, 1), play_cell(cell, "lag 2 s", 1)
    assert on.cost("economy") < 0.6 * off.cost("economy")
    assert on.told > 0.8
