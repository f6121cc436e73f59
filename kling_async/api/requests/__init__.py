"""Requests for videos: one class for each kind of model, loaded when the first of them is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kling_async.api.catalogue.model import Kind
from kling_async.api.requests.base import Request as Request  # noqa: TC001 - re-exported

if TYPE_CHECKING:
    from kling_async.api.requests.types import (
        Avatar as Avatar,
        Effect as Effect,
        ImageToVideo as ImageToVideo,
        MotionControl as MotionControl,
        MultiImageToVideo as MultiImageToVideo,
        ReferenceToVideo as ReferenceToVideo,
        TextToVideo as TextToVideo,
        VideoEdit as VideoEdit,
        VideoReference as VideoReference,
    )

_KINDS = {kind.value.title().replace("-", ""): kind for kind in Kind}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def request_class(kind: Kind) -> type[Request]:
    """Return the class of the requests of a kind."""
    found: type[Request] = getattr(import_module(f"{__name__}.types"), _NAMES[kind])
    return found


if not TYPE_CHECKING:  # a type checker would take any name for defined

    def __getattr__(name: str) -> type[Request]:
        if name not in _KINDS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = request_class(_KINDS[name])
        return found
