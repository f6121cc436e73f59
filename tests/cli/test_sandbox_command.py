from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from child_process import run_child

from kling_async import ConfigurationError
from kling_async.cli.commands.sandbox import file_problem, how_to_use, read_faults
from kling_async.sandbox import Faults, Sandbox, SandboxThread

if TYPE_CHECKING:
    from pathlib import Path


def test_faults_are_read_by_name() -> None:
    given = ["server_error=0.25", "drop-after=1", "slow_seconds=0.5", "error_shape=detail"]
    assert read_faults(given) == Faults(server_error=0.25, drop_after=1.0, slow_seconds=0.5, error_shape="detail")


def test_no_faults_are_none() -> None:
    assert read_faults([]) == Faults()


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"no fault 'weather', only slow, drop_before, .*, log_lag"):
        read_faults(["weather=1"])


@pytest.mark.parametrize("given", ["server_error", "server_error=", "server_error=often"])
def test_a_fault_takes_a_number(given: str) -> None:
    with pytest.raises(ConfigurationError, match="server_error=NUMBER"):
        read_faults([given])


def test_what_it_prints_works_when_pasted(tmp_path: Path) -> None:
    with SandboxThread(Sandbox(speed=2000)) as sandbox:
        first, second, *program = how_to_use(sandbox, windows=False)
        settings = dict(line.removeprefix("export ").split("=", 1) for line in (first, second))
        done = run_child([sys.executable, "-c", "\n".join(program)], cwd=tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    assert file_problem(tmp_path / done.stdout.strip(), None) is None


def test_on_windows_it_speaks_powershell() -> None:
    first, second, *_ = how_to_use(Sandbox(port=8642), windows=True)
    assert first == '$env:AIMLAPI_BASE_URL="http://127.0.0.1:8642"'
    assert second.startswith('$env:AIMLAPI_API_KEY="sandbox-')
