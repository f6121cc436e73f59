"""The parts of requests that are objects: cameras, masks, elements, shots, by the vendor's field names.

They can be made with anything in them: a request's ``check`` judges them. A field that is None is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from attrs import field, frozen

from kling_async.api.media import Media
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


def read_media(values: Sequence[Media] | None) -> tuple[Media, ...] | None:
    """Return a list of media as a tuple; anything else as it is."""
    return tuple(values) if isinstance(values, list | tuple) else cast("tuple[Media, ...] | None", values)


@frozen(repr=False)
class Element(ShortRepr):
    """A person, animal or thing to appear in the video.

    Attributes:
        reference_image_urls: 1 to 4 images of it. Required.
        frontal_image_url: An image of its front; o1 models require it.
        video_url: A video of it, on v3.
    """

    reference_image_urls: tuple[Media, ...] | None = field(default=None, converter=read_media)
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


# Converters of attrs: mappings of field names become objects, lists become tuples.


def read_shots(values: Sequence[str | Shot | Mapping[str, Any]] | None) -> tuple[str | Shot, ...] | None:
    """Return scenes as texts and ``Shot`` values."""
    return read_items(Shot, values)


def read_elements(values: Sequence[Element | Mapping[str, Any]] | None) -> tuple[Element, ...] | None:
    """Return elements as ``Element`` values."""
    return read_items(Element, values)


def read_masks(values: Sequence[DynamicMask | Mapping[str, Any]] | None) -> tuple[DynamicMask, ...] | None:
    """Return masks as ``DynamicMask`` values."""
    return read_items(DynamicMask, values)


def read_camera(value: CameraControl | Mapping[str, Any] | None) -> CameraControl | None:
    """Return a camera as a ``CameraControl``."""
    return read_value(CameraControl, value)


def read_movement(value: AdvancedCameraControl | Mapping[str, Any] | None) -> AdvancedCameraControl | None:
    """Return a movement as an ``AdvancedCameraControl``."""
    return read_value(AdvancedCameraControl, value)
