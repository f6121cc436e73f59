"""To try things with: ``demo`` makes videos from a sandbox with faults, and ``sandbox`` serves one."""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import fmean
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

from attrs import fields_dict, frozen
from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, Port, PositiveFloat, PositiveInt

from kling_async import ConfigurationError, ImageToVideo, KlingError, TextToVideo
from kling_async.api import mp4
from kling_async.api.reprs import show
from kling_async.cli.exit_codes import Exit
from kling_async.cli.paths import make_folder
from kling_async.cli.progress.display import show_progress
from kling_async.cli.signals import run_told
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count, one_line, percentile, span
from kling_async.sandbox import Faults, Sandbox
from kling_async.transport.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kling_async import Request
    from kling_async.sandbox import CallRecorder


_STILLS = "https://example.com/stills"  # the sandbox checks that there is an image, and fetches none


def _words(model: str, **prompts: str) -> list[tuple[str, Request]]:
    return [(name.replace("_", "-"), TextToVideo(prompt, model=model)) for name, prompt in prompts.items()]


def _images(model: str, **prompts: str) -> list[tuple[str, Request]]:
    named = [(name.replace("_", "-"), prompt) for name, prompt in prompts.items()]
    return [(name, ImageToVideo(f"{_STILLS}/{name}.jpg", prompt=prompt, model=model)) for name, prompt in named]


_BY_MODEL = (
    _words(
        "klingai/v2.1-master-text-to-video",
        raccoon="A white raccoon tiptoes through a sequoia forest at dawn, its breath hanging in shafts of gold light",
        tea_house="Rain drums on a tin tea house in the Darjeeling hills while steam curls from a hundred cups",
        clockwork="Inside a pocket watch, brass gears the size of houses turn past a tiny mechanic with an oil can",
    ),
    _words(
        "klingai/v2.5-turbo/pro/text-to-video",
        parkour_fox="A red fox runs across the rooftops of Lisbon, tiles slipping under its paws, the tram far below",
        neon_market="A night market in the rain, neon doubled in the puddles, a cook tossing noodles through a flame",
        dandelion="One dandelion seed crosses a whole city in a single gust, past windows and laundry and pigeons",
    ),
    _words(
        "kling-video/v1.6/standard/text-to-video",
        paper_boats="Paper boats with candles drift down a river at dusk, children running along the bank",
        glacier="A glacier calves into a green fjord in slow motion, gulls scattering, spray frozen by the sun",
        chess="Two old men play chess in a park and the pieces, bored of waiting, begin to move by themselves",
    ),
    _words(
        "klingai/video-v2-6-pro-text-to-video",
        orchestra="An orchestra of frogs tunes up on lily pads, a heron in tails raising the baton",
        sand_train="A steam train made of sand crosses the dunes and crumbles, carriage by carriage, into the wind",
        baker="Four in the morning, a baker scores a hundred loaves and every cut opens like a leaf",
    ),
    _images(
        "klingai/v2.1-master-image-to-video",
        lighthouse="The storm breaks over the lighthouse, the beam sweeping through sheets of rain",
        astronaut="The astronaut lifts a hand and fireflies drift out of the open glove",
        origami="The origami crane unfolds its wings, shakes off the dust and flies out of the frame",
    ),
    _images(
        "kling-video/v1.6/standard/image-to-video",
        sunflowers="The sunflowers turn together as the clouds race over the field",
        violin="Dust rises from the strings of the violin as an unseen bow begins to play",
        lantern="The paper lantern catches a breeze, leaves its hook and rises between the pines",
    ),
    _images(
        "klingai/video-v3-standard-image-to-video",
        harbour="Fog slides off the harbour, masts appear one by one and a bell buoy starts to swing",
        espresso="The crema swirls into a galaxy as the camera sinks into the cup",
        snow_globe="Inside the snow globe somebody opens a window and looks up at the falling snow",
    ),
    _images(
        "klingai/video-o1-image-to-video",
        whale="The whale in the mural pushes its head out of the brick wall and breathes",
        bicycle="The old bicycle leans back from the fence and rolls down the lane by itself",
        market_cat="The cat on the melon stall stretches, yawns and knocks down one melon, slowly, on purpose",
    ),
)

PROMPTS = tuple(scene for scenes_together in zip(*_BY_MODEL, strict=True) for scene in scenes_together)
"""Names and requests; neighbours are for different models."""


def prompts(number: int) -> Iterator[tuple[str, Request]]:
    """Yield this many names and requests; beyond 24 the prompts repeat under new names."""
    for place, (slug, request) in enumerate(islice(cycle(PROMPTS), number), start=1):
        yield f"{place:0{max(2, len(str(number)))}}-{slug}", request


@frozen
class JobResult:
    """The outcome of one job.

    Attributes:
        name: The job's.
        model: Its model.
        size: Its file's size in bytes.
        problem: Why it has no file, or what is wrong with the file.
    """

    name: str
    model: str
    size: int = 0
    problem: str | None = None


