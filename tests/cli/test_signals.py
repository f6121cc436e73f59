from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from kling_async.cli.commands.batch import _Batch
from kling_async.cli.signals import Interrupted, exit_code, run, termination_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from in_process import Answer

    from kling_async.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals wake no loop on Windows as they do elsewhere")


def nothing_to_say() -> None:
    raise AssertionError("nobody asked for the end")


async def interrupted(times: int, number: int = signal.SIGINT) -> str:
    """Work during which Ctrl-C, or another signal, comes so many times."""
    for _ in range(times):
        signal.raise_signal(number)
    for _ in range(9):
        await asyncio.sleep(0)
    return "done"


def test_work_that_nobody_interrupts_gives_its_result() -> None:
    assert run(interrupted(0), nothing_to_say) == "done"


def test_ctrl_c_cancels_the_work_which_may_end_in_order() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await interrupted(1)
        finally:
            await asyncio.sleep(0)
            ended = True

    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(work(), nothing_to_say)
    assert ended
    assert signal.getsignal(signal.SIGINT) is usual


def test_ctrl_c_twice_ends_the_process_after_a_final_message(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[object] = []
    monkeypatch.setattr(os, "_exit", happened.append)
    with pytest.raises(KeyboardInterrupt):
        run(interrupted(2), lambda: happened.append("words"))
    assert happened == ["words", 130]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_comes_twice_does_not_hasten_the_end(name: str) -> None:
    with termination_signals(), pytest.raises(Interrupted) as caught:
        run(interrupted(3, getattr(signal, name)), nothing_to_say)
    assert caught.value.exit == 128 + getattr(signal, name)


def test_ctrl_c_after_another_signal_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[object] = []
    monkeypatch.setattr(os, "_exit", happened.append)

    async def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        await interrupted(1)

    with termination_signals(), pytest.raises(Interrupted):
        run(work(), lambda: happened.append("words"))
    assert happened == ["words", 130]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_commands_without_a_loop_are_interrupted_as_by_ctrl_c(name: str) -> None:
    usual = signal.getsignal(getattr(signal, name))
    with pytest.raises(Interrupted) as caught, termination_signals():
        signal.raise_signal(getattr(signal, name))
    assert exit_code(caught.value) == 128 + getattr(signal, name)
    assert signal.getsignal(getattr(signal, name)) is usual


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_who_ignores_a_signal_goes_on_doing_so(name: str) -> None:
    usual = signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        with termination_signals():
            assert run(interrupted(1, getattr(signal, name)), nothing_to_say) == "done"
    finally:
        signal.signal(getattr(signal, name), usual)


def test_work_runs_in_any_thread() -> None:
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(run(interrupted(0), nothing_to_say)))
    thread.start()
    thread.join()
    assert done == ["done"]


def test_a_cancellation_of_the_works_own_is_no_interruption() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work(), nothing_to_say)


def test_a_batch_that_had_hardly_begun_begins_again(
    kling: Callable[..., Answer], vendor: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit_nothing(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        monkeypatch.undo()

    (tmp_path / "b.csv").write_text("prompt\n" + "a\n" * 150)
    monkeypatch.setattr(_Batch, "_submit", submit_nothing)
    done = kling("batch", "b.csv", "--base-url", vendor.url)
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-1] == "interrupted; it had hardly begun: go on with the same command"


@pytest.mark.kling_sandbox(speed=20)
def test_with_a_sandbox_there_is_nothing_to_go_on_with(
    kling: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = _Batch._submit

    def interrupt_after(*arguments: object) -> None:
        submit(*arguments)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)

    (tmp_path / "b.csv").write_text("prompt\na\n")
    monkeypatch.setattr(_Batch, "_submit", interrupt_after)
    done = kling("batch", "b.csv", "--sandbox")
    assert done.code == 130
    assert done.err.splitlines()[-1].endswith("delete b.sandbox.db to begin anew")
