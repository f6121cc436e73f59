"""The order in which the journal's thread gets its work."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from threading import Thread

import pytest

from kling_async.errors import JournalError
from kling_async.journal.sql.write_queue import Batch, Read, Write, WriteQueue


def appended(number: int) -> Write:
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


def test_appended_writes_are_taken_together_after_a_while() -> None:
    queue = WriteQueue()
    for number in range(3):
        queue.put(appended(number))
    assert numbers(queue.take()) == [0, 1, 2]


def test_a_write_that_is_awaited_takes_the_appended_ones_before_it_along() -> None:
    queue = WriteQueue()
    queue.put(appended(1))
    queue.put(awaited(2))
    queue.put(appended(3))
    queue.flush_now()
    assert numbers(queue.take()) == [1, 2, 3]


def test_reads_do_not_wait_for_appended_writes() -> None:
    queue, read = WriteQueue(), question()
    queue.put(appended(1))
    queue.ask(read)
    batch = queue.take()
    assert (batch.reads, batch.writes) == ([read], [])
    assert numbers(queue.take()) == [1]


def test_reads_come_with_writes_that_are_awaited() -> None:
    queue, read = WriteQueue(), question()
    queue.put(awaited(1))
    queue.flush_now()
    queue.ask(read)
    batch = queue.take()
    assert batch.reads == [read]
    assert numbers(batch) == [1]


def test_only_the_first_write_and_the_first_that_is_awaited_need_a_flush() -> None:
    queue = WriteQueue()
    writes = (appended(0), appended(1), awaited(2), awaited(3), appended(4))
    assert [queue.put(write) for write in writes] == [True, False, True, False, False]
    queue.flush_now()
    queue.take()
    assert queue.put(awaited(5))


def test_without_a_flush_only_reads_are_taken() -> None:
    queue = WriteQueue()
    queue.put(awaited(1))
    queue.ask(question())
    assert numbers(queue.take()) == []
    queue.flush_now()
    assert numbers(queue.take()) == [1]


def test_a_flush_without_anything_awaited_changes_nothing() -> None:
    queue = WriteQueue()
    queue.flush_now()
    queue.put(appended(1))
    queue.ask(question())
    assert numbers(queue.take()) == []


def test_the_last_batch_is_all_that_is_left() -> None:
    queue, read = WriteQueue(), question()
    queue.put(appended(1))
    queue.ask(read)
    queue.close()
    batch = queue.take()
    assert (batch.reads, numbers(batch), batch.last) == ([read], [1], True)


def test_a_closed_queue_takes_nothing() -> None:
    queue = WriteQueue()
    queue.close()
    with pytest.raises(JournalError, match="closed"):
        queue.put(appended(1))
    with pytest.raises(JournalError, match="closed"):
        queue.ask(question())


def wake(queue: WriteQueue, deed: str) -> None:
    if deed == "append":
        queue.put(appended(1))
        queue.flush_now()
    elif deed == "put":
        queue.put(awaited(1))
        queue.flush_now()
    elif deed == "ask":
        queue.ask(question())
    else:
        queue.close()


@pytest.mark.parametrize("deed", ["append", "put", "ask", "close"])
def test_a_thread_that_waits_for_work_is_woken_by_it(deed: str) -> None:
    queue, batches = WriteQueue(), list[Batch]()
    thread = Thread(target=lambda: batches.append(queue.take()))
    thread.start()
    wake(queue, deed)
    thread.join()
    assert len(batches) == 1
