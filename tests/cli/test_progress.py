from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from rich.console import Console

from kling_async import TextToVideo
from kling_async.cli.progress.display import show_progress
from kling_async.cli.progress.tracker import ProgressTracker
from kling_async.cli.terminal import LogLines, Terminal
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path


class Screen(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


def terminal(file: io.StringIO, *, live: bool) -> Terminal:
    console = Console(file=file, force_terminal=live, width=80, height=24, _environ={})
    return Terminal(Console(file=io.StringIO()), console)


def test_only_a_terminal_is_live() -> None:
    assert terminal(Screen(), live=True).is_live
    assert not terminal(io.StringIO(), live=True).is_live  # colours were asked for, but there is no cursor to move
    assert not terminal(Screen(), live=False).is_live


def test_results_and_rendering_do_not_share_a_terminal() -> None:
    both = terminal(Screen(), live=True)
    assert not evolve(both, out=Console(file=Screen()), as_json=True).is_live
    assert evolve(both, as_json=True).is_live  # results go elsewhere


def test_a_json_result_is_a_line_that_any_pipe_takes() -> None:
    out = io.StringIO()
    Terminal(Console(file=out, width=20)).json_result({"prompt": "a f\u00f6x [red]\n" + "long " * 20, "n": None})
    assert out.getvalue() == json.dumps({"prompt": "a f\u00f6x [red]\n" + "long " * 20, "n": None}) + "\n"


@pytest.mark.parametrize("live", [True, False])
def test_a_final_message_comes_below_the_live_display(live: bool) -> None:  # noqa: FBT001 - a case
    file = Screen()
    terminal(file, live=live).final_message("go on with this")
    assert file.getvalue() == ("\x1b[?25h\ngo on with this\n" if live else "go on with this\n")


def test_streams_of_any_kind_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    both = Terminal()
    both.result("result")
    both.message("message")
    assert (out.getvalue(), err.getvalue()) == ("result\n", "message\n")


def test_what_an_encoding_lacks_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr("sys.stdout", out)
    Terminal().result("a f\u00f6x")
    out.seek(0)
    assert out.read() == "a f?x\n"


def test_a_message_is_not_wrapped_nor_read_as_markup() -> None:
    file = io.StringIO()
    terminal(file, live=False).message("[red]" + "long " * 40)
    assert file.getvalue() == "[red]" + "long " * 40 + "\n"


def test_a_warning_of_the_library_is_a_message_in_one_line() -> None:
    file = io.StringIO()
    log = LogLines(terminal(file, live=False))
    log.handle(logging.makeLogRecord({"levelno": 30, "levelname": "WARNING", "msg": "a\n%s", "args": ("b\x1b",)}))
    assert file.getvalue() == "warning: a b\n"


@pytest.mark.asyncio
@pytest.mark.parametrize("live", [True, False])
async def test_it_follows_jobs_until_their_files_are_there(tmp_path: Path, live: bool) -> None:  # noqa: FBT001 - a case
    file = Screen() if live else io.StringIO()
    async with Sandbox(speed=5000) as sandbox, sandbox.session() as kling:
        async with show_progress(kling, terminal(file, live=live), 2, interval=0.01) as tracker:
            jobs = [kling.submit(TextToVideo(f"fox {n}"), tag=f"fox {n}") for n in range(2)]
            await asyncio.gather(*(kling.download(job, tmp_path / f"{job.tag}.mp4") for job in jobs))
            await asyncio.sleep(0)
        snapshot = tracker.snapshot(kling.stats(), 0.0, rows=9)
    assert (snapshot.finished, snapshot.rows, dict(snapshot.counts)) == (2, (), {"done": 2})
    assert "2 of 2" in file.getvalue()
    assert ("\x1b[" in file.getvalue()) is live
    closing = file.getvalue().splitlines()[-1]
    assert re.search(r"\d:\d\d  2 of 2; 2 done; \d+ requests, \d+\.\d/s", closing)  # it stays on a terminal, too


@pytest.mark.asyncio
async def test_where_there_is_nothing_to_do_one_line_says_so() -> None:
    file = io.StringIO()
    screen = terminal(file, live=False)
    async with Sandbox(speed=500) as sandbox, sandbox.session() as kling, show_progress(kling, screen, 0):
        await asyncio.sleep(0)
    assert file.getvalue().splitlines() == ["0:00  0 of 0; 0 requests, 0.0/s"]


@pytest.mark.asyncio
async def test_what_goes_wrong_in_the_display_comes_out_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    ended = False
    async with Sandbox(speed=5000) as sandbox, sandbox.session() as kling:
        monkeypatch.setattr(ProgressTracker, "snapshot", broken)
        with pytest.raises(ZeroDivisionError):
            async with show_progress(kling, terminal(io.StringIO(), live=False), 1):
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                ended = True
    assert ended


@pytest.mark.asyncio
async def test_what_goes_wrong_inside_comes_out_and_the_display_ends() -> None:
    file = Screen()
    async with Sandbox(speed=5000) as sandbox, sandbox.session() as kling:
        with pytest.raises(LookupError):
            async with show_progress(kling, terminal(file, live=True), 1):
                raise LookupError
        assert not [task for task in asyncio.all_tasks() if "progress" in str(task.get_coro())]
    assert file.getvalue().count("\x1b[?25h") == 1
    assert "  0 of 1" in file.getvalue().splitlines()[-1]  # where it stood
