"""Faults 15 to 19 and 21 to 30: faults of the polls about what was paid for."""

from __future__ import annotations

import asyncio
import gzip
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import (
    EVERY,
    FOR_EVER,
    asked_id,
    completes,
    drips,
    page,
    resets,
    says,
    sold,
    stated,
    tells_how_far_it_is,
)
from scripted import prompt

from kling_async import (
    DeadlineExceeded,
    GenerationFailed,
    JobState,
    MalformedResponse,
    NotFound,
    RateLimited,
    RequestTimeout,
    SessionClosed,
    Throttled,
)

if TYPE_CHECKING:
    from fault_case import Case
    from fault_vendor import FaultVendor
    from loopback import Exchange

    from kling_async import Event, Subscription

pytestmark = pytest.mark.asyncio

BAD_DATE = "Mon, 32 Foo 2026 99:99:99 GMT"
YEARS = 10 * 365 * 86_400.0


async def first_throttled(events: Subscription[Event]) -> Throttled:
    async for event in events:
        if isinstance(event, Throttled):
            return event
    raise AssertionError("it was never throttled")


async def pause_after(case: Case, **headers: str) -> float:
    """How long a session means to wait after a 429 with these headers; another then finishes what it began."""
    case.vendor.polls[1] = stated(429, "too many requests", **headers)
    async with case:
        async with case.session() as kling:
            said = kling.subscribe()
            job = kling.submit(prompt())
            throttled = await first_throttled(said)
            pause = throttled.until - throttled.at
            assert job.state is JobState.PENDING
            if pause < 1:
                await job
        async with case.session() as kling:
            await asyncio.gather(*kling.pending)
    assert job.done()
    return pause


@pytest.mark.parametrize("seconds", ["120", "0120"])
async def test_fault_15_a_429_with_seconds_is_waited_for_and_fails_nothing(case: Case, seconds: str) -> None:
    assert 119 < await pause_after(case, retry_after=seconds) < 127


@pytest.mark.parametrize("skew", [0.0, YEARS, -YEARS])
async def test_fault_16_a_429_with_a_date_is_read_by_the_clock_that_wrote_it(case: Case, skew: float) -> None:
    now = 1_800_000_000 + skew
    pause = await pause_after(case, retry_after=formatdate(now + 90, usegmt=True), date=formatdate(now, usegmt=True))
    assert 89 < pause < 95


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": formatdate(1_800_000_000, usegmt=True), "date": formatdate(1_800_000_060, usegmt=True)},
        {"retry_after": BAD_DATE, "date": formatdate(1_800_000_000, usegmt=True)},
        {"retry_after": formatdate(1_800_000_000, usegmt=True), "date": BAD_DATE},
        {"retry_after": formatdate(1_800_000_000, usegmt=True)},
        {"retry_after": "-5"},
        {"retry_after": "1e9"},
        {"retry_after": "soon"},
    ],
    ids=["past", "garbage", "garbled clock", "no clock", "negative", "exponent", "words"],
)
async def test_fault_16_a_429_with_a_date_that_says_nothing_is_a_short_pause(
    case: Case, headers: dict[str, str]
) -> None:
    # A pause of milliseconds may be over when its event is made; a header that was believed would be seconds off.
    assert -1 < await pause_after(case, **headers) < 1


async def test_fault_17_a_429_without_a_word_is_a_short_pause_that_grows(case: Case) -> None:
    for n in range(2, 6):
        case.vendor.polls[n] = stated(429, "too many requests")
    assert 0 < await pause_after(case) < 1
    assert case.vendor.counts["poll"] == 6


