from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gallery_samples import entry, page_of, video_file

from kling_async import Usage
from kling_async.cli.gallery.entries import EntryState, VideoFile
from kling_async.cli.gallery.page import describe, price, requested
from kling_async.cli.text import command as typed


def test_totals_count_each_state_and_sum_up_time_bytes_and_cost() -> None:
    one, two = video_file(Path("/a.mp4")), video_file(Path("/b.mp4"))
    spent = Usage(usd_spent=0.28, credits_used=28)
    entries = [
        entry(1, file=one, cost=spent),
        entry(2, file=two, cost=spent),
        entry(3, state=EntryState.FAILED),
        entry(4, state=EntryState.NOT_DOWNLOADED, cost=spent),
    ]
    assert list(page_of(entries).totals) == [
        ("4", "videos"),
        ("2", "ready"),
        ("1", "not downloaded"),
        ("1", "failed"),
        ("0:04", "playing time"),
        ("2 KB", "of files"),
        ("$0.84", "spent"),
    ]


def test_a_cost_that_is_not_known_of_all_says_of_how_many_it_is() -> None:
    entries = [entry(1, cost=Usage(credits_used=28)), entry(2), entry(3, cost=Usage(usd_spent=1.0))]
    assert list(page_of(entries).totals)[2:] == [("$1.00", "spent on 1 video"), ("28", "credits spent on 1 video")]


def test_a_file_that_two_jobs_share_counts_once() -> None:
    shared = video_file(Path("/a.mp4"))
    assert ("1 KB", "of files") in list(page_of([entry(1, file=shared), entry(2, file=shared)]).totals)


def test_nothing_is_summed_up_as_nothing() -> None:
    assert list(page_of([]).totals) == [("0", "videos")]


def test_videos_are_compared_where_several_models_had_the_same_prompt() -> None:
    entries = [
        entry(0, prompt="a fox", model="m/1"),
        entry(1, prompt="a hen", model="m/1"),
        entry(2, prompt=" a\n fox ", model="m/2"),
        entry(3, prompt="a hen", model="m/1"),
        entry(4, prompt="", model="m/1"),
        entry(5, prompt="", model="m/2"),
        entry(6, prompt="a cow", model="m/1"),
        entry(7, prompt="a cow", model="m/3"),
    ]
    assert page_of(entries).groups == {0: 0, 2: 0, 6: 6, 7: 6}


def test_what_can_be_chosen_from_is_sorted_and_told_once() -> None:
    entries = [
        entry(1, model="m/2", tag="b"),
        entry(2, model="m/1"),
        entry(3, model="m/2", tag="a"),
        entry(4, model=""),
    ]
    made = page_of(entries)
    assert (made.models, made.tags) == (["m/1", "m/2"], ["a", "b"])


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ([], "wide"),
        ([(1280, 720), (640, 360)], "wide"),
        ([(720, 1280)], "tall"),
        ([(960, 960)], "square"),
        ([(1280, 720), (720, 1280)], "mixed"),
        ([(None, None)], "wide"),
        ([(720, 1280), (None, None)], "tall"),
    ],
)
def test_frames_have_the_form_of_the_videos(sizes: list[tuple[int | None, int | None]], shape: str) -> None:
    entries = [entry(n, file=video_file(Path(f"/{n}.mp4"), *form)) for n, form in enumerate(sizes)]
    assert page_of(entries).shape == shape


def test_a_row_has_only_what_is_known() -> None:
    rows = page_of([entry(1, state=EntryState.FAILED, reason="no", model="")]).rows()
    expected = {
        "name": "key-1",
        "state": "Failed",
        "prompt": "prompt 1",
        "reason": "no",
        "times": [None] * 4,
        "polls": 0,
    }
    assert rows == [expected]


@pytest.mark.parametrize(
    ("state", "source", "command"),
    [
        (EntryState.NOT_DOWNLOADED, "my batch.db", typed("download", "my batch.db")),
        (EntryState.MISSING, "batch.db", "kling-async download batch.db"),
        (EntryState.RUNNING, "batch.db", "kling-async resume batch.db"),
        (EntryState.FAILED, "batch.db", None),
        (EntryState.MISSING, None, None),
    ],
)
def test_what_is_still_to_come_has_its_command(state: EntryState, source: str | None, command: str | None) -> None:
    made = page_of([entry(state=state)], source)
    assert made.command(made.entries[0]) == command
    assert made.rows()[0].get("command") == command


@pytest.mark.parametrize(
    ("cost", "words", "worth"),
    [
        (Usage(28.0, None, 0.28), "$0.28", 0.28),
        (Usage(1028.5), "1,028.5 credits", 1028.5),
        (Usage(None, 3.0), "3 tokens", 3.0),
        (Usage(0.0), "0 credits", 0.0),
        (Usage(), "", None),
    ],
)
def test_prices_are_told_as_the_vendor_told_them(cost: Usage, words: str, worth: float | None) -> None:
    assert price(entry(cost=cost)) == words
    assert page_of([entry(cost=cost)]).rows()[0].get("cost") == worth


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ((("duration", "10"), ("aspect_ratio", "9:16"), ("cfg_scale", "0.5")), "10 s, 9:16"),
        ((("aspect_ratio", "1:1"),), "1:1"),
        ((), ""),
    ],
)
def test_length_and_form_are_what_was_asked_for(parameters: Any, words: str) -> None:
    assert requested(entry(parameters=parameters)) == words


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (VideoFile(Path("/a"), 1500, 640, 360, 5.0417), "640 \N{MULTIPLICATION SIGN} 360, 5.04 s, 2 KB"),
        (VideoFile(Path("/a"), 1500, 640, 360), "640 \N{MULTIPLICATION SIGN} 360, 2 KB"),
        (VideoFile(Path("/a"), 1500), "2 KB"),
    ],
)
def test_a_file_is_told_as_far_as_it_says(file: VideoFile, words: str) -> None:
    assert describe(file) == words
