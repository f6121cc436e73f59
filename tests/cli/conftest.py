"""A command in this process, in a folder of its own, with a sandbox for its vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from in_process import Answer, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_async.sandbox import Sandbox


@pytest.fixture
def vendor(kling_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that the environment names."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", kling_sandbox.url)
    monkeypatch.setenv("AIMLAPI_API_KEY", kling_sandbox.api_key)
    return kling_sandbox


@pytest.fixture
def kling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Calls the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def called(*arguments: Any) -> Answer:
        return call(capsys, *map(str, arguments))

    return called
