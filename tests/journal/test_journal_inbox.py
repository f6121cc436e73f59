"""The order in which the journal's thread is given its work."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from threading import Thread

import pytest

from kling_async.errors import JournalError
from kling_async.journal.inbox import Batch, Inbox, Read, Write

COMPANY = 32  # awaited writes that need no bell


def note(number: int) -> Write:
    return Write(number, None, None, None)


def awaited(number: int) -> Write:
    loop = asyncio.new_event_loop()
    loop.close()
    return Write(number, None, None, loop.create_future())


def fill(inbox: Inbox, places: range) -> None:
    for number in places:
        inbox.put(awaited(number))


def question() -> Read[int]:
    answer: Future[int] = Future()
    return Read(lambda _: 1, answer)


def numbers(batch: Batch) -> list[int]:
    return [write.number for write in batch.writes]


def test_notes_are_taken_together_after_a_while() -> None:
    inbox = Inbox()
    for number in range(3):
        inbox.put(note(number))
    assert numbers(inbox.take()) == [0, 1, 2]


def test_a_write_that_is_awaited_takes_the_notes_before_it_along() -> None:
    inbox = Inbox()
    inbox.put(note(1))
    inbox.put(awaited(2))
    inbox.put(note(3))
    inbox.ring()
    assert numbers(inbox.take()) == [1, 2, 3]


def test_reads_do_not_wait_for_notes() -> None:
    inbox, read = Inbox(), question()
    inbox.put(note(1))
    inbox.ask(read)
    batch = inbox.take()
    assert (batch.reads, batch.writes) == ([read], [])
    assert numbers(inbox.take()) == [1]


def test_reads_come_with_writes_that_are_awaited() -> None:
    inbox, read = Inbox(), question()
    inbox.put(awaited(1))
    inbox.ring()
    inbox.ask(read)
    batch = inbox.take()
    assert batch.reads == [read]
    assert numbers(batch) == [1]


def test_only_the_first_write_that_is_awaited_needs_the_bell() -> None:
    inbox = Inbox()
    assert [inbox.put(write) for write in (note(0), awaited(1), awaited(2), note(3))] == [False, True, False, False]
    inbox.ring()
    inbox.take()
    assert inbox.put(awaited(4))


def test_a_write_that_is_awaited_waits_for_company() -> None:
    inbox = Inbox()
    fill(inbox, range(COMPANY - 1))
    inbox.ask(question())
    assert numbers(inbox.take()) == []
    inbox.put(awaited(COMPANY))
    inbox.ask(question())
    assert len(numbers(inbox.take())) == COMPANY


def test_whoever_comes_before_the_thread_does_is_taken_along() -> None:
    inbox = Inbox()
    fill(inbox, range(3 * COMPANY))
    inbox.put(note(999))
    inbox.ask(question())  # with which nothing is taken that the bell was not rung for
    assert numbers(inbox.take()) == [*range(3 * COMPANY), 999]


def test_the_bell_may_be_rung_for_nothing() -> None:
    inbox = Inbox()
    inbox.ring()
    inbox.put(note(1))
    inbox.ask(question())
    assert numbers(inbox.take()) == []


def test_the_last_batch_is_all_that_is_left() -> None:
    inbox, read = Inbox(), question()
    inbox.put(note(1))
    inbox.ask(read)
    inbox.close()
    batch = inbox.take()
    assert (batch.reads, numbers(batch), batch.last) == ([read], [1], True)


def test_a_closed_inbox_takes_nothing() -> None:
    inbox = Inbox()
    inbox.close()
    with pytest.raises(JournalError, match="closed"):
        inbox.put(note(1))
    with pytest.raises(JournalError, match="closed"):
        inbox.ask(question())


def wake(inbox: Inbox, deed: str) -> None:
    if deed == "put":
        inbox.put(awaited(1))
        inbox.ring()
    elif deed == "ask":
        inbox.ask(question())
    else:
        inbox.close()


@pytest.mark.parametrize("deed", ["put", "ask", "close"])
def test_whoever_waits_for_work_is_woken_by_it(deed: str) -> None:
    inbox, batches = Inbox(), list[Batch]()
    thread = Thread(target=lambda: batches.append(inbox.take()))
    thread.start()
    wake(inbox, deed)
    thread.join()
    assert len(batches) == 1
