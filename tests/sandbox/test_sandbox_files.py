from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from sandbox_client import visit
from yarl import URL

from kling_async.sandbox import Faults

pytestmark = pytest.mark.asyncio


async def test_a_video_is_served_whole_with_what_is_needed_to_resume() -> None:
    async with visit(file_size=600_000) as api:
        reply = await api.file(await api.video_url())
        assert (reply.status, len(reply.content)) == (200, 600_000)
        assert reply.headers["Content-Type"] == "video/mp4"
        assert reply.headers["Accept-Ranges"] == "bytes"
        assert reply.headers["ETag"].startswith('"')


async def test_a_video_is_its_own_generations() -> None:
    async with visit() as api:
        told = await api.finished()
        content = (await api.file(told.json["video"]["url"])).content
        assert content.endswith(told.json["id"].encode())
        assert content[4:8] == b"ftyp"


async def test_a_range_is_served_in_part() -> None:
    async with visit() as api:
        url = await api.video_url()
        whole = await api.file(url)
        part = await api.file(url, Range="bytes=100-199", If_Range=whole.headers["ETag"])
        assert (part.status, part.content) == (206, whole.content[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole.content)}"


async def test_if_range_with_another_validator_gets_the_whole_file() -> None:
    async with visit() as api:
        reply = await api.file(await api.video_url(), Range="bytes=100-", If_Range='"other"')
        assert reply.status == 200


async def test_a_range_outside_the_file_is_416() -> None:
    async with visit(file_size=20_000) as api:
        reply = await api.file(await api.video_url(), Range="bytes=20000-")
        assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */20000")


async def test_head_tells_the_length_and_sends_nothing() -> None:
    async with visit(file_size=20_000) as api:
        reply = await api.file(await api.video_url(), method="HEAD")
        assert (reply.status, reply.headers["Content-Length"], reply.content) == (200, "20000", b"")


async def test_a_known_validator_gets_304() -> None:
    async with visit() as api:
        url = await api.video_url()
        known = (await api.file(url)).headers["ETag"]
        assert (await api.file(url, If_None_Match=known)).status == 304


async def test_the_validator_outlasts_the_url() -> None:
    async with visit() as api:
        told = await api.finished()
        again = await api.poll(told.json["id"])
        assert told.json["video"]["url"] != again.json["video"]["url"]
        first, second = [await api.file(reply.json["video"]["url"]) for reply in (told, again)]
        assert first.headers["ETag"] == second.headers["ETag"]


async def test_a_url_expires() -> None:
    async with visit(speed=10, url_lifetime=600) as api:
        url = await api.video_url()
        api.clock.now += 59.9
        assert (await api.file(url)).status == 200
        api.clock.now += 0.2
        expired = await api.file(url)
        assert expired.status == 403
        assert b"expired" in expired.content


async def test_a_url_whose_escapes_were_re_encoded_is_refused() -> None:
    async with visit() as api:
        url = await api.video_url()
        assert "%3D" in url
        async with api.http.get(URL(url)) as reply:  # yarl's own idea of an encoding
            assert reply.status == 403


@pytest.mark.parametrize("query", ["", "?Expires=x", "?Expires=9999999999.0&Signature=AAAA", "?&Signature="])
async def test_a_url_that_was_never_signed_is_refused(query: str) -> None:
    async with visit() as api:
        url = await api.video_url()
        assert (await api.file(url.partition("?")[0] + query)).status == 403


async def test_a_file_that_never_was_is_404() -> None:
    async with visit() as api:
        assert (await api.file(f"{api.sandbox.url}/files/nothing.mp4")).status == 404
        assert api.sandbox.ledger.files[0].generation_id is None


async def test_an_expired_url_stays_expired_and_a_fresh_one_works() -> None:
    async with visit(faults=Faults(expired_url={1})) as api:
        told = await api.finished()
        url = told.json["video"]["url"]
        assert [(await api.file(url)).status for _ in range(2)] == [403, 403]
        fresh = (await api.poll(told.json["id"])).json["video"]["url"]
        assert (await api.file(fresh)).status == 200


async def test_a_truncated_file_breaks_off_halfway() -> None:
    async with visit(file_size=20_000, faults=Faults(truncated_file={1})) as api:
        url = await api.video_url()
        async with api.http.get(URL(url, encoded=True)) as reply:
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.read()
            assert reply.content.total_bytes == 10_000
        assert len((await api.file(url)).content) == 20_000


@pytest.mark.parametrize("fault", ["drop_before", "gateway_error"])
async def test_the_file_host_can_fail(fault: str) -> None:
    async with visit(faults=Faults(**dict[str, Any]({fault: {"file": {1, 2}}}))) as api:
        url = await api.video_url()
        if fault == "drop_before":
            with pytest.raises(aiohttp.ClientError):
                await api.file(url)
            assert api.sandbox.ledger.files[0].status is None
        else:
            assert (await api.file(url)).status in (502, 504)


async def test_the_ledger_tells_who_asked_for_what() -> None:
    async with visit() as api:
        told = await api.finished()
        await api.file(told.json["video"]["url"], Range="bytes=0-9")
        (request,) = api.sandbox.ledger.files
        assert (request.generation_id, request.method, request.status) == (told.json["id"], "GET", 206)
        assert request.headers["range"] == "bytes=0-9"
        assert api.sandbox.ledger.leaks == ()


async def test_the_ledger_tells_when_the_file_host_was_shown_a_key() -> None:
    async with visit() as api:
        await api.file(await api.video_url(), Authorization="Bearer secret")
        assert len(api.sandbox.ledger.leaks) == 1
