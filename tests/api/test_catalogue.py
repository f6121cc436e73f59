from __future__ import annotations

from collections import Counter
from typing import Any, get_args, get_type_hints

import pytest
from bodies import contents
from hypothesis import given
from hypothesis import strategies as st
from models_page import PAGE, models_page, models_table

from kling_async.api.catalogue.lookup import (
    check_body,
    find_model,
    get_model,
    models,
    suggest,
    typical_seconds,
    typo_of,
)
from kling_async.api.catalogue.model import Kind, Model
from kling_async.api.catalogue.spec import Integer, ListOf, Number, Spec, Text
from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.api.requests import request_class
from kling_async.errors import InvalidRequest

URL = "https://host.example/a.png"
MASTER = "klingai/v2.1-master-text-to-video"
V3 = "klingai/video-v3-pro-text-to-video"
TURBO = "klingai/video-v3-turbo-pro-text-to-video"


@pytest.mark.parametrize("kind", Kind)
def test_editors_are_told_of_every_model_and_shape(kind: Kind) -> None:
    hints = get_type_hints(request_class(kind))
    suggested = {name: get_args(get_args(hint)[0]) for name, hint in hints.items() if name in ("model", "aspect_ratio")}
    assert set(suggested["model"]) == {model.id for model in models(kind)}
    ratios = {ratio for model in models(kind) if "aspect_ratio" in model.fields for ratio in ratios_of(model)}
    assert set(suggested.get("aspect_ratio", ())) == ratios


def ratios_of(model: Model) -> tuple[str, ...]:
    spec = model.fields["aspect_ratio"].spec
    assert isinstance(spec, Text)
    return spec.choices


def known(model_id: str) -> Model:
    model = find_model(model_id)
    assert model is not None
    return model


def problems(model_id: str, /, **content: object) -> list[str]:
    return [problem.field for problem in check_body({"model": model_id, **content})]


def test_every_model_of_the_vendor_is_there_once_and_in_order() -> None:
    ids = [model.id for model in models()]
    assert len(ids) == 44
    assert ids == sorted(set(ids))


def test_models_are_counted_by_kind_as_published() -> None:
    assert Counter(model.kind for model in models()) == {
        Kind.TEXT_TO_VIDEO: 15,
        Kind.IMAGE_TO_VIDEO: 19,
        Kind.MULTI_IMAGE_TO_VIDEO: 1,
        Kind.EFFECT: 2,
        Kind.AVATAR: 2,
        Kind.MOTION_CONTROL: 2,
        Kind.REFERENCE_TO_VIDEO: 1,
        Kind.VIDEO_EDIT: 1,
        Kind.VIDEO_REFERENCE: 1,
    }


def test_a_model_whose_id_names_its_kind_is_of_that_kind() -> None:
    for model in models():
        for kind in (Kind.MULTI_IMAGE_TO_VIDEO, Kind.TEXT_TO_VIDEO, Kind.IMAGE_TO_VIDEO):
            if model.id.endswith(kind.value):
                assert model.kind is kind, model.id
                break


def test_the_legacy_endpoint_is_listed_for_the_early_models_alone() -> None:
    assert {model.id for model in models() if LEGACY in model.endpoints} == {
        "kling-video/v1/standard/text-to-video",
        "kling-video/v1/standard/image-to-video",
        "kling-video/v1/pro/text-to-video",
        "kling-video/v1/pro/image-to-video",
        "kling-video/v1.5/standard/image-to-video",
        "kling-video/v1.6/standard/text-to-video",
        "kling-video/v1.6/standard/image-to-video",
        "kling-video/v1.6/pro/image-to-video",
        "kling-video/v2.1/standard/image-to-video",
    }
    assert all(model.endpoints[0] == UNIVERSAL for model in models())


