"""The order in which the journal's thread is given its work."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from threading import Thread

import pytest

from kling_async.errors import JournalError
from kling_async.journal.sqlite.write_queue import Batch, Read, Write, WriteQueue


def note(number: int) -> Write:
    return Write(number, None, None, None)


def awaited(number: int) -> Write:
    loop = asyncio.new_event_loop()
    loop.close()
    return Write(number, None, None, loop.create_future())


def question() -> Read[int]:
    answer: Future[int] = Future()
    return Read(lambda _: 1, answer)


def numbers(batch: Batch) -> list[int]:
    return [write.number for write in batch.writes]


def test_notes_are_taken_together_after_a_while() -> None:
    inbox = WriteQueue()
    for number in range(3):
        inbox.put(note(number))
    assert numbers(inbox.take()) == [0, 1, 2]


def test_a_write_that_is_awaited_takes_the_notes_before_it_along() -> None:
    inbox = WriteQueue()
    inbox.put(note(1))
    inbox.put(awaited(2))
    inbox.put(note(3))
    inbox.flush_now()
    assert numbers(inbox.take()) == [1, 2, 3]


def test_reads_do_not_wait_for_notes() -> None:
    inbox, read = WriteQueue(), question()
    inbox.put(note(1))
    inbox.ask(read)
    batch = inbox.take()
    assert (batch.reads, batch.writes) == ([read], [])
    assert numbers(inbox.take()) == [1]


def test_reads_come_with_writes_that_are_awaited() -> None:
    inbox, read = WriteQueue(), question()
    inbox.put(awaited(1))
    inbox.flush_now()
    inbox.ask(read)
    batch = inbox.take()
    assert batch.reads == [read]
    assert numbers(batch) == [1]


def test_only_the_first_write_and_the_first_that_is_awaited_need_the_bell() -> None:
    inbox = WriteQueue()
    writes = (note(0), note(1), awaited(2), awaited(3), note(4))
    assert [inbox.put(write) for write in writes] == [True, False, True, False, False]
    inbox.flush_now()
    inbox.take()
    assert inbox.put(awaited(5))


def test_without_the_bell_only_reads_are_taken() -> None:
    inbox = WriteQueue()
    inbox.put(awaited(1))
    inbox.ask(question())
    assert numbers(inbox.take()) == []
    inbox.flush_now()
    assert numbers(inbox.take()) == [1]


def test_the_bell_may_be_rung_for_nothing() -> None:
    inbox = WriteQueue()
    inbox.flush_now()
    inbox.put(note(1))
    inbox.ask(question())
    assert numbers(inbox.take()) == []


def test_the_last_batch_is_all_that_is_left() -> None:
    inbox, read = WriteQueue(), question()
    inbox.put(note(1))
    inbox.ask(read)
    inbox.close()
    batch = inbox.take()
    assert (batch.reads, numbers(batch), batch.last) == ([read], [1], True)


def test_a_closed_inbox_takes_nothing() -> None:
    inbox = WriteQueue()
    inbox.close()
    with pytest.raises(JournalError, match="closed"):
        inbox.put(note(1))
    with pytest.raises(JournalError, match="closed"):
        inbox.ask(question())


def wake(inbox: WriteQueue, deed: str) -> None:
    if deed == "note":
        inbox.put(note(1))
        inbox.flush_now()
    elif deed == "put":
        inbox.put(awaited(1))
        inbox.flush_now()
    elif deed == "ask":
        inbox.ask(question())
    else:
        inbox.close()


@pytest.mark.parametrize("deed", ["note", "put", "ask", "close"])
def test_whoever_waits_for_work_is_woken_by_it(deed: str) -> None:
    inbox, batches = WriteQueue(), list[Batch]()
    thread = Thread(target=lambda: batches.append(inbox.take()))
    thread.start()
    wake(inbox, deed)
    thread.join()
    assert len(batches) == 1
