from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from made_once import made_once
from programs import TIMEOUT, run, run_program

from benchmarks.peers import plot
from benchmarks.peers.environments import Unavailable
from benchmarks.peers.figures import Figures, read
from benchmarks.peers.outcome import Outcome, evaluate, middle
from benchmarks.peers.run import CONDITIONS, Case
from benchmarks.peers.run import run as run_case
from benchmarks.peers.settings import SETTINGS, Setting
from benchmarks.peers.table import as_markdown
from benchmarks.peers.vendor.http import Answer, Connection, Dropped, Held, HeldRequests, Request
from benchmarks.peers.vendor.ledger import Ledger, VendorSettings, durations, mean_seconds
from benchmarks.peers.vendor.protocols import Service
from benchmarks.peers.virtual_time import SharedClock

pytestmark = pytest.mark.timeout(TIMEOUT)  # most start processes

ROOT = Path(__file__).parents[2]
BY_NAME = {each.name: each for each in SETTINGS}
FAST = ("kling_async", "aiohttp-10s", "aiohttp-backoff")  # those that need nothing but what is installed here


class Vendor:
    """The service, at a clock that the test moves."""

    def __init__(self, jobs: int = 3, **settings: float) -> None:
        self.now = 1000.0
        self.ledger = Ledger(VendorSettings(jobs=jobs, seed=1, median=330.0, **settings), lambda: self.now)
        self.service = Service(self.ledger, "http://vendor", lambda: self.now)

    def ask(self, method: str, target: str, body: str = "", **headers: str) -> Any:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.service.reply(Request(method, target, said, body.encode()))

    def finish(self) -> None:
        self.now = max(purchase.completes_at for purchase in self.ledger.purchases.values())


PROMPT = json.dumps({"model": "kling", "prompt": "a raccoon, take 0"})

# How each service is asked, and the word in its answer that says how far a generation is: running, then done.
SERVICES = {
    "aimlapi": ("/v2/video/generations", "/v2/video/generations?generation_id={}", "generating", "completed"),
    "fal": (
        "/fal-ai/kling-video/v2.1/master/text-to-video",
        "/fal-ai/kling-video/requests/{}/status?logs=false",
        "IN_PROGRESS",
        "COMPLETED",
    ),
    "replicate": ("/v1/models/kwaivgi/kling-v2.1/predictions", "/v1/predictions/{}", "starting", "succeeded"),
    "runway": ("/v1/text_to_video", "/v1/tasks/{}", "RUNNING", "SUCCEEDED"),
    "openai": ("/v1/videos", "/v1/videos/{}", "in_progress", "completed"),
}


@pytest.mark.parametrize("service", SERVICES)
def test_the_vendor_sells_and_tells_in_the_words_of_each_service(service: str) -> None:
    place, look, running, done = SERVICES[service]
    vendor = Vendor()

    sold = vendor.ask("POST", place, PROMPT)
    [generation_id] = vendor.ledger.purchases
    assert generation_id in (sold.body.get("id"), sold.body.get("request_id"))
    assert vendor.ask("GET", look.format(generation_id)).body["status"] == running
    vendor.finish()
    assert vendor.ask("GET", look.format(generation_id)).body["status"] == done
    assert vendor.ask("GET", look.format("gen-nobody")).status == 404
    assert (vendor.ledger.requests, vendor.ledger.posts) == (4, 1)


@pytest.mark.parametrize("service", SERVICES)
def test_a_lost_answer_was_bought_and_the_next_submit_is_answered(service: str) -> None:
    place = SERVICES[service][0]
    vendor = Vendor(jobs=1, lost=0.02)

    assert isinstance(vendor.ask("POST", place, PROMPT), Dropped)
    assert isinstance(vendor.ask("POST", place, PROMPT), Answer)
    assert [purchase.job for purchase in vendor.ledger.purchases.values()] == [0, 0]


def test_what_is_done_at_fal_is_given_by_an_address_of_its_own() -> None:
    vendor = Vendor()
    sold = vendor.ask("POST", SERVICES["fal"][0], PROMPT).body

    place = sold["response_url"].removeprefix("http://vendor")
    assert vendor.ask("GET", place).body["video"]["url"].endswith(f"{sold['request_id']}.mp4")


