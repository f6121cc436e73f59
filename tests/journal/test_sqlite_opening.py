"""What may be opened, and that nothing else is touched."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from records import history, job

from kling_async.errors import ConfigurationError, JournalError
from kling_async.journal.open import open_journal, read_journal
from kling_async.journal.sqlite import schema
from kling_async.journal.sqlite.connection import connect
from kling_async.journal.sqlite.file import journal_mode
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.journal.sqlite.reader import SQLiteReader
from kling_async.journal.sqlite.schema import APPLICATION, STEPS, bring_up_to_date, identify

if TYPE_CHECKING:
    from collections.abc import Callable


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def contents(path: Path) -> bytes:
    return path.read_bytes()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def make_text(path: Path) -> None:
    path.write_text("prompts, one a line\n" * 100)


def make_newer(path: Path) -> None:
    change(path, f"PRAGMA application_id = {APPLICATION}", "PRAGMA user_version = 99", "CREATE TABLE jobs (a)")


def make_unversioned(path: Path) -> None:
    change(path, f"PRAGMA application_id = {APPLICATION}", "CREATE TABLE jobs (a)")


def make_something_else(path: Path) -> None:
    change(path, "CREATE TABLE holidays (day)")


def make_a_strange_application(path: Path) -> None:
    change(path, "PRAGMA application_id = 7")


UNSUITABLE: dict[str, Callable[[Path], None]] = {
    "file is not a database": make_text,
    "it is of version 99, and this version of kling_async knows them only up to 4; a newer one wrote it": make_newer,
    "it is of version 0": make_unversioned,
    "the file is the database of something else": make_something_else,
    "the file is the database of something else$": make_a_strange_application,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("reason", UNSUITABLE)
async def test_an_unsuitable_file_is_refused_and_left_as_it_was(path: Path, reason: str) -> None:
    UNSUITABLE[reason](path)
    before = contents(path)
    with pytest.raises(JournalError, match=reason) as caught:
        await SQLiteJournal(path).open()
    assert str(path) in str(caught.value)
    with pytest.raises(JournalError, match=reason):
        SQLiteReader(path)
    assert names(path.parent) == [path.name]
    assert contents(path) == before


async def _journal_of_many(path: Path) -> bytes:
    journal = SQLiteJournal(path)
    await journal.open()
    for number in range(200):
        journal.append(job(f"{number:03}", tag="x" * 500))
    await journal.close()
    return contents(path)


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
async def test_a_corrupt_file_is_refused_and_left_as_it_was(path: Path, damage: str) -> None:
    whole = await _journal_of_many(path)
    damaged = whole[: len(whole) // 2] if damage == "cut short" else whole[:8192] + b"\x5a" * 4096 + whole[12288:]
    path.write_bytes(damaged)  # noqa: ASYNC240 - nothing else goes on
    with pytest.raises(JournalError, match=r"batch\.db: .*(corrupt|malformed)"):
        await SQLiteJournal(path).open()
    assert contents(path) == damaged


@pytest.mark.asyncio
async def test_a_refused_file_has_no_owner(path: Path) -> None:
    whole = await _journal_of_many(path)
    path.write_bytes(whole[: len(whole) // 2])  # noqa: ASYNC240 - nothing else goes on
    journal = SQLiteJournal(path)
    with pytest.raises(JournalError, match=r"corrupt|malformed"):
        await journal.open()
    path.write_bytes(whole)  # noqa: ASYNC240 - nothing else goes on
    await journal.open()
    assert len(await history(journal)) == 200
    await journal.close()


@pytest.mark.asyncio
async def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="unable to open"):
        await SQLiteJournal(tmp_path / "none" / "batch.db").open()
    assert names(tmp_path) == []


@pytest.mark.asyncio
async def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=f"journal {re.escape(str(tmp_path))}: "):
        await SQLiteJournal(tmp_path).open()


@pytest.mark.asyncio
async def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch()  # noqa: ASYNC240 - nothing else goes on
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job())
    await journal.close()
    assert list(SQLiteReader(path).records()) == [job()]


@pytest.mark.parametrize("name", ["a b?mode=ro#1%20.db", ":memory:", "ünïcode.db"])
def test_any_name_is_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    with closing(connect(tmp_path / name, "rwc")) as connection:
        connection.execute("CREATE TABLE a (b)")
    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.asyncio
async def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = SQLiteJournal("batch.db")
    monkeypatch.chdir(tmp_path.parent)
    await journal.open()
    await journal.close()
    assert (tmp_path / "batch.db").exists()


@pytest.mark.asyncio
async def test_a_journal_made_in_the_other_mode_is_opened_all_the_same(journal: SQLiteJournal, mode: str) -> None:
    await journal.commit(job())
    await journal.close()
    change(journal.path, f"PRAGMA journal_mode = {'WAL' if mode == 'TRUNCATE' else 'DELETE'}")
    await journal.open()
    assert await journal.load_open() == [job()]


@pytest.mark.parametrize(
    ("version", "mode"), [((3, 40, 1), "TRUNCATE"), ((3, 51, 2), "TRUNCATE"), ((3, 51, 3), "WAL"), ((4, 0, 0), "WAL")]
)
def test_wal_is_used_only_where_it_is_safe(version: tuple[int, ...], mode: str) -> None:
    assert journal_mode(version) == mode


# Paths at which no journal can be


def with_nul(folder: Path) -> Path:
    return folder / "batch\0.db"


def a_link_to_itself(folder: Path) -> Path:
    path = folder / "loop.db"
    path.symlink_to(path)
    return path


def under_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "batch.db"


def a_folder(folder: Path) -> Path:
    return folder


def the_root(_: Path) -> Path:
    return Path("/")


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.db")
    return folder / "pipe.db"


def beside_a_pipe(folder: Path) -> Path:
    (folder / "batch.db").touch()
    os.mkfifo(folder / "batch.db-journal")
    return folder / "batch.db"


def beside_a_pipe_of_signatures(folder: Path) -> Path:
    (folder / "batch.db").touch()
    os.mkfifo(folder / "batch.db-owner")
    return folder / "batch.db"


def a_device(_: Path) -> Path:
    return Path("/dev/null")


def a_socket(folder: Path) -> Path:
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(os.path.relpath(folder / "socket.db"))
    return folder / "socket.db"


def with_a_long_name(folder: Path) -> Path:
    return folder / f"{'x' * 245}.db"


def longer_than_sqlite_takes(folder: Path) -> Path:
    return folder / ("x" * 200) / ("x" * 200) / ("x" * 200) / "batch.db"


def longer_than_any_path(folder: Path) -> Path:
    return folder / ("x/" * 3000) / "batch.db"


STRANGE: dict[Callable[[Path], Path], str] = {
    with_nul: "no file has such a path",
    a_link_to_itself: "loop.db",
    under_a_file: "Not a directory",
    a_folder: "it is no ordinary file, but a folder",
    the_root: "it is no ordinary file, but a folder",
    a_pipe: "it is no ordinary file, but a pipe",
    beside_a_pipe: "batch.db-journal: it is no ordinary file, but a pipe",
    beside_a_pipe_of_signatures: "batch.db-owner: it is no ordinary file, but a pipe",
    a_device: "/dev/null: it is no ordinary file, but a device",
    a_socket: "it is no ordinary file, but a device or a socket",
    with_a_long_name: "248 of them in its name; allowed: 504, and 247 in its name",
    longer_than_sqlite_takes: "allowed: 504",
    longer_than_any_path: "allowed: 504",
}


@pytest.mark.skipif(sys.platform == "win32", reason="these are POSIX's")
@pytest.mark.asyncio
@pytest.mark.parametrize("place", STRANGE)
async def test_a_strange_path_is_refused_by_name_and_at_once(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    path = place(tmp_path)
    before = names(tmp_path)
    with pytest.raises(ConfigurationError, match=f"^journal .*{STRANGE[place]}") as told:
        open_journal(path)
    assert len(str(told.value)) < 1000
    with pytest.raises(ConfigurationError, match=STRANGE[place]):
        read_journal(path)
    with pytest.raises((ConfigurationError, JournalError), match=STRANGE[place]):
        await SQLiteJournal(path).open()
    with pytest.raises((ConfigurationError, JournalError), match=STRANGE[place]):
        SQLiteReader(path)
    assert names(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="there, nobody takes away the folder one is in")
def test_a_relative_path_in_a_folder_that_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigurationError, match=r"journal 'batch\.db': no file has such a path"):
        open_journal("batch.db")


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [247, 504])
async def test_the_longest_paths_are_those_of_journals(tmp_path: Path, length: int) -> None:
    folder = tmp_path / ("f" * 100)
    while len(str(folder)) < length - 220:
        folder /= "f" * 100
    folder.mkdir(parents=True)
    path = folder / ("x" * (min(247, length - len(str(folder)) - 1)))
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job())
    await journal.close()
    assert list(SQLiteReader(path).records()) == [job()]


@pytest.mark.asyncio
async def test_where_no_thread_is_to_be_had_none_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    journal = SQLiteJournal(path)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(JournalError, match=r"batch\.db: there is no thread to write it in: can't start new thread"):
            await journal.open()
    await journal.open()
    await journal.close()


# Versions

OLD = (("CREATE TABLE jobs (a)", "INSERT INTO jobs VALUES (1)"),)
NEW = (*OLD, ("ALTER TABLE jobs ADD COLUMN b DEFAULT 2",), ("UPDATE jobs SET b = a + b", "CREATE INDEX i ON jobs (b)"))


@pytest.fixture
def connection(path: Path) -> sqlite3.Connection:
    return connect(path, "rwc")


def test_an_older_file_goes_through_every_step_between(connection: sqlite3.Connection, path: Path) -> None:
    with closing(connection):
        bring_up_to_date(connection, path, OLD)
        assert identify(connection, path, NEW) == 1
        bring_up_to_date(connection, path, NEW)
        assert identify(connection, path, NEW) == 3
        assert connection.execute("SELECT * FROM jobs").fetchall() == [(1, 3)]


def test_a_file_of_today_stays_as_it_is(connection: sqlite3.Connection, path: Path) -> None:
    with closing(connection):
        bring_up_to_date(connection, path)
        before = path.read_bytes()
        bring_up_to_date(connection, path)
    assert path.read_bytes() == before


def test_a_step_that_fails_leaves_the_older_file(connection: sqlite3.Connection, path: Path) -> None:
    with closing(connection):
        bring_up_to_date(connection, path, OLD)
        before = path.read_bytes()
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            bring_up_to_date(connection, path, (*NEW, ("DROP TABLE absent",)))
    assert path.read_bytes() == before


def test_a_reader_leaves_an_older_file_to_its_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(connect(path, "rwc")) as connection:
        bring_up_to_date(connection, path, STEPS)
    monkeypatch.setattr("kling_async.journal.sqlite.reader.STEPS", (*STEPS, ()))
    with pytest.raises(JournalError, match="of version 4 until a session opens it"):
        SQLiteReader(path)
    assert schema.STEPS is STEPS


@pytest.mark.asyncio
async def test_a_sqlite_that_is_too_old_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kling_async.journal.sqlite.file.sqlite3.sqlite_version_info", (3, 32, 3))
    with pytest.raises(JournalError, match=r"allowed: 3\.33 or later"):
        await SQLiteJournal(tmp_path / "batch.db").open()
    assert names(tmp_path) == []
