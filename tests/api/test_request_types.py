"""Each kind of request against bodies written by hand from the vendor's pages, one by one."""

from __future__ import annotations

import inspect
from typing import Any

import attrs
import pytest
from samples import untyped

import kling_async
from kling_async.api import requests as api_requests
from kling_async.api.catalogue.lookup import find_model, models
from kling_async.api.catalogue.model import Kind
from kling_async.api.requests import (
    Avatar,
    Effect,
    ImageToVideo,
    MotionControl,
    MultiImageToVideo,
    ReferenceToVideo,
    Request,
    TextToVideo,
    VideoEdit,
    VideoReference,
    request_class,
)
from kling_async.api.requests.types import CameraControl, Element, Shot
from kling_async.errors import InvalidRequest

A, B, C = (f"https://host.example/{name}.png" for name in "abc")
FILM = "https://host.example/film.mp4"
SOUND = "https://host.example/voice.mp3"
TURBO_TEXT = "klingai/video-v3-standard-turbo-text-to-video"
TURBO_IMAGE = "klingai/video-v3-turbo-pro-image-to-video"
V3_TEXT = "klingai/video-v3-pro-text-to-video"
V3_IMAGE = "klingai/video-v3-standard-image-to-video"
OMNI = "klingai/video-v3-omni-720p-text-to-video"
O1_ELEMENT = {"reference_image_urls": [A], "frontal_image_url": B}

