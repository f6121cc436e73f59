"""A session cancelled at every turn of the loop of its life: nothing stays behind, and nothing bought is forgotten."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from scripted import ScriptedVendor, only_mine, prompt, promptly

from kling_async import JobState, JournalError, Timeouts, read_journal
from kling_async.journal.sqlite.journal import SQLiteJournal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

    from kling_async.sandbox import Sandbox

    Life = Callable[["_Vendor", Path], Coroutine[Any, Any, None]]
    Blow = Callable[[asyncio.Task[None]], object]

pytestmark = [pytest.mark.usefixtures("silent"), pytest.mark.timeout(300), pytest.mark.untraced]

_DESCRIPTORS = Path("/proc/self/fd")
_MOVIE = (b"\0\0\0\x09", b"free", b"!")  # of the size that the vendor announces


class _Film:
    status = 200
    headers: ClassVar[dict[str, str]] = {"content-length": "9", "content-type": "video/mp4"}

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in _MOVIE:
            await asyncio.sleep(0)
            yield piece


class _Vendor(ScriptedVendor):
    """Takes a turn or two for everything, and has files."""

    async def _take(self, extra: float) -> None:  # noqa: ARG002 - the name that is overridden
        await asyncio.sleep(0)

    @asynccontextmanager
    async def stream(self, request: Any) -> AsyncGenerator[Any]:  # noqa: ARG002 - the name that is overridden
        await asyncio.sleep(0)
        yield _Film()


class _Turns(selectors.DefaultSelector):
    """Calls back once, on the loop's nth turn from `begin`."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.strike: Callable[[], object] | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self.strike is None or threading.current_thread() is not threading.main_thread():
            return super().select(timeout)
        self.left -= 1
        if self.left >= 0:
            return super().select(timeout)
        strike, self.strike = self.strike, None
        strike()
        return super().select(0)


async def _everything(vendor: _Vendor, folder: Path) -> None:
    """Enter, submit, await, download, drain, close."""
    async with promptly(vendor, journal=folder / "j.db", timeouts=Timeouts(close=0.05)) as kling:
        job = kling.submit(prompt(), key="a")
        await job
        await kling.download(job, folder / "a.mp4")
        kling.submit(prompt(), key="b")
        await kling.drain()
        kling.submit(prompt(), key="c")
        await asyncio.sleep(0)


async def _closing_by_hand(vendor: _Vendor, folder: Path) -> None:
    """Close in the middle of it all, by hand."""
    kling = promptly(vendor, journal=folder / "j.db", timeouts=Timeouts(close=0.05))
    try:
        await kling.__aenter__()
        await kling.submit(prompt(), key="a")
        kling.submit(prompt(), key="b")
        await asyncio.sleep(0)
    finally:
        await kling.aclose()


def _once(task: asyncio.Task[None]) -> None:
    task.cancel()


def _again_and_again(task: asyncio.Task[None]) -> None:
    task.cancel()
    loop = asyncio.get_running_loop()
    for turns in range(1, 9, 3):
        _after(turns, task.cancel, loop)


def _all_tasks(task: asyncio.Task[None]) -> None:
    """As the loop's end does, after an interrupt that came while the task was being cancelled."""
    task.cancel()
    owner = asyncio.current_task(task.get_loop())
    for other in asyncio.all_tasks(task.get_loop()):
        if other is not owner and other.get_name() != "the test":
            other.cancel()


