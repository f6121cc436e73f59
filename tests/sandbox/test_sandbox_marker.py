"""The marker of the fixture, in a test run of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MERGED = """
import pytest
pytestmark = pytest.mark.kling_sandbox(seed=3, speed=100, credits=7)

@pytest.mark.kling_sandbox(speed=200, slots=5)
class TestIt:
    def test_class(self, kling_sandbox):
        assert (kling_sandbox.seed, kling_sandbox.speed, kling_sandbox.slots, kling_sandbox.credits) == (3, 200, 5, 7)

    @pytest.mark.kling_sandbox(slots=6, credits=8)
    def test_function(self, kling_sandbox):
        assert (kling_sandbox.seed, kling_sandbox.speed, kling_sandbox.slots, kling_sandbox.credits) == (3, 200, 6, 8)
"""

POSITIONAL = """
import pytest
@pytest.mark.kling_sandbox(600)
def test_it(kling_sandbox):
    pass
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)  # noqa: S603 - this one


def test_markers_add_up_and_the_nearest_wins(tmp_path: Path) -> None:
    done = run(tmp_path, MERGED)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout


def test_a_setting_without_its_name_is_a_usage_error(tmp_path: Path) -> None:
    done = run(tmp_path, POSITIONAL)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_it.py::test_it: kling_sandbox takes settings by their names, such as speed=600" in done.stderr
