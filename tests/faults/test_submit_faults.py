"""Faults 1 to 5, 9 to 14 and 20: faults of the POST that spends the money."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import (
    EVERY,
    KEY,
    OTHER_KEY,
    FaultVendor,
    breaks_off,
    completes,
    is_silent,
    page,
    resets,
    says,
    sells,
    sold,
    stated,
    tells_how_far_it_is,
    then_closes,
)
from loopback import UNTRUSTED_CERTIFICATE, read_request
from samples import data_uri, png
from scripted import prompt

from kling_async import (
    APIError,
    AuthenticationError,
    BadRequest,
    ConnectFailed,
    GatewayError,
    ImageToVideo,
    InvalidRequest,
    JobState,
    KlingError,
    OutOfCredits,
    Retrying,
    ServerError,
    SessionClosed,
    SubmissionUncertain,
)

if TYPE_CHECKING:
    from fault_case import Case

pytestmark = pytest.mark.asyncio


def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_fault_01_a_refused_connection_sent_nothing_and_is_tried_again_under_the_same_key(case: Case) -> None:
    port = unused_port()
    async with case, case.session(base_url=f"http://127.0.0.1:{port}") as kling:
        said = kling.subscribe()
        job = kling.submit(prompt(), key="k")
        async for event in said:
            if isinstance(event, Retrying):
                assert isinstance(event.error, ConnectFailed)
                assert (event.error.sent, job.state) == (False, JobState.QUEUED)
                break
        async with case.vendor.open(port=port):
            await job
    assert [sale.key for sale in case.vendor.sales] == ["k"]


async def test_fault_01_a_host_without_an_address_was_sent_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    usual, asked = loop.getaddrinfo, []

    async def forgets(host: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(socket.EAI_NONAME, "name or service not known")
        return await usual("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", forgets)
    async with case, case.session(base_url=f"http://localhost:{case.vendor.server.port}") as kling:
        await kling.submit(prompt())
    assert len(asked) >= 3
    assert len(case.vendor.posts) == 1


async def test_fault_02_a_certificate_that_is_refused_fails_fast_with_the_reason(case: Case) -> None:
    case.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = case.folder / "certificate.pem"
    certificate.write_text(UNTRUSTED_CERTIFICATE, encoding="utf-8")
    case.tls.load_cert_chain(certificate)
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        with pytest.raises(ConnectFailed, match="certificate") as caught:
            await job
        assert (caught.value.tls, job.state) == (True, JobState.QUEUED)
    assert case.vendor.posts == []


async def test_fault_03_a_timeout_after_the_vendor_accepted_is_adopted_from_one_post(case: Case) -> None:
    case.vendor.submits[1] = sold(is_silent)
    async with case, case.session(timeouts={"submit": 0.1}) as kling:
        job = kling.submit(prompt())
        assert (await job).generation_id == case.vendor.sales[0].generation_id
    assert len(case.vendor.posts) == 1


async def test_fault_03_a_deadline_that_passes_during_the_post_ends_the_job_once_that_is_over(case: Case) -> None:
    case.vendor.submits[1] = sold(is_silent)
    case.vendor.lag = 10**9
    async with case, case.session(timeouts={"submit": 0.8}) as kling:
        job = kling.submit(prompt(), deadline=0.4)
        with pytest.raises(SubmissionUncertain):
            await job
        assert job.state is JobState.UNCERTAIN
    assert len(case.vendor.posts) == 1


async def test_fault_04_a_reset_amid_the_answer_is_adopted_from_one_post(case: Case) -> None:
    case.vendor.submits[1] = sold(breaks_off)
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_04_a_reset_amid_the_request_is_reported_and_not_sent_again(case: Case) -> None:
    torn = []

    async def tears(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"POST"):
            return head
        torn.append(await reader.readexactly(1000))
        raise ConnectionResetError

    async with case, case.session() as kling:
        case.vendor.server.read = tears
        job = kling.submit(ImageToVideo(data_uri(png(size=15_000_000)), prompt="it waves"))
        with pytest.raises(SubmissionUncertain) as caught:
            await job
        name = caught.value.client_request_id
        assert name is not None
        assert name in str(caught.value)
        assert job.state is JobState.UNCERTAIN
        case.vendor.server.read = read_request
    assert (len(torn), case.vendor.sales) == (1, [])


async def test_fault_05_connections_the_vendor_drops_after_use_make_no_submit_ambiguous(case: Case) -> None:
    case.vendor.submits[EVERY] = then_closes(sells)
    case.vendor.polls[EVERY] = then_closes(tells_how_far_it_is)
    case.vendor.takes = 3
    async with case, case.session() as kling:
        for n in range(5):
            await kling.submit(prompt(f"{n}"))
    assert len(case.vendor.posts) == 5
    assert case.vendor.counts["look"] == 0


async def test_fault_05_connections_that_die_when_they_are_used_again_are_never_a_submits(case: Case) -> None:
    used = []

    async def takes_one_request(reader: asyncio.StreamReader) -> bytes:
        request = await read_request(reader)
        if reader in used:
            raise ConnectionResetError
        used.append(reader)
        return request

    case.vendor.takes = 3
    async with case, case.session() as kling:
        case.vendor.server.read = takes_one_request
        for n in range(5):
            await kling.submit(prompt(f"{n}"))
    assert len(case.vendor.posts) == 5
    assert case.vendor.counts["look"] == 0


@pytest.mark.parametrize("status", [500, 503])
async def test_fault_09_a_failure_in_the_vendors_own_words_was_not_charged_and_is_sent_again(
    case: Case, status: int
) -> None:
    case.vendor.submits = {1: stated(status, "try later"), 2: stated(status, "try later")}
    async with case, case.session() as kling:
        await kling.submit(prompt(), key="k")
    names = [post.headers["x-client-request-id"] for post in case.vendor.posts]
    assert len(set(names)) == 3
    assert {name.rpartition(":")[0] for name in names} == {"k"}


@pytest.mark.parametrize("bought", [True, False])
@pytest.mark.parametrize(
    "answer",
    [*(page(status) for status in (500, 502, 503, 504)), stated(502, "bad gateway"), stated(504, "timed out")],
    ids=["500", "502", "503", "504", "502 stated", "504 stated"],
)
async def test_fault_09_a_gateways_failure_says_nothing_and_is_never_followed_by_a_second_post(
    case: Case,
    answer: Any,
    bought: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    case.vendor.submits[1] = sold(answer) if bought else answer
    async with case, case.session() as kling:
        job = await kling.submit(prompt()).settled()
        if bought:
            assert (job.state, job.generation_id) == (JobState.COMPLETED, "g-1")
        else:
            error = job.exception()
            assert isinstance(error, SubmissionUncertain)
            assert isinstance(error.__cause__, ServerError)
    assert len(case.vendor.posts) == 1


@pytest.mark.parametrize("status", [400, 422])
async def test_fault_10_a_refused_body_is_final_and_what_was_said_is_kept_within_bounds(
    case: Case, status: int
) -> None:
    refusal = {"message": "prompt: too long", "statusCode": status, "path": "/", "meta": [{"path": ["prompt"]}]}
    case.vendor.submits = {
        1: says(status, refusal),
        2: stated(status, "x" * 1_000_000),
    }
    async with case, case.session() as kling:
        plain, vast = [await kling.submit(prompt(f"{n}"), key=f"k{n}").settled() for n in range(2)]
        error = plain.exception()
        assert isinstance(error, BadRequest)
        assert error.body == refusal
        assert len(repr(vars(vast.exception()))) < 5000
        assert {plain.state, vast.state} == {JobState.REJECTED}
        assert type(kling.submit(prompt("0"), key="k0").exception()) is BadRequest
    assert len(case.vendor.posts) == 2


def _escaped(text: str) -> bytes:
    return "".join(f"\\u{ord(character):04X}" for character in text).encode()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (stated(400, f"these headers are strange: Authorization: Bearer {KEY}"), BadRequest),
        (says(404, f"<pre>Authorization: Bearer {KEY}</pre>".encode(), content_type="text/html"), GatewayError),
        (says(405, b"bad", x_request_id=KEY), GatewayError),
        (says(400, b'{"message": "%s", "statusCode": 400, "path": "/"}' % _escaped(KEY)), BadRequest),
        (says(400, json.dumps({"message": KEY, "statusCode": 400, "path": "/"}).encode("utf-16-le")), BadRequest),
        (says(302, b"", location=f"https://host.example/{KEY}/?token={KEY}"), GatewayError),
    ],
    ids=["envelope", "web page", "header", "escaped", "UTF-16", "redirect"],
)
async def test_fault_10_a_refusal_that_repeats_the_key_does_not_show_it(
    case: Case, answer: Any, kind: type[APIError]
) -> None:
    case.vendor.submits[1] = answer
    async with case, case.session() as kling:
        with pytest.raises(kind) as caught:
            await kling.submit(prompt(), key="k")
        assert "[api key]" in repr(vars(caught.value))


async def test_fault_11_out_of_credits_amid_a_batch_stops_submits_and_loses_nothing(case: Case) -> None:
    no_credits = stated(403, "You have run out of credits. Top up your balance")
    case.vendor.submits = {1: sells, 2: sells, EVERY: no_credits}
    case.vendor.takes = 1e9
    async with case, case.session() as kling:
        paid = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(2)]
        await asyncio.gather(*(job.accepted() for job in paid))
        queued = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(2, 30)]
        for job in queued:
            with pytest.raises(OutOfCredits, match="Top up"):
                await job
            assert job.state is JobState.QUEUED
        posts = len(case.vendor.posts)
        assert posts < 30
        assert kling.stats().halted is not None
        case.vendor.takes = 1
        await asyncio.gather(*paid)  # what was paid for goes on
        case.vendor.submits = {}
        assert len(case.vendor.posts) == posts
        kling.resume_submissions()
        await asyncio.gather(*(kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(30)))
    assert {sale.key for sale in case.vendor.sales} == {f"k{n}" for n in range(30)}


@pytest.mark.parametrize(
    "answer",
    [
        says(200, {"status": "queued"}),
        says(200, {"id": "", "status": "queued"}),
        says(200, {"id": " \t", "status": "queued"}),
        says(201, {"id": ["g"], "status": "queued"}),
        says(200, b'{"id": "g-'),
        says(200, b""),
        says(204, b"", content_length=""),
        says(200, b"<html>all is well</html>", content_type="text/html"),
        says(200, b"null"),
        says(200, b"[" * 100_000),
    ],
    ids=["no id", "empty id", "blank id", "list for id", "cut", "empty", "204", "HTML", "null", "deep"],
)
async def test_fault_12_a_success_without_an_id_is_looked_up_and_not_sent_again(case: Case, answer: Any) -> None:
    case.vendor.submits[1] = sold(answer)
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_12_a_mistake_in_the_transport_says_nothing_of_its_post_either(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumbles(*_: object) -> None:
        raise ZeroDivisionError("a mistake")

    async with case, case.session() as kling:
        with monkeypatch.context() as broken:
            broken.setattr("kling_async.transport.http._read", stumbles)
            job = await kling.submit(prompt(), key="k").settled()
        assert (job.state, type(job.exception())) == (JobState.UNCERTAIN, KlingError)
        assert (await kling.submit(prompt(), key="k")).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_13_the_same_key_twice_is_one_job_and_for_another_request_an_error(case: Case) -> None:
    async with case:
        async with case.session() as kling:
            first, again = kling.submit(prompt(), key="k"), kling.submit(prompt(), key="k")
            assert first is again
            with pytest.raises(InvalidRequest, match="'k'"):
                kling.submit(prompt("something else"), key="k")
            video = await first
        async with case.session() as kling:
            assert await kling.submit(prompt(), key="k") == video
            with pytest.raises(InvalidRequest, match="'k'"):
                kling.submit(prompt("something else"), key="k")
    assert len(case.vendor.posts) == 1


async def test_fault_13_one_id_for_two_keys_is_an_error_and_no_second_job_takes_the_video(case: Case) -> None:
    case.vendor.submits[2] = sold(says(200, {"id": "g-1", "status": "queued"}))
    case.vendor.lag = 10**9  # so that the second sale is never seen
    async with case, case.session() as kling:
        first = kling.submit(prompt("1"))
        assert (await first).generation_id == "g-1"
        second = kling.submit(prompt("2"))
        with pytest.raises(SubmissionUncertain, match="id of another job"):
            await second
    assert (second.state, second.generation_id) == (JobState.UNCERTAIN, None)


async def test_fault_13_a_generation_of_one_key_cannot_be_resumed_under_another(case: Case) -> None:
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            video = await job
            token = job.token()
        async with case.session() as kling:
            assert await kling.resume("g-1") == await kling.resume("g-1", key="k") == video
            with pytest.raises(InvalidRequest, match="'k'"):
                kling.resume("g-1", key="another")
            with pytest.raises(InvalidRequest, match="'k'"):
                kling.resume(token.replace('"k"', '"another"'))
            assert kling.pending == ()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_fault_14_a_redirected_post_is_an_error_and_not_followed(case: Case, status: int) -> None:
    elsewhere = FaultVendor()
    async with elsewhere.open(), case, case.session() as kling:
        case.vendor.submits[1] = says(status, b"", location=f"{elsewhere.url}/v2/video/generations")
        job = kling.submit(prompt())
        with pytest.raises(GatewayError, match=f"redirects to {elsewhere.url}/v2/video/generations ") as caught:
            await job
        assert (caught.value.status, job.state) == (status, JobState.QUEUED)
        await elsewhere.server.hang_up()
    assert elsewhere.server.requests == []
    assert len(case.vendor.posts) == 1


async def test_fault_20_a_key_revoked_amid_a_run_pauses_everything_until_there_is_a_new_one(case: Case) -> None:
    case.vendor.takes = 1e9
    async with case:
        async with case.session() as kling:
            paid = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(3)]
            await asyncio.gather(*(job.accepted() for job in paid))
            case.vendor.keys = {OTHER_KEY}
            late = kling.submit(prompt("late"), key="late")
            for job in [*paid, late]:
                with pytest.raises(AuthenticationError, match="revoked"):
                    await job
            assert [job.state for job in [*paid, late]] == [JobState.PENDING] * 3 + [JobState.QUEUED]
        case.vendor.takes = 1
        async with case.session(api_key=OTHER_KEY) as kling:
            again = {job.key: job for job in kling.pending}
            assert set(again) == {"k0", "k1", "k2", "late"}
            await asyncio.gather(*again.values())
    assert len(case.vendor.sales) == 4


async def test_fault_20_a_key_revoked_while_a_submit_is_looked_for_leaves_it_uncertain(case: Case) -> None:
    case.vendor.submits[1] = sold(resets)
    case.vendor.looks[1] = stated(401, "this key was revoked")
    case.vendor.balances[1] = stated(401, "this key was revoked")
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            with pytest.raises(AuthenticationError):
                await job
            assert job.state is JobState.UNCERTAIN
        case.vendor.keys = {OTHER_KEY}
        async with case.session(api_key=OTHER_KEY) as kling:
            assert (await kling.submit(prompt(), key="k")).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_20_a_key_that_never_was_good_leaves_the_jobs_queued(case: Case) -> None:
    case.vendor.keys = {OTHER_KEY}
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            with pytest.raises(AuthenticationError):
                await job
        case.vendor.submits[EVERY] = resets
        async with case.session(api_key=OTHER_KEY, hold=True) as kling:
            (held,) = kling.pending
            assert held.state is JobState.QUEUED
        with pytest.raises(SessionClosed):
            await held


async def test_nothing_usual_is_said_of_a_vendor_that_is_well(case: Case) -> None:
    case.vendor.polls[1] = completes
    async with case, case.session() as kling:
        await kling.download(kling.submit(prompt()), case.folder / "video.mp4")
    assert (case.folder / "video.mp4").read_bytes() == case.vendor.film
