"""The nine classes of requests, one for each kind of model, and the objects in them, by the vendor's names of fields.

A field that is None is not sent: the vendor's own default holds. A request's ``check`` tells what its model refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from attrs import field, frozen

from kling_async.api.catalogue import names
from kling_async.api.catalogue.model import Kind
from kling_async.api.media import Media
from kling_async.api.requests.base import Request
from kling_async.api.requests.serialize import ShortRepr, read_items, read_value, read_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@frozen(repr=False)
class AdvancedCameraControl(ShortRepr):
    """One camera movement, for text-to-video models.

    Attributes:
        movement_type: ``horizontal``, ``vertical``, ``pan``, ``tilt``, ``roll`` or ``zoom``.
        movement_value: How far, and by its sign which way: a whole number from -10 to 10.
    """

    movement_type: str | None = None
    movement_value: int | None = field(default=None, converter=read_whole)


@frozen(repr=False)
class CameraConfig(ShortRepr):
    """The movement of a ``simple`` camera: each from -10 to 10, the sign says which way."""

    horizontal: float | None = None
    vertical: float | None = None
    pan: float | None = None
    tilt: float | None = None
    roll: float | None = None
    zoom: float | None = None


def _config(value: CameraConfig | Mapping[str, Any] | None) -> CameraConfig | None:
    return read_value(CameraConfig, value)


@frozen(repr=False)
class CameraControl(ShortRepr):
    """A camera, for image-to-video models.

    Attributes:
        type: ``simple``, which moves as ``config`` says, or one of the presets ``down_back``, ``forward_up``,
            ``right_turn_forward`` and ``left_turn_forward``.
        config: How a ``simple`` camera moves; a mapping of its field names is taken, too.
    """

    type: str | None = None
    config: CameraConfig | None = field(default=None, converter=_config)


@frozen(repr=False)
class Point(ShortRepr):
    """A pixel of the input image, in a mask's path.

    Attributes:
        x: Its column, a whole number.
        y: Its row, a whole number.
    """

    x: int | None = field(default=None, converter=read_whole)
    y: int | None = field(default=None, converter=read_whole)


def _points(values: Sequence[Point | Mapping[str, Any]] | None) -> tuple[Point, ...] | None:
    return read_items(Point, values)


@frozen(repr=False)
class DynamicMask(ShortRepr):
    """A part of the input image that moves along a path.

    Attributes:
        mask: The image that shades the part. Required.
        trajectories: The path, of 2 to 77 points. Required; mappings with ``x`` and ``y`` are taken, too.
    """

    mask: Media | None = None
    trajectories: tuple[Point, ...] | None = field(default=None, converter=_points)


def _media(values: Sequence[Media] | None) -> tuple[Media, ...] | None:
    return tuple(values) if isinstance(values, list | tuple) else cast("tuple[Media, ...] | None", values)


@frozen(repr=False)
class Element(ShortRepr):
    """A person, animal or thing to appear in the video.

    Attributes:
        reference_image_urls: 1 to 4 images of it. Required.
        frontal_image_url: An image of its front; o1 models require it.
        video_url: A video of it, on v3.
    """

    reference_image_urls: tuple[Media, ...] | None = field(default=None, converter=_media)
    frontal_image_url: Media | None = None
    video_url: Media | None = None


@frozen(repr=False)
class Shot(ShortRepr):
    """One scene of several, for the v3 turbo models.

    Attributes:
        prompt: What it shows; at most 3072 characters. Required.
        duration: Its length, 1 to 15 seconds; the vendor takes 5 for None.
    """

    prompt: str | None = None
    duration: int | None = field(default=None, converter=read_whole)


# Converters of attrs: mappings of field names become objects, lists become tuples, and all else stays as it is.
def _shots(values: Sequence[str | Shot | Mapping[str, Any]] | None) -> tuple[str | Shot, ...] | None:
    return read_items(Shot, values)


def _elements(values: Sequence[Element | Mapping[str, Any]] | None) -> tuple[Element, ...] | None:
    return read_items(Element, values)


def _masks(values: Sequence[DynamicMask | Mapping[str, Any]] | None) -> tuple[DynamicMask, ...] | None:
    return read_items(DynamicMask, values)


def _camera(value: CameraControl | Mapping[str, Any] | None) -> CameraControl | None:
    return read_value(CameraControl, value)


def _movement(value: AdvancedCameraControl | Mapping[str, Any] | None) -> AdvancedCameraControl | None:
    return read_value(AdvancedCameraControl, value)


def _images(value: Media | Sequence[Media] | None) -> Media | tuple[Media, ...] | None:
    return tuple(value) if isinstance(value, list | tuple) else cast("Media | None", value)


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class TextToVideo(Request):
    """A video from words ("Video Models: Kling AI", the text-to-video pages).

    Attributes:
        prompt: What to show; at most 2500 characters on v2.6, 3072 on v3 turbo. Required without ``multi_prompt``.
        model: Any text-to-video model; by default v2.1 master.
        aspect_ratio: ``16:9`` (the vendor's default), ``9:16`` or ``1:1``.
        duration: Length in seconds: 5 or 10, on v3 models 3 to 15. The string "5" is taken for 5.
        negative_prompt: What not to show.
        cfg_scale: How closely to follow the prompt, from 0 to 1.
        camera_control: ``down_back``, ``forward_up``, ``right_turn_forward`` or ``left_turn_forward``; v1 to v2.1.
        advanced_camera_control: One movement of the camera instead; a mapping of its fields is taken, too.
        generate_audio: Whether the video has sound, by the vendor's default yes; v2.6 and v3 only (not turbo).
        shot_type: v3 only: ``customize`` (the vendor's default), ``intelligent``, of omni models also ``intelligence``.
        multi_prompt: Several scenes instead of one prompt: texts on v3, 1 to 6 `Shot` values on v3 turbo.
    """

    kind: ClassVar[Kind | None] = Kind.TEXT_TO_VIDEO

    prompt: str | None = field(default=None, kw_only=False)
    model: names.TextToVideoModel | str = "klingai/v2.1-master-text-to-video"
    aspect_ratio: names.AspectRatio | str | None = None
    duration: int | None = field(default=None, converter=read_whole)
    negative_prompt: str | None = None
    cfg_scale: float | None = None
    camera_control: str | None = None
    advanced_camera_control: AdvancedCameraControl | None = field(default=None, converter=_movement)
    generate_audio: bool | None = None
    shot_type: str | None = None
    multi_prompt: tuple[str | Shot, ...] | None = field(default=None, converter=_shots)


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class ImageToVideo(Request):
    """A video that begins with an image ("Video Models: Kling AI", the image-to-video pages).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes; the image sets the shape.

    Attributes:
        image_url: The first frame. Required.
        prompt: What happens; v1.6 standard, v2.5 turbo, v2.6 and o1 require it, the last two up to 2500 characters.
        model: Any image-to-video model; by default v2.1 master.
        duration: Length in seconds: 5 or 10, on v3 models 3 to 15. The string "5" is taken for 5.
        negative_prompt: What not to show.
        cfg_scale: How closely to follow the prompt, from 0 to 1.
        tail_image_url: The last frame, on v1, v1.5, v1.6 pro and v3.
        last_image_url: The last frame, on o1.
        static_mask: An image that shades what must not move; v1 to v2.1.
        dynamic_masks: Up to 6 parts that move along paths; mappings of their fields are taken, too; v1 to v2.1.
        camera_control: How the camera moves; a mapping of its fields is taken, too; v1 to v2.1.
        elements: Up to 4 persons, animals or things to appear, on v3; mappings of their fields are taken, too.
        generate_audio: Whether the video has sound, by the vendor's default yes; v2.6 and v3 only (not turbo).
        shot_type: v3 only: ``customize`` (the vendor's default), ``intelligent``, of omni models also ``intelligence``.
        multi_prompt: Several scenes instead of one prompt: texts on v3, 1 to 6 `Shot` values on v3 turbo.
    """

    kind: ClassVar[Kind | None] = Kind.IMAGE_TO_VIDEO

    image_url: Media | None = field(default=None, kw_only=False)
    prompt: str | None = None
    model: names.ImageToVideoModel | str = "klingai/v2.1-master-image-to-video"
    duration: int | None = field(default=None, converter=read_whole)
    negative_prompt: str | None = None
    cfg_scale: float | None = None
    tail_image_url: Media | None = None
    last_image_url: Media | None = None
    static_mask: Media | None = None
    dynamic_masks: tuple[DynamicMask, ...] | None = field(default=None, converter=_masks)
    camera_control: CameraControl | None = field(default=None, converter=_camera)
    elements: tuple[Element, ...] | None = field(default=None, converter=_elements)
    generate_audio: bool | None = None
    shot_type: str | None = None
    multi_prompt: tuple[str | Shot, ...] | None = field(default=None, converter=_shots)


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class MultiImageToVideo(Request):
    """A video in which several images come together ("v1.6-standard/multi-image-to-video").

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        image_list: 2 to 4 images. Required.
        prompt: What happens.
        model: By default v1.6 standard, the only one there is.
        aspect_ratio: ``16:9`` (the vendor's default), ``9:16`` or ``1:1``.
        duration: Length in seconds: 5 or 10; the vendor takes 5 for None. The string "5" is taken for 5.
        negative_prompt: What not to show.
    """

    kind: ClassVar[Kind | None] = Kind.MULTI_IMAGE_TO_VIDEO

    image_list: tuple[Media, ...] | None = field(default=None, converter=_media, kw_only=False)
    prompt: str | None = None
    model: names.MultiImageToVideoModel | str = "kling-video/v1.6/standard/multi-image-to-video"
    aspect_ratio: names.AspectRatio | str | None = None
    duration: int | None = field(default=None, converter=read_whole)
    negative_prompt: str | None = None


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class Effect(Request):
    """A ready-made effect played on the persons in one image or two ("v1.6-standard/effects", "v1.6-pro/effects").

    Images are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        image_url: The image, or a list of two, left and right. ``hug``, ``kiss`` and ``heart_gesture`` need two,
            ``squish`` and ``expansion`` one. Required.
        effect_scene: Which effect: one of 80, such as ``hug``; a refusal lists them all. Required.
        model: Either effects model; by default v1.6 standard.
        duration: Length in seconds: 5 or 10; the vendor takes 5 for None. The string "5" is taken for 5.
    """

    kind: ClassVar[Kind | None] = Kind.EFFECT

    image_url: Media | tuple[Media, ...] | None = field(default=None, converter=_images, kw_only=False)
    effect_scene: str | None = field(default=None, kw_only=False)
    model: names.EffectModel | str = "klingai/kling-video-v1.6-standard-effects"
    duration: int | None = field(default=None, converter=read_whole)


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class Avatar(Request):
    """A face that speaks or sings what is heard ("Video Models: Kling AI", the avatar pages).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes; the sound sets the length.

    Attributes:
        image_url: The face. Required.
        audio_url: The speech or song. Required.
        prompt: The manner of speaking; at most 2500 characters.
        model: Either avatar model; by default the standard one.
    """

    kind: ClassVar[Kind | None] = Kind.AVATAR

    image_url: Media | None = field(default=None, kw_only=False)
    audio_url: Media | None = field(default=None, kw_only=False)
    prompt: str | None = None
    model: names.AvatarModel | str = "klingai/avatar-standard"


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class MotionControl(Request):
    """A figure from an image that moves as one in a video does ("Video Models: Kling AI", the motion-control pages).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        image_url: The figure. Required.
        video_url: The movements. Required.
        prompt: What else there is to see.
        model: Either motion-control model; by default v3.
        character_orientation: The figure faces as in the ``image`` or as in the ``video`` (the vendor's default).
        keep_audio: Whether the video keeps the sound of ``video_url``; the vendor's default is yes.
        mode: ``std`` (the vendor's default) or ``pro``.
    """

    kind: ClassVar[Kind | None] = Kind.MOTION_CONTROL

    image_url: Media | None = field(default=None, kw_only=False)
    video_url: Media | None = field(default=None, kw_only=False)
    prompt: str | None = None
    model: names.MotionControlModel | str = "klingai/video-v3-motion-control"
    character_orientation: str | None = None
    keep_audio: bool | None = None
    mode: str | None = None


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class ReferenceToVideo(Request):
    """A video from words, with the looks of images ("Video Models: Kling AI", the o1 reference-to-video page).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        prompt: What to show. At most 2500 characters. Required.
        model: By default o1, the only one there is.
        image_list: 1 to 7 images to refer to.
        elements: Up to 4 persons, animals or things to appear, each with a frontal image; or mappings of their fields.
        aspect_ratio: ``16:9`` (the vendor's default), ``9:16`` or ``1:1``.
        duration: Length in seconds: 5 or 10; the vendor takes 5 for None. The string "5" is taken for 5.
    """

    kind: ClassVar[Kind | None] = Kind.REFERENCE_TO_VIDEO

    prompt: str | None = field(default=None, kw_only=False)
    model: names.ReferenceToVideoModel | str = "klingai/video-o1-reference-to-video"
    image_list: tuple[Media, ...] | None = field(default=None, converter=_media)
    elements: tuple[Element, ...] | None = field(default=None, converter=_elements)
    aspect_ratio: names.AspectRatio | str | None = None
    duration: int | None = field(default=None, converter=read_whole)


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class VideoEdit(Request):
    """A video changed as words say ("Video Models: Kling AI", the o1 video edit page).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        prompt: What to change. At most 2500 characters. Required.
        video_url: The video to change. Required.
        model: By default o1, the only one there is.
        image_list: 1 to 7 further images to refer to.
        elements: Up to 4 persons, animals or things to appear, each with a frontal image; or mappings of their fields.
        keep_audio: Whether the video keeps the sound of the one it is made from; the vendor's default is no.
    """

    kind: ClassVar[Kind | None] = Kind.VIDEO_EDIT

    prompt: str | None = field(default=None, kw_only=False)
    video_url: Media | None = field(default=None, kw_only=False)
    model: names.VideoEditModel | str = "klingai/video-o1-video-to-video-edit"
    image_list: tuple[Media, ...] | None = field(default=None, converter=_media)
    elements: tuple[Element, ...] | None = field(default=None, converter=_elements)
    keep_audio: bool | None = None


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class VideoReference(Request):
    """A new video from words, in the manner of another ("Video Models: Kling AI", the o1 video reference page).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        prompt: What to show. At most 2500 characters. Required.
        video_url: The video to refer to. Required.
        model: By default o1, the only one there is.
        image_list: 1 to 4 further images to refer to.
        elements: Up to 4 persons, animals or things to appear, each with a frontal image; or mappings of their fields.
        aspect_ratio: ``16:9`` (the vendor's default), ``9:16`` or ``1:1``.
        duration: Length in seconds: 5 or 10; the vendor takes 5 for None. The string "5" is taken for 5.
        keep_audio: Whether the video keeps the sound of the one it is made from; the vendor's default is no.
    """

    kind: ClassVar[Kind | None] = Kind.VIDEO_REFERENCE

    prompt: str | None = field(default=None, kw_only=False)
    video_url: Media | None = field(default=None, kw_only=False)
    model: names.VideoReferenceModel | str = "klingai/video-o1-video-to-video-reference"
    image_list: tuple[Media, ...] | None = field(default=None, converter=_media)
    elements: tuple[Element, ...] | None = field(default=None, converter=_elements)
    aspect_ratio: names.AspectRatio | str | None = None
    duration: int | None = field(default=None, converter=read_whole)
    keep_audio: bool | None = None
