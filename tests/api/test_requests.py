from __future__ import annotations

import copy
import hashlib
import json
import pickle
from typing import Any

import attrs
import pytest
from bodies import contents, requests
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.catalogue.lookup import check_body, models
from kling_async.api.catalogue.model import Kind, Model
from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.api.requests import ImageToVideo, Request, TextToVideo, request_class
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

URL = "https://host.example/a.png"
MASTER = "klingai/v2.1-master-text-to-video"
UNKNOWN = "klingai/v9-master-text-to-video"
V3_IMAGE = "klingai/video-v3-pro-image-to-video"


def text(**values: object) -> TextToVideo:
    parts: dict[str, Any] = {"prompt": "a raccoon", **values}
    return TextToVideo(**parts)


def refusal_of(request: Request) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        request.check()
    return caught.value


PUBLISHED: list[tuple[Request, dict[str, Any]]] = [
    (
        TextToVideo(
            "a white raccoon",
            model="klingai/v2-master-text-to-video",
            aspect_ratio="16:9",
            duration="5",
            cfg_scale=0.9,
            endpoint=LEGACY,
        ),
        {
            "model": "klingai/v2-master-text-to-video",
            "prompt": "a white raccoon",
            "aspect_ratio": "16:9",
            "duration": 5,
            "cfg_scale": 0.9,
        },
    ),
    (
        TextToVideo("a raccoon", model="klingai/v2-master-text-to-video", camera_control="down_back"),
        {"model": "klingai/v2-master-text-to-video", "prompt": "a raccoon", "camera_control": "down_back"},
    ),
    (TextToVideo("a raccoon"), {"model": MASTER, "prompt": "a raccoon"}),
    (
        TextToVideo(
            "a raccoon", model="kling-video/v1/pro/text-to-video", negative_prompt="blur", cfg_scale=0.5, duration=10
        ),
        {
            "model": "kling-video/v1/pro/text-to-video",
            "prompt": "a raccoon",
            "negative_prompt": "blur",
            "cfg_scale": 0.5,
            "duration": 10,
        },
    ),
    (
        ImageToVideo(
            URL,
            model="kling-video/v1/standard/image-to-video",
            camera_control=CameraControl("simple", CameraConfig(pan=2.5)),
            dynamic_masks=[DynamicMask(URL, [Point(1, 2), Point(3, 4)])],
            tail_image_url=URL,
        ),
        {
            "model": "kling-video/v1/standard/image-to-video",
            "image_url": URL,
            "camera_control": {"type": "simple", "config": {"pan": 2.5}},
            "dynamic_masks": [{"mask": URL, "trajectories": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}],
            "tail_image_url": URL,
        },
    ),
    (
        ImageToVideo(URL, model=V3_IMAGE, elements=[Element([URL])], multi_prompt=["a", "b"], generate_audio=False),
        {
            "model": V3_IMAGE,
            "image_url": URL,
            "elements": [{"reference_image_urls": [URL]}],
            "multi_prompt": ["a", "b"],
            "generate_audio": False,
        },
    ),
]


@pytest.mark.parametrize(("request_", "body"), PUBLISHED)
def test_a_request_passes_and_becomes_the_body_on_the_vendors_page(request_: Request, body: dict[str, Any]) -> None:
    request_.check()
    assert request_.body() == body


@given(requests())
def test_whatever_a_model_takes_passes_and_is_sent_as_it_is(request: Request) -> None:
    request.check()
    assert check_body(request.body()) == []
    json.dumps(request.body(), allow_nan=False)


