"""Benchmarks run untraced, as they would not measure much else, and have time for it on a busy machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import TIMEOUT

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have patience with whoever needs a whole run of a benchmark, which counts towards the first test of it."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker("untraced")
            if "quick" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.timeout(TIMEOUT))
