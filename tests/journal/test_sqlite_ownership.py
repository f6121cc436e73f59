from __future__ import annotations

import asyncio
import atexit
import errno
import mmap
import os
import platform
import select
import shutil
import signal
import sqlite3
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from children import child, line, told
from records import job, run

from kling_async.errors import JournalError
from kling_async.journal.sqlite import locks, ownership
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.journal.sqlite.reader import SQLiteReader

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.asyncio

not_on_windows = pytest.mark.skipif(
    sys.platform == "win32", reason="there, files in use can neither be moved nor forked"
)
MANY = """
    WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT 3000)
    INSERT INTO media SELECT number, zeroblob(500) FROM numbers
"""


async def test_a_second_owner_in_the_process_is_told_of_the_first(journal: SQLiteJournal) -> None:
    expected = rf"in use by process {os.getpid()} on {platform.node()} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    with pytest.raises(JournalError, match=expected):
        await SQLiteJournal(journal.path).open()
    await journal.commit(job())


async def test_a_second_owner_in_another_process_is_told_of_the_first(path: Path) -> None:
    with child("hold", path) as process:
        pid = line(process)
        with pytest.raises(JournalError, match=f"in use by process {pid} on "):
            await SQLiteJournal(path).open()


async def test_a_journal_is_not_opened_twice(journal: SQLiteJournal) -> None:
    with pytest.raises(JournalError, match="open already"):
        await journal.open()