ACCEPTED: list[tuple[Request, dict[str, Any]]] = [
    (
        TextToVideo("a fox", aspect_ratio="9:16", duration=10, negative_prompt="rain", cfg_scale=0, provider="x"),
        {
            "model": "klingai/v2.1-master-text-to-video",
            "prompt": "a fox",
            "aspect_ratio": "9:16",
            "duration": 10,
            "negative_prompt": "rain",
            "cfg_scale": 0,
            "provider": "x",
        },
    ),
    (
        TextToVideo(
            "a fox",
            model="kling-video/v1/standard/text-to-video",
            advanced_camera_control={"movement_type": "tilt", "movement_value": -10},
        ),
        {
            "model": "kling-video/v1/standard/text-to-video",
            "prompt": "a fox",
            "advanced_camera_control": {"movement_type": "tilt", "movement_value": -10},
        },
    ),
    (
        TextToVideo("a" * 2500, model="klingai/video-v2-6-pro-text-to-video", generate_audio=False),
        {"model": "klingai/video-v2-6-pro-text-to-video", "prompt": "a" * 2500, "generate_audio": False},
    ),
    (
        TextToVideo(model=V3_TEXT, multi_prompt=["a fox", "a bear"], shot_type="intelligent", duration=3),
        {"model": V3_TEXT, "multi_prompt": ["a fox", "a bear"], "shot_type": "intelligent", "duration": 3},
    ),
    (
        TextToVideo(model=TURBO_TEXT, multi_prompt=[Shot("a fox", 1), Shot("a bear", 15), Shot("an owl")]),
        {
            "model": TURBO_TEXT,
            "multi_prompt": [
                {"prompt": "a fox", "duration": 1},
                {"prompt": "a bear", "duration": 15},
                {"prompt": "an owl"},
            ],
        },
    ),
    (
        TextToVideo("a fox", model=OMNI, shot_type="intelligence"),
        {"model": OMNI, "prompt": "a fox", "shot_type": "intelligence"},
    ),
    (
        ImageToVideo(A, model="kling-video/v1.5/pro/image-to-video", tail_image_url=B, static_mask=C),
        {"model": "kling-video/v1.5/pro/image-to-video", "image_url": A, "tail_image_url": B, "static_mask": C},
    ),
    (
        ImageToVideo(A, camera_control=CameraControl("down_back")),
        {"model": "klingai/v2.1-master-image-to-video", "image_url": A, "camera_control": {"type": "down_back"}},
    ),
    (
        ImageToVideo(A, prompt="it turns", model="klingai/video-o1-image-to-video", last_image_url=B),
        {"model": "klingai/video-o1-image-to-video", "image_url": A, "prompt": "it turns", "last_image_url": B},
    ),
    # The v3 pages publish a last frame and sound side by side.
    (
        ImageToVideo(A, model=V3_IMAGE, tail_image_url=B, generate_audio=True, elements=[Element([A], video_url=FILM)]),
        {
            "model": V3_IMAGE,
            "image_url": A,
            "tail_image_url": B,
            "generate_audio": True,
            "elements": [{"reference_image_urls": [A], "video_url": FILM}],
        },
    ),
    (ImageToVideo(A, model=TURBO_IMAGE), {"model": TURBO_IMAGE, "image_url": A}),
    (
        MultiImageToVideo([A, B], prompt="they meet", aspect_ratio="1:1", duration="5", negative_prompt="rain"),
        {
            "model": "kling-video/v1.6/standard/multi-image-to-video",
            "image_list": [A, B],
            "prompt": "they meet",
            "aspect_ratio": "1:1",
            "duration": 5,
            "negative_prompt": "rain",
        },
    ),
    (
        MultiImageToVideo((A, B, C, A)),
        {"model": "kling-video/v1.6/standard/multi-image-to-video", "image_list": [A, B, C, A]},
    ),
    (
        Effect([A, B], "hug"),
        {"model": "klingai/kling-video-v1.6-standard-effects", "image_url": [A, B], "effect_scene": "hug"},
    ),
    (
        Effect(A, "squish", model="klingai/kling-video-v1.6-pro-effects", duration=10),
        {
            "model": "klingai/kling-video-v1.6-pro-effects",
            "image_url": A,
            "effect_scene": "squish",
            "duration": 10,
        },
    ),
    (
        Effect([A], "expansion"),
        {"model": "klingai/kling-video-v1.6-standard-effects", "image_url": [A], "effect_scene": "expansion"},
    ),
    (
        Effect(A, "let's_ride"),
        {"model": "klingai/kling-video-v1.6-standard-effects", "image_url": A, "effect_scene": "let's_ride"},
    ),
    (
        Avatar(A, SOUND, prompt="gladly"),
        {"model": "klingai/avatar-standard", "image_url": A, "audio_url": SOUND, "prompt": "gladly"},
    ),
    (
        Avatar(A, SOUND, model="klingai/avatar-pro", provider="x"),
        {"model": "klingai/avatar-pro", "image_url": A, "audio_url": SOUND, "provider": "x"},
    ),
    (
        MotionControl(A, FILM),
        {"model": "klingai/video-v3-motion-control", "image_url": A, "video_url": FILM},
    ),
    (
        MotionControl(
            A,
            FILM,
            model="klingai/video-v2-6-motion-control",
            prompt="in the rain",
            character_orientation="image",
            keep_audio=False,
            mode="pro",
        ),
        {
            "model": "klingai/video-v2-6-motion-control",
            "image_url": A,
            "video_url": FILM,
            "prompt": "in the rain",
            "character_orientation": "image",
            "keep_audio": False,
            "mode": "pro",
        },
    ),
    (
        ReferenceToVideo("a fox", image_list=[A] * 7, elements=[O1_ELEMENT] * 4, aspect_ratio="16:9", duration=5),
        {
            "model": "klingai/video-o1-reference-to-video",
            "prompt": "a fox",
            "image_list": [A] * 7,
            "elements": [O1_ELEMENT] * 4,
            "aspect_ratio": "16:9",
            "duration": 5,
        },
    ),
    (
        VideoEdit("make it snow", FILM, image_list=[A], keep_audio=True),
        {
            "model": "klingai/video-o1-video-to-video-edit",
            "prompt": "make it snow",
            "video_url": FILM,
            "image_list": [A],
            "keep_audio": True,
        },
    ),
    (
        VideoReference("the next scene", FILM, image_list=[A] * 4, aspect_ratio="9:16", duration=10),
        {
            "model": "klingai/video-o1-video-to-video-reference",
            "prompt": "the next scene",
            "video_url": FILM,
            "image_list": [A] * 4,
            "aspect_ratio": "9:16",
            "duration": 10,
        },
    ),
]

