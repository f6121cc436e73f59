from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from bodies import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import untyped

from kling_async.api.catalogue.lookup import models
from kling_async.api.protocol import LEGACY
from kling_async.api.requests import (
    Avatar,
    Effect,
    ImageToVideo,
    MultiImageToVideo,
    ReferenceToVideo,
    Request,
    TextToVideo,
    request_class,
)
from kling_async.api.requests.codec import from_dict, to_dict
from kling_async.api.requests.types import (
    AdvancedCameraControl,
    CameraConfig,
    CameraControl,
    DynamicMask,
    Element,
    Point,
    Shot,
)
from kling_async.errors import InvalidRequest

if TYPE_CHECKING:
    from kling_async.api.catalogue.model import Model

URL = "https://host.example/a.png"
MASTER = "klingai/v2.1-master-text-to-video"
UNKNOWN = "klingai/v9"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
names = st.sampled_from(
    ["kind", "model", "prompt", "duration", "extra", "validate", "endpoint", "multi_prompt", "camera_control", "ratio"]
)


def refusal_of(data: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        from_dict(cast("dict[str, Any]", data))
    return caught.value


@pytest.mark.parametrize("model", models(), ids=lambda model: model.id)
@settings(max_examples=15)
@given(data=st.data())
def test_a_request_for_any_model_comes_back_equal_through_json(model: Model, data: st.DataObject) -> None:
    request = request_class(model.kind)(model=model.id, **data.draw(contents(model)))
    assert from_dict(json.loads(json.dumps(to_dict(request), allow_nan=False))) == request


@pytest.mark.parametrize(
    "request_",
    [
        MultiImageToVideo([Path("a b.png"), b"\x89PNG"]),
        Effect([Path("a.png"), "https://host.example/b.png"], "hug"),
        ImageToVideo(Path("a.png"), dynamic_masks=[DynamicMask(Path("m.png"), [Point(1, 2)])]),
        ReferenceToVideo("a", elements=[Element([Path("a.png")], Path("b.png"))]),
        Avatar(Path("a.png"), Path("a.mp3")),
    ],
)
def test_files_are_written_as_uris_from_which_paths_are_read_again(request_: Request) -> None:
    data = to_dict(request_)
    assert "file:" in json.dumps(data)
    assert to_dict(from_dict(data)) == data


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"kind": "multi-image-to-video", "image_list": "abc"}, "image_list"),
        ({"kind": "multi-image-to-video", "image_list": ["a", 5]}, "image_list.1"),
        ({"kind": "effect", "image_url": 5}, "image_url"),
        ({"kind": "effect", "image_url": [5]}, "image_url.0"),
        ({"kind": "avatar", "audio_url": {}}, "audio_url"),
        ({"kind": "motion-control", "keep_audio": "yes"}, "keep_audio"),
        ({"kind": "reference-to-video", "elements": [{"frontal_image": "a"}]}, "elements.0.frontal_image"),
        ({"kind": "video-edit", "duration": 5}, "duration"),
        ({"kind": "video-reference", "image_list": [None]}, "image_list.0"),
    ],
)
def test_every_kind_is_read_strictly(data: dict[str, Any], field: str) -> None:
    assert refusal_of(data).field == field


@pytest.mark.parametrize(
    "request_",
    [
        TextToVideo("a", endpoint=LEGACY, extra={"seed": 1, "deep": {"a": [None]}}, provider="x", model=UNKNOWN),
        TextToVideo("a", multi_prompt=["b", Shot("c", 3)], model=UNKNOWN),
        TextToVideo("a", duration="long", camera_control=untyped([1]), endpoint="/v3/new", validate=False),
        ImageToVideo(URL, camera_control=CameraControl("new", CameraConfig(pan=99.5)), model=UNKNOWN),
        ImageToVideo(URL, dynamic_masks=[DynamicMask("m", [Point(1, 2)])], model=UNKNOWN),
        Request(model=UNKNOWN, extra={"kind": "x", "prompt": "a", "duration": 5}),
    ],
)
def test_whatever_passes_the_check_comes_back_equal(request_: Request) -> None:
    request_.check()
    assert from_dict(json.loads(json.dumps(to_dict(request_)))) == request_


def test_plain_data_holds_the_kind_the_model_and_what_is_given() -> None:
    request = TextToVideo("a", advanced_camera_control=AdvancedCameraControl("pan", 5))
    assert to_dict(request) == {
        "kind": "text-to-video",
        "model": MASTER,
        "prompt": "a",
        "advanced_camera_control": {"movement_type": "pan", "movement_value": 5},
    }


def test_the_kind_follows_from_a_known_model() -> None:
    assert from_dict({"model": MASTER, "prompt": "a"}) == TextToVideo("a")
    assert from_dict({"model": "klingai/v2.1-master-image-to-video", "image_url": URL}) == ImageToVideo(URL)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"prompt": "a"},
        {"model": 5},
        {"kind": 5},
        {"kind": ["a"]},
        {"kind": "text"},
    ],
)
def test_a_kind_that_cannot_be_told_is_asked_for(data: dict[str, Any]) -> None:
    error = refusal_of(data)
    assert error.field == "kind"
    assert "'text-to-video'" in error.allowed


