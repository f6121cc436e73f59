from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from made_once import made_once
from programs import run

from benchmarks.limits.clients import loops, session
from benchmarks.limits.limiters import LIMITERS
from benchmarks.limits.report import Report, met
from benchmarks.limits.scenarios import LOOPS, OURS, Hidden, Stepped
from benchmarks.limits.vendor import LimitedVendor
from benchmarks.policy.session import run_virtual

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What one quick run printed, and wrote."""
    return made_once(tmp_path_factory, "limits", lambda: quick_run(tmp_path_factory.mktemp("limits") / "figures.json"))


def quick_run(file: Path) -> tuple[str, dict[str, Any]]:
    done = run("benchmarks.limits", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text("utf-8"))


def test_both_clients_are_in_the_tables_and_in_the_data(quick: tuple[str, dict[str, Any]]) -> None:
    text, data = quick
    for found in (data["stepped"], data["hidden"]):
        assert {row["client"] for row in found} == {OURS, LOOPS}
    assert text.count("\n") == len(data["stepped"]) + len(data["hidden"]) + 5


def test_ours_is_hardly_refused_and_the_loops_mostly(quick: tuple[str, dict[str, Any]]) -> None:
    for row in [*quick[1]["stepped"], *quick[1]["hidden"]]:
        assert row["refused"] < 0.05 if row["client"] == OURS else row["refused"] > 0.5


@pytest.mark.parametrize("kind", LIMITERS)
def test_every_limiter_lets_in_its_rate_and_no_more(kind: str) -> None:
    limiter = LIMITERS[kind]()
    passed = [limiter.admit(number * 0.05, 4.0) for number in range(20 * 300)]
    assert sum(passed) == pytest.approx(4.0 * 300.0, rel=0.05)


@pytest.mark.parametrize("kind", LIMITERS)
def test_every_limiter_follows_when_the_limit_moves(kind: str) -> None:
    limiter = LIMITERS[kind]()
    for number in range(20 * 120):
        limiter.admit(number * 0.05, 2.0)
    passed = [limiter.admit(120.0 + number * 0.01, 8.0) for number in range(100 * 240)]
    assert sum(passed) == pytest.approx(8.0 * 240.0, rel=0.06)


@pytest.mark.parametrize("client", [session, loops])
def test_everything_is_noticed_whatever_is_refused(client: Any) -> None:
    rng = Random(1)
    vendor = LimitedVendor(LIMITERS["bucket of 1"](), [(0.0, 0.5)], lambda: rng.uniform(30.0, 300.0), rng)
    run_virtual(client(vendor, 12, None, 1))
    assert sorted(vendor.delays) == list(range(12))
    assert all(delay >= 0.0 for delay in vendor.delays.values())
    assert any(not each.passed for each in vendor.log)


def test_what_has_ended_makes_room_for_others_until_the_end() -> None:
    rng = Random(1)
    vendor = LimitedVendor(LIMITERS["bucket of 5"](), [(0.0, 5.0)], lambda: 100.0, rng)
    run_virtual(session(vendor, 10, 1000.0, 1))
    assert len(vendor.delays) > 40
    assert max(each.at for each in vendor.log) < 1000.0


def stepped(refused: float, goodput: float) -> Stepped:
    return Stepped(OURS, "bucket", refused, refused, refused, [1.0, goodput], [])


def test_a_target_is_met_only_if_both_its_halves_are() -> None:
    assert met(stepped(0.01, 0.95))
    assert not met(stepped(0.011, 0.95))
    assert not met(stepped(0.01, 0.949))


def test_a_report_leaves_out_what_nobody_can_tell() -> None:
    report = Report([stepped(0.02, 0.9)], [Hidden(OURS, "real", 6.0, float("nan"), 0.01, 0.97)])
    assert "**missed**" in report.as_markdown()
    assert "| 6.0 |  | 1.00% | 97.0% |" in report.as_markdown()
    assert json.loads(json.dumps(report.as_data(), allow_nan=False))["hidden"][0]["delay"] is None
