"""Downloads of a session: side by side, told of, counted; and jobs handed out with their files."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, aclosing, asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve, field
from scripted import ScriptedVendor, answer, only_mine, prompt, promptly

from kling_async import (
    Delivery,
    Downloaded,
    DownloadError,
    DownloadFailed,
    Downloading,
    GenerationFailed,
    InvalidRequest,
    Limits,
    SessionClosed,
    TransportError,
    from_row,
)
from kling_async.engine.as_completed import Window

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
    from pathlib import Path

    from kling_async import Event, HttpRequest, HttpResponse, Job, Request, Subscription

pytestmark = pytest.mark.asyncio

FILE = b"a film\x00"


@define
class Film:
    """A file's answer."""

    status: int
    body: Callable[[], AsyncIterator[bytes]]
    headers: dict[str, str] = field(factory=lambda: {"content-type": "video/mp4"})

    def chunks(self) -> AsyncIterator[bytes]:
        return self.body()


@define
class FilmVendor(ScriptedVendor):
    """A vendor that has films too. ``on_file`` is awaited in the middle of each, and may raise."""

    takes: float = 0.0
    statuses: dict[str, int] = field(factory=dict)
    on_file: Callable[[], Any] = lambda: asyncio.sleep(0)
    coming: int = 0
    most: int = 0

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[Any]:
        name = request.target.rpartition("/")[2].removesuffix(".mp4")
        self.coming += 1
        self.most = max(self.most, self.coming)
        try:
            yield Film(self.statuses.get(name, 200), self._film)
        finally:
            self.coming -= 1

    async def _film(self) -> AsyncIterator[bytes]:
        yield FILE
        await self.on_file()
        yield b"!!"


def limits(**bounds: Any) -> Limits:
    return Limits(requests_per_second=10_000, burst=1000, **bounds)


def failing(which: str) -> Callable[[str, int], HttpResponse | None]:
    body = {"id": which, "status": "error", "error": {"message": "too dark"}}
    return lambda generation_id, _: answer(200, body) if generation_id == which else None


def requests(count: int) -> Iterator[Request]:
    return (prompt(f"number {n}") for n in range(count))


async def all_of(deliveries: AsyncIterator[Delivery]) -> list[Delivery]:
    return [delivery async for delivery in deliveries]


def files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if not file.name.startswith(".")]


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in files(folder)]


async def test_files_come_in_side_by_side_and_no_more_at_once_than_allowed(tmp_path: Path) -> None:
    vendor = FilmVendor()
    full = asyncio.Event()

    async def until_full() -> None:
        if vendor.coming == 3:
            full.set()
        await full.wait()

    vendor.on_file = until_full
    async with promptly(vendor, limits=limits(max_downloads=3)) as kling:
        deliveries = await all_of(kling.as_downloaded(requests(8), into=tmp_path))

    assert vendor.most == 3
    assert {delivery.path for delivery in deliveries} == set(files(tmp_path))
    assert contents(tmp_path) == [FILE + b"!!"] * 8


async def test_a_delivery_without_a_file_says_whether_the_job_failed_or_its_download(tmp_path: Path) -> None:
    vendor = FilmVendor(on_poll=failing("g2"), statuses={"g3": 451})
    async with promptly(vendor) as kling:
        deliveries = await all_of(kling.as_downloaded(requests(3), into=tmp_path))

    by_id = {delivery.job.generation_id: delivery for delivery in deliveries}
    assert by_id["g1"].result() == by_id["g1"].path
    assert by_id["g1"].error is None
    assert by_id["g3"].job.result().generation_id == "g3"
    for which, kind in (("g2", GenerationFailed), ("g3", DownloadError)):
        assert by_id[which].path is None
        with pytest.raises(kind):
            by_id[which].result()


async def test_files_are_named_by_the_caller_once_their_videos_are_there(tmp_path: Path) -> None:
    def path(job: Job) -> Path:
        return tmp_path / f"{job.result().generation_id}-of-{job.tag}.mp4"

    async with promptly(FilmVendor()) as kling:
        (delivery,) = await all_of(kling.as_downloaded([kling.submit(prompt(), tag="a fox")], path=path))

    named = tmp_path / "g1-of-a fox.mp4"
    assert delivery.path == named
    assert named.read_bytes() == FILE + b"!!"