def problems(results: Sequence[JobResult], bought: int) -> Iterator[str]:
    """Yield a line for each job without a whole file, and one if not as many were bought as asked for."""
    for result in results:
        if result.problem is not None:
            yield f"{result.name} ({result.model}): {result.problem}"
    if bought != len(results):
        yield f"{count(bought, 'generation')} bought for {count(len(results), 'job')}"


def figures(
    results: Sequence[JobResult], ledger: CallRecorder, *, elapsed: float, speed: float
) -> Iterator[tuple[str, str]]:
    """Yield the names of figures, and the figures, from the sandbox's ledger."""
    jobs, answers = len(results), ledger.answers
    failed = sum(result.problem is not None for result in results)
    yield "jobs", f"{jobs}: {jobs - failed} completed, {failed} failed, {len(ledger.purchases)} bought"
    yield "models", f"{len({result.model for result in results})}"
    submits, polls = (sum(n for (of, _), n in answers.items() if of == kind) for kind in ("submit", "poll"))
    yield "requests per job", f"{(submits + polls) / jobs:.1f} ({count(submits, 'submit')}, {count(polls, 'poll')})"
    if delays := sorted(ledger.delays.values()):
        mean, p99 = fmean(delays), percentile(delays, 0.99)
        in_vendor_time = f"{span(mean * speed)} and {span(p99 * speed)}"
        yield "noticed late by", f"{span(mean)} mean, {span(p99)} p99 (in the vendor's time {in_vendor_time})"
    yield "refused (429)", f"{ledger.throttled}"
    good = sum(n for (_, status), n in answers.items() if status is not None and status < HTTPStatus.BAD_REQUEST)
    yield "other errors", f"{answers.total() - good - ledger.throttled} error answers and dropped connections"
    yield "bytes", f"{sum(result.size for result in results):,}"
    yield "elapsed", f"{elapsed:.1f} s"


_SLOTS = 16
_INTERVAL = 2.0  # seconds between lines: a demo is short


_FAULTS = Faults(
    server_error={"poll": {4, 8}},
    gateway_error={"poll": {11}},
    drop_before={"poll": {14}},
    malformed_json={"poll": {17}},
    rate_limited={"submit": {8}, "poll": {20}},
    expired_url={7},
    truncated_file={2, 12},
)
"""Faults of every kind that loses no job. Polls fail early on only: the wait after an error takes real time, whatever
the speed, so that later ones would make completions look noticed late."""


def run_demo(output: Path, terminal: Terminal, *, jobs: int, speed: float, seed: int) -> Exit:
    """Make the videos, print the report, and return the exit code; see ``demo``.

    Raises:
        ConfigurationError: The speed is out of range, or the folder cannot be made.
        OSError: The sandbox cannot listen.
    """
    sandbox = Sandbox(speed=speed, seed=seed, slots=_SLOTS, faults=_FAULTS)
    make_folder(output)
    terminal.message(f"{count(jobs, 'video')} from a sandbox that is {speed:g} times as fast as the vendor")
    started = monotonic()
    results = run_told(_made(sandbox, output, jobs, terminal), terminal)
    if isinstance(results, Exit):
        return results
    wrong = list(problems(results, len(sandbox.ledger.purchases)))
    for line in wrong:
        terminal.message(line, "red")
    done = sum(result.problem is None for result in results)
    terminal.text([f"{done} of {count(jobs, 'video')} in {output}", ""])
    terminal.table(list(figures(results, sandbox.ledger, elapsed=monotonic() - started, speed=speed)))
    return Exit.FAILED if wrong else Exit.OK


async def _made(sandbox: Sandbox, output: Path, number: int, terminal: Terminal) -> list[JobResult]:
    rng = Random(sandbox.seed)  # noqa: S311 - for a run that can be repeated
    async with (
        sandbox,
        sandbox.session(rng=rng) as kling,
        show_progress(kling, terminal, number, interval=_INTERVAL) as tracker,
    ):

        async def obtain(name: str, request: Request) -> JobResult:
            job = kling.submit(request, tag=name)
            path = output / f"{name}.mp4"
            try:
                video = await job
                await kling.download(job, path)
            except KlingError as error:
                tracker.download_failed(job)
                return JobResult(name, request.model, problem=f"{type(error).__name__}: {one_line(str(error))}")
            size = video.file_size or 0
            try:
                return JobResult(name, request.model, size, file_problem(path, size))
            except OSError as error:
                return JobResult(name, request.model, size, f"{path} cannot be read: {error}")

        return await asyncio.gather(*(obtain(name, request) for name, request in prompts(number)))


