"""The session for threads and scripts: the same calls, waited for instead of awaited."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ScriptedVendor, answer, prompt

import kling_async
from kling_async import (
    ConfigurationError,
    GenerationFailed,
    InvalidRequest,
    JobState,
    Limits,
    Polling,
    SessionClosed,
    Submission,
    TextToVideo,
    Video,
)
from kling_async.sandbox import Sandbox, SandboxThread
from kling_async.sync import Job, KlingSession

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent  # where children find what tests share


def promptly(vendor: ScriptedVendor | None = None, **settings: Any) -> KlingSession:
    settings.setdefault("limits", Limits(requests_per_second=1000, burst=1000))
    polling = Polling.fixed(0.001, min_gap=0.001, metrics=False)
    return KlingSession(transport=vendor or ScriptedVendor(takes=0.0), polling=polling, **settings)


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}


def parameters(member: Any) -> dict[str, tuple[Any, Any]]:
    found = inspect.signature(member).parameters.values()
    return {part.name: (part.kind, part.default) for part in found if part.name != "self"}


def test_it_has_the_names_and_the_parameters_of_the_asynchronous_session() -> None:
    here, there = public(KlingSession), public(kling_async.KlingSession)
    assert here.keys() - {"close"} == there.keys() - {"aclose"}
    for name, member in there.items():
        if inspect.isfunction(member) and name != "aclose":
            assert parameters(here[name]) == parameters(member), name
            assert not inspect.iscoroutinefunction(here[name])
            assert (here[name].__doc__ or "").strip(), name
    assert parameters(KlingSession) == parameters(kling_async.KlingSession)
    assert public(Job).keys() == public(kling_async.Job).keys()
    for name, member in public(Job).items():
        assert not inspect.iscoroutinefunction(member), name
        assert not inspect.isasyncgenfunction(member), name


def test_how_far_a_job_is_is_seen_while_it_runs_and_after_the_session() -> None:
    with promptly(ScriptedVendor(takes=1e9)) as kling:
        job = kling.submit(prompt())
        steps = job.watch(every=0.01)
        assert 0 <= next(steps).fraction <= next(steps).fraction < 0.5
        job.abandon()
        assert len(list(steps)) in {1, 2}  # the last one, after perhaps one that was already on its way
        with pytest.raises(InvalidRequest, match="every is 0"):
            next(job.watch(every=0))
        left = kling.submit(prompt())
        assert left.progress.fraction < 1
    assert left.expected_completion is None
    assert (left.progress.fraction, left.progress.remaining) == (0.0, None)


def test_a_job_is_waited_for() -> None:
    with promptly() as kling:
        job = kling.submit(Submission(prompt(), tag="fox"), key="k")
        assert job.accepted() == "g1"
        assert job.recorded() is job.settled() is job
        assert isinstance(job.result(), Video)
        assert (job.exception(), job.tag, job.key, job.state, job.done()) == (
            None,
            "fox",
            "k",
            JobState.COMPLETED,
            True,
        )
        assert job.expected_completion is None
        assert kling.find("k") is not None
        assert kling.find("other") is None
        kling.drain()
        assert kling.pending == ()
        assert kling.stats().completed == 1
        assert [record.key for record in kling.history()] == ["k"]
        assert kling.is_leader
    assert repr(kling).startswith("<sync KlingSession https")


def test_a_wait_may_be_limited_and_the_job_goes_on() -> None:
    with promptly(ScriptedVendor(takes=1e9)) as kling:
        job = kling.submit(prompt())
        for wait in (job.result, job.exception):
            with pytest.raises(TimeoutError):
                wait(timeout=0.01)
        assert kling.pending == (job,)
        assert {job} == set(kling.pending)
        told = list[Job]()
        job.add_done_callback(told.append)
        job.abandon()
        assert type(job.exception()).__name__ == "JobAbandoned"
        kling.stats()  # the callback was before it
        assert told == [job]
        with pytest.raises(InvalidRequest, match="callback is 5"):
            job.add_done_callback(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_source_is_read_in_the_thread_that_iterates() -> None:
    threads, closed = set[int](), list[bool]()

    def source() -> Iterator[Any]:
        try:
            for number in range(20):
                threads.add(threading.get_ident())
                yield 5 if number == 7 else prompt(f"take {number}")
        finally:
            closed.append(True)

    with promptly() as kling:
        jobs = list(kling.as_completed(source(), max_in_flight=3))
        first = next(kling.as_completed([*jobs[:1], prompt("again")]))
    assert threads == {threading.get_ident()}
    assert closed == [True]
    assert len(jobs) == 20
    assert sum(isinstance(job.exception(), InvalidRequest) for job in jobs) == 1
    assert first == jobs[0]


def test_a_source_is_read_only_so_far_ahead_and_closed_by_leaving() -> None:
    read, closed = list[int](), list[bool]()

    def source() -> Iterator[Any]:
        try:
            for number in range(1_000_000):
                read.append(number)
                yield prompt()
        finally:
            closed.append(True)

    with promptly() as kling:
        for taken, _job in enumerate(kling.as_completed(source(), max_in_flight=4), start=1):
            if taken == 5:
                break
        assert closed == [True]
    assert len(read) <= 5 + 4


def test_the_sources_error_comes_after_the_jobs_before_it() -> None:
    def source() -> Iterator[Any]:
        yield prompt()
        raise LookupError("in the source")

    came = list[Job]()
    with promptly() as kling, pytest.raises(LookupError, match="in the source"):
        came.extend(kling.as_completed(source()))
    assert [job.generation_id for job in came] == ["g1"]


@pytest.mark.parametrize("source", [None, 5, "a fox"])
def test_what_is_no_source_is_refused_at_the_call(source: Any) -> None:
    with promptly() as kling:
        with pytest.raises(InvalidRequest, match="source is"):
            kling.as_completed(source)
        with pytest.raises(InvalidRequest, match="max_in_flight is 0"):
            kling.as_completed([], max_in_flight=0)
        with pytest.raises(InvalidRequest, match="path is missing"):
            kling.as_downloaded([])


def test_events_come_until_the_job_or_the_session_ends() -> None:
    with promptly(ScriptedVendor(takes=1e9)) as kling:
        everything = kling.subscribe()
        job = kling.submit(prompt())
        own, watched = job.events(), kling.subscribe(job=job, buffer=5)
        job.abandon()
        assert [type(event).__name__ for event in own][-1] == "Interrupted"
        assert getattr(next(watched), "job", None) == job
        with ThreadPoolExecutor(1) as reader:
            first = next(everything)
            rest = reader.submit(list[Any], everything)
            kling.close()
            assert type(first).__name__ == "Queued"
            assert "Interrupted" in {type(event).__name__ for event in rest.result(timeout=30)}


def test_any_threads_may_use_one_session_which_the_first_call_opens() -> None:
    kling = promptly()
    with ThreadPoolExecutor(8) as threads:
        videos = list(threads.map(lambda number: kling.submit(prompt(str(number))).result(timeout=30), range(40)))
    assert len({video.generation_id for video in videos}) == 40
    kling.close()
    kling.close()
    for call in (kling.stats, kling.__enter__, lambda: kling.submit(prompt())):
        with pytest.raises(SessionClosed):
            call()


def test_whoever_waits_while_it_is_closed_is_told() -> None:
    kling = promptly(ScriptedVendor(takes=1e9))
    jobs = [kling.submit(prompt()) for _ in range(5)]
    events, completed = kling.subscribe(), kling.as_completed(jobs)
    waiting = threading.Barrier(6)

    def wait(job: Job) -> BaseException | None:
        waiting.wait()
        return job.exception()

    with ThreadPoolExecutor(5) as threads:
        errors = [threads.submit(wait, job) for job in jobs]
        waiting.wait()
        kling.close()
        assert {type(error.result(timeout=30)) for error in errors} == {SessionClosed}
    for left in (events, completed):
        with pytest.raises(SessionClosed):
            list(left)


def test_what_is_left_half_read_holds_up_no_end() -> None:
    with promptly() as kling:
        jobs = kling.as_completed(prompt() for _ in range(10))
        next(jobs)
        events = kling.subscribe()
        kling.submit(prompt()).result()
        next(events)
    with pytest.raises(SessionClosed):  # its source was not read to the end
        list(jobs)
    assert "Completed" in {type(event).__name__ for event in events}


def test_from_the_functions_that_it_calls_it_is_not_used() -> None:
    told = list[str]()
    with promptly() as kling:
        job = kling.submit(prompt())

        def callback(_: Job) -> None:
            with pytest.raises(ConfigurationError) as caught:
                kling.stats()
            told.append(str(caught.value))

        job.add_done_callback(callback)
        job.result()
        kling.stats()
    (said,) = told
    assert said.startswith("a session cannot be used from the functions that it calls (")


def test_what_cannot_be_opened_is_told_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    (tmp_path / "a.db").write_text("no journal")
    kling = promptly(journal=tmp_path / "a.db")
    for _ in range(2):
        with pytest.raises(kling_async.KlingError):
            kling.submit(prompt())
    assert threading.active_count() == before
    with pytest.raises(ConfigurationError, match="base_url"):
        KlingSession("key", base_url="ftp://a.example")


def test_an_error_in_the_block_is_the_one_that_comes_out() -> None:
    vendor = ScriptedVendor(takes=0.0, on_poll=lambda *_: answer(200, {"id": "g1", "status": "error", "error": None}))
    with pytest.raises(GenerationFailed), promptly(vendor) as kling:
        kling.submit(prompt()).result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_session_made_before_a_fork_is_opened_after_it_and_one_opened_before_is_refused() -> None:
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")
from kling_async import ConfigurationError, Polling, TextToVideo
from kling_async.sync import KlingSession
from scripted import ScriptedVendor, prompt
made, opened = (KlingSession(transport=ScriptedVendor(takes=0.0), polling=Polling.fixed(0.001)) for _ in range(2))
opened.stats()
child = os.fork()
made.submit(prompt()).result()
if not child:
    try:
        opened.stats()
    except ConfigurationError as error:
        print(error, flush=True)
        sys.exit(0)  # as a worker does, whose atexit functions are called
    sys.exit(1)
print(os.waitpid(child, 0)[1], flush=True)
"""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stdout, done.returncode) == (
        "a session is used in the process that opened it; make one after each fork\n0\n",
        0,
    ), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C goes to the whole console there")