REFUSED: list[tuple[Request, str]] = [
    (TextToVideo(), "prompt"),
    (TextToVideo("a", duration=15), "duration"),
    (TextToVideo("a", cfg_scale=1.1), "cfg_scale"),
    (TextToVideo("a", aspect_ratio="4:3"), "aspect_ratio"),
    (TextToVideo("a", camera_control="simple"), "camera_control"),
    (
        TextToVideo("a", advanced_camera_control={"movement_type": "pan", "movement_value": 11}),
        "advanced_camera_control.movement_value",
    ),
    (TextToVideo("a" * 2501, model="klingai/video-v2-6-pro-text-to-video"), "prompt"),
    (TextToVideo("a" * 3073, model=TURBO_TEXT), "prompt"),
    (TextToVideo(model=TURBO_TEXT, multi_prompt=[Shot("a" * 3073)]), "multi_prompt.0.prompt"),
    (TextToVideo(model=TURBO_TEXT, multi_prompt=["a fox"]), "multi_prompt.0"),
    (TextToVideo(model=TURBO_TEXT, multi_prompt=[Shot("a")] * 7), "multi_prompt"),
    (TextToVideo(model=TURBO_TEXT, multi_prompt=[]), "multi_prompt"),
    (TextToVideo(model=TURBO_TEXT, multi_prompt=[Shot("a", 16)]), "multi_prompt.0.duration"),
    (TextToVideo(model=V3_TEXT, multi_prompt=[Shot("a")]), "multi_prompt.0"),
    (TextToVideo("a", model=V3_TEXT, multi_prompt=["b"]), "multi_prompt"),
    (TextToVideo("a", model=V3_TEXT, shot_type="intelligence"), "shot_type"),
    (TextToVideo("a", model="kling-video/v1.6/pro/text-to-video", provider="x"), "provider"),
    (ImageToVideo(), "image_url"),
    (ImageToVideo("fox.png"), "image_url"),
    (ImageToVideo(A, tail_image_url=B), "tail_image_url"),
    (ImageToVideo(A, model="klingai/v2.5-turbo/pro/image-to-video"), "prompt"),
    (ImageToVideo(A, dynamic_masks=[{"mask": A, "trajectories": [{"x": 1, "y": 1}]}]), "dynamic_masks.0.trajectories"),
    (
        ImageToVideo(A, dynamic_masks=[{"mask": A, "trajectories": [{"x": 1, "y": 1}] * 78}]),
        "dynamic_masks.0.trajectories",
    ),
    (
        ImageToVideo(A, camera_control={"type": "simple", "config": {"zoom": -10.5}}),
        "camera_control.config.zoom",
    ),
    (ImageToVideo(A, model=V3_IMAGE, elements=[Element([A] * 5)]), "elements.0.reference_image_urls"),
    (ImageToVideo(A, model=V3_IMAGE, elements=[Element([A])] * 5), "elements"),
    (ImageToVideo(A, prompt="a", model=TURBO_IMAGE, multi_prompt=[Shot("b")]), "multi_prompt"),
    # Sound and a last frame: v2.6 has the one and refuses the other.
    (
        ImageToVideo(
            A, prompt="a", model="klingai/video-v2-6-pro-image-to-video", tail_image_url=B, generate_audio=True
        ),
        "tail_image_url",
    ),
    (MultiImageToVideo([A]), "image_list"),
    (MultiImageToVideo([A] * 5), "image_list"),
    (MultiImageToVideo([A, "b.png"]), "image_list.1"),
    (MultiImageToVideo(A), "image_list"),
    (MultiImageToVideo([A, B], provider="x"), "provider"),
    (Effect(A), "effect_scene"),
    (Effect(A, "hug_me"), "effect_scene"),
    (Effect(effect_scene="hug"), "image_url"),
    (Effect(A, "hug"), "image_url"),
    (Effect([A, B, C], "kiss"), "image_url"),
    (Effect([A], "heart_gesture"), "image_url"),
    (Effect([A, B], "squish"), "image_url"),
    (Effect([A, B, C], "fight"), "image_url"),
    (Effect([], "yearbook"), "image_url"),
    (Effect(["a.png", B], "hug"), "image_url.0"),
    (Effect(A, "yearbook", duration=3), "duration"),
    (Avatar(A), "audio_url"),
    (Avatar(audio_url=SOUND), "image_url"),
    (Avatar(A, SOUND, prompt="a" * 2501), "prompt"),
    (MotionControl(A), "video_url"),
    (MotionControl(video_url=FILM), "image_url"),
    (MotionControl(A, FILM, mode="standard"), "mode"),
    (MotionControl(A, FILM, character_orientation="left"), "character_orientation"),
    (MotionControl(A, FILM, keep_audio=untyped("yes")), "keep_audio"),
    (ReferenceToVideo(image_list=[A]), "prompt"),
    (ReferenceToVideo("a", image_list=[A] * 8), "image_list"),
    (ReferenceToVideo("a", image_list=[]), "image_list"),
    (ReferenceToVideo("a", elements=[Element([A])]), "elements.0.frontal_image_url"),
    (ReferenceToVideo("a", elements=[Element([A], A, FILM)]), "elements.0.video_url"),
    (VideoEdit("a"), "video_url"),
    (VideoEdit(video_url=FILM), "prompt"),
    (VideoEdit("a" * 2501, FILM), "prompt"),
    (VideoReference("a", FILM, image_list=[A] * 5), "image_list"),
    (VideoReference("a", "film.mp4"), "video_url"),
    (VideoReference("a", FILM, duration=15), "duration"),
]


