"""What proxies and kept-alive connections do to answers: odd but lawful forms, and answers to other requests."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import EVERY, asked_id, page, says, sells, sold, stated, tells_how_far_it_is
from loopback import response
from scripted import prompt

from kling_async import DeadlineExceeded, JobState, MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from fault_case import Case
    from fault_vendor import Act, FaultVendor
    from loopback import Exchange

pytestmark = pytest.mark.asyncio


def _headed(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> Callable[[bytes], bytes]:
    head = b"".join((start, b"\r\n", *(line + b"\r\n" for line in lines)))
    return lambda body: head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def _packed(encoding: str, pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda body: response(body=pack(body), content_encoding=encoding)


def _chunked(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + f"{len(body):X};of=one\r\n".encode() + body + b"\r\n0\r\nX-Sum: 1\r\n\r\n"


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "long line": _headed(b"Content-Security-Policy: " + b"a" * 9000),
    "very long line": _headed(b"Content-Security-Policy: " + b"a" * 60_000),
    "many lines": _headed(*(b"X-Line-%d: a" % n for n in range(200))),
    "many cookies": _headed(*(b"Set-Cookie: c%d=d; Path=/" % n for n in range(900))),
    "no reason": _headed(start=b"HTTP/1.1 200"),
    "HTTP/1.0": _headed(start=b"HTTP/1.0 200 OK"),
    "folded line": _headed(b"x-fOlDeD: a", b"\tb"),
    "interim answers": lambda body: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(body=body),
    "chunks": _chunked,
    "until it closes": lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body,
    "byte order mark": lambda body: response(body=b"\xef\xbb\xbf" + body),
    "UTF-16": lambda body: response(body=body.decode().encode("utf-16"), content_type="text/json; charset=utf-16"),
    "Latin-1": lambda body: response(body=b'{"note": "\xe4", ' + body[1:]),
    "NaN": lambda body: response(body=b'{"cost": NaN, ' + body[1:]),
    "gzip members": _packed("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
    "raw deflate": _packed("DEFLATE", _raw_deflate),
    "no encoding": _packed("utf-8", lambda body: body),
    "unpacked by a proxy": _packed("gzip", lambda body: body),
}


class _Overheard:
    """An exchange whose answer is kept rather than sent."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.said = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    async def answer(self, _status: int, body: bytes) -> None:
        self.said = body


def _in_form(form: Callable[[bytes], bytes], act: Act) -> Act:
    """Do this, but bring the body into a form of its own."""

    async def reforms(vendor: FaultVendor, exchange: Exchange) -> None:
        overheard: Any = _Overheard(exchange)
        await act(vendor, overheard)
        await exchange.send(form(overheard.said))
        exchange.close()

    return reforms


@pytest.mark.parametrize("what", FORMS)
async def test_an_answer_in_an_odd_but_lawful_form_leaves_nothing_uncertain(case: Case, what: str) -> None:
    case.vendor.submits[1] = _in_form(FORMS[what], sells)
    case.vendor.polls[1] = _in_form(FORMS[what], tells_how_far_it_is)
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        assert (await job).generation_id == "g-1"
        assert job.polls == 1
    assert (len(case.vendor.posts), case.vendor.counts["look"]) == (1, 0)


@pytest.mark.parametrize("kind", ["submits", "polls"])
async def test_a_header_beyond_all_bounds_is_no_answer_and_loses_nothing(case: Case, kind: str) -> None:
    usual = sells if kind == "submits" else tells_how_far_it_is
    getattr(case.vendor, kind)[1] = _in_form(_headed(b"X-Long: " + b"a" * 200_000), usual)
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


@pytest.mark.parametrize(
    "body", [{"status": "queued"}, b"", b'{"id": "g-', b"<html>welcome</html>"], ids=["no id", "empty", "cut", "HTML"]
)
async def test_a_sale_named_in_the_headers_alone_leaves_nothing_uncertain(case: Case, body: object) -> None:
    async def names_it_above(vendor: FaultVendor, exchange: Exchange) -> None:
        sale = vendor.sell(exchange)
        names = {"x_inference_id": sale.generation_id, "x_client_request_id": sale.name}
        await says(200, body, **names)(vendor, exchange)

    case.vendor.submits[1] = names_it_above
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert (len(case.vendor.posts), case.vendor.counts["look"]) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        says(200, {"id": "g-9", "status": "queued"}, x_client_request_id="another:1", x_inference_id="g-9"),
        stated(400, "prompt: too long", x_client_request_id="another:1"),
        stated(429, "too many requests", x_client_request_id="another:1"),
    ],
    ids=["sold", "refused", "throttled"],
)
async def test_the_answer_to_another_submit_is_not_this_ones(case: Case, answer: Act) -> None:
    case.vendor.submits[1] = sold(answer)
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