def test_ctrl_c_ends_a_script_that_waits_in_order() -> None:
    code = """
import sys
from kling_async import TextToVideo
from kling_async.sync import KlingSession
from scripted import ScriptedVendor, prompt
with KlingSession(transport=ScriptedVendor(takes=1e9)) as kling:
    job = kling.submit(prompt())
    job.accepted()
    for wait in (job.result, lambda: next(kling.as_completed([job]))):
        try:
            print("waiting", flush=True)
            wait()
        except KeyboardInterrupt:
            print(job.done(), kling.pending == (job,), flush=True)
    raise KeyboardInterrupt
"""
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(2):
            assert child.stdout.readline() == "waiting\n"
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "False True\n"
        _, err = child.communicate(timeout=50)
    assert child.returncode == -signal.SIGINT
    assert err.strip().endswith("KeyboardInterrupt")


def test_with_a_real_vendor_files_come_by_it_too(tmp_path: Path) -> None:
    with (
        SandboxThread(Sandbox(speed=5000)) as sandbox,
        KlingSession(sandbox.api_key, base_url=sandbox.url, trust_env=False) as kling,
    ):
        video = kling.submit(TextToVideo("A fox")).result(timeout=30)
        sizes = list[int]()
        path = kling.download(video, into=tmp_path, progress=lambda size, _: sizes.append(size))
        assert path.name.startswith("a-fox-")
        assert path.stat().st_size == max(sizes)
        deliveries = kling.as_downloaded([TextToVideo("b"), TextToVideo("c")], into=tmp_path)
        assert sorted(delivery.result().name[0] for delivery in deliveries) == ["b", "c"]
        assert kling.balance() == kling.balance()
        assert len(list(kling.transactions())) == 3
        assert len(list(kling.logs())) >= 3
        assert kling.estimate([TextToVideo("a", duration=5)]).usd is not None
        assert kling.fetch(video.generation_id).video is not None
