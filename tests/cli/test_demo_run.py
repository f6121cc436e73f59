from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

import kling_async.cli.commands.sandbox
from kling_async.cli.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def outcome(tmp_path: Path) -> tuple[int, str]:
    """The exit code and the messages of a demo of one job."""
    err = io.StringIO()
    terminal = Terminal(Console(file=io.StringIO()), Console(file=err, width=80))
    return kling_async.cli.commands.sandbox.run_demo(tmp_path, terminal, jobs=1, speed=2000, seed=1), err.getvalue()


def test_a_file_that_is_not_whole_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kling_async.cli.commands.sandbox, "file_problem", lambda _path, _size: "it breaks off")
    code, messages = outcome(tmp_path)
    assert code == 1
    assert messages.splitlines()[-1] == "01-raccoon (klingai/v2.1-master-text-to-video): it breaks off"


def test_a_file_that_cannot_be_read_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_path: Path, _size: int) -> None:
        raise FileNotFoundError(2, "no such file")

    monkeypatch.setattr(kling_async.cli.commands.sandbox, "file_problem", gone)
    code, messages = outcome(tmp_path)
    assert code == 1
    assert "01-raccoon.mp4 cannot be read: " in messages.splitlines()[-1]
