"""Faults 39 and 40: faults of the file that was paid for, and of the files beside it."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import EVERY, FaultVendor, film, is_silent, page, says, serves_the_film, stated
from scripted import prompt

from kling_async import DownloadError, Job, JobState, KlingError, Limits, StorageError
from kling_async.files.partial import PartialFile

if TYPE_CHECKING:
    from pathlib import Path

    from fault_case import Case, Watched
    from fault_vendor import Act
    from loopback import Exchange

pytestmark = pytest.mark.asyncio


links_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links, and opens them all")


async def fetch(kling: Watched, into: Path, **wanted: Any) -> Path:
    return await kling.download(kling.submit(prompt(), key="k"), into=into, **wanted)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


@pytest.mark.parametrize("stated_length", [True, False])
async def test_fault_39_a_truncated_download_goes_on_and_is_whole(case: Case, stated_length: bool) -> None:  # noqa: FBT001 - a parameter of the test
    case.vendor.files = {n: film(sent=1000 * n, stated_length=stated_length) for n in (1, 2, 3)}
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert contents(case.folder / "out") == {path.name: case.vendor.film}


async def test_fault_39_a_download_that_never_gets_through_leaves_nothing_under_its_name(case: Case) -> None:
    case.vendor.files[EVERY] = film(sent=1000, etag="")
    async with case, case.session(timeouts={"download": 0.1}) as kling:
        with pytest.raises(DownloadError, match="gave up"):
            await fetch(kling, case.folder / "out")
        assert contents(case.folder / "out") == {}
        case.vendor.files.clear()
        path = await fetch(kling, case.folder / "out")
        assert path.read_bytes() == case.vendor.film
    assert len(case.vendor.posts) == 1


async def test_fault_39_a_host_that_ignores_the_range_makes_it_start_over(case: Case) -> None:
    case.vendor.files = {1: film(sent=200_000), 2: film()}
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert path.read_bytes() == case.vendor.film
    assert "range" in case.vendor.server.requests[-1].headers


async def test_fault_39_a_rest_that_is_not_the_one_asked_for_is_not_taken(case: Case) -> None:
    async def misplaces(vendor: FaultVendor, exchange: Exchange) -> None:
        content_range = f"bytes 5-{len(vendor.film) - 1}/{len(vendor.film)}"
        await exchange.answer(
            206, vendor.film[5:], content_type="video/mp4", etag=vendor.etag, content_range=content_range
        )

    case.vendor.files = {1: film(sent=200_000), 2: misplaces}
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert path.read_bytes() == case.vendor.film


async def test_fault_39_a_file_that_changed_meanwhile_is_not_mixed_with_its_former_self(case: Case) -> None:
    async def changes(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.film, vendor.etag = vendor.film[::-1], '"second"'
        await serves_the_film(vendor, exchange)

    case.vendor.files = {1: film(sent=200_000), 2: changes}
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert path.read_bytes() == case.vendor.film


async def test_fault_39_a_rest_of_another_version_is_not_taken_even_from_a_host_that_does_not_check(
    case: Case,
) -> None:
    case.vendor.files = {1: film(sent=200_000), 2: film(start=200_000, etag='"second"')}
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert path.read_bytes() == case.vendor.film


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_fault_39_an_expired_address_is_asked_for_anew(case: Case, status: int) -> None:
    case.vendor.files[2] = stated(status, "expired")
    case.vendor.files[1] = film(sent=200_000)
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert path.read_bytes() == case.vendor.film
    assert (case.vendor.counts["poll"], len(case.vendor.posts)) == (2, 1)


async def test_fault_39_an_address_that_stays_refused_is_an_error_in_the_end_and_asked_for_once(case: Case) -> None:
    case.vendor.files[EVERY] = stated(403, "expired")
    async with case, case.session(timeouts={"download": 0.1}) as kling:
        with pytest.raises(DownloadError, match="403") as caught:
            await fetch(kling, case.folder / "out")
    assert caught.value.retryable
    assert case.vendor.counts["poll"] == 2
    assert case.vendor.counts["file"] > 2


@pytest.mark.parametrize("trouble", [page(503), page(200), is_silent], ids=["503", "web page", "silence"])
async def test_fault_39_what_is_no_file_is_never_stored_as_one(case: Case, trouble: Act) -> None:
    case.vendor.files[EVERY] = trouble
    async with case, case.session(timeouts={"file": 0.02, "download": 0.1}) as kling:
        with pytest.raises(DownloadError):
            await fetch(kling, case.folder / "out")
    assert contents(case.folder / "out") == {}


NOT_YET: dict[str, Act] = {str(status): stated(status, "wait") for status in (401, 403, 404, 409, 410, 425, 429)} | {
    "202": says(202, b""),
    "204": says(204, b"", content_length=""),
    "empty": says(200, b""),
}


@pytest.mark.parametrize("absent", NOT_YET.values(), ids=NOT_YET)
async def test_fault_39_a_host_that_lags_behind_is_waited_for(case: Case, absent: Act) -> None:
    case.vendor.files = dict.fromkeys(range(1, 8), absent)
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert contents(case.folder / "out") == {path.name: case.vendor.film}
    assert case.vendor.counts["file"] == 8
    assert case.vendor.counts["poll"] <= 2


async def test_fault_39_a_file_that_is_waited_for_holds_up_no_other(case: Case) -> None:
    case.vendor.files = dict.fromkeys(range(1, 4), stated(404, "not yet", retry_after="1"))
    async with case, case.session(limits=Limits(requests_per_second=1000, burst=1000, max_downloads=1)) as kling:
        late = asyncio.ensure_future(fetch(kling, case.folder / "out"))
        await case.vendor.arrival("file", 2)
        other = await kling.download(kling.submit(prompt()), case.folder / "other.mp4")
        assert not late.done()
        assert other.read_bytes() == case.vendor.film
        assert (await late).read_bytes() == case.vendor.film


@pytest.mark.parametrize("encoding", ["aws-chunked", "binary", "none", "utf-8", " "])
async def test_fault_39_good_bytes_under_an_odd_label_are_taken(case: Case, encoding: str) -> None:
    case.vendor.files[EVERY] = film(content_encoding=encoding)
    async with case, case.session() as kling:
        path = await fetch(kling, case.folder / "out")
        assert contents(case.folder / "out") == {path.name: case.vendor.film}


@pytest.mark.parametrize("body", [b"<html>no</html>", b'<?xml version="1.0"?><Error/>', b'{"error": 1}'])
async def test_fault_39_a_page_that_is_labelled_a_video_is_never_stored(case: Case, body: bytes) -> None:
    case.vendor.files[1] = case.vendor.files[2] = says(200, body, content_type="video/mp4")
    async with case, case.session() as kling:
        with pytest.raises(DownloadError, match="no file, but") as caught:
            await fetch(kling, case.folder / "out")
        assert caught.value.retryable
        assert contents(case.folder / "out") == {}
        assert (await fetch(kling, case.folder / "out")).read_bytes() == case.vendor.film
    assert len(case.vendor.posts) == 1


@links_only
async def test_fault_40_two_sessions_with_two_paths_to_one_folder_do_not_mix(case: Case) -> None:
    real, link = case.folder / "real", case.folder / "link"
    real.mkdir()
    link.symlink_to(real)
    go_on = asyncio.Event()

    async def waits_halfway(vendor: FaultVendor, exchange: Exchange) -> None:
        length = str(len(vendor.film))
        await exchange.answer(200, vendor.film[:150_000], content_type="video/mp4", content_length=length)
        await go_on.wait()
        await exchange.send(vendor.film[150_000:])

    case.vendor.files[1] = waits_halfway
    async with case, case.session() as kling, case.session(journal=case.folder / "other.db") as other:
        video = await kling.submit(prompt(), key="k")
        first = asyncio.ensure_future(kling.download(video, real / "v.mp4"))
        await case.vendor.arrival("file")
        with pytest.raises(DownloadError, match="downloaded already") as caught:
            await other.download(video, link / "v.mp4")
        go_on.set()
        await first
    assert caught.value.retryable
    assert contents(real) == {"v.mp4": case.vendor.film}


async def test_fault_39_nothing_is_bought_while_files_cannot_be_written(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full, usual = False, PartialFile.append

    def append(part: PartialFile, piece: bytes) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(part, piece)

    monkeypatch.setattr(PartialFile, "append", append)
    stored, errors = list[Job](), dict[Job, KlingError | None]()
    limits = Limits(requests_per_second=1000, burst=1000, max_in_flight=1, max_downloads=1)
    async with case, case.session(limits=limits) as kling:
        wanted = [kling.submit(prompt(f"number {n}"), key=f"k{n}") for n in range(12)]
        async for delivery in kling.as_downloaded(wanted, into=case.folder / "out"):
            if delivery.path is None:
                errors[delivery.job] = delivery.error
            else:
                stored.append(delivery.job)
            is_full = len(stored) == 3
        bought = len(case.vendor.posts)
        assert bought <= 3 + 3  # on its way to disk, being made, and just sent
        assert all(isinstance(error, StorageError) for error in errors.values())
        unbought = [job for job in errors if job.state is JobState.QUEUED]
        assert (len(stored), len(unbought)) == (3, 12 - bought)
        assert "No space left" in str(unbought[0].exception())
        is_full = False
        made = [job for job in errors if job not in unbought]
        await kling.download(made[0], into=case.folder / "out")
        again = [kling.submit(job.request, key=job.key) for job in unbought]  # it has gone on by itself
        async for delivery in kling.as_downloaded([*made[1:], *again], into=case.folder / "out"):
            delivery.result()
    assert len(contents(case.folder / "out")) == len(case.vendor.posts) == 12


EVIL = [
    "../../evil.mp4",
    "/etc/evil.mp4",
    "C:\\evil.mp4",
    "a\0b.mp4",
    "CON.mp4",
    "nul",
    "..",
    ".",
    "",
    "a/b/c.mp4",
    "\u202egpj.mp4",
    "x" * 5000 + ".mp4",
    "evil.sh",
]


@pytest.mark.parametrize("name", EVIL)
async def test_fault_40_the_vendors_file_name_never_becomes_a_path(case: Case, name: str) -> None:
    case.vendor.video = {"file_name": name}
    out = case.folder / "deep" / "out"
    async with case, case.session() as kling:
        path = await fetch(kling, out)
    assert (path.parent, path.suffix) == (out, ".mp4")
    assert contents(out) == {"a-raccoon-k.mp4": case.vendor.film}
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("evil", [name for name in EVIL if name])
async def test_fault_40_neither_does_the_vendors_id(case: Case, evil: str) -> None:
    async def sells_under_an_evil_id(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange).generation_id = evil
        await says(200, {"id": evil, "status": "queued"})(vendor, exchange)

    case.vendor.submits[1] = sells_under_an_evil_id
    case.vendor.video = {"url": ""}
    out = case.folder / "deep" / "out"
    async with case, case.session() as kling:
        case.vendor.video = {"url": f"{case.url}/files/a.mp4"}
        path = await fetch(kling, out)
    assert path.parent == out
    assert contents(out) == {path.name: case.vendor.film}
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["a\0b.mp4", "n\0o/a.mp4", "x" * 300])
async def test_fault_40_a_name_of_the_callers_that_no_file_can_have_is_a_download_error(case: Case, name: str) -> None:
    async with case, case.session() as kling:
        with pytest.raises(DownloadError, match="cannot be written"):
            await kling.download(kling.submit(prompt()), f"{case.folder}/out/{name}")
    assert case.vendor.counts["file"] == 0


@links_only
async def test_fault_40_a_link_in_the_files_place_is_replaced_and_what_it_led_to_is_not(case: Case) -> None:
    precious, out = case.folder / "precious", case.folder / "out"
    precious.write_bytes(b"precious")
    out.mkdir()
    (out / "g-1.mp4").symlink_to(precious)
    async with case, case.session() as kling:
        path = await fetch(kling, out)
    assert (path.is_symlink(), path.read_bytes(), precious.read_bytes()) == (False, case.vendor.film, b"precious")


@links_only
@pytest.mark.parametrize("planted", [".g-1.mp4.part", ".g-1.mp4.part.json"])
async def test_fault_40_a_link_planted_in_the_place_of_the_growing_file_leads_nowhere(case: Case, planted: str) -> None:
    precious, out = case.folder / "precious", case.folder / "out"
    precious.write_bytes(b"precious")
    out.mkdir()
    (out / planted).symlink_to(precious)
    async with case, case.session() as kling:
        try:
            path = await fetch(kling, out)
        except DownloadError:
            path = None
    assert precious.read_bytes() == b"precious"
    assert path is None or (path.is_symlink(), path.read_bytes()) == (False, case.vendor.film)


async def test_fault_40_a_redirect_to_another_host_is_followed_without_the_key(case: Case) -> None:
    elsewhere = FaultVendor()
    async with elsewhere.open(), case, case.session() as kling:
        case.vendor.files[1] = says(302, b"", location=f"{elsewhere.url}/files/moved.mp4")
        path = await fetch(kling, case.folder / "out")
        assert path.read_bytes() == elsewhere.film
        (asked,) = elsewhere.server.requests
        assert b"sk-live" not in asked.raw
        await kling.aclose()
        await elsewhere.server.hang_up()


@pytest.mark.parametrize("target", ["http://cdn.example/a.mp4", "ftp://127.0.0.1/a", "file:///etc/passwd", "//["])
@pytest.mark.parametrize("way", ["redirect", "at once"])
async def test_fault_40_an_address_that_is_not_https_is_never_asked(case: Case, target: str, way: str) -> None:
    if way == "redirect":
        case.vendor.files[1] = says(302, b"", location=target)
    else:
        case.vendor.video = {"url": target}
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        with pytest.raises(DownloadError):
            await kling.download(job, into=case.folder / "out")
    assert contents(case.folder / "out") == {}
    assert case.vendor.counts["file"] == (way == "redirect")


async def test_fault_40_an_address_with_half_a_character_is_kept_and_refused(case: Case) -> None:
    case.vendor.video = {"url": "https://x.example/\ud800", "file_name": "\ud800.mp4"}
    async with case:
        async with case.session() as kling:
            video = await kling.submit(prompt(), key="k")
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            assert await job == video
            with pytest.raises(DownloadError):
                await kling.download(job, into=case.folder / "out")


async def test_fault_40_a_redirect_without_end_is_left(case: Case) -> None:
    async def onwards(vendor: FaultVendor, exchange: Exchange) -> None:
        await exchange.answer(302, b"", location=f"{vendor.url}{exchange.target}1")

    case.vendor.files[EVERY] = onwards
    async with case, case.session() as kling:
        with pytest.raises(DownloadError, match="redirects"):
            await fetch(kling, case.folder / "out")
    assert case.vendor.counts["file"] == 6


async def test_fault_40_two_downloads_to_one_name_do_not_mix(case: Case) -> None:
    async with case, case.session() as kling:
        video = await kling.submit(prompt())
        both = [kling.download(video, case.folder / "a.mp4") for _ in range(2)]
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert sum(isinstance(end, DownloadError) for end in ends) == 1
    assert (case.folder / "a.mp4").read_bytes() == case.vendor.film