def test_replicate_holds_a_submit_for_a_minute_at_most_if_asked_to() -> None:
    vendor = Vendor()
    held = vendor.ask("POST", SERVICES["replicate"][0], PROMPT, prefer="wait")

    assert isinstance(held, Held)
    assert held.until == vendor.now + 60.0
    assert held.answer().body["status"] == "starting"


def test_the_log_shows_a_generation_once_it_has_ended_under_the_name_it_was_bought_under() -> None:
    vendor = Vendor()
    vendor.ask("POST", SERVICES["aimlapi"][0], PROMPT, x_client_request_id="row-1:abc")
    look = "/v2/logs?start=1970-01-01T00:00:00Z&end=1970-01-02T00:00:00Z&limit=100&offset=0"

    assert vendor.ask("GET", look).body["data"] == []
    vendor.finish()
    [row] = vendor.ask("GET", look).body["data"]
    assert (row["client_request_id"], row["model"]) == ("row-1:abc", "kling")
    assert row["created"].startswith("1970-01-01T00:16:40")


def test_beyond_the_limit_requests_are_refused_and_counted() -> None:
    vendor = Vendor(rate=5.0)

    statuses = [vendor.ask("GET", "/v1/tasks/x").status for _ in range(8)]
    vendor.now += 0.2
    statuses.append(vendor.ask("GET", "/v1/tasks/x").status)

    assert statuses == [404] * 5 + [429] * 3 + [404]
    assert (vendor.ledger.requests, vendor.ledger.refused) == (9, 3)


def test_two_in_a_hundred_answers_are_lost() -> None:
    vendor = Vendor(jobs=100, **CONDITIONS["lost"])
    bodies = [json.dumps({"model": "kling", "prompt": f"take {number}"}) for number in range(100)]

    replies = [vendor.ask("POST", SERVICES["aimlapi"][0], body) for body in bodies]

    assert sum(isinstance(reply, Dropped) for reply in replies) == 2


def test_generations_take_as_long_for_every_client() -> None:
    assert durations(50, 1, 330.0) == durations(50, 1, 330.0) != durations(50, 2, 330.0)
    assert mean_seconds(2, 1, 330.0) == sum(durations(2, 1, 330.0)) / 2


def test_requests_are_read_in_whatever_pieces_they_come() -> None:
    seen: list[Request] = []

    def reply(request: Request) -> Answer:
        seen.append(request)
        return Answer({})

    connection = Connection(reply, lambda _, __: None)
    sent = b"POST /v1/videos HTTP/1.1\r\nContent-Length: 6\r\n\r\ntake 1GET /v1/videos/a HTTP/1.1\r\nHost: b\r\n\r\n"
    for byte in sent:
        connection.data_received(bytes([byte]))

    assert [(each.method, each.target, each.body) for each in seen] == [
        ("POST", "/v1/videos", b"take 1"),
        ("GET", "/v1/videos/a", b""),
    ]


@pytest.mark.asyncio
async def test_held_requests_are_answered_in_the_order_of_their_instants(tmp_path: Path) -> None:
    clock = SharedClock(tmp_path / "clock")
    room, sent = HeldRequests(clock), asyncio.Queue[Answer]()

    class Client(Connection):
        def send(self, answer: Answer) -> None:
            sent.put_nowait(answer)

    client = Client(lambda _: Dropped(), room.hold)
    now = clock.now()
    for wait in (200.0, 100.0):
        room.hold(Held(now + wait, lambda wait=wait: Answer(wait)), client)  # type: ignore[misc]
    assert (clock.held, clock.release) == (2, now + 100.0)
    clock.jump(300.0)

    assert [(await sent.get()).body, (await sent.get()).body] == [100.0, 200.0]
    assert clock.held == 0


