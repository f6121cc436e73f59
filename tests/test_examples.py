"""Every example runs, from end to end, with a session on the sandbox."""

from __future__ import annotations

import asyncio
import io
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kling_async import Kind, get_model

if TYPE_CHECKING:
    from kling_async.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.kling_sandbox(speed=2000)


def run(name: str, sandbox: Sandbox, *arguments: Any) -> Any:
    main = runpy.run_path(str(EXAMPLES / name))["main"]
    return asyncio.run(main(sandbox.session(), *arguments))


def test_one_video(kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("one_video.py", kling_sandbox, tmp_path)
    (video,) = tmp_path.glob("*.mp4")
    assert capsys.readouterr().out.startswith(str(video))
    assert video.read_bytes()[4:8] == b"ftyp"


def test_many_prompts(
    kling_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"prompt number {n}\n\n" for n in range(5))))
    assert run("many_prompts.py", kling_sandbox, tmp_path) == 0
    assert sorted(capsys.readouterr().out.split()) == sorted(str(path) for path in tmp_path.glob("*.mp4"))
    assert len(kling_sandbox.ledger.purchases) == 5


def test_follow_events(kling_sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    run("follow_events.py", kling_sandbox)
    told = capsys.readouterr().out
    assert told.count(": done, ") == 3
    assert "0 events missed" in told


def test_every_kind(kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("every_kind.py", kling_sandbox, tmp_path)
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told.keys() == {kind.value for kind in Kind}
    assert {Path(path).stat().st_size > 0 for path in told.values()} == {True}
    sold = [get_model(purchase.model).kind for purchase in kling_sandbox.ledger.purchases.values()]
    assert sorted(kind.value for kind in sold) == sorted(kind.value for kind in Kind)


def test_every_kind_buys_no_more_than_what_was_picked(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    run("every_kind.py", kling_sandbox, tmp_path, ["effect", "avatar"])
    assert len(kling_sandbox.ledger.purchases) == 2


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in here] == []