@pytest.mark.parametrize(
    ("content", "model_id"),
    [
        ({"prompt": "a raccoon"}, MASTER),
        ({"prompt": "a", "duration": "5", "aspect_ratio": "16:9", "cfg_scale": 0.9}, "klingai/v2-master-text-to-video"),
        (
            {"prompt": "a", "advanced_camera_control": {"movement_type": "pan", "movement_value": -10}},
            "kling-video/v1/pro/text-to-video",
        ),
        ({"image_url": URL, "prompt": "a"}, "kling-video/v1.6/standard/image-to-video"),
        (
            {"image_url": URL, "camera_control": {"type": "simple", "config": {"zoom": 2.5}}},
            "kling-video/v2.1/pro/image-to-video",
        ),
        (
            {
                "image_url": URL,
                "tail_image_url": URL,
                "dynamic_masks": [{"mask": "m", "trajectories": [{"x": 0, "y": 1}] * 77}] * 6,
            },
            "kling-video/v1.5/pro/image-to-video",
        ),
        ({"multi_prompt": ["a", "b"], "duration": 15, "shot_type": "intelligent"}, V3),
        ({"prompt": "a", "shot_type": "intelligence"}, "klingai/video-v3-omni-720p-text-to-video"),
        ({"multi_prompt": [{"prompt": "a", "duration": 15}, {"prompt": "b"}]}, TURBO),
        ({"prompt": "a", "multi_prompt": None}, TURBO),
        ({"image_url": URL}, "klingai/video-v3-turbo-pro-image-to-video"),
        (
            {"image_url": URL, "elements": [{"reference_image_urls": [URL]}]},
            "klingai/video-v3-standard-image-to-video",
        ),
        ({"prompt": "a", "image_url": URL, "last_image_url": URL}, "klingai/video-o1-image-to-video"),
        ({"image_list": [URL, URL]}, "kling-video/v1.6/standard/multi-image-to-video"),
        ({"image_url": [URL, URL], "effect_scene": "hug"}, "klingai/kling-video-v1.6-pro-effects"),
        ({"image_url": URL, "effect_scene": "let's_ride"}, "klingai/kling-video-v1.6-standard-effects"),
        ({"image_url": URL, "audio_url": URL}, "klingai/avatar-pro"),
        ({"image_url": URL, "video_url": URL, "mode": "pro"}, "klingai/video-v3-motion-control"),
        ({"prompt": "a", "image_list": [URL] * 7}, "klingai/video-o1-reference-to-video"),
        ({"prompt": "a", "video_url": URL, "keep_audio": True}, "klingai/video-o1-video-to-video-edit"),
        ({"prompt": "a", "video_url": URL, "image_list": [URL] * 4}, "klingai/video-o1-video-to-video-reference"),
    ],
)
def test_a_body_as_published_is_taken(model_id: str, content: dict[str, Any]) -> None:
    assert check_body({"model": model_id, **content}) == []


@pytest.mark.parametrize(
    ("content", "model_id", "fields"),
    [
        ({}, MASTER, ["prompt"]),
        ({"prompt": " "}, MASTER, ["prompt"]),
        ({"prompt": "a", "duration": 3}, MASTER, ["duration"]),
        ({"prompt": "a", "generate_audio": True}, MASTER, ["generate_audio"]),
        ({"prompt": "a", "provider": "x"}, "kling-video/v1/pro/text-to-video", ["provider"]),
        ({"prompt": "a" * 2501}, "klingai/video-v2-6-pro-text-to-video", ["prompt"]),
        ({"prompt": "a", "duration": 2}, V3, ["duration"]),
        ({"prompt": "a", "shot_type": "intelligence"}, V3, ["shot_type"]),
        ({"prompt": "a", "multi_prompt": ["b"]}, V3, ["multi_prompt"]),
        ({}, V3, ["prompt"]),
        ({"multi_prompt": []}, V3, ["prompt"]),
        ({"multi_prompt": ["a"]}, TURBO, ["multi_prompt.0"]),
        ({"multi_prompt": [{"prompt": "a", "duration": 16}]}, TURBO, ["multi_prompt.0.duration"]),
        ({"multi_prompt": [{"prompt": "a"}] * 7}, TURBO, ["multi_prompt"]),
        ({"prompt": "a", "cfg_scale": 0.5}, TURBO, ["cfg_scale"]),
        ({"image_url": URL}, "klingai/v2.5-turbo/pro/image-to-video", ["prompt"]),
        ({"image_url": URL, "tail_image_url": URL}, "kling-video/v2.1/pro/image-to-video", ["tail_image_url"]),
        (
            {"image_url": URL, "camera_control": {"config": {"pan": 10.5}}},
            "kling-video/v2.1/pro/image-to-video",
            ["camera_control.config.pan"],
        ),
        (
            {"image_url": URL, "dynamic_masks": [{"mask": "m", "trajectories": [{"x": 0, "y": 1}]}]},
            "kling-video/v1/pro/image-to-video",
            ["dynamic_masks.0.trajectories"],
        ),
        ({"image_list": [URL]}, "kling-video/v1.6/standard/multi-image-to-video", ["image_list"]),
        ({"image_list": [URL, "x"]}, "kling-video/v1.6/standard/multi-image-to-video", ["image_list.1"]),
        ({"image_url": URL, "effect_scene": "x"}, "klingai/kling-video-v1.6-pro-effects", ["effect_scene"]),
        ({"image_url": URL}, "klingai/avatar-pro", ["audio_url"]),
        ({"prompt": "a", "image_list": [URL] * 8}, "klingai/video-o1-reference-to-video", ["image_list"]),
        (
            {"prompt": "a", "elements": [{"reference_image_urls": [URL]}]},
            "klingai/video-o1-reference-to-video",
            ["elements.0.frontal_image_url"],
        ),
        (
            {"prompt": "a", "video_url": URL, "image_list": [URL] * 5},
            "klingai/video-o1-video-to-video-reference",
            ["image_list"],
        ),
        (
            {"prompt": "a", "video_url": URL, "duration": 5},
            "klingai/video-o1-video-to-video-edit",
            ["duration"],
        ),
    ],
)
def test_a_body_outside_what_is_published_is_refused_by_the_field(
    model_id: str, content: dict[str, Any], fields: list[str]
) -> None:
    assert problems(model_id, **content) == fields


