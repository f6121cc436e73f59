"""Learned durations are kept in the journal, and errors in that do not concern jobs."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ScriptedVendor, prompt, session
from virtual import virtual

from kling_async import JournalError, MemoryJournal, Polling

if TYPE_CHECKING:
    from kling_async import KlingSession

KIND: dict[str, Any] = {"model": "klingai/v2.1-master-text-to-video", "duration": 5}


class _Watched(MemoryJournal):
    """Notes what it is given to retain, and may refuse it."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.refuses = refuses

    async def save_learned(self, text: str) -> None:
        if self.refuses:
            raise JournalError("the disk is full")
        self.texts.append(text)
        await super().save_learned(text)


async def run(vendor: ScriptedVendor, jobs: int = 5, **settings: Any) -> float:
    """How many generations a session knows of at its start, before it runs some."""
    async with session(vendor, **settings) as kling:
        before = known(kling)
        await asyncio.gather(*(kling.submit(prompt(f"{n}", **KIND)) for n in range(jobs)))
        return before


def known(kling: KlingSession) -> float:
    return sum(kind.generations for kind in kling.stats().learned)


@virtual
async def test_the_next_session_on_a_journal_knows_what_the_last_one_learned() -> None:
    vendor, journal = ScriptedVendor(takes=100), MemoryJournal()
    assert await run(vendor, journal=journal) == 0
    assert await run(vendor, journal=journal) == pytest.approx(5, rel=0.01)
    assert await run(vendor, journal=journal) == pytest.approx(10, rel=0.03)


@virtual
async def test_what_the_caller_brings_wins() -> None:
    vendor, journal = ScriptedVendor(takes=100), MemoryJournal()
    await run(vendor, journal=journal)
    learned = json.loads(await journal.load_learned() or "") | {"tables": []}
    assert await run(vendor, journal=journal, polling=Polling(learned=learned)) == 0


@virtual
async def test_a_long_session_hands_it_back_now_and_then_and_only_what_is_new() -> None:
    journal = _Watched()
    async with session(ScriptedVendor(takes=100), journal=journal) as kling:
        await asyncio.sleep(1000)
        assert journal.texts == []
        await kling.submit(prompt(**KIND))
        await asyncio.sleep(2000)
        assert len(journal.texts) == 1
        assert json.loads(journal.texts[0]) == kling.learned()
    assert len(journal.texts) == 1


@virtual
async def test_what_makes_no_sense_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    for text in ("{", "[1]", '{"version": 7}', "[" * 100_000):
        journal = MemoryJournal()
        await journal.save_learned(text)
        assert await run(ScriptedVendor(takes=100), journal=journal, jobs=1) == 0
        assert "learned anew" in caplog.text
        caplog.clear()


@virtual
async def test_a_journal_that_cannot_keep_it_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert await run(ScriptedVendor(takes=100), journal=_Watched(refuses=True)) == 0
    assert "the disk is full" in caplog.text