def _after(turns: int, act: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(_after, turns - 1, act, loop) if turns else act()


async def _scripted(turn: int, turns: _Turns, life: Life, blow: Blow, folder: Path) -> bool:
    """Live with a vendor in memory until the nth turn; returns whether it was cut short."""
    vendor = _Vendor(takes=0.0)
    in_time = await _cancelled(life(vendor, folder), turn, turns, blow)
    await _nothing_is_forgotten(vendor, folder)
    return in_time


async def _cancelled(life: Coroutine[Any, Any, None], turn: int, turns: _Turns, blow: Blow) -> bool:
    current = asyncio.current_task()
    assert current is not None
    current.set_name("the test")
    task = asyncio.get_running_loop().create_task(life)
    turns.left, turns.strike = turn, lambda: task.get_loop().call_soon(blow, task)
    await asyncio.wait({task})
    in_time, turns.strike = turns.strike is None, None
    assert task.cancelled() or not in_time or task.exception() is None
    assert [thread.name for thread in threading.enumerate() if "journal" in thread.name] == []
    assert only_mine()
    return in_time and task.cancelled()


async def _nothing_is_forgotten(vendor: _Vendor, folder: Path) -> None:
    """Another session can have the journal, and it knows of everything that was sold."""
    journal = SQLiteJournal(folder / "j.db")
    await journal.open()
    await journal.close()
    records = list(read_journal(folder / "j.db").records())
    uncertain = {record.client_request_id for record in records if record.state is JobState.UNCERTAIN}
    known = {record.generation_id for record in records}
    for number, name in enumerate(vendor.names, start=1):
        assert f"g{number}" in known or name in uncertain or f"g{number}" not in vendor.done_at
    assert len({name.partition(":")[0] for name in vendor.names}) == len(vendor.names)


# asyncio closes a task unstarted that is cancelled that early, and anyio's tasks then hold a coroutine nobody awaits.
_BLOWS = [
    _once,
    _again_and_again,
    pytest.param(_all_tasks, marks=pytest.mark.filterwarnings("ignore:coroutine .* never awaited:RuntimeWarning")),
]


def _at_every_turn(live: Callable[[int, _Turns, Path], Coroutine[Any, Any, bool]], folder: Path) -> int:
    """Live again and again, each time a turn longer, until it is not cut short any more; returns how often it was."""
    turn, goes_on = 0, True
    while goes_on:
        place = folder / f"{turn}"
        place.mkdir()
        before, turns = _descriptors(), _Turns()
        with asyncio.Runner(loop_factory=partial(asyncio.SelectorEventLoop, turns)) as runner:
            goes_on = runner.run(live(turn, turns, place))
        assert _settled(before), f"turn {turn}"
        turn += 1
    return turn - 1


@pytest.mark.parametrize("blow", _BLOWS)
@pytest.mark.parametrize("life", [_everything, _closing_by_hand])
def test_cancelled_at_any_turn_nothing_is_left_and_nothing_forgotten(life: Life, blow: Blow, tmp_path: Path) -> None:
    assert _at_every_turn(lambda turn, turns, place: _scripted(turn, turns, life, blow, place), tmp_path) > 20


@pytest.mark.parametrize("blow", _BLOWS)
@pytest.mark.kling_sandbox(speed=10_000)
def test_over_http_too_nothing_is_left(kling_sandbox: Sandbox, blow: Blow, tmp_path: Path) -> None:
    async def life(place: Path) -> None:
        async with kling_sandbox.session(journal=place / "j.db", timeouts=Timeouts(close=0.05)) as kling:
            await kling.submit(prompt()).accepted()

    async def live(turn: int, turns: _Turns, place: Path) -> bool:
        in_time = await _cancelled(life(place), turn, turns, blow)
        journal = SQLiteJournal(place / "j.db")
        await journal.open()
        await journal.close()
        return in_time

    assert _at_every_turn(live, tmp_path) > 20


@pytest.mark.asyncio
async def test_without_a_thread_for_its_journal_a_session_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(JournalError, match=r"j\.db: there is no thread to write it in: can't start new thread"):
            await promptly(journal=tmp_path / "j.db").__aenter__()
    assert only_mine()
    async with promptly(journal=tmp_path / "j.db") as kling:
        await kling.submit(prompt())


def _settled(before: int) -> bool:
    """Whether there are no more descriptors than before; a server in this process has its own to close first."""
    until = time.monotonic() + 5.0
    while (now := _descriptors()) > before and time.monotonic() < until:
        time.sleep(0.001)
    return now <= before


def _descriptors() -> int:
    return sum(1 for _ in _DESCRIPTORS.iterdir()) if _DESCRIPTORS.exists() else 0