@given(st.data(), st.sampled_from(models()))
def test_whatever_the_specs_describe_is_taken(data: st.DataObject, model: Model) -> None:
    assert check_body({"model": model.id, **data.draw(contents(model))}) == []


def violations(spec: Spec) -> list[object]:
    """Values just outside of what a spec takes."""
    match spec:
        case Text(choices=choices, longest=longest):
            return [5, *(["?"] if choices else []), *(["a" * (longest + 1)] if longest else [])]
        case Integer(choices=choices, most=most):
            return [True, 5.5, *([choices[-1] + 1] if choices else []), *([most + 1] if most is not None else [])]
        case Number(most=most):
            return [float("nan"), "1", *([most + 0.01] if most is not None else [])]
        case ListOf(fewest=fewest):
            return ["abc", *([[]] if fewest else [])]
        case _:
            return [5]


def every_violation() -> list[tuple[str, str, object]]:
    return [
        (model.id, name, value)
        for model in models()
        for name, part in model.fields.items()
        for value in [*violations(part.spec), *([] if part.nullable else [None])]
    ]


@given(st.data(), st.sampled_from(every_violation()))
def test_a_single_violation_is_named_by_its_field(data: st.DataObject, case: tuple[str, str, object]) -> None:
    model_id, name, value = case
    content = data.draw(contents(known(model_id)))
    if name in ("prompt", "multi_prompt"):
        content = {key: part for key, part in content.items() if key not in ("prompt", "multi_prompt")}
    assert set(problems(model_id, **content | {name: value})) >= {name}


@pytest.mark.parametrize("model", models(), ids=lambda model: model.id)
def test_an_empty_body_misses_every_required_field(model: Model) -> None:
    required = [name for name, part in model.fields.items() if part.required]
    assert problems(model.id) == (required or ["prompt"])


def test_nothing_is_held_against_a_model_that_is_not_known() -> None:
    assert check_body({"model": "klingai/v9-text-to-video", "anything": object()}) == []


@pytest.mark.parametrize("model_id", [None, "", " ", 5])
def test_a_body_without_a_model_is_refused(model_id: object) -> None:
    assert [problem.field for problem in check_body({"model": model_id, "prompt": "a"})] == ["model"]


@given(st.dictionaries(st.text() | st.sampled_from(["prompt", "duration"]), st.integers() | st.text() | st.none()))
def test_no_body_makes_the_check_raise(content: dict[str, object]) -> None:
    for model in models():
        check_body({**content, "model": model.id})


def test_an_unknown_model_is_not_found() -> None:
    assert find_model("klingai/v9-text-to-video") is None


def test_a_typing_error_is_met_with_the_right_model() -> None:
    assert suggest("klingai/v2.1-master-txt-to-video")[0] == MASTER


@pytest.mark.parametrize(
    ("model_id", "meant"),
    [
        ("klingai/v2.1-master-txt-to-video", MASTER),
        ("klingai/v2.1-mastr-text-to-video", MASTER),
        ("KlingAI/v2.1-Master-Text-to-Video", MASTER),
        ("kling-video/v1.6/standart/text-to-video", "kling-video/v1.6/standard/text-to-video"),
        ("klingai/avatr-pro", "klingai/avatar-pro"),
        ("klingai/v2.2-master-text-to-video", None),
        ("klingai/v2.1-ultra-text-to-video", None),
        ("klingai/video-v3-lite-text-to-video", None),
        ("klingai/video-v3-pro-text-to-sound", None),
        ("klingai/avatar-plus", None),
        ("klingai/v2.1/master/text-to-video", None),
        ("klingai/v2.1-master-text-to-video-hd", None),
        ("gpt-4o", None),
    ],
)
def test_a_typing_error_is_told_from_a_model_newer_than_the_catalogue(model_id: str, meant: str | None) -> None:
    assert typo_of(model_id) == meant


def test_no_model_is_taken_for_another_ones_misspelling() -> None:
    for model in models():
        later = model.id.replace("v1", "v4").replace("v2", "v4").replace("v3", "v4").replace("o1", "o2")
        assert typo_of(later) in (None, model.id)
        assert typo_of(later) is None or later == model.id


