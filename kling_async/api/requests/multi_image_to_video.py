"""Videos from several images."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kling_async.api.media import Media  # noqa: TC001 - the codec reads the annotations
from kling_async.api.model import Kind
from kling_async.api.plain import read_whole
from kling_async.api.requests.base import Request
from kling_async.api.values import read_media

__all__ = ["MultiImageToVideo"]


@frozen(repr=False, unsafe_hash=False)
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

    image_list: tuple[Media, ...] | None = field(default=None, converter=read_media)
    prompt: str | None = field(default=None, kw_only=True)
    model: str = field(default="kling-video/v1.6/standard/multi-image-to-video", kw_only=True)
    aspect_ratio: str | None = field(default=None, kw_only=True)
    duration: int | None = field(default=None, kw_only=True, converter=read_whole)
    negative_prompt: str | None = field(default=None, kw_only=True)
