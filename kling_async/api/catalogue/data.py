"""The data of the catalogue: every Kling model that the vendor offers on this API, and the fields each takes.

It is the vendor's own ("Video Models: Kling AI", one page a model), grouped by fields that models share.
"""

from __future__ import annotations

from typing import Final

from kling_async.api.catalogue.model import Kind, Model
from kling_async.api.catalogue.rules import ImagesForScene, PromptOrScenes
from kling_async.api.catalogue.spec import Field, Flag, Integer, ListOf, Number, Object, OneOf, Text, Url
from kling_async.api.file_types import FileType, Format
from kling_async.api.protocol import LEGACY, UNIVERSAL

_MASTER_TEN: Final = 2.3  # a 10 s video of a master model ("Kling v2 Master": 5-6 min and 11-14 min)

# Fields. Each name is used by several models, or says what its figures mean.

_TEXT = Field(Text())
_PROMPT = Field(Text(blank=False), required=True)
_PROMPT_2500 = Field(Text(longest=2500, blank=False), required=True)
_SPOKEN = Field(Text(longest=2500))
_SCRIPT = Field(Text(longest=3072))
_SCENES = Field(ListOf(Text()))
_TIMED_SCENES = Field(
    ListOf(
        Object(
            {
                "prompt": Field(Text(longest=3072), required=True),
                "duration": Field(Integer(tuple(range(1, 16))), default=5),
            }
        ),
        fewest=1,
        most=6,
    ),
    nullable=True,
)
_SHOT_TYPE = Field(Text(("customize", "intelligent")), default="customize")
_OMNI_SHOT_TYPE = Field(Text(("customize", "intelligent", "intelligence")), default="customize")

_RATIO = Field(Text(("16:9", "9:16", "1:1")))
_RATIO_WIDE = Field(Text(("16:9", "9:16", "1:1")), default="16:9")
_LENGTH = Field(Integer((5, 10)))
_LENGTH_5 = Field(Integer((5, 10)), default=5)
_LENGTH_3_TO_15 = Field(Integer(tuple(range(3, 16))), default=5)
_CFG_SCALE = Field(Number(0, 1))
_SOUND = Field(Flag(), default=True)
_DROP_AUDIO = Field(Flag(), default=False)
_KEEP_AUDIO = Field(Flag(), default=True)

_IMAGE = Url(FileType.IMAGE)
_PICTURE = Field(_IMAGE)
_NEEDED_PICTURE = Field(_IMAGE, required=True)
_TURBO_FRAME = Url(  # "Kling 3.0 Standard Turbo Image to Video"
    FileType.IMAGE, formats=(Format.JPEG, Format.PNG), largest=50 * 2**20, shortest=300, steepest=2.5
)
_NEEDED_FRAME = Field(_TURBO_FRAME, required=True)
_NEEDED_VIDEO = Field(Url(FileType.VIDEO), required=True)

_MOVES = ("horizontal", "vertical", "pan", "tilt", "roll", "zoom")
_PRESETS = ("down_back", "forward_up", "right_turn_forward", "left_turn_forward")
_PRESET = Field(Text(_PRESETS))
_ONE_MOVE = Field(
    Object(
        {
            "movement_type": Field(Text(_MOVES), required=True),
            "movement_value": Field(Integer(least=-10, most=10), required=True),
        }
    )
)
_CAMERA = Field(
    Object(
        {
            "type": Field(Text(("simple", *_PRESETS))),
            "config": Field(Object(dict.fromkeys(_MOVES, Field(Number(-10, 10))))),
        }
    )
)
_POINT = Object({"x": Field(Integer(), required=True), "y": Field(Integer(), required=True)})
_MASKS = Field(
    ListOf(
        Object(
            {
                "mask": Field(Url(FileType.IMAGE, loose=True), required=True),  # published as any string
                "trajectories": Field(ListOf(_POINT, fewest=2, most=77), required=True),
            }
        ),
        most=6,
    )
)


def _images(fewest: int, most: int, *, required: bool = False) -> Field:
    return Field(ListOf(_IMAGE, fewest, most), required)


def _elements(*, frontal: bool, video: bool) -> Field:
    references = Field(ListOf(_IMAGE, 1, 4), required=True)
    parts = {"reference_image_urls": references, "frontal_image_url": Field(_IMAGE, required=frontal)}
    return Field(ListOf(Object(parts | ({"video_url": Field(Url(FileType.VIDEO))} if video else {})), most=4))


_O1_ELEMENTS = _elements(frontal=True, video=False)
_V3_ELEMENTS = _elements(frontal=False, video=True)

