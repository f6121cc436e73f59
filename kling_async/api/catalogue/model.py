"""A model, as the vendor describes it."""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from attrs import frozen

from kling_async.api.protocol import UNIVERSAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.catalogue.rules import Rule
    from kling_async.api.catalogue.spec import Field

Family = Literal["video", "turbo", "omni", "o1", "avatar"]
"""The lines of models: Kling's main one is ``video``."""
Tier = Literal["standard", "pro", "master", "720p", "1080p"]
"""The qualities that a line is offered in."""

TEN: Final = 2.0  # a 10 s video takes twice as long as a 5 s one ("Kling v2.1 Pro": 3-4 min and 6-8 min)
_VIDEO: Final = 5  # seconds of video that published timings are for

_VERSION = re.compile(r"\b(?:v(?P<number>\d+(?:[.-]\d)?)|o1)\b")
_WORDS = re.compile(r"[a-z0-9]+")
_LINES: tuple[Family, ...] = ("turbo", "omni", "o1", "avatar")
_TIERS: tuple[Tier, ...] = ("standard", "pro", "master", "720p", "1080p")


class Kind(Enum):
    """The kind of a model, by the input it makes its video from."""

    TEXT_TO_VIDEO = "text-to-video"
    IMAGE_TO_VIDEO = "image-to-video"
    MULTI_IMAGE_TO_VIDEO = "multi-image-to-video"
    EFFECT = "effect"
    AVATAR = "avatar"
    MOTION_CONTROL = "motion-control"
    REFERENCE_TO_VIDEO = "reference-to-video"
    VIDEO_EDIT = "video-edit"
    VIDEO_REFERENCE = "video-reference"


@frozen(repr=False)
class Model:
    """A model, as the vendor describes it.

    Attributes:
        id: The vendor's name for it.
        kind: Its kind, by the input it makes its video from.
        fields: The fields of a request's body besides ``model``.
        seconds: The usual time to make a 5-second video, in seconds.
        ten: The factor by which a 10-second video takes longer.
        endpoints: The paths it is listed for, the universal one first.
        rules: The rules between its fields.
    """

    id: str
    kind: Kind
    fields: Mapping[str, Field]
    seconds: float
    ten: float = TEN
    endpoints: tuple[str, ...] = (UNIVERSAL,)
    rules: tuple[Rule, ...] = ()

    @property
    def version(self) -> str | None:
        """The version in its id, such as ``v2.1`` or ``o1``; None where there is none, as with avatars."""
        found = _VERSION.search(self.id)
        if found is None:
            return None
        return found[0] if found["number"] is None else "v" + found["number"].replace("-", ".")

    @property
    def family(self) -> Family:
        """The line it belongs to."""
        words = _WORDS.findall(self.id)
        for line in _LINES:
            if line in words:
                return line
        return "video"

    @property
    def tier(self) -> Tier | None:
        """The quality in its id; None where there is none."""
        words = _WORDS.findall(self.id)
        return next((tier for tier in _TIERS if tier in words), None)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that must be given."""
        return tuple(name for name, part in self.fields.items() if part.required)

    def typical_seconds(self, duration: int | None = None) -> float:
        """Return how many seconds a video of this length (None: the vendor's default) usually takes to make."""
        return scale(self.seconds, self.ten, duration)

    def __str__(self) -> str:
        """Return the model in a line: id, kind, fields (required ones with an asterisk) and usual time."""
        fields = ", ".join(name + "*" * part.required for name, part in self.fields.items())
        return f"{self.id} ({self.kind.value}; {fields}; about {self.seconds:.0f} s for 5 s of video)"

    def __repr__(self) -> str:
        return f"<Model {self.id}>"


def scale(seconds: float, ten: float, duration: int | None) -> float:
    """Return how long a video of this length takes if 5 s take ``seconds`` and 10 s take ``ten`` times as long."""
    length = _VIDEO if duration is None else max(duration, 1)
    return seconds * math.pow(length / _VIDEO, math.log2(ten))