async def test_fault_17_endless_refusals_keep_a_job_until_its_time_is_over(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kling_async.engine.poller._REFUSED_GRACE", 0.1)
    monkeypatch.setattr("kling_async.pacing.rate_limiter._LONGEST_PAUSE", 0.02)
    case.vendor.polls[EVERY] = stated(429, "too many requests")
    async with case, case.session(timeouts={"generation": 0.1}) as kling:
        job = kling.submit(prompt())
        with pytest.raises(DeadlineExceeded) as caught:
            await job
        assert isinstance(caught.value.__cause__, RateLimited)
        assert job.state is JobState.PENDING


async def test_fault_18_an_id_that_is_unknown_just_after_its_submit_is_given_grace(case: Case) -> None:
    case.vendor.polls = dict.fromkeys((1, 2, 3), stated(404, "unknown generation"))
    async with case, case.session(polling={"not_found_grace": 10}) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert case.vendor.counts["poll"] == 4


async def test_fault_19_an_id_that_stays_unknown_is_not_found_and_its_key_is_kept(case: Case) -> None:
    case.vendor.polls[EVERY] = stated(404, "unknown generation")
    async with case, case.session(polling={"not_found_grace": 0.05}) as kling:
        job = kling.submit(prompt(), key="k")
        with pytest.raises(NotFound) as caught:
            await job
        assert (job.state, caught.value.generation_id, caught.value.key) == (JobState.PENDING, "g-1", "k")
        case.vendor.polls.clear()
        again = kling.submit(prompt(), key="k")
        assert again is not job
        assert (await again).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


NONSENSE = {
    "HTML": page(200),
    "empty": says(200, b""),
    "cut": says(200, b'{"id": "g-1", "status": "comple'),
    "NaN": says(200, b'{"id": "g-1", "status": NaN}'),
    "only NaN": says(200, b"NaN"),
    "null": says(200, b"null"),
    "null status": says(200, {"id": "g-1", "status": None}),
    "list": says(200, [{"id": "g-1", "status": "completed"}]),
    "number": says(200, b"5"),
    "text": says(200, "completed"),
    "status of the wrong type": says(200, {"id": "g-1", "status": {"of": "the job"}}),
    "no status": says(200, {"id": "g-1"}),
    "video of the wrong type": says(200, {"id": "g-1", "status": "completed", "video": "https://x.example/a.mp4"}),
    "url of the wrong type": says(200, {"id": "g-1", "status": "completed", "video": {"url": 5}}),
    "deep": says(200, b'{"a":' * 50_000),
    "not UTF-8": says(200, b"\xff\xfe\x00"),
    "not HTTP": None,
}


async def speaks_gibberish(_: FaultVendor, exchange: Exchange) -> None:
    await exchange.send(b"220 smtp.example ESMTP\r\n\r\n")
    exchange.close()


@pytest.mark.parametrize("what", [name for name in NONSENSE if name != "HTML"])
async def test_fault_22_an_answer_that_means_nothing_is_asked_for_again(case: Case, what: str) -> None:
    case.vendor.polls[1] = case.vendor.polls[2] = NONSENSE[what] or speaks_gibberish
    async with case, case.session(polling={"not_found_grace": 10}) as kling:
        job = kling.submit(prompt())
        assert (await job).generation_id == "g-1"
        assert job.polls == 3


async def test_fault_21_a_web_page_with_status_200_is_no_answer_and_fails_nothing(case: Case) -> None:
    case.vendor.polls[1] = case.vendor.polls[2] = page(200)
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        assert (await job).generation_id == "g-1"
        assert job.polls == 3


async def test_fault_21_web_pages_for_ever_end_at_the_deadline_with_what_was_seen(case: Case) -> None:
    case.vendor.polls[EVERY] = page(200)
    async with case, case.session(timeouts={"generation": 0.2}) as kling:
        job = kling.submit(prompt())
        with pytest.raises(DeadlineExceeded) as caught:
            await job
        assert isinstance(caught.value.__cause__, MalformedResponse)
        assert "<html>" in caught.value.__cause__.excerpt


async def test_fault_23_an_unknown_status_is_still_running_and_is_warned_of_once(case: Case) -> None:
    case.vendor.polls = dict.fromkeys(
        (1, 2, 3), says(200, {"id": "g-1", "status": "defragmenting", "video": {"url": "https://x.example/no.mp4"}})
    )
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        assert (await job).url.startswith(case.url)
    assert job.polls == 4
    assert sum("defragmenting" in record.getMessage() for record in case.log.records) == 1


async def test_fault_24_a_generation_without_end_meets_its_deadline_and_can_still_be_resumed(case: Case) -> None:
    case.vendor.takes = FOR_EVER
    async with case, case.session() as kling:
        job = kling.submit(prompt(), key="k", deadline=0.2)
        with pytest.raises(DeadlineExceeded, match="generating") as caught:
            await job
        assert (job.state, caught.value.generation_id) == (JobState.PENDING, "g-1")
        case.vendor.takes = 1
        assert (await kling.resume("g-1")).generation_id == "g-1"
        assert (await kling.submit(prompt(), key="k")).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_25_completed_without_a_url_is_asked_again_and_then_succeeds(case: Case) -> None:
    case.vendor.polls = dict.fromkeys((1, 2), says(200, {"id": "g-1", "status": "completed", "video": None}))
    async with case, case.session(polling={"not_found_grace": 10}) as kling:
        job = kling.submit(prompt())
        await job
        assert job.polls == 3


async def test_fault_25_completed_without_a_url_for_good_is_a_typed_error_soon(case: Case) -> None:
    case.vendor.polls[EVERY] = says(200, {"id": "g-1", "status": "completed", "video": {"url": ""}})
    async with case, case.session(polling={"not_found_grace": 0.05}) as kling:
        job = kling.submit(prompt())
        with pytest.raises(MalformedResponse, match="no url"):
            await job
        assert job.state is JobState.PENDING


DETAIL = [{"loc": ["body", "image_url"], "msg": "no face in the image", "type": "face_detection_error"}]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ({"name": "Error", "message": "no face in the image"}, "no face in the image"),
        ({"detail": DETAIL}, "body.image_url: no face in the image"),
        (DETAIL, "body.image_url: no face in the image"),
        ("no face in the image", "no face in the image"),
        (None, "no reason given"),
        (17, "17"),
    ],
    ids=["object", "detail", "list", "string", "null", "number"],
)
@pytest.mark.parametrize("word", ["error", "failed"])
async def test_fault_26_an_error_of_any_shape_with_200_fails_the_job_readably(
    case: Case, reason: Any, shown: str, word: str
) -> None:
    case.vendor.polls[1] = says(200, {"id": "g-1", "status": word, "video": None, "error": reason})
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            with pytest.raises(GenerationFailed, match=shown) as caught:
                await job
            assert (caught.value.reason, job.state) == (reason, JobState.FAILED)
        async with case.session() as kling:
            error = kling.submit(prompt(), key="k").exception()
            assert isinstance(error, GenerationFailed)
            assert error.reason == reason
    assert len(case.vendor.posts) == 1


