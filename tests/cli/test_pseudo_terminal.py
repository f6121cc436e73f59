from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from child_process import COMMAND, QUICK, TIMEOUT, environment, start

from kling_async import JobState, read_journal

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals in the standard library", allow_module_level=True)

import fcntl
import pty
import signal
import struct
import subprocess
import termios

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kling_async.sandbox import Sandbox

SIX = ["--jobs", "6", *QUICK]
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal of 80 by 24: the one that is read, and the one that a program writes to."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    yield near, far
    os.close(near)


def seen(near: int) -> str:
    """Everything that is written until the program ends."""
    return "".join(pieces(near))


def pieces(near: int) -> Iterator[str]:
    while True:
        try:
            piece = os.read(near, 65536)
        except OSError:  # how Linux says that nobody has the other end open
            return
        if not piece:
            return
        yield piece.decode(errors="replace")


def demo(far: int, output: Path, *options: str, **changes: str) -> subprocess.Popen[str]:
    process = start("demo", "-o", str(output), *options, stderr=far, **changes)
    os.close(far)
    return process


def test_on_a_terminal_the_demo_draws_and_wipes_away_and_the_result_goes_to_stdout(
    terminal: tuple[int, int], tmp_path: Path
) -> None:
    near, far = terminal
    with demo(far, tmp_path, "--jobs", "6", "--seed", "1", "--speed", "100") as process:
        drawn = seen(near)
        out, _ = process.communicate()
    assert process.returncode == 0
    assert drawn.count(HIDE) == drawn.count(SHOW) == 1
    assert drawn.index(SHOW) > drawn.index(HIDE)
    assert "01-raccoon" in drawn
    assert "6 of 6" in drawn
    assert out.startswith(f"6 of 6 videos in {tmp_path}\n")
    assert "\x1b" not in out


def test_an_environment_that_says_that_a_terminal_has_no_size_is_not_believed(terminal: tuple[int, int]) -> None:
    near, far = terminal
    with start("status", "none.db", stderr=far, COLUMNS="0", LINES="0"):
        os.close(far)
        assert "there is no such file" in " ".join(seen(near).split())


def test_no_color_leaves_no_colours(terminal: tuple[int, int], tmp_path: Path) -> None:
    near, far = terminal
    with demo(far, tmp_path, *SIX, NO_COLOR="1") as process:
        drawn = seen(near)
    assert process.returncode == 0
    assert HIDE in drawn
    assert not any(f"\x1b[{colour}" in drawn for colour in ("3", "38;", "4"))


def test_a_dumb_terminal_gets_plain_lines(terminal: tuple[int, int], tmp_path: Path) -> None:
    near, far = terminal
    with demo(far, tmp_path, *SIX, TERM="dumb") as process:
        drawn = seen(near)
    assert process.returncode == 0
    assert "\x1b" not in drawn
    assert "6 of 6; 6 done; " in drawn


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_gives_the_cursor_back(terminal: tuple[int, int], tmp_path: Path, name: str, code: int) -> None:
    near, far = terminal
    drawn = ""
    reading = pieces(near)
    with demo(far, tmp_path, "--speed", "5") as process:
        for piece in reading:
            drawn += piece
            if "24 generating" in drawn:
                break
        process.send_signal(getattr(signal, name))
        drawn += "".join(reading)
        process.communicate()
    assert process.returncode == code
    assert drawn.rindex(SHOW) > drawn.rindex(HIDE)
    assert "interrupted" in drawn[drawn.rindex(SHOW) :]
    assert "Traceback" not in drawn


def test_a_warning_does_not_break_the_live_display(terminal: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("prompt\n" + "a fox\n" * 8)
    near, far = terminal
    nowhere = {"AIMLAPI_BASE_URL": "http://127.0.0.1:9", "AIMLAPI_API_KEY": "k3y"}
    drawn, reading = "", pieces(near)
    with start("batch", str(tmp_path / "b.csv"), "-o", str(tmp_path / "out"), stderr=far, **nowhere) as process:
        os.close(far)
        for piece in reading:
            drawn += piece
            if drawn.count("warning: ") > 3:
                break
        process.send_signal(signal.SIGINT)
        drawn += "".join(reading)
        process.communicate()
    beginnings = re.findall(r"(.)(?:\x1b\[[0-9;]*m)*warning: ", drawn, re.DOTALL)
    assert set(beginnings) <= {"K", "\n", "\r"}  # after a line that was wiped, or on one of its own


_IN_ITS_OWN = """
import os, sys
os.login_tty(0)
os.execv(sys.executable, [sys.executable, "-m", "kling_async", *sys.argv[1:]])
"""


@pytest.mark.kling_sandbox(speed=20)
def test_a_terminal_that_is_closed_loses_nothing(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    """The kernel sends SIGHUP, and refuses every byte from then on."""
    (tmp_path / "b.csv").write_text("prompt\n" + "a fox\n" * 8)
    near, far = pty.openpty()
    settings = environment(AIMLAPI_BASE_URL=kling_sandbox.url, AIMLAPI_API_KEY=kling_sandbox.api_key)
    command = [sys.executable, "-c", _IN_ITS_OWN, "batch", "b.csv", "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, env=settings, stdin=far, start_new_session=True) as process:  # noqa: S603
        os.close(far)
        drawn = ""
        while "8 generating" not in drawn:
            drawn += os.read(near, 65536).decode(errors="replace")
        os.close(near)
        process.wait(TIMEOUT)
    assert process.returncode == 129
    assert read_journal(tmp_path / "b.db").counts() == {JobState.PENDING: 8}
    assert len(kling_sandbox.ledger.purchases) == 8


@pytest.mark.parametrize("arguments", [["models", "v3"], ["models", "klingai/video-v3-pro-image-to-video"]])
def test_no_word_is_broken_on_a_terminal_of_80_columns(terminal: tuple[int, int], arguments: list[str]) -> None:
    near, far = terminal
    with subprocess.Popen([*COMMAND, *arguments], env=environment(), stdout=far, stderr=far) as process:  # noqa: S603
        os.close(far)
        lines = seen(near).splitlines()
    assert process.returncode == 0
    assert len(lines) > 8
    assert max(map(len, lines)) <= 80