async def test_what_the_naming_raises_reaches_the_caller() -> None:
    def path(_: Job) -> str:
        raise LookupError("no name is left")

    async with promptly(FilmVendor()) as kling:
        with pytest.raises(LookupError, match="no name is left"):
            await all_of(kling.as_downloaded(requests(3), path=path))
        await kling.drain()

    assert only_mine()


@pytest.mark.parametrize("places", [{}, {"into": "a", "path": lambda _: "b"}], ids=["neither", "both"])
async def test_a_place_for_the_files_is_needed_and_only_one(places: dict[str, Any]) -> None:
    async with promptly(FilmVendor()) as kling:
        with pytest.raises(InvalidRequest):
            kling.as_downloaded(requests(1), **places)


async def test_what_the_source_raises_comes_after_every_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Request]:
        yield from requests(3)
        raise LookupError("the source broke")

    seen: list[Delivery] = []
    async with promptly(FilmVendor()) as kling:
        with pytest.raises(LookupError, match="the source broke"):
            async for delivery in kling.as_downloaded(broken(), into=tmp_path):
                seen.append(delivery)

    assert sum(delivery.path is not None for delivery in seen) == 3


@pytest.mark.parametrize("change", ["none", "content", "size", "gone"])
async def test_a_file_that_is_there_as_recorded_is_not_fetched_again(tmp_path: Path, change: str) -> None:
    vendor = FilmVendor()
    for run in range(2):
        fetched = 0

        async def count() -> None:
            nonlocal fetched
            fetched += 1

        vendor.on_file = count
        async with promptly(vendor, journal=tmp_path / "jobs.db", limits=limits()) as kling:
            jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(3)]
            deliveries = await all_of(kling.as_downloaded(jobs, into=tmp_path / "out"))
            assert sorted(contents(tmp_path / "out")) == [FILE + b"!!"] * 3
            assert {delivery.path for delivery in deliveries} == set(files(tmp_path / "out"))
            assert fetched == (3 if run == 0 else 0 if change == "none" else 1)
            assert kling.stats().downloaded == fetched
        one = files(tmp_path / "out")[0]
        if change == "content":
            one.write_bytes(b"X" + one.read_bytes()[1:])
        elif change == "size":
            one.write_bytes(b"")
        elif change == "gone":
            one.unlink()


