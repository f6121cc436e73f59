"""Videos from words."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kling_async.api.model import Kind
from kling_async.api.plain import read_whole
from kling_async.api.requests.base import Request
from kling_async.api.values import AdvancedCameraControl, Shot, read_movement, read_shots

__all__ = ["TextToVideo"]


@frozen(repr=False, unsafe_hash=False)
class TextToVideo(Request):
    """A video from words ("Video Models: Kling AI", the text-to-video pages).

    Attributes:
        prompt: What to show; at most 2500 characters on v2.6, 3072 on v3 turbo. Required, except where
            ``multi_prompt`` takes its place.
        model: Any text-to-video model; by default v2.1 master.
        aspect_ratio: ``16:9`` (the vendor's default), ``9:16`` or ``1:1``.
        duration: Length in seconds: 5 or 10, on v3 models 3 to 15. The string "5" is taken for 5.
        negative_prompt: What not to show.
        cfg_scale: How closely to follow the prompt, from 0 to 1.
        camera_control: A preset: ``down_back``, ``forward_up``, ``right_turn_forward`` or ``left_turn_forward``; v1
            to v2.1.
        advanced_camera_control: One movement of the camera instead; a mapping of its fields is taken, too.
        generate_audio: Whether the video has sound; v2.6 and v3 only (not turbo), where the vendor's default is
            yes.
        shot_type: ``customize`` (the vendor's default) or ``intelligent``, of omni models also ``intelligence``; v3
            only.
        multi_prompt: Several scenes instead of one prompt: texts on v3, 1 to 6 `Shot` values on v3 turbo.
    """

    kind: ClassVar[Kind | None] = Kind.TEXT_TO_VIDEO

    prompt: str | None = None
    model: str = field(default="klingai/v2.1-master-text-to-video", kw_only=True)
    aspect_ratio: str | None = field(default=None, kw_only=True)
    duration: int | None = field(default=None, kw_only=True, converter=read_whole)
    negative_prompt: str | None = field(default=None, kw_only=True)
    cfg_scale: float | None = field(default=None, kw_only=True)
    camera_control: str | None = field(default=None, kw_only=True)
    advanced_camera_control: AdvancedCameraControl | None = field(default=None, kw_only=True, converter=read_movement)
    generate_audio: bool | None = field(default=None, kw_only=True)
    shot_type: str | None = field(default=None, kw_only=True)
    multi_prompt: tuple[str | Shot, ...] | None = field(default=None, kw_only=True, converter=read_shots)
