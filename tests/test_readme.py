"""The README's Python runs as it stands: in an empty folder, with sessions on the sandbox in place of the vendor's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kling_async

if TYPE_CHECKING:
    from kling_async.sandbox import Sandbox

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BASH = shutil.which("bash") or ""
SHELL = re.findall(r"```sh\n(.*?)```", README.partition("## The command line")[2].partition("\n## ")[0], re.DOTALL)
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.kling_sandbox(speed=2000)
@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{n}" for n in range(1, len(BLOCKS) + 1)])
def test_block_runs(block: str, kling_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def session(*_key: str, **settings: Any) -> kling_async.KlingSession:
        return kling_sandbox.session(**{name: settings[name] for name in settings if name != "polling"})

    monkeypatch.setattr(kling_async, "KlingSession", session)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102 - this project's own words


@pytest.mark.skipif(not BASH, reason="the shell blocks are for bash, which there is none of here")
@pytest.mark.parametrize("block", SHELL, ids=[f"shell{n}" for n in range(1, len(SHELL) + 1)])
def test_shell_block_runs_without_a_key(block: str, tmp_path: Path) -> None:
    script = f"set -euo pipefail\n{block.replace('kling-async demo', 'kling-async demo --speed 200')}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    keyless = {name: value for name, value in os.environ.items() if not name.startswith("AIML")}
    done = subprocess.run(  # noqa: S603 - this project's own words
        [BASH, "-c", script], cwd=tmp_path, env=keyless | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_there_are_blocks_to_run() -> None:
    assert len(BLOCKS) >= 4
    assert len(SHELL) >= 2


def test_every_name_in_the_errors_table_is_an_error() -> None:
    table = README.partition("## Errors")[2].partition("\n## ")[0]
    names = [name for name in re.findall(r"`([A-Z][A-Za-z]+)`", table) if name not in ("ValueError", "TimeoutError")]
    assert len(names) >= 15
    assert [name for name in names if not issubclass(getattr(kling_async, name), kling_async.KlingError)] == []
