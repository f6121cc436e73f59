"""Every example runs, from end to end, with a session on the sandbox."""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import json
import math
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

import kling_async
from kling_async import Kind, Limits, get_model, read_journal
from kling_async.sandbox import Sandbox, SandboxThread
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.kling_sandbox(speed=2000)


def run(name: str, sandbox: Sandbox, *arguments: Any) -> Any:
    main = runpy.run_path(str(EXAMPLES / name))["main"]
    return asyncio.run(main(sandbox.session(), *arguments))


def test_one_video(kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("one_video.py", kling_sandbox, tmp_path)
    (video,) = tmp_path.glob("*.mp4")
    assert capsys.readouterr().out.startswith(str(video))
    assert video.read_bytes()[4:8] == b"ftyp"


def test_many_prompts(
    kling_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"prompt number {n}\n\n" for n in range(5))))
    assert run("many_prompts.py", kling_sandbox, tmp_path) == 0
    assert sorted(capsys.readouterr().out.split()) == sorted(str(path) for path in tmp_path.glob("*.mp4"))
    assert len(kling_sandbox.ledger.purchases) == 5


def test_follow_events(kling_sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    run("follow_events.py", kling_sandbox)
    told = capsys.readouterr().out
    assert told.count(": done, ") == 3
    assert "0 events missed" in told


def test_every_kind(kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("every_kind.py", kling_sandbox, tmp_path)
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told.keys() == {kind.value for kind in Kind}
    assert {Path(path).stat().st_size > 0 for path in told.values()} == {True}
    sold = [get_model(purchase.model).kind for purchase in kling_sandbox.ledger.purchases.values()]
    assert sorted(kind.value for kind in sold) == sorted(kind.value for kind in Kind)


def test_every_kind_buys_no_more_than_what_was_picked(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    run("every_kind.py", kling_sandbox, tmp_path, ["effect", "avatar"])
    assert len(kling_sandbox.ledger.purchases) == 2


@pytest.mark.timeout(180)
@pytest.mark.untraced
def test_thousand_prompts(kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(EXAMPLES / "thousand_prompts.py"))["main"]
    session = kling_sandbox.session(limits=Limits(requests_per_second=math.inf, max_in_flight=200))
    assert asyncio.run(main(session, str(tmp_path))) == {"done": 1000}
    assert len(kling_sandbox.ledger.purchases) == 1000
    assert {Path(line) for line in capsys.readouterr().out.splitlines()} == set(tmp_path.iterdir())


def test_pipeline(kling_sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = (sys.executable, "-c", "import shutil, sys; shutil.copy(*sys.argv[1:])", "{video}", "{picture}")
    run("pipeline.py", kling_sandbox, tmp_path, [f"take {n}" for n in range(5)], copy)
    videos, pictures = set(tmp_path.glob("*.mp4")), set(tmp_path.glob("*.png"))
    assert {Path(line) for line in capsys.readouterr().out.splitlines()} == pictures
    assert {picture.with_suffix(".mp4") for picture in pictures} == videos
    assert {picture.read_bytes() for picture in pictures} == {video.read_bytes() for video in videos}
    assert len(videos) == 5


def test_notebook(kling_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kling_async, "KlingSession", kling_sandbox.session)
    monkeypatch.chdir(tmp_path)
    script = (EXAMPLES / "notebook.py").read_text("utf-8")
    code = compile(script, "notebook.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert code.co_flags & inspect.CO_COROUTINE
    asyncio.run(eval(code, {}))  # noqa: S307 - this project's own words
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 3


def test_test_your_own() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "test_your_own.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this very Python
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


SAMPLE = re.compile(r'^([a-z_]+)(\{[a-z]+="[^"]*"\})? ([0-9.e+-]+)$', re.MULTILINE)


def test_metrics(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    told = run("metrics.py", kling_sandbox, tmp_path, free_port(), ["a fox", "an otter", "a heron"])
    samples = {name + labels: float(value) for name, labels, value in SAMPLE.findall(told)}
    comments = [line for line in told.splitlines() if line.startswith("#")]
    assert len(samples) + len(comments) == len(told.splitlines())
    assert samples['kling_events_total{event="Downloaded"}'] == 3
    assert samples['kling_generation_seconds_bucket{le="+Inf"}'] == samples["kling_generation_seconds_count"] == 3
    assert samples["kling_generation_seconds_sum"] > 0
    assert samples["kling_downloaded_bytes_total"] == sum(video.stat().st_size for video in tmp_path.glob("*.mp4"))
    assert samples['kling_jobs{state="pending"}'] == 0


def test_metrics_are_served_beside_the_work(kling_sandbox: Sandbox) -> None:
    example = runpy.run_path(str(EXAMPLES / "metrics.py"))
    port = free_port()

    async def scrape() -> tuple[int, str | None, str]:
        async with kling_sandbox.session() as kling:
            runner = await example["serve"](example["Metrics"](), kling, port)
            told = await asyncio.to_thread(get, port, "/metrics")
            await runner.cleanup()
        return told

    status, kind, text = asyncio.run(scrape())
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'kling_jobs{state="queued"} 0' in text


def test_tracing(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    spans = memory.InMemorySpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    run("tracing.py", kling_sandbox, tmp_path, provider)
    assert [span.name.partition(" ")[0] for span in spans.get_finished_spans()] == [
        "generate_content",
        "kling.download",
    ]


# The web services, in processes of their own


class Clock:
    """A vendor's clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vendor(clock: Clock) -> Iterator[Sandbox]:
    """A vendor whose generations are done once its clock is set forward."""
    with SandboxThread(Sandbox(clock=clock)) as sandbox:
        yield sandbox


SERVE = """
import runpy, sys
from kling_async import KlingSession, Polling
example, journal, port = sys.argv[1:]
session = KlingSession(journal=journal, polling=Polling.fixed(0.05, min_gap=0.05))
runpy.run_path(example)["main"](session, int(port))
"""


@define
class Service:
    """One of the services, and what it says to clients."""

    example: str
    folder: Path
    vendor: Sandbox
    port: int

    @contextmanager
    def running(self, command: list[str] | None = None) -> Generator[subprocess.Popen[str]]:
        """One life of the service; it is killed at the end, unless it has ended."""
        usual = [sys.executable, "-c", SERVE, str(EXAMPLES / self.example), str(self.folder / "jobs.db")]
        environment = {"AIMLAPI_BASE_URL": self.vendor.url, "AIMLAPI_API_KEY": self.vendor.api_key}
        with subprocess.Popen(  # noqa: S603 - this very Python
            command or [*usual, str(self.port)],
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=sys.platform != "win32",
        ) as process:
            try:
                assert process.stdout is not None
                said = next((line for line in process.stdout if "running on http" in line.lower()), None)
                assert said is not None, "it ended instead of serving"
                yield process
            finally:
                with suppress(ProcessLookupError):  # with its own processes, where it has some
                    os.killpg(process.pid, signal.SIGKILL) if sys.platform != "win32" else process.kill()

    def post(self, body: object) -> tuple[int, Any]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", "/videos", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
            return response.status, json.loads(text) if response.status == 202 else text

    def show(self, token: str) -> Any:
        status, _, text = get(self.port, f"/videos/{token}")
        return json.loads(text) if status == 200 else status

    @contextmanager
    def following(self, token: str) -> Generator[Iterator[tuple[str, Any]]]:
        """The events of a job, as a browser gets them."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", f"/videos/{token}/events")
            response = connection.getresponse()
            assert (response.headers["Content-Type"] or "").startswith("text/event-stream")
            yield events_of(response)


def events_of(response: HTTPResponse) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in response:
        name, _, value = line.decode().strip().partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def get(port: int, target: str) -> tuple[int, str | None, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(params=["web_service.py", "fastapi_service.py"])
def service(request: pytest.FixtureRequest, tmp_path: Path, vendor: Sandbox) -> Service:
    if request.param == "fastapi_service.py" and not (find_spec("fastapi") and find_spec("uvicorn")):
        pytest.skip("fastapi and uvicorn are not installed")
    return Service(request.param, tmp_path, vendor, free_port())


def test_a_service_goes_on_with_what_it_promised_after_it_was_killed(service: Service, clock: Clock) -> None:
    with service.running() as process:
        status, promised = service.post({"prompt": "a fox in the snow"})
        with service.following(promised["token"]) as events:
            next(told for _, told in events if told["state"] == "pending")
            process.kill()
    with service.running():
        with service.following(promised["token"]) as events:
            first = next(events)
            clock.now = 3600.0
            *_, last = events
        shown = service.show(promised["token"])

    assert status == 202
    assert first[1]["state"] == "pending"
    assert (last[0], last[1]["state"]) == ("settled", "completed")
    assert shown == last[1]
    assert shown["url"].startswith("http")
    assert len(service.vendor.ledger.purchases) == 1


def test_a_service_knows_in_its_next_life_what_was_finished_in_the_last(service: Service, clock: Clock) -> None:
    with service.running() as process:
        _, promised = service.post({"prompt": "a fox in the snow"})
        with service.following(promised["token"]) as events:
            next(told for _, told in events if told["state"] == "pending")
            clock.now = 3600.0
            *_, (_, finished) = events
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    with service.running(), service.following(promised["token"]) as events:
        assert list(events) == [("settled", finished)]


def test_a_service_refuses_what_is_no_prompt_and_knows_no_other_tokens(service: Service) -> None:
    bodies: tuple[Any, ...] = ({"prompt": ""}, {"prompt": 5}, {}, [])
    with service.running():
        refused = [service.post(body)[0] for body in bodies]
        unknown = [service.show(token) for token in ("0" * 24, "not a token".replace(" ", "%20"))]

    assert all(status in (400, 422) for status in refused)
    assert unknown == [404, 404]
    assert not service.vendor.ledger.purchases


@pytest.mark.parametrize("service", ["web_service.py"], indirect=True)
def test_a_service_that_is_stopped_lets_its_followers_go(service: Service) -> None:
    with service.running() as process:
        _, promised = service.post({"prompt": "a fox in the snow"})
        with service.following(promised["token"]) as events:
            next(events)
            process.send_signal(signal.SIGTERM)
            seen = [kind for kind, _ in events]
        assert process.wait(timeout=30) == 0

    assert "settled" not in seen[:-1]


WORKERS = """
import sys
sys.path.insert(0, EXAMPLES)
import kling_async

class Quick(kling_async.KlingSession):
    def __init__(self, **settings):
        super().__init__(polling=kling_async.Polling.fixed(0.05, min_gap=0.05), **settings)

kling_async.KlingSession = Quick
from service_with_workers import main, service

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), factory="workers:service")
"""


def until_served(port: int) -> None:
    while True:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)


def bought(vendor: Sandbox, number: int) -> None:
    while len(vendor.ledger.purchases) < number:
        time.sleep(0.02)


def leader_of(journal: Path) -> int:
    """The id of the process that leads, once one does."""
    while (sharing := read_journal(journal).sharing(boot_clock())) is None or not sharing.lease.is_held(boot_clock()):
        time.sleep(0.02)
    return int(sharing.lease.owner.split()[1])


@pytest.mark.skipif(sys.platform == "win32", reason="a file cannot be shared there")
def test_a_service_of_four_processes_goes_on_when_the_one_that_leads_is_killed(
    tmp_path: Path, vendor: Sandbox, clock: Clock
) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    program, journal = tmp_path / "workers.py", tmp_path / "jobs.db"
    program.write_text(WORKERS.replace("EXAMPLES", repr(str(EXAMPLES))))
    service = Service(str(program), tmp_path, vendor, free_port())
    with service.running([sys.executable, str(program), str(journal), str(service.port)]) as process:
        until_served(service.port)
        promised = [service.post({"prompt": f"a fox, take {n}"})[1]["token"] for n in range(4)]
        bought(vendor, 4)
        killed = leader_of(journal)
        os.kill(killed, signal.SIGKILL)
        promised.append(service.post({"prompt": "a fox, once more"})[1]["token"])
        bought(vendor, 5)
        clock.now = 3600.0
        shown = [service.show(token) for token in promised]
        while any(told["state"] != "completed" for told in shown):
            time.sleep(0.2)
            shown = [service.show(token) for token in promised]
        assert leader_of(journal) != killed
        process.terminate()
        process.wait(timeout=30)

    assert all(told["url"].startswith("http") for told in shown)
    assert len(vendor.ledger.purchases) == 5


def test_two_hosts(kling_sandbox: Sandbox, tmp_path: Path) -> None:
    example = runpy.run_path(str(EXAMPLES / "two_hosts.py"))
    shared: dict[str, Any] = {"journal": tmp_path / "jobs.db", "shared": True}
    key = asyncio.run(example["submit"](kling_sandbox.session(hold=True, **shared), "a fox"))
    assert not kling_sandbox.ledger.purchases
    file = Path(asyncio.run(example["wait"](kling_sandbox.session(**shared), key, tmp_path)))
    assert file.read_bytes()[4:8] == b"ftyp"
    assert kling_sandbox.ledger.by_key.keys() == {key}


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in EXAMPLES.glob("*.py") if not re.search(rf"\b{path.stem}\b", here)] == []
