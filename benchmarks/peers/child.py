"""The client's process: runs the jobs with one client, and says what became of them and what that took.

It runs in the client's own environment, so it needs nothing but Python. The clock is put in place before the client is
imported. What is measured begins before the client is made and ends when the last job has; imports are left out, but
for those that the client itself puts off.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import virtual_time
from benchmarks.peers.virtual_time import SharedClock, SleepingThreads, jumping_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

_STATUS = Path("/proc/self/status")

_Job = dict[str, Any]


def main() -> None:
    """Run what is asked for as JSON, and print the report as JSON."""
    asked = json.loads(sys.argv[1])
    shared, real = SharedClock(Path(asked["clock"])), asked["real"]
    threads = SleepingThreads(shared)
    if not real:
        virtual_time.install(shared, threads.sleep)
    random.seed(asked["seed"])
    client = import_module(f"benchmarks.peers.clients.{asked['client']}")
    prompts = [f"a white raccoon in a sequoia forest, take {number}" for number in range(asked["jobs"])]
    begun, spent = shared.now(), time.process_time()
    if hasattr(client, "threaded"):
        jobs = _threaded(client, asked, prompts, shared, threads)
    else:
        loop_factory = None if real else partial(jumping_loop, shared)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            jobs = runner.run(_concurrent(client, asked, prompts, shared))
    json.dump(
        {
            "jobs": jobs,
            "took_s": shared.now() - begun,
            "cpu_s": time.process_time() - spent,
            "peak_mb": _peak_megabytes(),
        },
        sys.stdout,
    )


async def _concurrent(client: ModuleType, asked: dict[str, Any], prompts: list[str], shared: SharedClock) -> list[_Job]:
    """Run all at once, one task each."""
    async with client.opened(asked["url"], **asked["options"]) as generate:
        return list(await asyncio.gather(*(_awaited(generate, prompt, shared) for prompt in prompts)))


async def _awaited(generate: Callable[[str], Awaitable[str]], prompt: str, shared: SharedClock) -> _Job:
    try:
        video = await generate(prompt)
    except Exception as error:  # noqa: BLE001 - whatever a client gives up with is its outcome
        return _given_up(error)
    return {"video": video, "known_at": shared.now()}


def _threaded(
    client: ModuleType, asked: dict[str, Any], prompts: list[str], shared: SharedClock, threads: SleepingThreads
) -> list[_Job]:
    """Run all at once, one thread each."""
    jobs: list[_Job] = [{} for _ in prompts]
    with client.threaded(asked["url"], **asked["options"]) as generate:
        works = zip(prompts, jobs, strict=True)
        threads.run(partial(_waited, generate, prompt, job, shared) for prompt, job in works)
    return jobs


def _waited(generate: Callable[[str], str], prompt: str, job: _Job, shared: SharedClock) -> None:
    try:
        video = generate(prompt)
    except Exception as error:  # noqa: BLE001 - whatever a client gives up with is its outcome
        job |= _given_up(error)
    else:
        job |= {"video": video, "known_at": shared.now()}


def _given_up(error: Exception) -> _Job:
    return {"error": f"{type(error).__name__}: {error}"[:200]}


def _peak_megabytes() -> float | None:
    """Return the most memory this process ever had, the interpreter and imports included; None if unknown.

    Not ``ru_maxrss``, which begins with what the parent had.
    """
    if not _STATUS.exists():
        return None
    lines = dict(line.split(":", 1) for line in _STATUS.read_text("ascii").splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
