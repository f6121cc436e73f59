from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from bodies import requests
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.labels import Label, label_of
from kling_async.api.media import path_from_text
from kling_async.api.requests import (
    Avatar,
    Effect,
    ImageToVideo,
    MotionControl,
    MultiImageToVideo,
    Request,
    TextToVideo,
)
from kling_async.api.requests.base import Submission
from kling_async.api.requests.codec import columns, from_row, to_dict
from kling_async.api.requests.types import CameraConfig, CameraControl, Shot
from kling_async.errors import InvalidRequest

URL = "https://host.example/a.png"
MASTER = "klingai/v2.1-master-text-to-video"
TURBO = "klingai/video-v3-turbo-pro-text-to-video"


def problems_of(row: dict[Any, Any]) -> dict[str, str]:
    """What is wrong with a row: the names of its columns, and what they would take."""
    with pytest.raises(InvalidRequest) as caught:
        from_row(row)
    return {problem.field: problem.allowed for problem in caught.value.problems}


def test_a_row_for_any_kind_names_its_model() -> None:
    assert problems_of({"kind": "any", "prompt": "a"}).keys() == {"model"}


@pytest.mark.parametrize(
    ("row", "request_"),
    [
        ({"model": MASTER, "prompt": "a fox"}, TextToVideo("a fox")),
        ({"kind": "text-to-video", "prompt": " a fox "}, TextToVideo(" a fox ")),
        ({"model": MASTER, "prompt": "5", "duration": "5"}, TextToVideo("5", duration=5)),
        ({"prompt": "5.0", "duration": " 10.0", "cfg_scale": "1.0"}, TextToVideo("5.0", duration=10, cfg_scale=1)),
        ({"image_url": "a b.png"}, ImageToVideo(Path("a b.png"))),
        ({"image_url": URL, "video_url": URL}, MotionControl(URL, URL)),
        ({"image_url": URL, "audio_url": URL, "prompt": "a"}, Avatar(URL, URL, prompt="a")),
        ({"model": MASTER, "prompt": "a", "cfg_scale": " 0.5 "}, TextToVideo("a", cfg_scale=0.5)),
        ({"model": MASTER, "prompt": "a", "cfg_scale": "1"}, TextToVideo("a", cfg_scale=1)),
        ({"model": MASTER, "prompt": "a", "ratio": "1:1"}, TextToVideo("a", aspect_ratio="1:1")),
        ({"model": MASTER, "prompt": "[not JSON", "negative_prompt": ""}, TextToVideo("[not JSON")),
        (
            {"model": MASTER, "prompt": "a", "extra": '{"seed": 7}', "endpoint": "/v3", "validate": "False"},
            TextToVideo("a", extra={"seed": 7}, endpoint="/v3", validate=False),
        ),
        (
            {"model": TURBO, "prompt": None, "multi_prompt": '[{"prompt": "a", "duration": 3}, {"prompt": "b"}]'},
            TextToVideo(model=TURBO, multi_prompt=[Shot("a", 3), Shot("b")]),
        ),
        (
            {"kind": "image-to-video", "image_url": URL, "camera_control": '{"type":"simple","config":{"pan":1.5}}'},
            ImageToVideo(URL, camera_control=CameraControl("simple", CameraConfig(pan=1.5))),
        ),
        ({"kind": "image-to-video", "image_url": "file:a%20b.png"}, ImageToVideo(Path("a b.png"))),
        (
            {"kind": "multi-image-to-video", "image_list": f'["file:a.png", "{URL}"]'},
            MultiImageToVideo([Path("a.png"), URL]),
        ),
        ({"kind": "effect", "image_url": f'["{URL}", "{URL}"]', "effect_scene": "hug"}, Effect([URL, URL], "hug")),
        ({"kind": "effect", "image_url": URL, "effect_scene": "squish"}, Effect(URL, "squish")),
        (
            {"kind": "motion-control", "image_url": URL, "video_url": URL, "keep_audio": "TRUE"},
            MotionControl(URL, URL, keep_audio=True),
        ),
        (
            {"kind": "any", "model": "klingai/v9", "extra": '{"prompt": "a"}'},
            Request(model="klingai/v9", extra={"prompt": "a"}),
        ),
        ({"kind": "text-to-video", "prompt": "a", "duration": 10, "seed": None}, TextToVideo("a", duration=10)),
    ],
)
def test_a_row_of_texts_is_read_by_what_its_columns_are(row: dict[str, Any], request_: Request) -> None:
    assert from_row(row) == Submission(request_)


def test_everything_that_is_wrong_with_a_row_is_told_by_column() -> None:
    row = {
        "model": MASTER,
        "promt": "a",
        "duration": "seven",
        "cfg_scale": "high",
        "advanced_camera_control": "[1]",
        "generate_audio": "true",
        "extra": "{broken",
    }
    found = problems_of(row | {"extra": ""})
    assert found.keys() == {
        "promt",
        "prompt",
        "duration",
        "cfg_scale",
        "advanced_camera_control",
        "generate_audio",
    }
    assert "did you mean prompt?" in found["promt"]
    assert found["duration"] == "5 or 10"
    assert found["cfg_scale"] == "a number from 0 to 1"
    assert problems_of(row).keys() == {"promt", "extra"}


@pytest.mark.parametrize("flag", ["yes", "1", "tru"])
def test_a_flag_is_true_or_false_and_nothing_else(flag: str) -> None:
    row = {"kind": "motion-control", "image_url": URL, "video_url": URL, "keep_audio": flag}
    assert problems_of(row) == {"keep_audio": "true or false"}


