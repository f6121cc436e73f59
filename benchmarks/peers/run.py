"""One run: one client, so many jobs, one seed, under one condition; a process for the vendor, one for the client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from benchmarks.peers.environments import Unavailable, python_with
from benchmarks.peers.outcome import evaluate
from benchmarks.peers.vendor.ledger import VendorSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from benchmarks.peers.outcome import Outcome
    from benchmarks.peers.settings import Setting

__all__ = ["CONDITIONS", "Case", "run"]

_ROOT = Path(__file__).parents[2]
_REASON = 300  # characters of an error
_KEPT = ("PATH", "HOME", "SYSTEMROOT", "TMPDIR", "TEMP", "LANG")  # no keys, proxies or habits of the caller's

CONDITIONS: Mapping[str, Mapping[str, float]] = {
    "plain": {},
    "lost": {"lost": 0.02},
    "limited": {"rate": 5.0},
    "led": {"lag": 2.0},
}
"""What the vendor is like: well; losing 2 % of its answers to submits; refusing what exceeds 5 requests a second;
showing charges some 2 seconds after the end, asked or not."""


@frozen(kw_only=True)
class Case:
    """One run to make.

    Attributes:
        setting: The client.
        condition: One of ``CONDITIONS``.
        jobs: How many, all submitted at once.
        seed: What durations, lost answers and jitter are drawn from.
        median: The median duration in seconds.
        real: Whether time is left to pass by itself.
        timeout: Real seconds after which the run is given up.
    """

    setting: Setting
    condition: str
    jobs: int
    seed: int = 1
    median: float
    real: bool = False
    timeout: float = 3600.0


def run(case: Case) -> Outcome:
    """Run it.

    Raises:
        Unavailable: The client cannot be had, fails as a whole, or does not come to an end.
    """
    python = python_with(case.setting.requirements)
    settings = VendorSettings(jobs=case.jobs, seed=case.seed, median=case.median, **CONDITIONS[case.condition])
    with TemporaryDirectory(prefix="peers-") as folder:
        clock = Path(folder) / "clock"
        with _vendor(settings, clock) as (vendor, port):
            report = _client(python, case, clock, f"http://127.0.0.1:{port}")
            ledger, _ = vendor.communicate()
    return evaluate(json.loads(ledger), report)


@contextmanager
def _vendor(settings: VendorSettings, clock: Path) -> Generator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "benchmarks.peers.vendor", json.dumps(asdict(settings)), str(clock)]
    with subprocess.Popen(  # noqa: S603 - our own
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdout is None or not (port := process.stdout.readline()):
                raise RuntimeError("the vendor does not start")
            yield process, int(port)
        finally:
            if process.poll() is None:
                process.kill()


def _client(python: Path, case: Case, clock: Path, url: str) -> dict[str, Any]:
    """Run the client to its end; returns its report."""
    asked = {
        "client": case.setting.client,
        "options": dict(case.setting.options),
        "url": url,
        "clock": str(clock),
        "jobs": case.jobs,
        "seed": case.seed,
        "real": case.real,
    }
    command = [str(python), "-m", "benchmarks.peers.child", json.dumps(asked)]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - our own
            command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False, timeout=case.timeout
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not at its end after {case.timeout:,.0f} s") from None
    if done.returncode:
        raise Unavailable((done.stderr.strip().splitlines() or ["it said nothing"])[-1][-_REASON:])
    report: dict[str, Any] = json.loads(done.stdout)
    return report
