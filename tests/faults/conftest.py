"""The fixture of the tests of faults: a case, which is one fault from its injection to the check of what it left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from fault_case import Case

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def case(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A fault to be injected; nothing in it waits long."""
    monkeypatch.setattr("kling_async.settings._FIRST_GAP", 0.02)
    monkeypatch.setattr("kling_async.settings._LONGEST_GAP", 0.05)
    monkeypatch.setattr("kling_async.engine.scheduler._POST_GRACE", 0.02)
    monkeypatch.setattr("kling_async.files.download._WAIT", 0.001)
    monkeypatch.setattr("kling_async.engine.account._FIRST_WAIT", 0.01)
    monkeypatch.setattr("kling_async.pacing.rate_limiter._FIRST_PAUSE", 0.01)
    caplog.set_level(logging.DEBUG)
    return Case(tmp_path, caplog)