_SCENE_NAMES = (
    "magic_fireball pet_moto_rider media_interview pet_lion pet_delivery pet_chef santa_gifts santa_hug girlfriend "
    "boyfriend heart_gesture_1 pet_wizard smoke_smoke thumbs_up instant_kid dollar_rain cry_cry building_collapse "
    "gun_shot mushroom double_gun pet_warrior lightning_power jesus_hug shark_alert long_hair lie_flat polar_bear_hug "
    "brown_bear_hug jazz_jazz office_escape_plow fly_fly watermelon_bomb pet_dance boss_coming wool_curly iron_warrior "
    "pet_bee marry_me swing_swing day_to_night piggy_morph wig_out car_explosion ski_ski tiger_hug siblings "
    "construction_worker let's_ride snatched magic_broom felt_felt jumpdrop celebration splashsplash hula surfsurf "
    "fairy_wing angel_wing dark_wing skateskate plushcut jelly_press jelly_slice jelly_squish jelly_jiggle pixelpixel "
    "yearbook instant_film anime_figure rocketrocket bloombloom dizzydizzy fuzzyfuzzy squish expansion hug kiss "
    "heart_gesture fight"
)
_SCENE = Field(Text(tuple(_SCENE_NAMES.split())), required=True)

# What bodies hold, by family.

_PROVIDER = {"provider": _TEXT}
_STEERED = {"negative_prompt": _TEXT, "cfg_scale": _CFG_SCALE}

_CLASSIC_TEXT = {
    "prompt": _PROMPT,
    "aspect_ratio": _RATIO_WIDE,
    "duration": _LENGTH,
    **_STEERED,
    "camera_control": _PRESET,
    "advanced_camera_control": _ONE_MOVE,
}
_MASTER_TEXT = _CLASSIC_TEXT | _PROVIDER
_PLAIN_TEXT = {"prompt": _PROMPT, "duration": _LENGTH_5, **_STEERED, "aspect_ratio": _RATIO, **_PROVIDER}
_V26_TEXT = {
    "prompt": _PROMPT_2500,
    "aspect_ratio": _RATIO,
    "duration": _LENGTH_5,
    **_STEERED,
    "generate_audio": _SOUND,
    **_PROVIDER,
}
_V3_TEXT = {
    "prompt": _TEXT,
    "multi_prompt": _SCENES,
    "aspect_ratio": _RATIO_WIDE,
    "duration": _LENGTH_3_TO_15,
    "shot_type": _SHOT_TYPE,
    "generate_audio": _SOUND,
    **_STEERED,
    **_PROVIDER,
}
_OMNI_TEXT = _V3_TEXT | {"shot_type": _OMNI_SHOT_TYPE}
_TURBO = {"prompt": _SCRIPT, "multi_prompt": _TIMED_SCENES, "duration": _LENGTH_3_TO_15}
_TURBO_TEXT = _TURBO | {"aspect_ratio": _RATIO_WIDE}

_MASKED_IMAGE = {
    "image_url": _NEEDED_PICTURE,
    "prompt": _TEXT,
    "duration": _LENGTH_5,
    **_STEERED,
    "static_mask": _PICTURE,
    "dynamic_masks": _MASKS,
    "camera_control": _CAMERA,
}
_CLASSIC_IMAGE = _MASKED_IMAGE | {"tail_image_url": _PICTURE}
_MASTER_IMAGE = _MASKED_IMAGE | _PROVIDER
_PLAIN_IMAGE = {"image_url": _NEEDED_PICTURE, "prompt": _PROMPT, "duration": _LENGTH_5, **_STEERED, **_PROVIDER}
_V26_IMAGE = {
    "prompt": _PROMPT_2500,
    "image_url": _NEEDED_PICTURE,
    "duration": _LENGTH_5,
    "negative_prompt": _TEXT,
    "generate_audio": _SOUND,
    **_PROVIDER,
}
_O1_IMAGE = {
    "prompt": _PROMPT_2500,
    "image_url": _NEEDED_PICTURE,
    "last_image_url": _PICTURE,
    "duration": _LENGTH_5,
    **_PROVIDER,
}
_V3_IMAGE = {
    "image_url": _NEEDED_PICTURE,
    "prompt": _TEXT,
    "multi_prompt": _SCENES,
    "tail_image_url": _PICTURE,
    "duration": _LENGTH_3_TO_15,
    "elements": _V3_ELEMENTS,
    "shot_type": _SHOT_TYPE,
    "generate_audio": _SOUND,
    **_STEERED,
    **_PROVIDER,
}
_OMNI_IMAGE = _V3_IMAGE | {"shot_type": _OMNI_SHOT_TYPE}
_TURBO_IMAGE = _TURBO | {"image_url": _NEEDED_FRAME}

