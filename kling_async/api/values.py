"""What requests are made of besides text and numbers: cameras, masks, elements, shots, by the vendor's field names.

They can be made with anything in them: what a model takes is judged with the request they are in. A field that is None
is left out of the request's body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - the codec reads the annotations
from typing import Any

from attrs import field, frozen

from kling_async.api.plain import ShortRepr, read_items, read_value, read_whole

__all__ = ["AdvancedCameraControl", "CameraConfig", "CameraControl", "DynamicMask", "Element", "Point", "Shot"]


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
    """How a ``simple`` camera moves: each from -10 to 10, the sign says which way."""

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
    """A pixel of the input image."""

    x: int | None = field(default=None, converter=read_whole)
    y: int | None = field(default=None, converter=read_whole)


def _points(values: Sequence[Point | Mapping[str, Any]] | None) -> tuple[Point, ...] | None:
    return read_items(Point, values)


@frozen(repr=False)
class DynamicMask(ShortRepr):
    """A part of the input image that moves along a path.

    Attributes:
        mask: The image that shades the part.
        trajectories: The path, of 2 to 77 points; mappings with ``x`` and ``y`` are taken, too.
    """

    mask: str | None = None
    trajectories: tuple[Point, ...] | None = field(default=None, converter=_points)


def _texts(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return read_items(str, values)


@frozen(repr=False)
class Element(ShortRepr):
    """A person, animal or thing to appear in the video.

    Attributes:
        reference_image_urls: 1 to 4 images of it.
        frontal_image_url: An image of its front.
        video_url: A video of it, for the models that take one.
    """

    reference_image_urls: tuple[str, ...] | None = field(default=None, converter=_texts)
    frontal_image_url: str | None = None
    video_url: str | None = None


@frozen(repr=False)
class Shot(ShortRepr):
    """One scene of several, for the turbo models.

    Attributes:
        prompt: What it shows; at most 3072 characters.
        duration: Its length, 1 to 15 seconds; the vendor takes 5 for None.
    """

    prompt: str | None = None
    duration: int | None = field(default=None, converter=read_whole)