async def test_leaving_early_gives_up_what_is_coming_in_and_leaves_no_task_behind(tmp_path: Path) -> None:
    vendor = FilmVendor(on_file=lambda: asyncio.Event().wait())
    async with promptly(vendor, limits=limits(max_downloads=2)) as kling:
        events = kling.subscribe()
        deliveries = kling.as_downloaded(requests(5), into=tmp_path)
        first = asyncio.ensure_future(anext(deliveries))
        await told(events, Downloading, times=2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert vendor.coming == 0
        assert kling.stats().downloading == 0
        await kling.drain()

    assert only_mine()
    assert files(tmp_path) == []


async def test_nobody_taking_deliveries_holds_the_source_up(tmp_path: Path) -> None:
    drawn = 0

    def counted() -> Iterator[Request]:
        nonlocal drawn
        for request in requests(100):
            drawn += 1
            yield request

    async with promptly(FilmVendor(), limits=limits(max_downloads=2)) as kling:
        async with aclosing(kling.as_downloaded(counted(), into=tmp_path, max_in_flight=3)) as deliveries:
            await anext(deliveries)
            await kling.drain()
            while kling.stats().downloading:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
        assert drawn <= 1 + 2 + 3 + 1  # taken, held as files, held as jobs, and handed over at this moment


class Slow(Random):
    """Draws long waits."""

    def uniform(self, a: float, b: float) -> float:
        return 1000 * max(a, b)


async def test_files_that_are_not_there_yet_hold_up_no_others(tmp_path: Path) -> None:
    vendor = FilmVendor(statuses={"g1": 404, "g2": 404, "g3": 404})
    async with promptly(vendor, limits=limits(max_downloads=2), rng=Slow(1)) as kling:
        async with aclosing(kling.as_downloaded(requests(9), into=tmp_path)) as deliveries:
            stored = [(await anext(deliveries)).job.generation_id for _ in range(6)]
        assert sorted(map(str, stored)) == ["g4", "g5", "g6", "g7", "g8", "g9"]
        assert vendor.most <= 2
    assert only_mine()


async def test_as_many_waiting_items_as_allowed_do_not_count() -> None:
    window = Window(2, max_waiting=2)
    with ExitStack() as waiting:
        seen = [window.capacity]
        for _ in range(3):
            waiting.enter_context(window.waiting())
            seen.append(window.capacity)
        assert seen == [2, 3, 4, 4]
    assert window.capacity == 2


async def test_a_session_that_closes_ends_the_iteration_and_every_download(tmp_path: Path) -> None:
    vendor = FilmVendor()

    async def fail() -> None:
        await kling.aclose()
        raise TransportError("the connection is gone")

    async def endless() -> AsyncIterator[Request]:
        yield prompt()
        await asyncio.Event().wait()

    vendor.on_file = fail
    seen: list[Delivery] = []
    async with promptly(vendor) as kling:
        with pytest.raises(SessionClosed):
            async for delivery in kling.as_downloaded(endless(), into=tmp_path):
                seen.append(delivery)

    assert [type(delivery.error) for delivery in seen] == [SessionClosed]
    assert only_mine()


class Hasty(Random):
    """Draws waits of no length."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


async def test_a_download_between_two_tries_ends_with_its_session(tmp_path: Path) -> None:
    vendor = FilmVendor()
    closing: list[asyncio.Task[None]] = []

    async def fail() -> None:
        closing.append(asyncio.ensure_future(kling.aclose()))
        raise TransportError("the connection is gone")

    vendor.on_file = fail
    async with promptly(vendor, rng=Hasty(1)) as kling:
        with pytest.raises(SessionClosed):
            await kling.download(kling.submit(prompt()), into=tmp_path)
        await asyncio.gather(*closing)


async def told(events: Subscription[Event], *kinds: type, times: int = 1) -> list[Any]:
    """The next events of these kinds, so many of them."""
    seen: list[Any] = []
    async for event in events:
        seen += [event] if isinstance(event, kinds) else []
        if len(seen) == times:
            break
    return seen


async def test_a_download_is_told_of_from_its_begin_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    async with promptly(FilmVendor()) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt())
        await kling.download(job, path)
        begun, done = await told(events, Downloading, Downloaded, DownloadFailed, times=2)

    assert (type(begun), begun.job, begun.path) == (Downloading, job, path)
    assert (type(done), done.job, done.path, done.size) == (Downloaded, job, path, len(FILE) + 2)


async def test_a_download_that_fails_is_told_of_with_its_error(tmp_path: Path) -> None:
    async with promptly(FilmVendor(statuses={"g1": 451})) as kling:
        events = kling.subscribe()
        with pytest.raises(DownloadError) as caught:
            await kling.download(kling.submit(prompt()), into=tmp_path)
        _, failed = await told(events, Downloading, Downloaded, DownloadFailed, times=2)

    assert isinstance(failed, DownloadFailed)
    assert failed.error is caught.value


async def test_a_download_that_the_caller_gives_up_is_told_of_too(tmp_path: Path) -> None:
    def stop(_done: int, _size: int | None) -> None:
        raise LookupError("enough")

    async with promptly(FilmVendor()) as kling:
        events = kling.subscribe()
        with pytest.raises(LookupError):
            await kling.download(kling.submit(prompt()), into=tmp_path, progress=stop)
        _, failed = await told(events, Downloading, Downloaded, DownloadFailed, times=2)

    assert isinstance(failed, DownloadFailed)
    assert "given up" in failed.error.message


async def test_the_download_of_a_video_is_told_of_as_its_jobs(tmp_path: Path) -> None:
    async with promptly(FilmVendor()) as kling:
        job = kling.submit(prompt())
        events = kling.subscribe(job=job)
        await kling.download(await job, into=tmp_path)
        begun, done = await told(events, Downloading, Downloaded, times=2)
    assert (begun.key, done.key, done.job.generation_id) == (job.key, job.key, job.generation_id)


async def test_a_video_of_no_job_here_comes_in_unannounced_and_is_counted(tmp_path: Path) -> None:
    async with promptly(FilmVendor()) as kling:
        video = evolve(await kling.submit(prompt()), generation_id="of-another")
        events = kling.subscribe()
        await kling.download(video, into=tmp_path)
        events.close()
        assert await told(events, Downloading, Downloaded) == []
        assert kling.stats().downloaded == 1


async def test_files_are_named_after_their_prompts_and_keys_or_as_their_tags_ask(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "A red fox!"},
        {"prompt": "b", "output": "x/b.mov", "tag": 1},
        {"prompt": "c", "output": "x/b.mov"},
    ]
    async with promptly(FilmVendor()) as kling:
        jobs = [kling.submit(from_row(row), key=f"k{number}") for number, row in enumerate(rows)]
        deliveries = [delivery async for delivery in kling.as_downloaded(jobs, into=tmp_path)]
        again = [await kling.download(await job, into=tmp_path) for job in jobs]
        other = await kling.download(kling.resume("g-other"), into=tmp_path)

    names = {delivery.job.key: delivery.result().relative_to(tmp_path).as_posix() for delivery in deliveries}
    assert names["k0"] == "a-red-fox-k0.mp4"
    assert {names["k1"], names["k2"]} == {"x/b.mov", "x/b-2.mov"}
    assert [path.relative_to(tmp_path).as_posix() for path in again] == [names[f"k{number}"] for number in range(3)]
    assert other.name == "g-other.mp4"


async def test_a_file_of_the_name_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "fox.mp4").write_bytes(b"mine")
    async with promptly(FilmVendor()) as kling:
        job = kling.submit(from_row({"prompt": "a", "output": "fox"}))
        assert await kling.download(job, into=tmp_path) == tmp_path / "fox-2.mp4"
    assert (tmp_path / "fox.mp4").read_bytes() == b"mine"


async def test_files_are_counted_as_they_come(tmp_path: Path) -> None:
    coming: list[int] = []

    async def look() -> None:
        coming.append(kling.stats().downloading)

    async with promptly(FilmVendor(on_file=look, statuses={"g2": 451})) as kling:
        await all_of(kling.as_downloaded(requests(3), into=tmp_path))
        stats = kling.stats()

    assert set(coming) <= {1, 2, 3}
    assert (stats.downloading, stats.downloaded, stats.downloaded_bytes) == (0, 2, 2 * len(FILE) + 4)


async def test_a_key_finds_its_job_while_it_is_open_and_when_it_has_ended() -> None:
    async with promptly(FilmVendor(on_poll=failing("g2"))) as kling:
        good, bad = kling.submit(prompt("one"), key="one"), kling.submit(prompt("two"), key="two")
        assert (kling.find("one"), kling.find("two")) == (good, bad)
        await asyncio.gather(good.settled(), bad.settled())
        again, failed = kling.find("one"), kling.find("two")

    assert again is not None
    assert failed is not None
    assert again.result() == good.result()
    assert isinstance(failed.exception(), GenerationFailed)


async def test_a_key_nobody_gave_finds_nothing_and_one_that_cannot_be_is_refused() -> None:
    async with promptly(FilmVendor()) as kling:
        assert kling.find("nobodys") is None
        with pytest.raises(InvalidRequest):
            kling.find("not a key")
    with pytest.raises(SessionClosed):
        kling.find("one")


async def test_a_key_finds_in_the_next_session_what_was_finished_in_the_last(tmp_path: Path) -> None:
    async with promptly(FilmVendor(), journal=tmp_path / "jobs.db") as kling:
        video = await kling.submit(prompt(), key="one")
    async with promptly(FilmVendor(), journal=tmp_path / "jobs.db") as kling:
        found = kling.find("one")

    assert found is not None
    assert found.result() == video
