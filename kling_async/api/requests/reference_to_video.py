"""Videos from words that refer to images."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kling_async.api.media import Media  # noqa: TC001 - the codec reads the annotations
from kling_async.api.model import Kind
from kling_async.api.plain import read_whole
from kling_async.api.requests.base import Request
from kling_async.api.values import Element, read_elements, read_media

__all__ = ["ReferenceToVideo"]


@frozen(repr=False, unsafe_hash=False)
class ReferenceToVideo(Request):
    """A video from words, with the looks of images ("Video Models: Kling AI", the o1 reference-to-video page).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        prompt: What to show. At most 2500 characters. Required.
        model: By default o1, the only one there is.
        image_list: 1 to 7 images to refer to.
        elements: Up to 4 persons, animals or things to appear, each with a frontal image; mappings of their fields
            are taken, too.
        aspect_ratio: ``16:9`` (the vendor's default), ``9:16`` or ``1:1``.
        duration: Length in seconds: 5 or 10; the vendor takes 5 for None. The string "5" is taken for 5.
    """

    kind: ClassVar[Kind | None] = Kind.REFERENCE_TO_VIDEO

    prompt: str | None = None
    model: str = field(default="klingai/video-o1-reference-to-video", kw_only=True)
    image_list: tuple[Media, ...] | None = field(default=None, kw_only=True, converter=read_media)
    elements: tuple[Element, ...] | None = field(default=None, kw_only=True, converter=read_elements)
    aspect_ratio: str | None = field(default=None, kw_only=True)
    duration: int | None = field(default=None, kw_only=True, converter=read_whole)