_MULTI_IMAGE = {
    "image_list": _images(2, 4, required=True),
    "prompt": _TEXT,
    "aspect_ratio": _RATIO_WIDE,
    "duration": _LENGTH_5,
    "negative_prompt": _TEXT,
}
_EFFECT = {
    "image_url": Field(OneOf((_IMAGE, ListOf(_IMAGE))), required=True),
    "effect_scene": _SCENE,
    "duration": _LENGTH_5,
}
_AVATAR = {
    "image_url": _NEEDED_PICTURE,
    "audio_url": Field(Url(FileType.AUDIO, loose=True), required=True),  # published as any string
    "prompt": _SPOKEN,
    **_PROVIDER,
}
_MOTION = {
    "image_url": _NEEDED_PICTURE,
    "video_url": _NEEDED_VIDEO,
    "prompt": _TEXT,
    "character_orientation": Field(Text(("image", "video")), default="video"),
    "keep_audio": _KEEP_AUDIO,
    "mode": Field(Text(("std", "pro")), default="std"),
}
_REFERENCE = {
    "prompt": _PROMPT_2500,
    "image_list": _images(1, 7),
    "elements": _O1_ELEMENTS,
    "aspect_ratio": _RATIO_WIDE,
    "duration": _LENGTH_5,
    **_PROVIDER,
}
_EDIT = {
    "prompt": _PROMPT_2500,
    "video_url": _NEEDED_VIDEO,
    "image_list": _images(1, 7),
    "elements": _O1_ELEMENTS,
    "keep_audio": _DROP_AUDIO,
    **_PROVIDER,
}
_VIDEO_REFERENCE = _EDIT | {"image_list": _images(1, 4), "aspect_ratio": _RATIO_WIDE, "duration": _LENGTH_5}

# The models. Seconds are those of the vendor's published sample runs; "as" names the nearest relative of a model that
# has none: the next version of the same tier, v3's tier of the same resolution, and for turbo the other turbo.

_BOTH = (UNIVERSAL, LEGACY)
_SCRIPTED = (PromptOrScenes(required=True),)
_MAYBE_SCRIPTED = (PromptOrScenes(required=False),)  # the image tells a story, too
_CAST = (ImagesForScene(),)
_TEXT_KIND, _IMAGE_KIND = Kind.TEXT_TO_VIDEO, Kind.IMAGE_TO_VIDEO

