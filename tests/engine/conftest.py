"""What the engine's tests share."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test about which asyncio complains: tasks destroyed, failures nobody retrieved, misuse in debug mode."""
    yield
    gc.collect()
    records = [*caplog.get_records("call"), *caplog.get_records("teardown")]
    complaints = [r.getMessage() for r in records if r.name == "asyncio" and r.levelno >= logging.WARNING]
    assert complaints == []
