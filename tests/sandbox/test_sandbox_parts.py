from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.catalogue.lookup import models
from kling_async.cli.gallery.entries import read_video_file
from kling_async.sandbox import Purchase
from kling_async.sandbox.capacity import CreditAccount, Price, SlidingWindow, price_list_entry, price_of, video_seconds
from kling_async.sandbox.faults import ERROR_SHAPES, ID_STYLES, IdStyle, SeededRandom, error_object, make_id
from kling_async.sandbox.files import SampleVideo, asked_range
from kling_async.sandbox.generations import initial_status, status_at

if TYPE_CHECKING:
    from pathlib import Path

ETAG = '"abc"'
NANOID = re.compile(r"[A-Za-z0-9_-]{21}")


def purchase(*, credits_: float = 140.0, end: float = 300.0, failure: object = None) -> Purchase:
    return Purchase(
        generation_id="id",
        client_request_id=None,
        endpoint="/v2/video/generations",
        model="m",
        body={},
        accepted_at=0.0,
        started_at=100.0,
        completed_at=end,
        failure=failure,
        credits=credits_,
    )


# ids


@pytest.mark.parametrize("style", ID_STYLES)
def test_ids_have_the_form_asked_for(style: IdStyle) -> None:
    made = make_id(SeededRandom(1).bits(style), "kling/x", style)
    forms = {
        "uuid": lambda: str(UUID(made)) == made,
        "uuid:model": lambda: str(UUID(made.partition(":")[0])) and made.endswith(":kling/x"),
        "nanoid": lambda: NANOID.fullmatch(made),
        "digits": made.isdigit,
    }
    assert forms[style]()


def test_without_a_style_every_form_comes_up() -> None:
    made = [make_id(SeededRandom(1).bits(n), "kling/x", None) for n in range(3000)]
    assert any(":" in one for one in made)
    assert any(one.isdigit() for one in made)
    assert any(len(one) == 36 for one in made)
    nanoids = [one for one in made if NANOID.fullmatch(one) and not one.isdigit()]
    assert any(one.startswith("-") for one in nanoids)
    assert any("_" in one for one in nanoids)
    assert len(set(made)) == 3000


# words


def test_the_documented_words_are_queued_generating_completed() -> None:
    words = [status_at(purchase(), now, legacy=False) for now in (0, 99, 100, 299, 300, 9999)]
    assert words == ["queued", "queued", "generating", "generating", "completed", "completed"]


def test_the_older_words_are_waiting_queued_active_generating_completed() -> None:
    words = [status_at(purchase(), now, legacy=True) for now in (0, 60, 110, 250, 300)]
    assert words == ["waiting", "queued", "active", "generating", "completed"]


def test_a_failed_generation_says_error() -> None:
    assert status_at(purchase(failure="no"), 300, legacy=False) == "error"


def test_the_first_word_is_the_vocabularys() -> None:
    assert (initial_status(legacy=True), initial_status(legacy=False)) == ("waiting", "queued")


def test_every_shape_of_error_has_the_reason_in_it() -> None:
    shown = [error_object(shape) for shape in ERROR_SHAPES]
    assert all("Could not detect face" in str(one) for one in shown)
    assert [type(one) for one in shown] == [dict, dict, str, dict]


# ranges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", range(10)),
        ("bytes=90-", range(90, 100)),
        ("bytes=90-500", range(90, 100)),
        ("bytes=-10", range(90, 100)),
        ("bytes=-500", range(100)),
        ("bytes=0-", range(100)),
        ("bytes=100-", range(100, 100)),
        ("bytes=-0", range(100, 100)),
        ("bytes=9-3", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("lines=1-2", None),
        ("", None),
    ],
)
def test_ranges_are_read_as_the_standard_has_them(header: str, expected: range | None) -> None:
    assert asked_range({"range": header}, 100, ETAG) == expected


def test_if_range_with_another_validator_asks_for_the_whole_file() -> None:
    assert asked_range({"range": "bytes=5-", "if-range": '"other"'}, 100, ETAG) is None
    assert asked_range({"range": "bytes=5-", "if-range": ETAG}, 100, ETAG) == range(5, 100)


@given(st.text("bytes=-0123456789,", max_size=20), st.integers(0, 1000))
def test_any_range_header_stays_within_the_file(header: str, size: int) -> None:
    part = asked_range({"range": header}, size, ETAG)
    assert part is None or (0 <= part.start <= part.stop <= size or not part)


# the film