def test_a_number_that_is_none_is_refused() -> None:
    assert problems_of({"model": MASTER, "prompt": "a", "cfg_scale": "NaN"}).keys() == {"cfg_scale"}


def test_json_that_nests_too_deep_is_refused_as_the_text_it_is() -> None:
    row = {"model": TURBO, "multi_prompt": "[" * 100_000}
    assert problems_of(row).keys() == {"multi_prompt"}


def test_a_row_with_more_cells_than_columns_is_refused() -> None:
    (row,) = csv.DictReader(io.StringIO(f"model,prompt\n{MASTER},a,b,c\n"))
    assert problems_of(row) == {"row": "as many cells as there are columns"}


def test_a_row_that_does_not_say_what_it_is_for_is_refused() -> None:
    assert problems_of({"prompt": "a", "model": " ", "image_list": URL, "tag": "x"}).keys() == {"kind"}


@given(requests())
def test_a_request_written_into_a_table_comes_back_equal(request: Request) -> None:
    data = to_dict(request)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, data.keys())
    writer.writeheader()
    writer.writerow({name: part if isinstance(part, str) else json.dumps(part) for name, part in data.items()})
    table.seek(0)
    assert [from_row(row).request for row in csv.DictReader(table)] == [request]


@given(st.dictionaries(st.sampled_from(["kind", "model", "prompt", "duration", "image_url", "extra", "x"]), st.text()))
def test_a_row_is_refused_or_passes_the_check_and_nothing_else_happens(row: dict[str, str]) -> None:
    with contextlib.suppress(InvalidRequest):
        assert from_row(row).request.problems() == []


def test_what_a_row_says_beside_its_request_is_the_submissions() -> None:
    row = {"prompt": "a", "tag": "fox", "priority": "2.0", "group": "ann", "deadline": "600", "output": ""}
    assert from_row(row) == Submission(TextToVideo("a"), tag="fox", priority=2, group="ann", deadline=600)
    assert from_row(row | {"tag": None, "group": 7}) == Submission(
        TextToVideo("a"), priority=2, group="7", deadline=600
    )


@pytest.mark.parametrize("tag", ["t", 7, 0.5, True, ["a", {"b": None}], {"b": 1}, {"tag": 1}, {"output": "x"}])
@pytest.mark.parametrize("output", [None, "o.mp4"])
def test_a_tag_is_any_json_and_comes_out_as_it_was_put_in(tag: object, output: str | None) -> None:
    submission = from_row({"prompt": "a", "tag": tag, "output": output})
    assert label_of(submission.tag) == Label(tag, output)


def test_a_tag_stays_what_it_is_where_no_name_goes_with_it() -> None:
    assert from_row({"prompt": "a", "tag": {"take": 1}}).tag == {"take": 1}
    assert from_row({"prompt": "a", "output": "x"}).tag == {"output": "x"}


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        ("output", "../fox"),
        ("output", 5),
        ("priority", "high"),
        ("priority", "1.5"),
        ("priority", True),
        ("group", "x" * 201),
        ("group", ["ann"]),
        ("deadline", "soon"),
        ("deadline", "-1"),
        ("deadline", "NaN"),
    ],
)
def test_what_a_row_says_wrongly_beside_its_request_is_told_with_the_rest(cell: str, wrong: object) -> None:
    assert problems_of({"prompt": "a", "duration": "7", cell: wrong}).keys() == {cell, "duration"}


def test_what_a_row_leaves_out_is_as_usual() -> None:
    usual = {"model": TURBO, "duration": 3, "tag": "usual", "priority": 1}
    assert from_row({"prompt": "a", "duration": ""}, defaults=usual) == Submission(
        TextToVideo("a", model=TURBO, duration=3), tag="usual", priority=1
    )
    named = from_row({"kind": "image-to-video", "image_url": URL}, defaults={"model": TURBO})
    assert named.request == ImageToVideo(URL)
    assert from_row({"model": MASTER, "prompt": "a"}, defaults={"kind": "effect"}).request == TextToVideo("a")


def test_paths_are_relative_to_the_folder_that_is_given(tmp_path: Path) -> None:
    row = {"kind": "reference-to-video", "prompt": "a", "image_list": '["x/../a b.png", "file:c%20d.png"]'}
    elements = [{"frontal_image_url": "b.png", "reference_image_urls": [URL, "c.png"]}]
    request: Any = from_row(row | {"elements": elements}, folder=tmp_path).request
    assert request.image_list == (tmp_path / "a b.png", tmp_path / "c d.png")
    assert request.elements[0].frontal_image_url == tmp_path / "b.png"
    assert request.elements[0].reference_image_urls == (URL, tmp_path / "c.png")
    usual: Any = from_row({"prompt": "a"}, defaults={"image_url": "a.png"}, folder=tmp_path).request
    assert usual.image_url == Path("a.png")


@pytest.mark.parametrize(
    "text", [URL, "data:image/png;base64,AAAA", "s3://bucket/b.jpg", "  ", "", "a\0b", "\ud800", "x" * 5000]
)
def test_what_is_no_path_stays_as_it_is(text: str) -> None:
    assert path_from_text(text, Path("/folder")) == text


@pytest.mark.parametrize("value", [None, 7, b"content", Path("a.png")])
def test_what_is_no_text_is_no_path_of_a_text(value: object) -> None:
    assert path_from_text(value, Path("/folder")) is value


def test_a_file_uri_with_a_whole_path_is_that_path() -> None:
    assert path_from_text("file:///a%20b.jpg", Path("/folder")) == Path("/a b.jpg")


def test_the_names_of_all_columns_are_known() -> None:
    assert {"prompt", "kind", "ratio", "tag", "output", "deadline", "effect_scene", "extra"} <= columns()
