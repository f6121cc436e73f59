"""Files on their way into a POST: looked at in submit, read in another thread, encoded last."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from samples import SAMPLES, boxed, jpeg, png
from scripted import ScriptedVendor, answer, promptly

from kling_async import (
    Avatar,
    Element,
    ImageToVideo,
    InvalidRequest,
    JobState,
    KlingSession,
    MemoryJournal,
    Request,
    Submitted,
    TextToVideo,
    Timeouts,
)
from kling_async.api.file_types import Format
from kling_async.files import uploads as media
from kling_async.files.uploads import build_submit, check_files, with_absolute_paths
from kling_async.journal.token import read_token

if TYPE_CHECKING:
    from kling_async import HttpRequest, Job

pytestmark = pytest.mark.asyncio

V3 = "klingai/video-v3-pro-image-to-video"
TURBO = "klingai/video-v3-turbo-pro-image-to-video"


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(png())
    return path


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def remove(path: Path) -> None:
    path.unlink()


def uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def sent(message: HttpRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(message.body or b"")
    return body


async def outcome(job: Job) -> object:
    await job.settled()
    return job.exception() or job.result().generation_id


def thread_of(monkeypatch: pytest.MonkeyPatch, before: object = lambda: None) -> list[threading.Thread]:
    """Which threads files are read in; ``before`` runs there, first."""
    threads: list[threading.Thread] = []
    read = media._read
    assert callable(before)

    def watched(file: Any, name: str) -> Any:
        threads.append(threading.current_thread())
        before()
        return read(file, name)

    monkeypatch.setattr(media, "_read", watched)
    return threads


async def test_files_are_sent_as_data_uris_in_their_places(tmp_path: Path, cat: Path) -> None:
    (tmp_path / "voice.m4a").write_bytes(SAMPLES[Format.MP4])
    request = ImageToVideo(
        cat,
        model=V3,
        prompt='say "a", é',
        tail_image_url=jpeg(),
        elements=[Element([cat, "https://a/b.png", jpeg()])],
        extra={"more": {"sound": tmp_path / "voice.m4a", "odd": b"?"}},
    )
    message = await build_submit(request, "/v2", "k:1")
    picture, photo = uri("image/png", png()), uri("image/jpeg", jpeg())
    assert sent(message) == {
        "model": V3,
        "image_url": picture,
        "prompt": 'say "a", é',
        "tail_image_url": photo,
        "elements": [{"reference_image_urls": [picture, "https://a/b.png", photo]}],
        "more": {
            "sound": uri("audio/mp4", SAMPLES[Format.MP4]),
            "odd": uri("application/octet-stream", b"?"),
        },
    }
    assert (message.target, message.headers["X-Client-Request-Id"]) == ("/v2", "k:1")


@pytest.mark.parametrize("size", [media._PIECE - 1, media._PIECE, 2 * media._PIECE + 1])
async def test_a_long_file_is_encoded_piece_by_piece(tmp_path: Path, size: int) -> None:
    (tmp_path / "cat.png").write_bytes(content := png(size=size))
    message = await build_submit(ImageToVideo(tmp_path / "cat.png"), "/v2", "k:1")
    assert sent(message)["image_url"] == uri("image/png", content)


async def test_a_request_without_files_is_encoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(media, "to_thread")
    message = await build_submit(TextToVideo("a"), "/v2", "k:1")
    assert sent(message)["prompt"] == "a"


async def test_files_are_read_off_the_loop(cat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = thread_of(monkeypatch)
    await build_submit(ImageToVideo(cat), "/v2", "k:1")
    assert threads
    assert threading.current_thread() not in threads


def refusal(request: Request) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_files(request)
    return caught.value


async def test_a_file_that_is_not_there_is_refused_by_its_field_and_path(tmp_path: Path) -> None:
    missing = tmp_path / "none.png"
    error = refusal(ImageToVideo("https://a/b", model=V3, elements=[Element([missing])]))
    assert (error.field, error.value) == ("elements.0.reference_image_urls.0", missing)
    assert str(error).startswith(
        f"elements.0.reference_image_urls.0 is Path({str(missing)!r}); allowed: a file that can"
    )


@pytest.mark.parametrize("name", ["cat\0.png", "x" * 5000 + ".png"])
async def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    assert "a file that can be read" in str(refusal(ImageToVideo(Path(name))))


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "a file, not a folder" in str(refusal(ImageToVideo(tmp_path)))


@pytest.mark.skipif(os.name != "posix", reason="there are no pipes in folders")
async def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "a device" in str(refusal(ImageToVideo(tmp_path / "pipe.png")))


@pytest.mark.parametrize("validate", [True, False])
async def test_an_empty_file_is_refused_even_unjudged(tmp_path: Path, *, validate: bool) -> None:
    (tmp_path / "cat.png").touch()
    error = refusal(ImageToVideo(tmp_path / "cat.png", validate=validate))
    assert str(error).endswith("cat.png' (0 bytes); allowed: a file that is not empty")
    assert refusal(ImageToVideo("https://a/b", extra={"c": b""}, validate=validate)).field == "extra.c"


async def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "voice.mp3").open("wb") as file:
        file.truncate(5 * 1024 * 1024 + 1)
    error = refusal(Avatar("https://a/b", tmp_path / "voice.mp3"))
    assert error.field == "audio_url"
    assert "5,242,881 bytes" in str(error)
    assert "at most 5 MB" in str(error)


NOT_TAKEN = [
    ("cat.jpg", boxed(b"heic"), "cat.jpg' (HEIC, 24 bytes); allowed: an http(s) URL"),
    ("cat.png", b"<!DOCTYPE html><p>gone", "cat.png' (HTML, 22 bytes); allowed: an http(s) URL"),
    ("cat.jpg", jpeg(20, 480), "cat.jpg' (JPEG of 20 x 480 pixels, 53 bytes); allowed: an http(s) URL"),
    ("cat.png", png()[:20], "cat.png' (PNG, 20 bytes); allowed: an http(s) URL"),
    ("cat.png", b"GIF89a" + bytes(2**20), "cat.png' (GIF, 1,048,582 bytes); allowed: an http(s) URL"),
]


@pytest.mark.parametrize(("name", "content", "told"), NOT_TAKEN)
async def test_a_file_that_is_not_what_it_is_called_is_refused(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    put(tmp_path / name, content)
    error = refusal(ImageToVideo(tmp_path / name, model=TURBO, prompt="a"))
    assert error.field == "image_url"
    assert told in str(error)


async def test_every_bad_file_of_a_request_is_told(tmp_path: Path, cat: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    error = refusal(
        ImageToVideo(tmp_path / "page.jpg", model=V3, elements=[Element([cat, tmp_path / "none.png", b""])])
    )
    places = "elements.0.reference_image_urls.1", "elements.0.reference_image_urls.2", "image_url"
    assert tuple(problem.field for problem in error.problems) == places


async def test_of_a_file_no_more_is_read_than_tells_what_it_is(cat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cat.open("r+b") as file:
        file.truncate(40 * 2**20)
    read: list[int] = []
    read_content = media._content

    def watched(path: str, most: int, name: str) -> bytes:
        read.append(most)
        return read_content(path, most, name)

    monkeypatch.setattr(media, "_content", watched)
    check_files(ImageToVideo(cat))
    assert read == [2**16]
    content = jpeg(before=(b"\xff\xe1\xff\xff" + bytes(0xFFFD)) * 3)  # as cameras write it
    put(cat, content)
    check_files(ImageToVideo(cat))
    assert read == [2**16, 2**16, len(content)]


async def test_relative_paths_are_held_on_to(tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = with_absolute_paths(ImageToVideo(Path(cat.name), tail_image_url=png()))
    monkeypatch.chdir(Path(__file__).parent)
    assert request == ImageToVideo(cat, tail_image_url=png())
    assert with_absolute_paths(request) is request


# In a session


async def test_nothing_is_sent_or_queued_for_a_bad_file(tmp_path: Path) -> None:
    vendor = ScriptedVendor()
    (tmp_path / "notes.png").write_text("not an image")
    async with promptly(vendor) as kling:
        for bad in (tmp_path / "none.png", tmp_path / "notes.png", tmp_path, Path("cat.txt"), b"", b"?"):
            with pytest.raises(InvalidRequest, match="image_url"):
                kling.submit(ImageToVideo(bad))
        assert not kling.pending
    assert vendor.requests == []


async def test_a_file_whose_content_went_wrong_fails_its_job_alone(tmp_path: Path, cat: Path) -> None:
    put(tmp_path / "page.png", png())
    vendor = ScriptedVendor(takes=0.0)
    async with promptly(vendor) as kling:
        bad, good = kling.submit(ImageToVideo(tmp_path / "page.png"), key="bad"), kling.submit(ImageToVideo(cat))
        (tmp_path / "page.png").write_text("<html>not found</html>")
        error = await outcome(bad)
        assert isinstance(error, InvalidRequest)
        assert (error.key, error.field, error.polls) == ("bad", "image_url", 0)
        assert "page.png' (HTML, 22 bytes); allowed:" in str(error)
        assert (bad.state, bad.submitted_at) == (JobState.QUEUED, None)
        assert await outcome(good) == "g1"
    assert vendor.submits == 1


async def test_a_job_whose_file_came_right_goes_on_under_its_key(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(png())
    journal = MemoryJournal()
    async with promptly(journal=journal) as kling:
        job = kling.submit(ImageToVideo(path), key="k")
        path.write_text("not yet")
        assert isinstance(await outcome(job), InvalidRequest)
        path.write_bytes(png())
        assert await outcome(kling.submit(ImageToVideo(path), key="k")) == "g1"


async def test_a_file_is_read_when_its_job_s_turn_has_come(cat: Path) -> None:
    vendor = ScriptedVendor(takes=0.0)
    async with promptly(vendor) as kling:
        job = kling.submit(ImageToVideo(cat))
        put(cat, png(800, 600))
        await job
    assert sent(vendor.requests[0])["image_url"] == uri("image/png", png(800, 600))


async def test_a_job_of_an_earlier_session_whose_file_is_gone_fails_unsent(cat: Path, path: Path) -> None:
    def full(_: int) -> Any:
        return answer(429, {"message": "full"})

    async with promptly(ScriptedVendor(on_submit=full), journal=path, timeouts=Timeouts(close=0.01)) as kling:
        await kling.submit(ImageToVideo(cat), key="k").recorded()
    remove(cat)
    vendor = ScriptedVendor(takes=0.0)
    async with promptly(vendor, journal=path) as kling:
        [job] = kling.pending
        error = await outcome(job)
        assert isinstance(error, InvalidRequest)
        assert f"Path({str(cat)!r})" in str(error)
        assert job.state is JobState.QUEUED
    assert vendor.submits == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


async def test_what_was_bought_needs_its_file_no_more(cat: Path, path: Path) -> None:
    request = ImageToVideo(cat)
    async with promptly(ScriptedVendor(takes=1e9), journal=path) as kling:
        await kling.submit(request, key="open").accepted()
    remove(cat)
    async with promptly(ScriptedVendor(takes=0.0), journal=path) as kling:
        assert await kling.submit(request, key="open") == await kling.submit(request, key="open")
        with pytest.raises(InvalidRequest, match="image_url"):
            kling.submit(request, key="new")


async def test_the_same_key_is_the_same_file_wherever_the_process_is(
    tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with promptly() as kling:
        job = kling.submit(ImageToVideo(cat), key="k")
        monkeypatch.chdir(tmp_path)
        assert kling.submit(ImageToVideo(Path(cat.name)), key="k") is job
        (tmp_path / "dog.png").write_bytes(png())
        with pytest.raises(InvalidRequest, match="key"):
            kling.submit(ImageToVideo(tmp_path / "dog.png"), key="k")
        await job


async def test_a_file_that_grows_while_it_is_read_is_refused(cat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter([45, 30])
    monkeypatch.setattr(media, "_size", lambda _path, _name: next(sizes))
    with pytest.raises(InvalidRequest, match="nobody is writing to"):
        await build_submit(ImageToVideo(cat), "/v2", "k:1")


async def test_a_file_that_goes_while_it_is_read_is_refused(cat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread_of(monkeypatch, cat.unlink)
    monkeypatch.setattr(media, "_size", lambda _path, _name: 45)
    with pytest.raises(InvalidRequest, match="can be read"):
        await build_submit(ImageToVideo(cat), "/v2", "k:1")


async def test_nothing_is_recorded_as_being_sent_while_a_file_is_read(
    cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reading.set()
        assert go_on.wait(30)

    thread_of(monkeypatch, wait)
    vendor = ScriptedVendor(takes=0.0)
    async with promptly(vendor) as kling:
        events = kling.subscribe()
        job = kling.submit(ImageToVideo(cat))
        await asyncio.to_thread(reading.wait, 30)
        assert (job.state, vendor.submits) == (JobState.QUEUED, 0)
        job.abandon()
        go_on.set()
        await job.settled()
    assert vendor.submits == 0
    assert not any([isinstance(event, Submitted) async for event in events])


async def test_a_session_closes_without_waiting_for_a_file_on_a_dead_disk(
    cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        reading.set()
        go_on.wait(30)

    threads = thread_of(monkeypatch, hang)
    vendor = ScriptedVendor()
    async with promptly(vendor, timeouts=Timeouts(close=0.01)) as kling:
        job = kling.submit(ImageToVideo(cat))
        await asyncio.to_thread(reading.wait, 30)
    assert job.state is JobState.QUEUED
    assert vendor.submits == 0
    go_on.set()
    assert len(threads) == 1


async def test_a_request_from_a_token_is_never_sent_without_its_files() -> None:
    async with promptly() as kling:
        job = kling.submit(ImageToVideo(png(size=1000)))
        token = job.token()
        await job
    cut = read_token(token).request
    assert cut is not None
    with pytest.raises(InvalidRequest, match="tokens do not carry files"):
        await build_submit(cut, "/v2", "k:1")


async def test_thousands_of_queued_jobs_hold_the_caller_s_own_bytes() -> None:
    content = png(size=100_000)

    def pictures(kling: KlingSession) -> set[int]:
        return {id(job.request.image_url) for job in kling.pending if isinstance(job.request, ImageToVideo)}

    async with promptly(ScriptedVendor(on_submit=lambda _: answer(429, {})), timeouts=Timeouts(close=0.01)) as kling:
        for number in range(2000):
            kling.submit(ImageToVideo(content, prompt=str(number)))
        assert pictures(kling) == {id(content)}


async def test_a_file_of_megabytes_arrives_whole_over_http(tmp_path: Path) -> None:
    content = png(size=4_000_001)
    put(tmp_path / "cat.png", content)
    arrived: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        arrived.append(await request.json())
        return web.json_response({"id": "g1", "status": "queued"})

    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v2/video/generations", take)
    async with TestServer(application) as server, KlingSession("key", base_url=str(server.make_url("/"))) as kling:
        assert await kling.submit(ImageToVideo(tmp_path / "cat.png")).accepted() == "g1"
    assert [body["image_url"] for body in arrived] == [uri("image/png", content)]
