"""Figures that move as in another video."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kling_async.api.media import Media  # noqa: TC001 - the codec reads the annotations
from kling_async.api.model import Kind
from kling_async.api.requests.base import Request

__all__ = ["MotionControl"]


@frozen(repr=False, unsafe_hash=False)
class MotionControl(Request):
    """A figure from an image that moves as one in a video does ("Video Models: Kling AI", the motion-control pages).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        image_url: Who moves. Required.
        video_url: The movements. Required.
        prompt: What else there is to see.
        model: Either motion-control model; by default v3.
        character_orientation: Which way the figure faces: as in the ``image`` or as in the ``video`` (the vendor's
            default).
        keep_audio: Whether the video keeps the sound of ``video_url``; the vendor's default is yes.
        mode: ``std`` (the vendor's default) or ``pro``.
    """

    kind: ClassVar[Kind | None] = Kind.MOTION_CONTROL

    image_url: Media | None = None
    video_url: Media | None = None
    prompt: str | None = field(default=None, kw_only=True)
    model: str = field(default="klingai/video-v3-motion-control", kw_only=True)
    character_orientation: str | None = field(default=None, kw_only=True)
    keep_audio: bool | None = field(default=None, kw_only=True)
    mode: str | None = field(default=None, kw_only=True)
