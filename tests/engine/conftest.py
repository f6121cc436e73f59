"""Fixtures of the engine's tests."""

from __future__ import annotations

import asyncio
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


@pytest.fixture(autouse=True)
def wall_clock_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wall-clock time passes as the loop's does, so that virtual time is told everywhere."""
    monkeypatch.setattr("kling_async.session.wall_clock", lambda: 1_800_000_000 + asyncio.get_running_loop().time())