def child(program: str, *arguments: str) -> Any:
    """What a program prints as JSON, in a process whose clocks and sockets it may change."""
    done = run_program(sys.executable, "-c", textwrap.dedent(program), *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_when_all_sleep_the_loop_jumps_and_every_process_sees_it(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock = SharedClock(file)
    begun = clock.now()

    woken = child(
        """
        import asyncio, json, sys, time
        from pathlib import Path
        from benchmarks.peers import virtual_time
        from benchmarks.peers.virtual_time import jumping_loop
        from benchmarks.peers.virtual_time import SharedClock
        from benchmarks.peers.virtual_time import SleepingThreads

        shared = SharedClock(Path(sys.argv[1]))
        virtual_time.install(shared, SleepingThreads(shared).sleep)

        async def main():
            begun, woken = time.monotonic(), []
            async def sleep(seconds):
                await asyncio.sleep(seconds)
                woken.append([seconds, time.monotonic() - begun])
            await asyncio.gather(sleep(5000), sleep(1000))
            return woken

        loop = jumping_loop(shared)
        print(json.dumps(loop.run_until_complete(main())))
        loop.close()
        """,
        str(file),
    )

    assert [asked for asked, _ in woken] == [1000, 5000]
    assert all(slept >= asked for asked, slept in woken)
    assert 4900 <= clock.offset <= 5000
    assert clock.now() - begun >= 5000


def test_while_an_answer_is_awaited_the_loop_does_not_jump(tmp_path: Path) -> None:
    order, offset = child(
        """
        import asyncio, json, socket, sys, threading
        from pathlib import Path
        from benchmarks.peers import virtual_time
        from benchmarks.peers.virtual_time import jumping_loop
        from benchmarks.peers.virtual_time import SharedClock
        from benchmarks.peers.virtual_time import SleepingThreads

        shared = SharedClock(Path(sys.argv[1]))
        virtual_time.install(shared, SleepingThreads(shared).sleep)
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]

        def serve():
            connection, _ = server.accept()
            connection.recv(10)
            order.append(shared.offset)
            connection.sendall(b"answer")
            connection.close()

        async def main():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sleeper = asyncio.create_task(asyncio.sleep(3600))
            writer.write(b"question")
            threading.Thread(target=serve).start()
            await reader.readexactly(6)
            writer.close()
            order.append(shared.offset)
            await sleeper

        order = []
        loop = jumping_loop(shared)
        loop.run_until_complete(main())
        loop.close()
        server.close()
        print(json.dumps([order, shared.offset]))
        """,
        str(tmp_path / "clock"),
    )

    assert order == [0.0, 0.0]
    assert offset > 3000


def test_threads_jump_to_the_next_waking_once_all_of_them_sleep(tmp_path: Path) -> None:
    log = child(
        """
        import json, sys, time
        from functools import partial
        from pathlib import Path
        from benchmarks.peers import virtual_time
        from benchmarks.peers.virtual_time import SharedClock
        from benchmarks.peers.virtual_time import SleepingThreads

        shared = SharedClock(Path(sys.argv[1]))
        threads = SleepingThreads(shared)
        virtual_time.install(shared, threads.sleep)
        begun, log = time.time(), []

        def work(every):
            for _ in range(3):
                time.sleep(every)
                log.append([every, time.time() - begun])

        threads.run([partial(work, 100), partial(work, 250)])
        print(json.dumps(log))
        """,
        str(tmp_path / "clock"),
    )

    assert [every for every, _ in log] == [100, 100, 250, 100, 250, 250]
    assert all(told >= due for (_, told), due in zip(log, (100, 200, 250, 300, 500, 750), strict=True))


def report(*jobs: dict[str, Any]) -> dict[str, Any]:
    return {"jobs": list(jobs), "cpu_s": 0.4, "peak_mb": 50.0, "took_s": 400.0}


def test_an_outcome_is_what_was_sold_compared_with_what_the_client_says() -> None:
    sold = [("a", 0, 100.0), ("b", 1, 200.0), ("c", 1, 210.0), ("d", 2, 300.0)]
    purchases = [{"id": name, "job": job, "completes_at": at} for name, job, at in sold]
    ledger = {"purchases": purchases, "requests": 40, "posts": 5, "refused": 10}
    known = [{"video": "http://x/files/a.mp4", "known_at": 103.0}, {"video": "c", "known_at": 211.0}]
    failed = [{"error": "TimeoutError: too long"}, {"error": "RateLimitError: no"}]

    outcome = evaluate(ledger, report(*known, *failed))

    assert (outcome.delivered, outcome.twice, outcome.lost) == (2, 1, 1)
    assert (outcome.mean_delay_s, outcome.p99_delay_s) == (2.0, 3.0)
    assert (outcome.requests_per_job, outcome.posts_per_job, outcome.refused_share) == (10.0, 1.25, 0.25)
    assert outcome.cpu_ms_per_job == pytest.approx(100.0)
    assert outcome.errors == {"TimeoutError": 1, "RateLimitError": 1}


def test_another_jobs_video_is_no_delivery() -> None:
    ledger = {"purchases": [{"id": "a", "job": 1, "completes_at": 1.0}], "requests": 1, "posts": 1, "refused": 0}

    with pytest.raises(AssertionError, match="job 0 was given the video of job 1"):
        evaluate(ledger, report({"video": "a", "known_at": 2.0}))


def outcome(*, requests: float, delay: float | None = 5.0) -> Outcome:
    return Outcome(
        requests_per_job=requests,
        posts_per_job=1.0,
        refused_share=0.0,
        mean_delay_s=delay,
        p99_delay_s=delay,
        cpu_ms_per_job=7.0,
        peak_mb=None,
        delivered=50,
        twice=0,
        lost=0,
        took_s=900.0,
    )


def test_over_seeds_the_middle_counts_and_runs_that_delivered_nothing_have_no_delay() -> None:
    runs = [outcome(requests=30.0), outcome(requests=90.0, delay=None), outcome(requests=40.0, delay=7.0)]

    assert middle(runs).requests_per_job == 40.0
    assert middle(runs).mean_delay_s == 6.0


def case(setting: Setting, **about: Any) -> Case:
    usual: dict[str, Any] = {"condition": "plain", "jobs": 50, "median": 330.0}
    return Case(setting=setting, **usual | about)


def test_figures_come_back_from_their_data_and_a_cell_is_counted_once(tmp_path: Path) -> None:
    ours, theirs = SETTINGS[0], BY_NAME["aimlapi"]
    figures = Figures(quick=True)
    figures.add(case(ours), None, "it broke")
    figures.add(case(ours), outcome(requests=30.0))
    figures.add(case(theirs), None, "cannot be installed")
    file = tmp_path / "peers.json"
    file.write_text(json.dumps(figures.as_data()), "utf-8")

    again = read(file)

    assert again.runs == figures.runs
    assert (again.has(case(ours)), again.has(case(ours, seed=2)), again.has(case(theirs))) == (True, False, False)
    assert again.of(theirs.name, "plain", 50) == "cannot be installed"


def test_the_table_has_no_figure_where_there_was_no_run_and_says_why() -> None:
    ours, theirs = SETTINGS[0], BY_NAME["aimlapi"]
    figures = Figures(quick=False)
    figures.add(case(ours), outcome(requests=31.4))
    figures.add(case(ours, condition="limited"), outcome(requests=9.0, delay=None))
    figures.add(case(theirs), None, "cannot be installed: no such package")

    table = as_markdown(figures, SETTINGS)

    [row] = [line for line in table.splitlines() if line.startswith("| **kling_async**")]
    assert "| 31 | 5 | 5 | 7 | - | 50 / 0 / 0 | - | 50 / 0 / 0, -, 0 % |" in row
    [row] = [line for line in table.splitlines() if line.startswith(f"| {theirs.title}")]
    assert row.count("| - ") == 8
    assert f"{theirs.name}, plain, 50 jobs, seed 1: no figures; cannot be installed: no such package" in table


def test_every_setting_has_a_name_and_requirements_of_its_own() -> None:
    here = ROOT / "benchmarks" / "peers"

    assert len({each.name for each in SETTINGS}) == len(SETTINGS)
    for each in SETTINGS:
        assert (here / "clients" / f"{each.client}.py").exists()
        assert each.requirements is None or (here / "requirements" / f"{each.requirements}.txt").exists()
    for file in (here / "requirements").iterdir():
        pins = [line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")]
        assert pins
        assert all("==" in pin for pin in pins)


def test_points_upon_one_another_share_a_label_but_never_with_ours() -> None:
    def point(requests: float, delay: float, *, ours: bool, led: bool = False) -> dict[str, Any]:
        return {"ours": ours, "led": led, "requests": requests, "delay": delay}

    ours = [point(35.0 + shift, 5.0, ours=True) for shift in (0.0, 1.0)]
    near = [point(35.0 + shift, 5.0, ours=False) for shift in (0.0, 1.0)]
    far = point(330.0, 0.5, ours=False)
    led = [point(35.0, 5.0, ours=True, led=True), point(5.0, 2.0, ours=True, led=True)]

    assert plot.as_groups([*ours, *near, far, *led]) == [ours, near, [far], led]


def test_a_client_that_breaks_has_a_reason_and_no_figures() -> None:
    options = {"model": "x", "polling": {"profile": "psychic"}}
    broken = Setting(name="x", title="x", how="x", label="x", client="kling", options=options)

    with pytest.raises(Unavailable, match="ConfigurationError"):
        run_case(case(broken, jobs=1))


def test_an_undisclosed_limit_is_felt_and_costs_no_job() -> None:
    outcome = run_case(case(SETTINGS[0], condition="limited", jobs=20))

    assert outcome.refused_share > 0
    assert (outcome.delivered, outcome.twice, outcome.lost) == (20, 0, 0)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """What one small run of the command printed, and the runs it wrote."""
    return made_once(tmp_path_factory, "peers", lambda: small_run(tmp_path_factory.mktemp("peers") / "peers.json"))


def small_run(file: Path) -> tuple[str, list[dict[str, Any]]]:
    arguments = ["--quick", "--jobs", "6", "--conditions", "plain", "lost", "--json", str(file), "--only", *FAST]
    done = run("benchmarks.peers", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text("utf-8"))["runs"]


def found(runs: list[dict[str, Any]], setting: str, condition: str) -> dict[str, Any]:
    [run] = [each for each in runs if (each["setting"], each["condition"]) == (setting, condition)]
    assert run["reason"] is None
    outcome: dict[str, Any] = run["outcome"]
    return outcome


def test_every_client_is_run_under_every_condition_asked_for(quick: tuple[str, list[dict[str, Any]]]) -> None:
    table, runs = quick

    cases = {(name, condition) for name in FAST for condition in ("plain", "lost")}
    assert {(run["setting"], run["condition"]) for run in runs} == cases
    assert "A quick run" in table
    assert table.count("6 / 0 / 0") >= len(FAST)


@pytest.mark.parametrize("name", FAST)
def test_on_a_good_day_all_is_delivered_and_noticed_in_the_end(
    quick: tuple[str, list[dict[str, Any]]], name: str
) -> None:
    plain = found(quick[1], name, "plain")

    assert (plain["delivered"], plain["twice"], plain["lost"], plain["posts_per_job"]) == (6, 0, 0, 1.0)
    assert plain["took_s"] > max(durations(6, 1, 330.0))
    assert plain["mean_delay_s"] > 0
    assert plain["requests_per_job"] > 2
    assert plain["cpu_ms_per_job"] > 0


@pytest.mark.parametrize(
    ("name", "delivered", "twice", "lost"),
    [("kling_async", 6, 0, 0), ("aiohttp-10s", 5, 0, 1), ("aiohttp-backoff", 6, 1, 0)],
)
def test_a_lost_answer_is_found_lost_or_paid_twice(
    quick: tuple[str, list[dict[str, Any]]], name: str, delivered: int, twice: int, lost: int
) -> None:
    outcome = found(quick[1], name, "lost")

    assert (outcome["delivered"], outcome["twice"], outcome["lost"]) == (delivered, twice, lost)
    assert outcome["posts_per_job"] == pytest.approx(1.0 + twice / 6)


def test_the_ledger_shows_charges_page_by_page_some_time_after_the_end() -> None:
    vendor = Vendor(150, lag=2.0)
    for number in range(150):
        vendor.ask("POST", "/v2/video/generations", PROMPT.replace("take 0", f"take {number}"))
    look = "/v2/billing/transactions?direction=CHARGE&type=MODEL_USAGE&limit=100"
    assert vendor.ask("GET", look).body == {"data": [], "pagination": {"next_cursor": None, "has_more": False}}
    vendor.finish()
    vendor.now += 60.0
    first = vendor.ask("GET", look).body
    last = vendor.ask("GET", f"{look}&cursor={first['pagination']['next_cursor']}").body
    shown = [row["reference_id"] for row in first["data"] + last["data"]]
    assert (len(first["data"]), len(shown)) == (100, 150)
    assert set(shown) == set(vendor.ledger.purchases)
    assert last["pagination"] == {"next_cursor": None, "has_more": False}
    assert Vendor().ask("GET", look).body["data"] == []
