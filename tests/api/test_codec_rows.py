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

from kling_async.api.requests import Effect, ImageToVideo, MotionControl, MultiImageToVideo, Request, TextToVideo
from kling_async.api.requests.codec import from_row, to_dict
from kling_async.api.requests.values import CameraConfig, CameraControl, Shot
from kling_async.errors import InvalidRequest

URL = "https://host.example/a.png"
MASTER = "klingai/v2.1-master-text-to-video"
TURBO = "klingai/video-v3-turbo-pro-text-to-video"


def problems_of(row: dict[Any, Any]) -> dict[str, str]:
    """What is wrong with a row: the names of its columns, and what they would take."""
    with pytest.raises(InvalidRequest) as caught:
        from_row(row)
    return {problem.field: problem.allowed for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("row", "request_"),
    [
        ({"model": MASTER, "prompt": "a fox"}, TextToVideo("a fox")),
        ({"kind": "text-to-video", "prompt": " a fox "}, TextToVideo(" a fox ")),
        ({"model": MASTER, "prompt": "5", "duration": "5"}, TextToVideo("5", duration=5)),
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
    assert from_row(row) == request_


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
    assert problems_of({"prompt": "a", "model": " "}).keys() == {"kind"}


@given(requests())
def test_a_request_written_into_a_table_comes_back_equal(request: Request) -> None:
    data = to_dict(request)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, data.keys())
    writer.writeheader()
    writer.writerow({name: part if isinstance(part, str) else json.dumps(part) for name, part in data.items()})
    table.seek(0)
    assert [from_row(row) for row in csv.DictReader(table)] == [request]


@given(st.dictionaries(st.sampled_from(["kind", "model", "prompt", "duration", "image_url", "extra", "x"]), st.text()))
def test_a_row_is_refused_or_passes_the_check_and_nothing_else_happens(row: dict[str, str]) -> None:
    with contextlib.suppress(InvalidRequest):
        assert from_row(row).problems() == []