# Another job's answer to a poll.


def _done(vendor: FaultVendor, generation_id: str) -> bytes:
    """That a generation is done, without a word of which it is."""
    video = {"url": f"{vendor.url}/files/{generation_id}.mp4", "file_size": len(vendor.film)}
    return json.dumps({"status": "completed", "video": video}).encode()


async def _sees_to_thirty(case: Case, answers: Act, **settings: Any) -> None:
    """Buy thirty, and see that each job has the video of its own generation."""
    case.vendor.polls[EVERY] = answers
    async with case, case.session(**settings) as kling:
        jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(30)]
        videos = await asyncio.gather(*jobs)
        own = {sale.key: sale.generation_id for sale in case.vendor.sales}
        got = {
            job.key: video.url.rpartition("/")[2].removesuffix(".mp4") for job, video in zip(jobs, videos, strict=True)
        }
        assert got == own
    assert len(case.vendor.posts) == 30


@pytest.mark.parametrize("named", [True, False], ids=["its id", "no id"])
@pytest.mark.parametrize("apart", [0.0, 0.002], ids=["at once", "a little later"])
async def test_a_second_answer_on_a_connection_is_nobodys(
    case: Case,
    apart: float,
    named: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Each answer is followed by a copy; the copy is not the answer to whatever is asked next."""

    async def answers_twice(vendor: FaultVendor, exchange: Exchange) -> None:
        generation_id = asked_id(exchange)
        answer = response(body=_done(vendor, generation_id), x_inference_id=generation_id)
        copy = answer if named else response(body=_done(vendor, generation_id))
        border = len(answer) - 5
        await exchange.send(answer[:border])
        await asyncio.sleep(apart)
        await exchange.send(answer[border:] + (b"" if apart else copy))
        await asyncio.sleep(apart)
        if apart:
            await exchange.send(copy)

    await _sees_to_thirty(case, answers_twice, polling={"not_found_grace": 10})


async def test_a_connection_whose_answers_are_off_by_one_is_left(case: Case) -> None:
    """A proxy answers each request on a connection with the answer to the one before it, from the second on."""
    last: dict[int, str] = {}

    async def answers_the_one_before(vendor: FaultVendor, exchange: Exchange) -> None:
        generation_id = last.get(exchange.connection) or asked_id(exchange)
        last[exchange.connection] = asked_id(exchange)
        await exchange.answer(body=_done(vendor, generation_id), x_inference_id=generation_id)

    await _sees_to_thirty(case, answers_the_one_before, polling={"not_found_grace": 10})
    polled = [exchange for exchange in case.vendor.server.requests if "generation_id=" in exchange.target]
    assert len(polled) < 200


async def test_an_answer_that_names_no_generation_at_all_tells_nothing(case: Case) -> None:
    async def names_none(vendor: FaultVendor, exchange: Exchange) -> None:
        await exchange.answer(body=_done(vendor, asked_id(exchange)))

    case.vendor.polls[EVERY] = names_none
    async with case, case.session(timeouts={"generation": 0.2}) as kling:
        job = kling.submit(prompt(), key="k")
        with pytest.raises(DeadlineExceeded) as caught:
            await job
        assert isinstance(caught.value.__cause__, MalformedResponse)
        assert job.state is JobState.PENDING
        case.vendor.polls.clear()
        assert (await kling.submit(prompt(), key="k")).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


@pytest.mark.parametrize("status", [400, 404])
async def test_an_error_about_another_generation_ends_no_job(case: Case, status: int) -> None:
    case.vendor.polls = dict.fromkeys(range(1, 4), stated(status, "no such generation", x_inference_id="g-9"))
    async with case, case.session(polling={"not_found_grace": 0}) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"


async def test_a_welcome_page_with_another_id_in_its_header_is_asked_again(case: Case) -> None:
    case.vendor.polls = {1: says(200, b"<html>", x_inference_id="g-9"), 2: page(502)}
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        await job
        assert job.polls == 3