def file_problem(path: Path, expected_size: int | None) -> str | None:
    """Return what is wrong with an MP4 file, or None if it has its size and is whole."""
    content = path.read_bytes()
    if expected_size is not None and len(content) != expected_size:
        return f"it has {len(content):,} bytes, not {expected_size:,}"
    return mp4.find_defect(lambda at, length: content[at : at + length], len(content))


def demo(
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"))] = Path("demo-videos"),
    jobs: PositiveInt = 24,
    speed: PositiveFloat = 20.0,
    seed: int = 1,
) -> int:
    """Make 24 videos at once, from a local stand-in for the vendor: no key, no bill, no network.

    It starts a sandbox on this machine, submits prompts for eight models, shows how far they are, downloads the videos
    and checks each, and ends with what it took. Exits with 0 only if every video arrived whole.

    Args:
        output: The folder for the videos; files of the same names in it are replaced.
        jobs: How many videos to make.
        speed: How many times as fast as the vendor's the sandbox's time passes.
        seed: Decides about ids and durations; the same seed gives the same again.
    """
    return run_demo(output, Terminal(), jobs=jobs, speed=speed, seed=seed)


_KINDS = fields_dict(Faults)


def read_faults(given: Iterable[str]) -> Faults:
    """Parse faults given as ``name=value``.

    Raises:
        ConfigurationError: There is no such fault, or it does not take this value.
    """
    chosen: dict[str, Any] = {}  # Faults itself judges the values
    for text in given:
        name, _, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in _KINDS:
            raise ConfigurationError(f"there is no fault {show(name)}, only {', '.join(_KINDS)}")
        try:
            chosen[name] = value if name == "error_shape" else float(value)
        except ValueError:
            raise ConfigurationError(f"{show(text)} is not of the form {name}=NUMBER") from None
    return Faults(**chosen)


async def serve(sandbox: Sandbox, terminal: Terminal) -> None:
    """Serve until cancelled, and print how to use the sandbox.

    Raises:
        OSError: The port cannot be had.
    """
    async with sandbox:
        for line in how_to_use(sandbox):
            terminal.result(line)
        terminal.message("Serving until Ctrl-C.", "dim")
        try:
            await asyncio.Event().wait()
        finally:
            ledger = sandbox.ledger
            bought, polls = count(len(ledger.purchases), "generation"), sum(map(len, ledger.polls.values()))
            terminal.message(f"{bought} bought, {count(polls, 'poll')}, {ledger.throttled} refused (429)")


def how_to_use(sandbox: Sandbox, *, windows: bool = os.name == "nt") -> list[str]:
    """Return lines that set the environment variables, and a complete program that uses them."""
    setting = '$env:{}="{}"' if windows else "export {}={}"
    more = "" if is_loopback(sandbox.host) else "allow_http=True"
    return [
        setting.format("AIMLAPI_BASE_URL", sandbox.url),
        setting.format("AIMLAPI_API_KEY", sandbox.api_key),
        "",
        "import asyncio",
        "from kling_async import KlingSession, TextToVideo",
        "",
        "async def main():",
        f"    async with KlingSession({more}) as kling:",
        '        video = await kling.submit(TextToVideo("a white raccoon in a sequoia forest"))',
        '        print(await kling.download(video, into="videos"))',
        "",
        "asyncio.run(main())",
        "",
    ]


def sandbox(
    *,
    host: str = "127.0.0.1",
    port: Port = 8642,
    speed: PositiveFloat = 60.0,
    seed: int = 1,
    slots: PositiveInt = 100,
    max_concurrent: NonNegativeInt | None = None,
    requests_per_second: PositiveFloat | None = None,
    credits: NonNegativeFloat | None = None,  # noqa: A002 - the name of the option
    fault: Annotated[tuple[str, ...], Parameter(negative="", metavar="NAME=VALUE", show_default=False)] = (),
) -> int | None:
    """Serve a local stand-in for the vendor until Ctrl-C, and print how to use it.

    The other commands use it, too, with the two settings that it prints.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        speed: How many times as fast as the vendor's its time passes.
        seed: Decides about ids, durations, faults and the key; the same seed gives the same again.
        slots: How many generations it works on at once; the others queue.
        max_concurrent: How many generations may be unfinished before a submit gets 429; by default any number.
        requests_per_second: How many requests may come in a second before 429; by default any number.
        credits: What the account may spend, 100 credits to the dollar; by default without end.
        fault: Something that goes wrong, and how often, from 0 to 1, such as server_error=0.05, drop_after=0.01,
            error_outcome=0.1 or truncated_file=0.1; may be given several times. A wrong name lists them all.
    """
    vendor = Sandbox(
        host=host,
        port=port,
        speed=speed,
        seed=seed,
        slots=slots,
        max_concurrent=max_concurrent,
        requests_per_second=requests_per_second,
        credits=credits,
        faults=read_faults(fault),
    )
    terminal = Terminal()
    return run_told(serve(vendor, terminal), terminal)
