"""Ready-made effects."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - the codec reads the annotations
from typing import ClassVar, cast

from attrs import field, frozen

from kling_async.api.media import Media  # noqa: TC001 - the codec reads the annotations
from kling_async.api.model import Kind
from kling_async.api.plain import read_whole
from kling_async.api.requests.base import Request

__all__ = ["Effect"]


def _images(value: Media | Sequence[Media] | None) -> Media | tuple[Media, ...] | None:
    return tuple(value) if isinstance(value, list | tuple) else cast("Media | None", value)


@frozen(repr=False, unsafe_hash=False)
class Effect(Request):
    """A ready-made effect played on the persons in one image or two ("v1.6-standard/effects", "v1.6-pro/effects").

    Images are http(s) URLs, data URIs, files as a ``Path``, or their content as bytes.

    Attributes:
        image_url: The image, or a list of two, left and right. ``hug``, ``kiss`` and ``heart_gesture`` need two,
            ``squish`` and ``expansion`` one. Required.
        effect_scene: Which effect: one of 80, such as ``hug`` or ``magic_fireball``; a refusal lists them all.
            Required.
        model: Either effects model; by default v1.6 standard.
        duration: Length in seconds: 5 or 10; the vendor takes 5 for None. The string "5" is taken for 5.
    """

    kind: ClassVar[Kind | None] = Kind.EFFECT

    image_url: Media | tuple[Media, ...] | None = field(default=None, converter=_images)
    effect_scene: str | None = None
    model: str = field(default="klingai/kling-video-v1.6-standard-effects", kw_only=True)
    duration: int | None = field(default=None, kw_only=True, converter=read_whole)
