"""Time for benchmarks on a busy machine: the fixture that runs one counts towards whichever test needs it first."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import TIMEOUT

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever needs a whole run of a benchmark has the patience for it."""
    for item in items:
        if item.path.parent == HERE and "quick" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(TIMEOUT))