def test_a_model_that_is_not_known_and_has_no_kind_beside_it_is_met_with_the_nearest() -> None:
    error = refusal_of({"model": "klingai/v2.1-master-txt-to-video", "prompt": "a"})
    assert error.field == "model"
    assert f"(did you mean {MASTER}, " in error.allowed
    assert "'text-to-video'" in error.allowed
    assert "did you mean" not in refusal_of({"model": "gpt-4o"}).allowed


def test_a_misspelt_kind_is_met_with_the_right_one() -> None:
    assert "did you mean text-to-video?" in str(refusal_of({"kind": "txt-to-video"}))


def test_a_misspelt_field_is_met_with_the_right_one() -> None:
    error = refusal_of({"kind": "text-to-video", "negativ_prompt": "x"})
    assert error.field == "negativ_prompt"
    assert "did you mean negative_prompt?" in str(error)


def test_further_fields_are_named_among_what_is_allowed() -> None:
    assert "extra, validate (did you mean extra?)" in refusal_of({"kind": "text-to-video", "extras": {}}).allowed


def test_a_misspelt_field_is_refused_without_validation_too() -> None:
    assert refusal_of({"kind": "text-to-video", "promt": "x", "validate": False}).field == "promt"


def test_a_nested_field_is_refused_by_its_whole_name() -> None:
    assert refusal_of({"kind": "image-to-video", "camera_control": {"config": {"pn": 1}}}).field == (
        "camera_control.config.pn"
    )
    assert refusal_of({"kind": "text-to-video", "multi_prompt": ["a", {"prompt": 5}]}).field == "multi_prompt.1.prompt"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", 5),
        ("model", None),
        ("duration", "five"),
        ("duration", 5.5),
        ("duration", True),
        ("cfg_scale", float("nan")),
        ("cfg_scale", "0.5"),
        ("generate_audio", "true"),
        ("validate", 0),
        ("multi_prompt", "abc"),
        ("multi_prompt.0", [5]),
        ("advanced_camera_control", "pan"),
        ("extra", [1]),
        ("extra", {"a": float("nan")}),
    ],
)
def test_a_wrong_type_is_refused_and_never_converted(name: str, value: object) -> None:
    assert refusal_of({"kind": "text-to-video", name.partition(".")[0]: value}).field == name


def test_all_wrong_fields_are_named() -> None:
    error = refusal_of(
        {
            "kind": "text-to-video",
            "promt": "a",
            "prompt": 5,
            "duration": "x",
            "advanced_camera_control": {"movement": 1, "movement_value": "far"},
        }
    )
    assert [problem.field for problem in error.problems] == [
        "prompt",
        "duration",
        "advanced_camera_control.movement_value",
        "advanced_camera_control.movement",
        "promt",
    ]


@pytest.mark.parametrize("data", [{"kind": "any"}, {"kind": "any", "validate": False}])
def test_a_missing_field_is_named(data: dict[str, Any]) -> None:
    assert refusal_of(data).field == "model"


@pytest.mark.parametrize("data", [None, 5, "text", [("kind", "any")]])
def test_data_that_is_no_object_is_refused(data: object) -> None:
    assert refusal_of(data).field == "request"


def test_what_leads_in_a_circle_is_refused() -> None:
    circle: dict[str, object] = {}
    circle["a"] = circle
    assert refusal_of({"kind": "text-to-video", "extra": circle}).field == "extra"


def test_digits_are_a_number_where_a_whole_one_is_due() -> None:
    assert from_dict({"kind": "text-to-video", "prompt": "a", "duration": "5"}) == TextToVideo("a", duration=5)


@pytest.mark.parametrize("name", ["endpoint", "extra", "provider", "validate"])
def test_null_is_as_good_as_leaving_a_field_out(name: str) -> None:
    assert from_dict({"kind": "text-to-video", "validate": None, name: None}) == TextToVideo()
    assert from_dict({"kind": "text-to-video", "prompt": None, "duration": None}) == TextToVideo()
    assert from_dict({"kind": "avatar", "image_url": None, "audio_url": URL}) == Avatar(audio_url=URL)


def test_the_older_name_of_the_aspect_ratio_is_taken() -> None:
    assert from_dict({"model": MASTER, "prompt": "a", "ratio": "1:1"}) == TextToVideo("a", aspect_ratio="1:1")


def test_the_older_name_beside_the_newer_one_is_refused() -> None:
    assert refusal_of({"model": MASTER, "ratio": "1:1", "aspect_ratio": "16:9"}).field == "ratio"


def test_the_older_name_is_refused_where_there_is_no_newer_one() -> None:
    assert refusal_of({"kind": "image-to-video", "ratio": "1:1"}).field == "ratio"


@given(st.dictionaries(names | st.text(), st.sampled_from(["text-to-video", "image-to-video", "any"]) | anything))
def test_data_is_refused_or_comes_back_equal_and_nothing_else_happens(data: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        request = from_dict(data)
        request.check()
        assert from_dict(to_dict(request)) == request