@given(st.data(), st.sampled_from(models()))
def test_the_body_holds_what_was_given_and_nothing_else(data: st.DataObject, model: Model) -> None:
    content = data.draw(contents(model))
    content = {name: part for name, part in content.items() if part is not None}
    assert request_class(model.kind)(model=model.id, **content).body() == {"model": model.id, **content}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (TextToVideo(), "prompt"),
        (TextToVideo("  "), "prompt"),
        (text(prompt=5), "prompt"),
        (text(duration=7), "duration"),
        (text(duration="five"), "duration"),
        (text(duration=True), "duration"),
        (text(cfg_scale="0.5"), "cfg_scale"),
        (text(cfg_scale=float("nan")), "cfg_scale"),
        (text(aspect_ratio="4:3"), "aspect_ratio"),
        (text(generate_audio=True), "generate_audio"),
        (text(advanced_camera_control=AdvancedCameraControl("pan")), "advanced_camera_control.movement_value"),
        (text(advanced_camera_control={"movement_type": "pan", "value": 1}), "advanced_camera_control.movement_value"),
        (text(advanced_camera_control=5), "advanced_camera_control"),
        (text(model=""), "model"),
        (text(model=None), "model"),
        (text(model=5), "model"),
        (text(endpoint="/v3/elsewhere"), "endpoint"),
        (text(endpoint=None), "endpoint"),
        (text(provider="x", model="kling-video/v1/pro/text-to-video"), "provider"),
        (text(validate=0), "validate"),
        (text(prompt="\ud800"), "prompt"),
        (text(multi_prompt="abc", prompt=None, model="klingai/video-v3-pro-text-to-video"), "multi_prompt"),
        (ImageToVideo(), "image_url"),
        (ImageToVideo("raccoon.png"), "image_url"),
        (ImageToVideo(URL, tail_image_url=URL), "tail_image_url"),
        (ImageToVideo(URL, model="klingai/video-o1-image-to-video"), "prompt"),
        (ImageToVideo(URL, model=V3_IMAGE, elements=[{}]), "elements.0.reference_image_urls"),
    ],
)
def test_what_the_model_does_not_take_is_refused_by_the_field(request_: Request, field: str) -> None:
    assert refusal_of(request_).field == field


def test_a_refusal_names_field_value_and_what_is_allowed() -> None:
    error = refusal_of(text(duration=7))
    assert (error.field, error.value, error.allowed) == ("duration", 7, "5 or 10")
    assert str(error) == "duration is 7; allowed: 5 or 10"


def test_a_refusal_names_every_problem() -> None:
    message = str(refusal_of(text(duration=7, cfg_scale=2, aspect_ratio="4:3")))
    assert all(name in message for name in ("duration", "cfg_scale", "aspect_ratio"))


def test_a_refusal_has_its_problems_one_by_one_also_after_pickling() -> None:
    error = refusal_of(text(duration=7, cfg_scale=2))
    for problems in (error.problems, pickle.loads(pickle.dumps(error)).problems):  # noqa: S301 - bytes made here
        assert [(one.field, one.value, str(one)) for one in problems] == [
            ("duration", 7, "duration is 7; allowed: 5 or 10"),
            ("cfg_scale", 2, "cfg_scale is 2; allowed: a number from 0 to 1"),
        ]


def test_a_refusal_of_one_problem_is_that_problem() -> None:
    error = refusal_of(text(duration=7))
    assert error.problems == (error,)


def test_a_model_of_another_kind_is_refused_with_those_that_fit() -> None:
    error = refusal_of(text(model="klingai/v2.1-master-image-to-video"))
    assert error.field == "model"
    assert MASTER in error.allowed
    assert "image-to-video" not in error.allowed


@pytest.mark.parametrize("endpoint", [UNIVERSAL, LEGACY])
def test_every_model_goes_to_either_endpoint(endpoint: str) -> None:
    for model in models():
        if model.kind is Kind.TEXT_TO_VIDEO:
            text(model=model.id, endpoint=endpoint).check()


@pytest.mark.parametrize(
    "request_",
    [
        text(model=UNKNOWN, duration=7, aspect_ratio="4:3", cfg_scale=3, shot_type="new", provider="x"),
        text(model=UNKNOWN, prompt=None, multi_prompt=["a", Shot("b", 30)]),
        ImageToVideo(URL, model=UNKNOWN, camera_control={"type": "new", "config": {"pan": 99}}),
        ImageToVideo(URL, model=UNKNOWN, dynamic_masks=[{"mask": "m", "trajectories": []}], elements=[Element([])]),
        Request(model=UNKNOWN),
    ],
)
def test_an_unknown_model_takes_whatever_has_the_right_type(request_: Request) -> None:
    request_.check()


def test_an_unknown_model_is_warned_of_once_with_the_nearest_known(caplog: pytest.LogCaptureFixture) -> None:
    newer = "klingai/v8.1-master-text-to-video"
    for _ in range(3):
        text(model=newer).check()
    (warning,) = [record for record in caplog.records if newer in record.getMessage()]
    assert warning.levelname == "WARNING"
    assert warning.name == "kling_async.requests"
    assert MASTER in warning.getMessage()