async def test_a_link_to_a_journal_is_the_same_journal(journal: SQLiteJournal, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    try:
        link.symlink_to(journal.path)
    except OSError:
        pytest.skip("links are not to be had here")
    with pytest.raises(JournalError, match="in use"):
        await SQLiteJournal(link).open()


async def test_a_killed_owner_leaves_nothing_in_the_way(path: Path, mode: str) -> None:
    with child("hold", path, mode) as process:
        line(process)
    journal = SQLiteJournal(path)
    await journal.open()
    assert await journal.load_open() == [job()]
    await journal.close()


async def test_a_closed_journal_can_be_owned_by_the_next(journal: SQLiteJournal) -> None:
    await journal.close()
    second = SQLiteJournal(journal.path)
    await second.open()
    with pytest.raises(JournalError, match="in use"):
        await journal.open()
    await second.close()
    await journal.open()


async def test_of_many_that_come_at_once_one_is_the_owner(path: Path) -> None:
    journals = [SQLiteJournal(path) for _ in range(8)]
    outcomes = await asyncio.gather(*(journal.open() for journal in journals), return_exceptions=True)
    assert sorted(map(str, map(type, outcomes))) == sorted([str(type(None))] + [str(JournalError)] * 7)
    for journal in journals:
        await journal.close()


async def test_readers_are_not_locked_out(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    assert list(SQLiteReader(journal.path).records()) == [job()]


# What a program may do with the files of its own journal, which takes SQLite's locks from it


def read_all(path: Path) -> None:
    for file in path.parent.glob("batch.db*"):
        file.read_bytes()


def copy_all(path: Path) -> None:
    backup = path.parent / "backup"
    backup.mkdir()
    for file in path.parent.glob("batch.db*"):
        shutil.copy2(file, backup)


def query(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM jobs").fetchall()


def read_records(path: Path) -> None:
    assert list(SQLiteReader(path).records()) == [job()]


def delete_side_files(path: Path) -> None:
    for file in path.parent.glob("batch.db-*"):
        file.unlink()


def fork_and_end(_: Path) -> None:
    forked = os.fork()
    if not forked:
        os._exit(0)
    os.waitpid(forked, 0)


def map_and_unmap(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        pass


def fork_amid_a_change_of_locks(path: Path) -> None:
    """As the handler of a signal may, which comes between any two steps of the thread it interrupts."""
    with locks._mutex:
        fork_and_end(path)


def fork_and_close_all(_: Path) -> None:
    """As a program does that becomes a daemon."""
    forked = os.fork()
    if not forked:
        os.closerange(0, 1024)
        os._exit(0)
    os.waitpid(forked, 0)


def fork_and_write_elsewhere(path: Path) -> None:
    """The numbers of descriptors that the child has closed are had by files of its own."""
    forked = os.fork()
    if not forked:
        with ExitStack() as files:
            for number in range(5):
                files.enter_context((path.parent / f"{number}").open("w"))
            path.read_bytes()
        os._exit(0)
    os.waitpid(forked, 0)


DEEDS = [
    read_all,
    copy_all,
    query,
    read_records,
    delete_side_files,
    map_and_unmap,
    fork_and_end,
    fork_amid_a_change_of_locks,
    fork_and_close_all,
    fork_and_write_elsewhere,
]


@not_on_windows
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # as of Python 3.12; it is the point here
@pytest.mark.parametrize("deed", DEEDS)
async def test_an_owner_stays_one_whatever_its_program_does_with_the_files(
    journal: SQLiteJournal, mode: str, deed: Callable[[Path], None]
) -> None:
    await journal.commit(job())
    deed(journal.path)
    told_of = f"in use by process {os.getpid()} on {platform.node()}"
    assert told_of in told("attempt", journal.path, mode)
    with pytest.raises(JournalError, match=told_of):
        await SQLiteJournal(journal.path).open()
    await journal.commit(job("b"))


@not_on_windows
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_forked_child_ends_whatever_the_thread_was_doing_then(journal: SQLiteJournal) -> None:
    """The thread is not in the child, but a lock that it had is, for ever."""
    lock, done = journal._opened()._queue._condition, threading.Event()

    def have_it(held: threading.Event) -> None:
        with lock:
            held.set()
            done.wait()

    held = threading.Event()
    holder = threading.Thread(target=have_it, args=(held,))
    holder.start()
    held.wait()
    forked = os.fork()
    if not forked:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(90)  # exit functions of others may wait, as for a lock on the server of all tests
        atexit._run_exitfuncs()
        os._exit(0)
    done.set()
    holder.join()
    _, status = await asyncio.to_thread(os.waitpid, forked, 0)
    assert status == 0
    await journal.commit(job())


# By what other names a journal may be met


def by_hard_link(path: Path) -> Path:
    link = path.parent / "elsewhere" / "link.db"
    link.parent.mkdir()
    os.link(path, link)
    return link


def by_symbolic_link(path: Path) -> Path:
    link = path.with_name("link.db")
    link.symlink_to(path.name)
    return link


def by_relative_path(path: Path) -> Path:
    return Path(os.path.relpath(path))


def by_new_name(path: Path) -> Path:
    return path.rename(path.with_name("renamed.db"))


def by_new_folder(path: Path) -> Path:
    return path.parent.rename(path.parent.with_name("renamed")) / path.name


def without_side_files(path: Path) -> Path:
    delete_side_files(path)
    return by_hard_link(path)


def after_replacement(path: Path) -> Path:
    copy = path.with_name("copy.db")
    shutil.copy2(path, copy)
    return copy.replace(path)


NAMES = [
    by_hard_link,
    by_symbolic_link,
    by_relative_path,
    by_new_name,
    by_new_folder,
    without_side_files,
    after_replacement,
]


@not_on_windows
@pytest.mark.parametrize("other", NAMES)
async def test_a_journal_is_the_same_by_any_other_name(
    tmp_path: Path, mode: str, other: Callable[[Path], Path]
) -> None:
    path = tmp_path / "folder" / "batch.db"
    path.parent.mkdir()
    with child("hold", path, mode) as process:
        pid = line(process)
        name = other(path)
        assert f"in use by process {pid} on {platform.node()}" in told("attempt", name, mode)
        with pytest.raises(JournalError, match=f"in use by process {pid} on "):
            await SQLiteJournal(name).open()


@not_on_windows
async def test_a_copy_is_a_journal_of_its_own(journal: SQLiteJournal, tmp_path: Path) -> None:
    await journal.commit(job())
    await journal.close()
    await journal.open()
    copy_all(journal.path)
    assert told("attempt", tmp_path / "backup" / "batch.db") == "owned"


@not_on_windows
@pytest.mark.parametrize("move", [by_new_name, after_replacement, Path.unlink])
async def test_a_file_that_is_moved_or_replaced_takes_nothing_more_until_it_is_back(
    journal: SQLiteJournal, move: Callable[[Path], Path | None]
) -> None:
    await journal.commit(job())
    safe = journal.path.with_name("safe.db")
    os.link(journal.path, safe)
    move(journal.path)
    with pytest.raises(JournalError, match=r"batch\.db: the file was moved, removed or replaced while in use"):
        await journal.commit(job("b"))
    safe.replace(journal.path)
    await journal.commit(job("c"))
    assert SQLiteReader(journal.path).counts().total() == 2


# Forks


@not_on_windows
async def test_a_forked_child_does_not_own_what_its_dead_parent_did(path: Path, mode: str) -> None:
    with child("fork", path, mode) as process:
        forked = int(line(process))
        try:
            assert f"in use by process {process.pid} " in told("attempt", path, mode)
            process.kill()
            process.wait()
            assert told("attempt", path, mode) == "owned"
        finally:
            os.kill(forked, signal.SIGKILL)


# SQLite's own locks, which this process would lose with the first descriptor of the file that is closed


@not_on_windows
async def test_a_refused_session_takes_no_locks_from_the_owner(journal: SQLiteJournal) -> None:
    await run(journal, "BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="in use"):
        await SQLiteJournal(by_hard_link(journal.path)).open()
    assert told("write", journal.path) == "database is locked"
    await run(journal, "COMMIT")


@not_on_windows
async def test_an_owner_that_leaves_takes_no_locks_from_readers(path: Path) -> None:
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job())
    assert len(descriptors_of(path)) == 2
    with SQLiteReader(path)._connection():
        await journal.close()
        assert not ownership.is_owned(path)
        assert told("write", path) == "database is locked"
    assert descriptors_of(path) == []
    assert told("write", path) == "writing"


def descriptors_of(path: Path) -> list[str]:
    return [file.name for file in Path("/dev/fd").iterdir() if names_file(file.name, path)]


def names_file(descriptor: str, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(int(descriptor)), path.stat())
    except OSError:
        return False


@not_on_windows
async def test_what_an_owner_without_locks_is_writing_is_not_undone_by_readers(path: Path) -> None:
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job())
    await run(journal, "PRAGMA cache_size = 5")
    await run(journal, "BEGIN IMMEDIATE")
    await run(journal, MANY)
    read_all(path)
    with child("count_jobs", path) as reader:
        assert line(reader) == "looking"
        assert reader.stdout is not None
        assert not select.select([reader.stdout], [], [], 0.5)[0]  # nor is it told half of it
        await run(journal, "COMMIT")
        assert line(reader) == "1"
    assert await run(journal, "PRAGMA integrity_check") == [("ok",)]
    assert await run(journal, "SELECT count(*) FROM media") == [(3000,)]
    await journal.close()


async def test_a_reader_can_tell_an_owner_without_being_in_its_way(journal: SQLiteJournal) -> None:
    reader = SQLiteReader(journal.path)
    assert reader.has_owner()
    await journal.close()
    assert reader.has_owner() is False
    await journal.open()


# The second file


async def test_what_a_former_owner_signed_is_not_told_of_the_next(journal: SQLiteJournal) -> None:
    journal.path.with_name("batch.db-owner").write_text("process 1 on nowhere since 1970\n")
    with pytest.raises(JournalError, match=f"in use by process {os.getpid()} on {platform.node()}, and"):
        await SQLiteJournal(journal.path).open()


async def test_a_kernel_that_tells_no_holder_leaves_it_to_the_signature(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "holder_of", lambda _: None)
    with pytest.raises(JournalError, match=f"in use by process {os.getpid()} on .* since "):
        await SQLiteJournal(journal.path).open()
    journal.path.with_name("batch.db-owner").write_text("")
    with pytest.raises(JournalError, match="in use by another process, and"):
        await SQLiteJournal(journal.path).open()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere these are not apart from SQLite's")
async def test_a_kernel_without_locks_of_open_descriptions_has_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EINVAL, "unknown")

    monkeypatch.setattr("kling_async.journal.sqlite.locks.fcntl.fcntl", refuse)
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job())
    with pytest.raises(JournalError, match=f"in use by process {os.getpid()} on .* since "):
        await SQLiteJournal(path).open()
    await journal.close()
    await journal.open()
    await journal.close()


async def test_a_second_file_of_something_else_is_left_alone(path: Path) -> None:
    side = path.with_name("batch.db-owner")
    side.write_text("nobody here\n" * 100)
    with pytest.raises(JournalError, match=r"batch\.db-owner: the file is something else's"):
        await SQLiteJournal(path).open()
    assert side.read_text() == "nobody here\n" * 100


async def test_a_second_file_as_it_was_once_is_signed_anew(path: Path) -> None:
    with closing(sqlite3.connect(path.with_name("batch.db-owner"))) as former:
        former.execute("CREATE TABLE owner (signature TEXT, pid INTEGER, host TEXT, since TEXT)")
    journal = SQLiteJournal(path)
    await journal.open()
    with pytest.raises(JournalError, match=r"in use by process .* since "):
        await SQLiteJournal(path).open()
    await journal.close()


async def test_a_file_system_that_other_machines_have_is_told_of(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device, mounts = os.stat(tmp_path).st_dev, tmp_path / "mounts"  # noqa: PTH116 - nothing else goes on
    mounts.write_text(
        f"1 0 0:0 / / rw - proc x rw\n2 1 {os.major(device)}:{os.minor(device)} / /x rw a:1 - nfs4 h:/ rw\n"
    )
    monkeypatch.setattr(ownership, "_MOUNTS", mounts)
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.close()
    assert f"journal {path}: it is on nfs4, so other machines may not see that it is in use" in caplog.text