async def test_fault_27_a_status_that_goes_back_is_followed_until_it_is_over(case: Case) -> None:
    words = ["generating", "queued", "generating", "waiting"]
    case.vendor.polls = {n: says(200, {"id": "g-1", "status": word}) for n, word in enumerate(words, 1)}
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        await job
        assert job.polls == 5


async def test_fault_27_what_is_over_stays_over_whatever_the_vendor_says_later(case: Case) -> None:
    async with case:
        async with case.session() as kling:
            video = await kling.submit(prompt(), key="k")
        case.vendor.polls[EVERY] = says(200, {"id": "g-1", "status": "error", "error": "on second thoughts"})
        async with case.session() as kling:
            assert await kling.submit(prompt(), key="k") == video
            assert await kling.resume("g-1") == video
    assert (len(case.vendor.posts), case.vendor.counts["poll"]) == (1, 1)


async def test_fault_27_an_answer_about_another_generation_is_refused(case: Case) -> None:
    strange = {"id": "g-9", "status": "completed", "video": {"url": "https://x.example/strangers.mp4"}}
    case.vendor.polls = dict.fromkeys((1, 2), says(200, strange))
    async with case, case.session() as kling:
        video = await kling.submit(prompt())
        assert (video.generation_id, video.url.startswith(case.url)) == ("g-1", True)


async def test_fault_28_a_poll_that_drips_in_is_cut_off_and_asked_again(case: Case) -> None:
    case.vendor.polls[1] = drips
    async with case, case.session(timeouts={"call": 0.1}) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"


async def test_fault_28_a_submits_answer_that_drips_in_is_looked_up_and_not_sent_again(case: Case) -> None:
    case.vendor.submits[1] = sold(drips)
    async with case, case.session(timeouts={"submit": 0.1}) as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


BOMB = gzip.compress(b" " * 20_000_000)


@pytest.mark.parametrize(
    "vast",
    [
        says(200, b" " * 5_000_000),
        says(200, b" " * 5_000_000, content_length=""),
        says(200, BOMB, content_encoding="gzip"),
        says(502, b"x" * 5_000_000),
    ],
    ids=["long", "unannounced", "bomb", "long error"],
)
@pytest.mark.parametrize("kind", ["submits", "polls"])
async def test_fault_29_an_answer_beyond_all_bounds_is_dropped(case: Case, kind: str, vast: Any) -> None:
    getattr(case.vendor, kind)[1] = sold(vast) if kind == "submits" else vast
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_30_an_outage_of_the_vendor_fails_nothing(case: Case) -> None:
    """The real connections of an outage, if not its ten minutes: those pass in test_time_faults.py."""
    down = {"stated": stated(503, "down"), "page": page(502), "reset": resets, "page of 500": page(500)}
    generations = [f"g-{n + 1}" for n in range(8)]
    seen: dict[str, int] = dict.fromkeys(generations, 0)

    async def fails_four_times(vendor: FaultVendor, exchange: Exchange) -> None:
        generation_id = asked_id(exchange)
        seen[generation_id] += 1
        failing = list(down.values())[seen[generation_id] - 1 : seen[generation_id]]
        await (failing[0] if failing else completes)(vendor, exchange)

    case.vendor.polls[EVERY] = fails_four_times
    async with case, case.session() as kling:
        videos = await asyncio.gather(*(kling.submit(prompt(f"{n}")) for n in range(8)))
    assert {video.generation_id for video in videos} == set(generations)
    assert set(seen.values()) == {5}


async def test_a_poll_that_is_never_answered_ends_with_the_session(case: Case) -> None:
    case.vendor.polls = {1: drips, 2: tells_how_far_it_is}
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt())
            await case.vendor.arrival("poll")
        with pytest.raises(SessionClosed):
            await job


async def test_fault_28_a_dripping_poll_is_the_cause_given_at_the_deadline(case: Case) -> None:
    case.vendor.polls[EVERY] = drips
    async with case, case.session(timeouts={"call": 0.05, "generation": 0.05}) as kling:
        job = kling.submit(prompt())
        with pytest.raises(DeadlineExceeded) as caught:
            await job
        assert isinstance(caught.value.__cause__, RequestTimeout)