def test_a_model_unlike_any_is_warned_of_without_a_guess(caplog: pytest.LogCaptureFixture) -> None:
    text(model="sora-99").check()
    assert "nearest" not in caplog.text
    assert "'sora-99'" in caplog.text


def test_a_misspelt_model_is_refused_before_a_batch_is_built_on_it(caplog: pytest.LogCaptureFixture) -> None:
    typo = "klingai/v2.1-master-txt-to-video"
    error = refusal_of(text(model=typo))
    assert error.field == "model"
    assert f"(did you mean {MASTER}?)" in error.allowed
    text(model=typo, validate=False).check()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (TextToVideo(model=UNKNOWN), "prompt"),
        (TextToVideo("", model=UNKNOWN), "prompt"),
        (text(model=UNKNOWN, duration=0), "duration"),
        (text(model=UNKNOWN, generate_audio=1), "generate_audio"),
        (text(model=UNKNOWN, cfg_scale=float("inf")), "cfg_scale"),
        (text(model=UNKNOWN, provider=5), "provider"),
        (text(model=UNKNOWN, multi_prompt=[5]), "multi_prompt.0"),
        (text(model=UNKNOWN, multi_prompt=[{"duration": 5}]), "multi_prompt.0.prompt"),
        (ImageToVideo("raccoon.png", model=UNKNOWN), "image_url"),
        (ImageToVideo(URL, model=UNKNOWN, static_mask="mask.png"), "static_mask"),
        (ImageToVideo(URL, model=UNKNOWN, camera_control={"typ": "x"}), "camera_control.typ"),
        (
            ImageToVideo(URL, model=UNKNOWN, elements=[{"reference_image_urls": [], "video_url": "x"}]),
            "elements.0.video_url",
        ),
        (ImageToVideo(URL, model=UNKNOWN, elements=[{}]), "elements.0.reference_image_urls"),
    ],
)
def test_an_unknown_model_does_not_excuse_nonsense(request_: Request, field: str) -> None:
    assert refusal_of(request_).field == field


def test_further_fields_go_into_the_body_untouched_even_for_a_known_model() -> None:
    request = text(extra={"seed": 7, "watermark": {"enabled": False, "text": None}})
    request.check()
    assert request.body() == {
        "model": MASTER,
        "prompt": "a raccoon",
        "seed": 7,
        "watermark": {"enabled": False, "text": None},
    }


@pytest.mark.parametrize("name", ["prompt", "duration", "model", "provider"])
@pytest.mark.parametrize("validate", [True, False])
def test_further_fields_may_not_stand_in_for_the_requests_own(name: str, *, validate: bool) -> None:
    assert refusal_of(text(extra={name: "x"}, validate=validate)).field == f"extra.{name}"


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("extra", [{"a": float("nan")}, {"a": {1, 2}}, {"a": "\ud800"}, {"a": {1: 2, "b": 3}}])
def test_what_is_not_json_is_refused_for_any_model(extra: dict[str, Any], *, validate: bool) -> None:
    request = text(model=UNKNOWN, extra=extra, validate=validate)
    assert refusal_of(request).field == "a"
    with pytest.raises(InvalidRequest, match="not JSON"):
        request.digest()


def test_data_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert refusal_of(text(extra={"a": endless})).field == "a"


def test_further_fields_have_names() -> None:
    assert refusal_of(text(extra={5: "x"})).field == "5"


def test_further_fields_are_a_mapping() -> None:
    assert refusal_of(text(extra=["a"])).field == "extra"


def test_no_further_fields_may_be_said_as_none() -> None:
    assert text(extra=None) == text()


def test_without_validation_anything_is_sent_that_is_json() -> None:
    request = text(duration="long", camera_control=[1], endpoint="/v3/new/endpoint", validate=False)
    request.check()
    assert request.body() == {"model": MASTER, "prompt": "a raccoon", "duration": "long", "camera_control": [1]}
    assert request.duration_seconds is None


