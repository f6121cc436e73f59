"""Videos edited by words."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kling_async.api.media import Media  # noqa: TC001 - the codec reads the annotations
from kling_async.api.model import Kind
from kling_async.api.requests.base import Request
from kling_async.api.values import Element, read_elements, read_media

__all__ = ["VideoEdit"]


@frozen(repr=False, unsafe_hash=False)
class VideoEdit(Request):
    """A video changed as words say ("Video Models: Kling AI", the o1 video edit page).

    Media are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        prompt: What to change. At most 2500 characters. Required.
        video_url: The video to change. Required.
        model: By default o1, the only one there is.
        image_list: 1 to 7 further images to refer to.
        elements: Up to 4 persons, animals or things to appear, each with a frontal image; mappings of their fields
            are taken, too.
        keep_audio: Whether the video keeps the sound of the one it is made from; the vendor's default is no.
    """

    kind: ClassVar[Kind | None] = Kind.VIDEO_EDIT

    prompt: str | None = None
    video_url: Media | None = None
    model: str = field(default="klingai/video-o1-video-to-video-edit", kw_only=True)
    image_list: tuple[Media, ...] | None = field(default=None, kw_only=True, converter=read_media)
    elements: tuple[Element, ...] | None = field(default=None, kw_only=True, converter=read_elements)
    keep_audio: bool | None = field(default=None, kw_only=True)