MODELS: Final = (
    Model("kling-video/v1/standard/text-to-video", _TEXT_KIND, _CLASSIC_TEXT, 300, endpoints=_BOTH),
    Model("kling-video/v1/standard/image-to-video", _IMAGE_KIND, _CLASSIC_IMAGE, 240, endpoints=_BOTH),
    Model("kling-video/v1/pro/text-to-video", _TEXT_KIND, _CLASSIC_TEXT, 225, endpoints=_BOTH),
    Model("kling-video/v1/pro/image-to-video", _IMAGE_KIND, _CLASSIC_IMAGE, 195, endpoints=_BOTH),
    Model("kling-video/v1.5/standard/image-to-video", _IMAGE_KIND, _CLASSIC_IMAGE, 120, endpoints=_BOTH),  # as v1.6
    Model("kling-video/v1.5/pro/text-to-video", _TEXT_KIND, _CLASSIC_TEXT, 450),  # as v1.6
    Model("kling-video/v1.5/pro/image-to-video", _IMAGE_KIND, _CLASSIC_IMAGE, 180),  # as v1.6
    Model("kling-video/v1.6/standard/text-to-video", _TEXT_KIND, _PLAIN_TEXT, 195, endpoints=_BOTH),
    Model("kling-video/v1.6/standard/image-to-video", _IMAGE_KIND, _PLAIN_IMAGE, 120, endpoints=_BOTH),
    Model("kling-video/v1.6/standard/multi-image-to-video", Kind.MULTI_IMAGE_TO_VIDEO, _MULTI_IMAGE, 120),
    Model("klingai/kling-video-v1.6-standard-effects", Kind.EFFECT, _EFFECT, 100, rules=_CAST),
    Model("kling-video/v1.6/pro/text-to-video", _TEXT_KIND, _CLASSIC_TEXT, 450),
    Model("kling-video/v1.6/pro/image-to-video", _IMAGE_KIND, _CLASSIC_IMAGE, 180, endpoints=_BOTH),
    Model("klingai/kling-video-v1.6-pro-effects", Kind.EFFECT, _EFFECT, 120, rules=_CAST),
    Model("klingai/v2-master-text-to-video", _TEXT_KIND, _MASTER_TEXT, 300, _MASTER_TEN),
    Model("klingai/v2-master-image-to-video", _IMAGE_KIND, _MASTER_IMAGE, 290, _MASTER_TEN),
    Model("kling-video/v2.1/standard/image-to-video", _IMAGE_KIND, _MASKED_IMAGE, 170, endpoints=_BOTH),
    Model("kling-video/v2.1/pro/image-to-video", _IMAGE_KIND, _MASKED_IMAGE, 160),
    Model("klingai/v2.1-master-text-to-video", _TEXT_KIND, _MASTER_TEXT, 220, _MASTER_TEN),
    Model("klingai/v2.1-master-image-to-video", _IMAGE_KIND, _MASTER_IMAGE, 170, _MASTER_TEN),
    Model("klingai/v2.5-turbo/pro/text-to-video", _TEXT_KIND, _PLAIN_TEXT, 160),
    Model("klingai/v2.5-turbo/pro/image-to-video", _IMAGE_KIND, _PLAIN_IMAGE, 130),
    Model("klingai/video-v2-6-pro-text-to-video", _TEXT_KIND, _V26_TEXT, 150),
    Model("klingai/video-v2-6-pro-image-to-video", _IMAGE_KIND, _V26_IMAGE, 105),
    Model("klingai/video-v2-6-motion-control", Kind.MOTION_CONTROL, _MOTION, 375),
    Model("klingai/video-v3-standard-text-to-video", _TEXT_KIND, _V3_TEXT, 420, rules=_SCRIPTED),
    Model("klingai/video-v3-standard-image-to-video", _IMAGE_KIND, _V3_IMAGE, 225, rules=_MAYBE_SCRIPTED),
    Model("klingai/video-v3-pro-text-to-video", _TEXT_KIND, _V3_TEXT, 375, rules=_SCRIPTED),
    Model("klingai/video-v3-pro-image-to-video", _IMAGE_KIND, _V3_IMAGE, 390, rules=_MAYBE_SCRIPTED),
    Model(
        "klingai/video-v3-standard-turbo-text-to-video", _TEXT_KIND, _TURBO_TEXT, 160, rules=_SCRIPTED
    ),  # as v2.5-turbo
    Model(
        "klingai/video-v3-standard-turbo-image-to-video", _IMAGE_KIND, _TURBO_IMAGE, 130, rules=_MAYBE_SCRIPTED
    ),  # as v2.5-turbo
    Model("klingai/video-v3-turbo-pro-text-to-video", _TEXT_KIND, _TURBO_TEXT, 160, rules=_SCRIPTED),  # as v2.5-turbo
    Model(
        "klingai/video-v3-turbo-pro-image-to-video", _IMAGE_KIND, _TURBO_IMAGE, 130, rules=_MAYBE_SCRIPTED
    ),  # as v2.5-turbo
    Model("klingai/video-v3-omni-720p-text-to-video", _TEXT_KIND, _OMNI_TEXT, 420, rules=_SCRIPTED),  # as v3 standard
    Model(
        "klingai/video-v3-omni-720p-image-to-video", _IMAGE_KIND, _OMNI_IMAGE, 225, rules=_MAYBE_SCRIPTED
    ),  # as v3 standard
    Model("klingai/video-v3-omni-1080p-text-to-video", _TEXT_KIND, _OMNI_TEXT, 375, rules=_SCRIPTED),  # as v3 pro
    Model(
        "klingai/video-v3-omni-1080p-image-to-video", _IMAGE_KIND, _OMNI_IMAGE, 390, rules=_MAYBE_SCRIPTED
    ),  # as v3 pro
    Model("klingai/video-v3-motion-control", Kind.MOTION_CONTROL, _MOTION, 45),
    Model("klingai/video-o1-image-to-video", _IMAGE_KIND, _O1_IMAGE, 75),
    Model("klingai/video-o1-reference-to-video", Kind.REFERENCE_TO_VIDEO, _REFERENCE, 165),
    Model("klingai/video-o1-video-to-video-edit", Kind.VIDEO_EDIT, _EDIT, 225),
    Model("klingai/video-o1-video-to-video-reference", Kind.VIDEO_REFERENCE, _VIDEO_REFERENCE, 195),
    Model("klingai/avatar-standard", Kind.AVATAR, _AVATAR, 210),
    Model("klingai/avatar-pro", Kind.AVATAR, _AVATAR, 90),
)
