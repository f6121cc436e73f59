"""Faces that speak."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kling_async.api.media import Media  # noqa: TC001 - the codec reads the annotations
from kling_async.api.model import Kind
from kling_async.api.requests.base import Request

__all__ = ["Avatar"]


@frozen(repr=False, unsafe_hash=False)
class Avatar(Request):
    """A face that speaks or sings what is heard ("Video Models: Kling AI", the avatar pages).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes. The video is as long as the
    sound.

    Attributes:
        image_url: Who speaks. Required.
        audio_url: What is said. Required.
        prompt: How it is said; at most 2500 characters.
        model: Either avatar model; by default the standard one.
    """

    kind: ClassVar[Kind | None] = Kind.AVATAR

    image_url: Media | None = None
    audio_url: Media | None = None
    prompt: str | None = field(default=None, kw_only=True)
    model: str = field(default="klingai/avatar-standard", kw_only=True)