@pytest.mark.parametrize("endpoint", ["v3/new", "https://host.example/v3", "/a?b=c", "/a#b", "/a b", 5])
def test_an_endpoint_is_a_path_even_without_validation(endpoint: object) -> None:
    assert refusal_of(text(endpoint=endpoint, validate=False)).field == "endpoint"


def test_a_request_of_no_kind_is_judged_whole_by_its_model() -> None:
    Request(model="klingai/avatar-pro", extra={"image_url": URL, "audio_url": URL}).check()
    assert refusal_of(Request(model="klingai/avatar-pro", extra={"image_url": URL})).field == "audio_url"


def test_mappings_are_read_as_the_values_they_describe() -> None:
    request = ImageToVideo(
        URL,
        camera_control={"type": "simple", "config": {"pan": 1}},
        dynamic_masks=[{"mask": "m", "trajectories": [{"x": "1", "y": 2}]}],
        elements=[{"reference_image_urls": [URL]}],
        multi_prompt=["a", {"prompt": "b", "duration": "3"}],
    )
    assert request.camera_control == CameraControl("simple", CameraConfig(pan=1))
    assert request.dynamic_masks == (DynamicMask("m", (Point(1, 2),)),)
    assert request.elements == (Element((URL,)),)
    assert request.multi_prompt == ("a", Shot("b", 3))


@pytest.mark.parametrize(
    ("given_", "seconds"), [(None, None), (5, 5), ("10", 10), (10.0, 10), ("x", None), (True, None)]
)
def test_the_length_is_known_in_seconds(given_: object, seconds: int | None) -> None:
    assert text(duration=given_).duration_seconds == seconds


def test_a_request_of_no_kind_has_no_length_of_its_own() -> None:
    assert Request(model=MASTER).duration_seconds is None


def test_the_digest_is_that_of_the_canonical_body() -> None:
    canonical = f'{{"duration":5,"model":"{MASTER}","prompt":"ein Waschb\u00e4r"}}'.encode()
    assert text(prompt="ein Waschb\u00e4r", duration=5).digest() == hashlib.sha256(canonical).digest()


def test_the_digest_is_of_what_is_asked_for_and_not_of_where_or_how() -> None:
    same = text(duration="5", endpoint=LEGACY, validate=False)
    assert same.digest() == text(duration=5).digest()
    assert text(extra={"a": 1, "b": 2}).digest() == text(extra={"b": 2, "a": 1}).digest()


@given(requests(), requests())
def test_requests_have_one_digest_exactly_if_they_have_one_body(one: Request, other: Request) -> None:
    assert (one.digest() == other.digest()) is (one.body() == other.body())


def test_a_request_is_a_frozen_unhashable_value() -> None:
    request = text(extra={"a": [1]})
    assert request == text(extra={"a": [1]})
    assert request != text()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.prompt = "b"  # type: ignore[misc]
    with pytest.raises(TypeError, match="unhashable"):
        hash(request)


def test_a_request_does_not_change_with_what_it_was_made_of() -> None:
    extra: dict[str, Any] = {"a": 1}
    shots = ["a"]
    request = text(extra=extra, multi_prompt=shots)
    extra["a"] = 2
    shots.append("b")
    assert request == text(extra={"a": 1}, multi_prompt=["a"])


@given(requests())
def test_a_request_is_the_same_after_pickling_and_copying(request: Request) -> None:
    assert pickle.loads(pickle.dumps(request)) == request  # noqa: S301 - bytes made here
    assert copy.deepcopy(request) == request


def test_a_request_carries_no_dict() -> None:
    assert not hasattr(text(), "__dict__")
    assert not hasattr(Shot("a"), "__dict__")


def test_a_repr_shows_what_is_given() -> None:
    assert repr(text(duration=5)) == f"TextToVideo(prompt='a raccoon', model={MASTER!r}, duration=5)"
    assert "endpoint=" in repr(text(endpoint=LEGACY))
    assert repr(CameraControl("simple", CameraConfig(pan=1))) == (
        "CameraControl(type='simple', config=CameraConfig(pan=1))"
    )


def test_a_repr_shortens_long_prompts_and_images() -> None:
    image = "data:image/png;base64," + "A" * 100_000
    request = ImageToVideo(image, prompt="word " * 500, elements=[Element([image], image)] * 3, extra={"mask": image})
    assert len(repr(request)) < 1500
    assert "A" * 100 not in repr(request)