@pytest.mark.parametrize(("request_", "body"), ACCEPTED)
def test_what_the_vendors_page_has_is_accepted_as_it_stands(request_: Request, body: dict[str, Any]) -> None:
    request_.check()
    assert request_.body() == body


@pytest.mark.parametrize(("request_", "field"), REFUSED)
def test_what_the_vendors_page_rules_out_is_refused_by_that_field_alone(request_: Request, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_.check()
    assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_has_every_field_that_one_of_its_models_takes_and_no_other(kind: Kind) -> None:
    own = {field.name for field in attrs.fields(request_class(kind))}
    shared = {field.name for field in attrs.fields(Request)}
    assert own - shared | {"provider"} == {"provider"}.union(*(model.fields for model in models(kind)))


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_without_a_model_takes_a_default_that_its_docstring_names(kind: Kind) -> None:
    cls = request_class(kind)
    name = attrs.fields_dict(cls)["model"].default
    assert name is not None
    default = find_model(name)
    assert cls.kind is kind
    assert default is not None
    assert default.kind is kind
    assert f"by default {default.version or 'the'}" in " ".join(str(cls.__doc__).split()).lower()


@pytest.mark.parametrize("kind", Kind)
def test_a_kinds_docstring_says_what_each_of_its_fields_takes(kind: Kind) -> None:
    cls = request_class(kind)
    own = {field.name for field in attrs.fields(cls)} - {field.name for field in attrs.fields(Request)}
    described = inspect.cleandoc(str(cls.__doc__))  # Python 3.13 takes the indentation away itself
    assert [name for name in own if f"\n    {name}: " not in described] == []


@pytest.mark.parametrize(("request_", "_"), ACCEPTED)
def test_a_model_of_another_kind_is_refused(request_: Request, _: object) -> None:
    other = next(model.id for model in models() if model.kind is not request_.kind)
    with pytest.raises(InvalidRequest) as caught:
        attrs.evolve(request_, model=other).check()
    assert caught.value.field == "model"
    assert request_.model in caught.value.allowed


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        (TextToVideo("a", generate_audio=True), "generate_audio", "klingai/video-v2-6-pro-text-to-video"),
        (ImageToVideo(A, last_image_url=B), "last_image_url", "klingai/video-o1-image-to-video"),
        (MultiImageToVideo([A, B], provider="x"), "provider", "nothing by multi-image-to-video models; avatar, "),
    ],
)
def test_a_field_that_the_model_does_not_take_is_refused_with_those_that_do(
    request_: Request, field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_.check()
    assert caught.value.field == field
    assert words in caught.value.allowed


def test_there_is_no_request_of_any_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'LipSync'"):
        _ = untyped(api_requests).LipSync
    with pytest.raises(AttributeError, match="no attribute 'LipSync'"):
        _ = untyped(kling_async).LipSync


UNKNOWN = "klingai/v9"


@pytest.mark.parametrize(
    "request_",
    [
        MultiImageToVideo([A], model=UNKNOWN, aspect_ratio="4:3", provider="x"),
        Effect([A] * 3, "hug_me", model=UNKNOWN, duration=1),
        Effect(A, "new", model=UNKNOWN),
        Avatar(A, SOUND, prompt="a" * 9999, model=UNKNOWN),
        MotionControl(A, FILM, mode="best", model=UNKNOWN),
        ReferenceToVideo("a", image_list=[A] * 20, model=UNKNOWN),
        VideoEdit("a", FILM, elements=[O1_ELEMENT] * 9, model=UNKNOWN),
        VideoReference("a", FILM, duration=60, model=UNKNOWN),
    ],
)
def test_a_model_newer_than_the_catalogue_may_take_more(request_: Request) -> None:
    request_.check()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (MultiImageToVideo("abc", model=UNKNOWN), "image_list"),
        (Effect(untyped(5), "new", model=UNKNOWN), "image_url"),
        (Effect(untyped([5]), "new", model=UNKNOWN), "image_url.0"),
        (Avatar(A, model=UNKNOWN), "audio_url"),
        (MotionControl(A, FILM, keep_audio=untyped(1), model=UNKNOWN), "keep_audio"),
        (ReferenceToVideo("a", elements=untyped("abc"), model=UNKNOWN), "elements"),
        (VideoEdit("a", "film.mp4", model=UNKNOWN), "video_url"),
        (VideoReference(untyped(5), FILM, model=UNKNOWN), "prompt"),
    ],
)
def test_a_model_newer_than_the_catalogue_takes_no_nonsense(request_: Request, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_.check()
    assert caught.value.field == field
