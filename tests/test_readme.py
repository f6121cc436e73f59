"""The README's Python runs as it stands: in an empty folder, with sessions on the sandbox in place of the vendor's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kling_async

if TYPE_CHECKING:
    from kling_async.sandbox import Sandbox

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.kling_sandbox(speed=2000)
@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{n}" for n in range(1, len(BLOCKS) + 1)])
def test_block_runs(block: str, kling_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def session(*_key: str, **settings: Any) -> kling_async.KlingSession:
        return kling_sandbox.session(**{name: settings[name] for name in settings if name != "polling"})

    monkeypatch.setattr(kling_async, "KlingSession", session)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102 - this project's own words


def test_there_are_blocks_to_run() -> None:
    assert len(BLOCKS) >= 4


def test_every_name_in_the_errors_table_is_an_error() -> None:
    table = README.partition("## Errors")[2].partition("\n## ")[0]
    names = [name for name in re.findall(r"`([A-Z][A-Za-z]+)`", table) if name not in ("ValueError", "TimeoutError")]
    assert len(names) >= 15
    assert [name for name in names if not issubclass(getattr(kling_async, name), kling_async.KlingError)] == []