def test_a_model_is_got_by_its_id_and_a_misspelt_one_is_met_with_the_right_one() -> None:
    assert get_model(MASTER) is find_model(MASTER)
    with pytest.raises(InvalidRequest, match=f"did you mean {MASTER}") as caught:
        get_model("klingai/v2.1-master-txt-to-video")
    assert caught.value.field == "model"


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"kind": Kind.TEXT_TO_VIDEO, "version": "v2.1", "tier": "master"}, [MASTER]),
        ({"kind": "text-to-video", "version": "2.1"}, [MASTER]),
        ({"kind": "effect"}, ["klingai/kling-video-v1.6-pro-effects", "klingai/kling-video-v1.6-standard-effects"]),
        (
            {"family": "turbo", "tier": "pro", "kind": "text-to-video"},
            ["klingai/v2.5-turbo/pro/text-to-video", "klingai/video-v3-turbo-pro-text-to-video"],
        ),
        (
            {"family": "omni", "tier": "1080p"},
            ["klingai/video-v3-omni-1080p-image-to-video", "klingai/video-v3-omni-1080p-text-to-video"],
        ),
        ({"version": "v2.6", "kind": "motion-control"}, ["klingai/video-v2-6-motion-control"]),
        ({"family": "avatar"}, ["klingai/avatar-pro", "klingai/avatar-standard"]),
        ({"version": "o1", "kind": "video-edit"}, ["klingai/video-o1-video-to-video-edit"]),
        ({"version": "v1", "tier": "master"}, []),
    ],
)
def test_models_are_found_by_kind_family_version_and_tier(wanted: dict[str, Any], ids: list[str]) -> None:
    assert [model.id for model in models(**wanted)] == ids


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("kind", "txt-to-video", "text-to-video"),
        ("family", "trubo", "turbo"),
        ("version", "v2.7", "v2.6"),
        ("tier", "profi", "pro"),
    ],
)
def test_a_search_for_what_there_is_not_is_met_with_what_there_is(field: str, value: str, nearest: str) -> None:
    search: dict[str, Any] = {field: value}
    with pytest.raises(InvalidRequest, match=nearest) as caught:
        models(**search)
    assert caught.value.field == field


def test_every_model_is_of_a_version_a_family_and_a_tier_as_its_id_says() -> None:
    assert Counter(model.version for model in models()) == {
        "v1": 4,
        "v1.5": 3,
        "v1.6": 7,
        "v2": 2,
        "v2.1": 4,
        "v2.5": 2,
        "v2.6": 3,
        "v3": 13,
        "o1": 4,
        None: 2,
    }
    assert Counter(model.family for model in models()) == {"video": 28, "turbo": 6, "omni": 4, "o1": 4, "avatar": 2}
    assert Counter(model.tier for model in models()) == {
        "standard": 13,
        "pro": 17,
        "master": 4,
        "720p": 2,
        "1080p": 2,
        None: 6,
    }


def test_a_model_says_in_a_line_what_it_is() -> None:
    assert str(known("klingai/avatar-pro")) == (
        "klingai/avatar-pro (avatar; image_url*, audio_url*, prompt, provider; about 90 s for 5 s of video)"
    )
    assert repr(known(MASTER)) == f"<Model {MASTER}>"


def test_the_table_for_readers_has_every_model_once_and_marks_what_is_required() -> None:
    table = models_table()
    assert [table.count(f"| `{model.id}`") for model in models()] == [1] * 44
    assert table.count("(default)") == 9
    assert "| `klingai/video-v3-motion-control` (default) | **image_url**, **video_url**, prompt, " in table
    assert "prompt, multi_prompt (1 to 6), duration 3 to 15 s, aspect_ratio | 2:40 |" in table


def test_the_page_of_models_is_todays() -> None:
    assert PAGE.read_text(encoding="utf-8") == models_page(), "write it anew: python .ci/models_page.py"


def test_an_id_unlike_any_has_no_suggestion() -> None:
    assert suggest("gpt-4o") == []


@pytest.mark.parametrize(
    ("model_id", "duration", "expected"),
    [
        (MASTER, None, 220.0),
        (MASTER, 5, 220.0),
        (MASTER, 10, 506.0),
        ("kling-video/v2.1/pro/image-to-video", 10, 320.0),
        (V3, 15, 1125.0),
        ("klingai/avatar-pro", None, 90.0),
        ("unknown", None, 240.0),
        ("unknown", 10, 480.0),
    ],
)
def test_typical_times_follow_the_published_runs(model_id: str, duration: int | None, expected: float) -> None:
    assert typical_seconds(model_id, duration) == pytest.approx(expected)


@given(st.sampled_from([model.id for model in models()] + ["unknown"]), st.integers(-5, 60))
def test_a_longer_video_never_takes_less_time(model_id: str, duration: int) -> None:
    assert 0 < typical_seconds(model_id, duration) <= typical_seconds(model_id, duration + 1)
