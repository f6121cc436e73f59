"""The data of the catalogue: every Kling model that the vendor offers on this API, and the fields each takes.

It is the vendor's own ("Video Models: Kling AI", one page a model), grouped by fields that models share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kling_async.api.catalogue.model import TEN, ImagesForScene, Kind, Model, PromptOrScenes
from kling_async.api.catalogue.spec import Field, Flag, Integer, ListOf, Number, Object, OneOf, Text, Url
from kling_async.api.file_types import FileType, Format
from kling_async.api.protocol import LEGACY, UNIVERSAL

if TYPE_CHECKING:
    from kling_async.api.catalogue.model import Rule

_RATIOS = Text(("16:9", "9:16", "1:1"))
_SHOT_TYPES = ("customize", "intelligent")
_MOVES = ("horizontal", "vertical", "pan", "tilt", "roll", "zoom")
_PRESETS = ("down_back", "forward_up", "right_turn_forward", "left_turn_forward")
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

_SECONDS_1_TO_15 = Integer(tuple(range(1, 16)))
_TIMED_SCENE = Object(
    {"prompt": Field(Text(longest=3072), required=True), "duration": Field(_SECONDS_1_TO_15, default=5)}
)
_ONE_MOVE = Object(
    {
        "movement_type": Field(Text(_MOVES), required=True),
        "movement_value": Field(Integer(least=-10, most=10), required=True),
    }
)
_CAMERA = Object(
    {"type": Field(Text(("simple", *_PRESETS))), "config": Field(Object(dict.fromkeys(_MOVES, Field(Number(-10, 10)))))}
)
_POINT = Object({"x": Field(Integer(), required=True), "y": Field(Integer(), required=True)})
_MASK = Object(
    {
        "mask": Field(Url(FileType.IMAGE, loose=True), required=True),  # published as any string
        "trajectories": Field(ListOf(_POINT, fewest=2, most=77), required=True),
    }
)

_IMAGE = Url(FileType.IMAGE)
_TURBO_FRAME = Url(  # "Kling 3.0 Standard Turbo Image to Video"
    FileType.IMAGE, formats=(Format.JPEG, Format.PNG), largest=50 * 2**20, shortest=300, steepest=2.5
)


def _elements(*, frontal: bool, video: bool) -> Field:
    references = Field(ListOf(_IMAGE, 1, 4), required=True)
    parts = {"reference_image_urls": references, "frontal_image_url": Field(_IMAGE, required=frontal)}
    return Field(ListOf(Object(parts | ({"video_url": Field(Url(FileType.VIDEO))} if video else {})), most=4))


_FIELDS = {
    "prompt": Field(Text()),
    "prompt.needed": Field(Text(blank=False), required=True),
    "prompt.2500": Field(Text(longest=2500, blank=False), required=True),
    "prompt.spoken": Field(Text(longest=2500)),
    "prompt.script": Field(Text(longest=3072)),
    "multi_prompt": Field(ListOf(Text())),
    "multi_prompt.timed": Field(ListOf(_TIMED_SCENE, fewest=1, most=6), nullable=True),
    "shot_type": Field(Text(_SHOT_TYPES), default="customize"),
    "shot_type.omni": Field(Text((*_SHOT_TYPES, "intelligence")), default="customize"),
    "negative_prompt": Field(Text()),
    "cfg_scale": Field(Number(0, 1)),
    "aspect_ratio": Field(_RATIOS),
    "aspect_ratio.wide": Field(_RATIOS, default="16:9"),
    "duration": Field(Integer((5, 10))),
    "duration.5": Field(Integer((5, 10)), default=5),
    "duration.3-15": Field(Integer(tuple(range(3, 16))), default=5),
    "generate_audio": Field(Flag(), default=True),
    "keep_audio.yes": Field(Flag(), default=True),
    "keep_audio.no": Field(Flag(), default=False),
    "camera_control.preset": Field(Text(_PRESETS)),
    "camera_control": Field(_CAMERA),
    "advanced_camera_control": Field(_ONE_MOVE),
    "image_url": Field(_IMAGE, required=True),
    "image_url.turbo": Field(_TURBO_FRAME, required=True),
    "image_url.some": Field(OneOf((_IMAGE, ListOf(_IMAGE))), required=True),
    "tail_image_url": Field(_IMAGE),
    "last_image_url": Field(_IMAGE),
    "static_mask": Field(_IMAGE),
    "dynamic_masks": Field(ListOf(_MASK, most=6)),
    "image_list.2-4": Field(ListOf(_IMAGE, 2, 4), required=True),
    "image_list.7": Field(ListOf(_IMAGE, 1, 7)),
    "image_list.4": Field(ListOf(_IMAGE, 1, 4)),
    "elements.o1": _elements(frontal=True, video=False),
    "elements.v3": _elements(frontal=False, video=True),
    "audio_url": Field(Url(FileType.AUDIO, loose=True), required=True),  # published as any string
    "video_url": Field(Url(FileType.VIDEO), required=True),
    "effect_scene": Field(Text(tuple(_SCENE_NAMES.split())), required=True),
    "character_orientation": Field(Text(("image", "video")), default="video"),
    "mode": Field(Text(("std", "pro")), default="std"),
    "provider": Field(Text()),
}
"""What fields take; where that differs between models, a word after the name tells which it is."""

_Family = tuple[Kind, dict[str, Field], "tuple[Rule, ...]"]


def _family(kind: Kind, takes: str, *rules: Rule) -> _Family:
    return kind, {word.partition(".")[0]: _FIELDS[word] for word in takes.split()}, rules


_SCRIPTED = PromptOrScenes(required=True)
_MAYBE_SCRIPTED = PromptOrScenes(required=False)  # the image tells a story, too
_STEERED = "negative_prompt cfg_scale"
_TURBO = "prompt.script multi_prompt.timed duration.3-15"

_TEXT = Kind.TEXT_TO_VIDEO
_CLASSIC = f"prompt.needed aspect_ratio.wide duration {_STEERED} camera_control.preset advanced_camera_control"
_CLASSIC_TEXT = _family(_TEXT, _CLASSIC)
_MASTER_TEXT = _family(_TEXT, f"{_CLASSIC} provider")
_PLAIN_TEXT = _family(_TEXT, f"prompt.needed duration.5 {_STEERED} aspect_ratio provider")
_V26_TEXT = _family(_TEXT, f"prompt.2500 aspect_ratio duration.5 {_STEERED} generate_audio provider")
_V3 = f"prompt multi_prompt aspect_ratio.wide duration.3-15 shot_type{{}} generate_audio {_STEERED} provider"
_V3_TEXT = _family(_TEXT, _V3.format(""), _SCRIPTED)
_OMNI_TEXT = _family(_TEXT, _V3.format(".omni"), _SCRIPTED)
_TURBO_TEXT = _family(_TEXT, f"{_TURBO} aspect_ratio.wide", _SCRIPTED)

_PICTURE = Kind.IMAGE_TO_VIDEO
_MASKED = f"image_url prompt duration.5 {_STEERED} static_mask dynamic_masks camera_control"
_MASKED_IMAGE = _family(_PICTURE, _MASKED)
_CLASSIC_IMAGE = _family(_PICTURE, f"{_MASKED} tail_image_url")
_MASTER_IMAGE = _family(_PICTURE, f"{_MASKED} provider")
_PLAIN_IMAGE = _family(_PICTURE, f"image_url prompt.needed duration.5 {_STEERED} provider")
_V26_IMAGE = _family(_PICTURE, "prompt.2500 image_url duration.5 negative_prompt generate_audio provider")
_O1_IMAGE = _family(_PICTURE, "prompt.2500 image_url last_image_url duration.5 provider")
_V3_PICTURE = (
    "image_url prompt multi_prompt tail_image_url duration.3-15 elements.v3 shot_type{} generate_audio"
    f" {_STEERED} provider"
)
_V3_IMAGE = _family(_PICTURE, _V3_PICTURE.format(""), _MAYBE_SCRIPTED)
_OMNI_IMAGE = _family(_PICTURE, _V3_PICTURE.format(".omni"), _MAYBE_SCRIPTED)
_TURBO_IMAGE = _family(_PICTURE, f"{_TURBO} image_url.turbo", _MAYBE_SCRIPTED)

_MULTI_IMAGE = _family(Kind.MULTI_IMAGE_TO_VIDEO, "image_list.2-4 prompt aspect_ratio.wide duration.5 negative_prompt")
_EFFECT = _family(Kind.EFFECT, "image_url.some effect_scene duration.5", ImagesForScene())
_AVATAR = _family(Kind.AVATAR, "image_url audio_url prompt.spoken provider")
_MOTION = _family(Kind.MOTION_CONTROL, "image_url video_url prompt character_orientation keep_audio.yes mode")
_REFERENCE = _family(
    Kind.REFERENCE_TO_VIDEO, "prompt.2500 image_list.7 elements.o1 aspect_ratio.wide duration.5 provider"
)
_EDIT = _family(Kind.VIDEO_EDIT, "prompt.2500 video_url image_list.7 elements.o1 keep_audio.no provider")
_VIDEO_REFERENCE = _family(
    Kind.VIDEO_REFERENCE,
    "prompt.2500 video_url image_list.4 elements.o1 keep_audio.no provider aspect_ratio.wide duration.5",
)

# The models. Seconds are those of the vendor's published sample runs; "as" names the nearest relative of a model that
# has none: the next version of the same tier, v3's tier of the same resolution, and for turbo the other turbo.

_MASTER_TEN: Final = 2.3  # a 10 s video of a master model ("Kling v2 Master": 5-6 min and 11-14 min)
_BOTH = (UNIVERSAL, LEGACY)


def _model(
    name: str, family: _Family, seconds: float, ten: float = TEN, endpoints: tuple[str, ...] = (UNIVERSAL,)
) -> Model:
    kind, fields, rules = family
    return Model(name, kind, fields, seconds, ten, endpoints, rules)


MODELS: Final = (
    _model("kling-video/v1/standard/text-to-video", _CLASSIC_TEXT, 300, endpoints=_BOTH),
    _model("kling-video/v1/standard/image-to-video", _CLASSIC_IMAGE, 240, endpoints=_BOTH),
    _model("kling-video/v1/pro/text-to-video", _CLASSIC_TEXT, 225, endpoints=_BOTH),
    _model("kling-video/v1/pro/image-to-video", _CLASSIC_IMAGE, 195, endpoints=_BOTH),
    _model("kling-video/v1.5/standard/image-to-video", _CLASSIC_IMAGE, 120, endpoints=_BOTH),  # as v1.6
    _model("kling-video/v1.5/pro/text-to-video", _CLASSIC_TEXT, 450),  # as v1.6
    _model("kling-video/v1.5/pro/image-to-video", _CLASSIC_IMAGE, 180),  # as v1.6
    _model("kling-video/v1.6/standard/text-to-video", _PLAIN_TEXT, 195, endpoints=_BOTH),
    _model("kling-video/v1.6/standard/image-to-video", _PLAIN_IMAGE, 120, endpoints=_BOTH),
    _model("kling-video/v1.6/standard/multi-image-to-video", _MULTI_IMAGE, 120),
    _model("klingai/kling-video-v1.6-standard-effects", _EFFECT, 100),
    _model("kling-video/v1.6/pro/text-to-video", _CLASSIC_TEXT, 450),
    _model("kling-video/v1.6/pro/image-to-video", _CLASSIC_IMAGE, 180, endpoints=_BOTH),
    _model("klingai/kling-video-v1.6-pro-effects", _EFFECT, 120),
    _model("klingai/v2-master-text-to-video", _MASTER_TEXT, 300, _MASTER_TEN),
    _model("klingai/v2-master-image-to-video", _MASTER_IMAGE, 290, _MASTER_TEN),
    _model("kling-video/v2.1/standard/image-to-video", _MASKED_IMAGE, 170, endpoints=_BOTH),
    _model("kling-video/v2.1/pro/image-to-video", _MASKED_IMAGE, 160),
    _model("klingai/v2.1-master-text-to-video", _MASTER_TEXT, 220, _MASTER_TEN),
    _model("klingai/v2.1-master-image-to-video", _MASTER_IMAGE, 170, _MASTER_TEN),
    _model("klingai/v2.5-turbo/pro/text-to-video", _PLAIN_TEXT, 160),
    _model("klingai/v2.5-turbo/pro/image-to-video", _PLAIN_IMAGE, 130),
    _model("klingai/video-v2-6-pro-text-to-video", _V26_TEXT, 150),
    _model("klingai/video-v2-6-pro-image-to-video", _V26_IMAGE, 105),
    _model("klingai/video-v2-6-motion-control", _MOTION, 375),
    _model("klingai/video-v3-standard-text-to-video", _V3_TEXT, 420),
    _model("klingai/video-v3-standard-image-to-video", _V3_IMAGE, 225),
    _model("klingai/video-v3-pro-text-to-video", _V3_TEXT, 375),
    _model("klingai/video-v3-pro-image-to-video", _V3_IMAGE, 390),
    _model("klingai/video-v3-standard-turbo-text-to-video", _TURBO_TEXT, 160),  # as v2.5-turbo
    _model("klingai/video-v3-standard-turbo-image-to-video", _TURBO_IMAGE, 130),  # as v2.5-turbo
    _model("klingai/video-v3-turbo-pro-text-to-video", _TURBO_TEXT, 160),  # as v2.5-turbo
    _model("klingai/video-v3-turbo-pro-image-to-video", _TURBO_IMAGE, 130),  # as v2.5-turbo
    _model("klingai/video-v3-omni-720p-text-to-video", _OMNI_TEXT, 420),  # as v3 standard
    _model("klingai/video-v3-omni-720p-image-to-video", _OMNI_IMAGE, 225),  # as v3 standard
    _model("klingai/video-v3-omni-1080p-text-to-video", _OMNI_TEXT, 375),  # as v3 pro
    _model("klingai/video-v3-omni-1080p-image-to-video", _OMNI_IMAGE, 390),  # as v3 pro
    _model("klingai/video-v3-motion-control", _MOTION, 45),
    _model("klingai/video-o1-image-to-video", _O1_IMAGE, 75),
    _model("klingai/video-o1-reference-to-video", _REFERENCE, 165),
    _model("klingai/video-o1-video-to-video-edit", _EDIT, 225),
    _model("klingai/video-o1-video-to-video-reference", _VIDEO_REFERENCE, 195),
    _model("klingai/avatar-standard", _AVATAR, 210),
    _model("klingai/avatar-pro", _AVATAR, 90),
)