def test_the_sample_is_a_faststart_mp4_with_a_free_box_at_its_end() -> None:
    film = SampleVideo("an-id")
    content = film.read(0, film.size)
    boxes, at = [], 0
    while at < len(content):
        boxes.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4])
    assert at == film.size
    assert boxes.index(b"moov") < boxes.index(b"mdat")
    assert boxes[-1] == b"free"
    assert b"avc1" in content
    assert content.endswith(b"an-id")


def test_samples_of_two_generations_differ() -> None:
    assert SampleVideo("a").read(0, SampleVideo("a").size) != SampleVideo("b").read(0, SampleVideo("b").size)


@pytest.mark.parametrize(
    ("ratio", "shape"),
    [("16:9", (640, 360)), ("9:16", (360, 640)), ("1:1", (480, 480)), (None, (640, 360)), (["9:16"], (640, 360))],
)
def test_samples_have_the_aspect_ratio_that_was_asked_for_and_many_scenes(
    tmp_path: Path, ratio: object, shape: tuple[int, int]
) -> None:
    scenes = set()
    for number in range(60):
        film = SampleVideo(f"{number:020}", ratio=ratio)
        (tmp_path / "film.mp4").write_bytes(film.read(0, film.size))
        found = read_video_file(tmp_path / "film.mp4")
        assert (found.width, found.height, found.seconds) == (*shape, 2.0)
        assert film.size < 15_000
        scenes.add(film.read(0, film.size - 20))  # without the id
    assert len(scenes) == 8


def test_a_sample_is_padded_to_the_size_asked_for_but_never_cut() -> None:
    assert SampleVideo("a", 100_000).size == 100_000
    assert SampleVideo("a", 10).size == SampleVideo("a").size < 15_000


@given(st.integers(0, 50_000), st.integers(0, 50_000))
def test_a_sample_reads_the_same_in_pieces_as_whole(one: int, other: int) -> None:
    film = SampleVideo("an-id", 50_000)
    start, stop = sorted((one, other))
    assert film.read(start, stop) == film.read(0, 50_000)[start:stop]


# prices


def test_a_price_is_per_second_of_video_and_also_counts_seconds_given_as_a_string() -> None:
    assert price_of("klingai/v2.1-master-text-to-video", {"duration": "10"}) == Price(usd=Decimal("2.8"), credits=280.0)


def test_a_silent_video_is_cheaper_where_sound_can_be_had() -> None:
    model = "klingai/video-v2-6-pro-text-to-video"
    assert price_of(model, {"generate_audio": False}).usd == Decimal("0.7") * price_of(model, {}).usd


@pytest.mark.parametrize("duration", [None, "ten", "²", -5, 0, True, 10**9, [5], "9" * 5000])
def test_an_unreadable_duration_counts_as_five_seconds(duration: object) -> None:
    assert video_seconds({"duration": duration}) == 5


def test_every_model_has_a_price() -> None:
    kinds = [price_list_entry(model.id)["kind"] for model in models()]
    assert set(kinds) == {"fixed", "variants"}
    assert len(kinds) == 44


# the till


def test_a_price_is_reserved_until_the_end_and_charged_then() -> None:
    till = CreditAccount()
    till.reserve(purchase(end=300))
    assert (till.charged(299), till.committed(299), till.running(299)) == (0, 140, 1)
    assert (till.charged(300), till.committed(300), till.running(300)) == (140, 140, 0)


def test_a_failed_generation_is_given_back() -> None:
    till = CreditAccount()
    till.reserve(purchase(end=300, failure="no"))
    assert (till.committed(299), till.committed(300), till.charged(300)) == (140, 0, 0)


# the window


def test_a_window_admits_its_count_and_more_only_as_time_passes() -> None:
    window = SlidingWindow.per_second(2)
    assert [window.admit(at) for at in (0.0, 0.5, 0.9, 1.0, 1.4, 1.5)] == [True, True, False, True, False, True]


def test_less_than_one_a_second_is_one_in_a_longer_stretch() -> None:
    window = SlidingWindow.per_second(0.5)
    assert [window.admit(at) for at in (0.0, 1.9, 2.0)] == [True, False, True]


@given(st.floats(0.2, 20), st.lists(st.floats(0, 3), max_size=60))
def test_a_window_never_admits_more_than_its_rate(rate: float, gaps: list[float]) -> None:
    window, now, admitted = SlidingWindow.per_second(rate), 0.0, []
    for gap in gaps:
        now += gap
        if window.admit(now):
            admitted.append(now)
    count = max(1, int(rate))
    spans = [later - earlier for earlier, later in zip(admitted, admitted[count:], strict=False)]
    assert all(span >= count / rate - 1e-9 for span in spans)
