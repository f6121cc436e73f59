"""The promises that hold in every fault: the one check at the end of each."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import threading
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kling_async import JobState, KlingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pytest

    from kling_async import Job, Record

    Books = Mapping[str, list[set[str]]]

_UNSOLD = frozenset({JobState.QUEUED, JobState.REJECTED})
_SOLD = frozenset({JobState.PENDING, JobState.COMPLETED, JobState.FAILED})


@define
class Evidence:
    """All that a fault has left behind, once everything is closed."""

    jobs: list[Job] = field(factory=list)  # every one that was handed out
    records: list[Record] = field(factory=list)  # what the journal says last
    books: Books = field(factory=dict)  # the POSTs the vendor accepted, by key, each as its ids
    opted_in: set[str] = field(factory=set)  # keys whose caller chose to have them sent again
    texts: list[str] = field(factory=list)  # reprs, output, and whatever else was shown
    secrets: list[str] = field(factory=list)
    folder: Path | None = None
    log: pytest.LogCaptureFixture | None = None


def uphold(evidence: Evidence) -> None:
    """Assert every promise that no fault may break."""
    _each_key_is_in_one_state(evidence)
    _nothing_is_bought_twice(evidence)
    _nothing_is_left_waiting(evidence)
    _no_secret_is_shown(evidence)
    _nothing_is_left_running(evidence)


def _each_key_is_in_one_state(evidence: Evidence) -> None:
    """Each key has one record, whose state is one that the vendor's books allow, and nothing sold is unknown."""
    counts = Counter(record.key for record in evidence.records)
    assert set(counts.values()) <= {1}, f"keys have several records: {counts}"
    unknown = set(evidence.books) - set(counts)
    assert not unknown, f"nobody knows that these were bought: {unknown}"
    for record in evidence.records:
        sold = evidence.books.get(record.key, [])
        assert record.state is not JobState.SUBMITTING, record
        if record.state in _UNSOLD:
            assert sold == [], record
        if record.state in _SOLD and record.request is not None:
            assert any(record.generation_id in ids for ids in sold), record


def _nothing_is_bought_twice(evidence: Evidence) -> None:
    twice = {key for key, sold in evidence.books.items() if len(sold) > 1}
    assert twice <= evidence.opted_in, f"bought twice: {twice}"


def _nothing_is_left_waiting(evidence: Evidence) -> None:
    waiting = [job for job in evidence.jobs if not job.done()]
    assert not waiting, f"not settled: {waiting}"


def _no_secret_is_shown(evidence: Evidence) -> None:
    shown = "\n".join(_shown(evidence))
    for secret in evidence.secrets:
        assert secret not in shown, f"…{shown[max(0, shown.index(secret) - 300) :][:600]}…"
        for path in _files(evidence.folder):
            assert secret.encode() not in path.read_bytes(), path


def _shown(evidence: Evidence) -> Iterator[str]:
    yield from evidence.texts
    if evidence.log is not None:
        yield evidence.log.text
    for record in evidence.records:
        yield repr(record)
    for job in evidence.jobs:
        yield f"{job!r} {job.token()}"
        error = job.exception()
        if error is not None:
            yield from told(error)


def told(error: BaseException) -> Iterator[str]:
    """An error in all the ways in which it may be seen, with those behind it."""
    yield f"{error!s} {error!r}"
    yield "".join(traceback.format_exception(error))
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, KlingError):
            yield _pickled(behind)
        yield f"{behind!r} {vars(behind)!r}"
        behind = behind.__cause__ or behind.__context__


def _pickled(error: KlingError) -> str:
    data = pickle.dumps(error)
    again: Any = pickle.loads(data)  # noqa: S301 - made a line above
    assert (type(again), str(again), again.key) == (type(error), str(error), error.key)
    return data.decode("latin-1")


def _files(folder: Path | None) -> Iterable[Path]:
    return [] if folder is None else [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def _nothing_is_left_running(evidence: Evidence) -> None:
    gc.collect()  # what was lost unawaited complains now
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("kling_async")]
    assert not tasks | set(threads), f"still running: {tasks} {threads}"
    records = [] if evidence.log is None else evidence.log.records
    complaints = [record for record in records if record.name == "asyncio" and record.levelno >= logging.WARNING]
    assert not complaints, "\n".join(record.getMessage() for record in complaints)
