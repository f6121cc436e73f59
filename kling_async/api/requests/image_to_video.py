"""Videos that begin with an image."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kling_async.api.media import Media  # noqa: TC001 - the codec reads the annotations
from kling_async.api.model import Kind
from kling_async.api.plain import read_whole
from kling_async.api.requests.base import Request
from kling_async.api.values import (
    CameraControl,
    DynamicMask,
    Element,
    Shot,
    read_camera,
    read_elements,
    read_masks,
    read_shots,
)

__all__ = ["ImageToVideo"]


@frozen(repr=False, unsafe_hash=False)
class ImageToVideo(Request):
    """A video that begins with an image ("Video Models: Kling AI", the image-to-video pages).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes. Its shape is the image's: no
    ``aspect_ratio`` is taken.

    Attributes:
        image_url: The first frame. Required.
        prompt: What happens; v1.6 standard, v2.5 turbo, v2.6 and o1 require it, and the last two take 2500
            characters.
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
        generate_audio: Whether the video has sound; v2.6 and v3 only (not turbo), where the vendor's default is
            yes.
        shot_type: ``customize`` (the vendor's default) or ``intelligent``, of omni models also ``intelligence``; v3
            only.
        multi_prompt: Several scenes instead of one prompt: texts on v3, 1 to 6 `Shot` values on v3 turbo.
    """

    kind: ClassVar[Kind | None] = Kind.IMAGE_TO_VIDEO

    image_url: Media | None = None
    prompt: str | None = field(default=None, kw_only=True)
    model: str = field(default="klingai/v2.1-master-image-to-video", kw_only=True)
    duration: int | None = field(default=None, kw_only=True, converter=read_whole)
    negative_prompt: str | None = field(default=None, kw_only=True)
    cfg_scale: float | None = field(default=None, kw_only=True)
    tail_image_url: Media | None = field(default=None, kw_only=True)
    last_image_url: Media | None = field(default=None, kw_only=True)
    static_mask: Media | None = field(default=None, kw_only=True)
    dynamic_masks: tuple[DynamicMask, ...] | None = field(default=None, kw_only=True, converter=read_masks)
    camera_control: CameraControl | None = field(default=None, kw_only=True, converter=read_camera)
    elements: tuple[Element, ...] | None = field(default=None, kw_only=True, converter=read_elements)
    generate_audio: bool | None = field(default=None, kw_only=True)
    shot_type: str | None = field(default=None, kw_only=True)
    multi_prompt: tuple[str | Shot, ...] | None = field(default=None, kw_only=True, converter=read_shots)
