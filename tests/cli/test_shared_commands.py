"""``worker``, ``leader`` and ``status``: a journal that sessions share, from the command line."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from in_process import call

from kling_async import KlingSession, TextToVideo
from kling_async.journal.shared import LateAnswer, Lease, Member, Sharing, Token

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async.sandbox import Sandbox

from kling_async.cli.journal_summary import shared_lines

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a file cannot be shared there")


def test_who_leads_and_what_nobody_works_on_is_told() -> None:
    lease = Lease(Token(7, "x"), "process 1 on here", since=10.0, renewed=95.0, length=10.0, members=[Member("x")] * 3)
    late = (LateAnswer("row-1", "row-1:x", "g9"),)
    assert list(shared_lines(Sharing(lease, 2, 1, late), 100.0)) == [
        "shared: process 1 on here leads, for 1:30; 3 members",
        "2 jobs that nobody works on: submit them again, under their keys",
        "1 instructions and late answers that nobody has acted on yet",
        "bought a second time: row-1, as g9",
    ]
    assert list(shared_lines(Sharing(lease, 0, 0, ()), 200.0)) == ["shared: nobody leads; 3 members"]
    crashed = Lease(Token(7, ""), crashes=3)
    (line,) = shared_lines(Sharing(crashed, 0, 0, ()), 200.0)
    assert "3 leaders crashed in a row; kling-async leader JOURNAL --release" in line
    assert list(shared_lines(None, 0.0)) == []


def test_a_worker_goes_on_with_the_jobs_of_a_session_that_never_leads(
    kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIMLAPI_API_KEY", kling_sandbox.api_key)
    monkeypatch.setenv("AIMLAPI_BASE_URL", kling_sandbox.url)
    path = tmp_path / "batch.db"
    program = [sys.executable, "-m", "kling_async", "worker", str(path), "--speed", f"{kling_sandbox.speed:g}"]
    worker = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)  # noqa: S603 - this project's own command

    async def ask() -> str:
        async with KlingSession(journal=path, shared=True, hold=True) as kling:
            video = await kling.submit(TextToVideo("a fox"), key="k")
            assert not kling.is_leader
            return video.generation_id or ""

    try:
        assert asyncio.run(ask())
        told = call(capsys, "leader", str(path))
        assert (told.code, f"process {worker.pid} on " in told.out) == (0, True)
        assert f"process {worker.pid} on " in call(capsys, "status", str(path)).out
        assert call(capsys, "leader", str(path), "--release").code == 0
    finally:
        worker.send_signal(signal.SIGINT)
        _, said = worker.communicate(timeout=30)
    assert "leads now" in said
    assert worker.returncode == 130
    assert "nobody leads" in call(capsys, "status", str(path)).out
