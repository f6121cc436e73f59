"""A model, as the vendor describes it, and the rules between several fields of its body."""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias, cast, get_args

from attrs import frozen

from kling_async.api.catalogue.problems import Problem
from kling_async.api.protocol import UNIVERSAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kling_async.api.catalogue.spec import Field

Family = Literal["video", "turbo", "omni", "o1", "avatar"]
"""The lines of models: Kling's main one is ``video``."""
Tier = Literal["standard", "pro", "master", "720p", "1080p"]
"""The qualities that a line is offered in."""

TEN: Final = 2.0  # a 10 s video takes twice as long as a 5 s one ("Kling v2.1 Pro": 3-4 min and 6-8 min)
_VIDEO: Final = 5  # seconds of video that published timings are for

_VERSION = re.compile(r"\b(?:v(?P<number>\d+(?:[.-]\d)?)|o1)\b")
_WORDS = re.compile(r"[a-z0-9]+")
_LINES: tuple[Family, ...] = get_args(Family)[1:]
_TIERS: tuple[Tier, ...] = get_args(Tier)


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


SCENES_OF_TWO = ("hug", "kiss", "heart_gesture")
"""Effects that need two images, left and right ("v1.6-pro/effects")."""
SCENES_OF_ONE = ("squish", "expansion")
"""Effects that need one image ("v1.6-pro/effects"). Of the others the page says nothing: they take one or two."""

_MOST_IMAGES = 2


class PromptOrScenes:
    """One prompt or several, never both ("v3-standard/text-to-video": "either … but not both").

    Attributes:
        required: Whether there must be either.
    """

    fields: ClassVar[tuple[str, ...]] = ("prompt", "multi_prompt")
    """The fields it is about; the rule is applied only if each of them is valid by itself."""

    def __init__(self, *, required: bool) -> None:
        self.required = required

    def problems(self, body: Mapping[str, object]) -> list[Problem]:
        """Return the ``multi_prompt`` beside a prompt, or the ``prompt`` that is missing."""
        shots = body.get("multi_prompt")
        if body.get("prompt") is not None and shots is not None:
            return [Problem("multi_prompt", shots, "a prompt or a multi_prompt, not both")]
        if self.required and body.get("prompt") is None and not shots:
            return [Problem("prompt", None, _SCRIPT)]
        return []


class ImagesForScene:
    """As many images as the effect's scene shows persons."""

    fields: ClassVar[tuple[str, ...]] = ("image_url", "effect_scene")
    """The fields it is about; the rule is applied only if each of them is valid by itself."""

    def problems(self, body: Mapping[str, object]) -> list[Problem]:
        """Return the ``image_url`` with too few or too many images for the ``effect_scene``."""
        images, scene = body.get("image_url"), body.get("effect_scene")
        count = _count(images)
        if scene in SCENES_OF_TWO:
            fits, allowed = count == _MOST_IMAGES, f"a list of two images, left and right, for the scene {scene!r}"
        elif scene in SCENES_OF_ONE:
            fits, allowed = count == 1, f"one image for the scene {scene!r}"
        else:
            fits, allowed = 1 <= count <= _MOST_IMAGES, "one image, or a list of two, as the scene needs"
        return [] if fits else [Problem("image_url", images, allowed)]


def _count(images: object) -> int:
    return len(cast("Sequence[object]", images)) if isinstance(images, list | tuple) else 1


Rule: TypeAlias = PromptOrScenes | ImagesForScene
"""A rule between fields."""


def lacks_script(body: Mapping[str, object]) -> list[Problem]:
    """Return the ``prompt`` that is missing or blank where there is no ``multi_prompt`` either."""
    prompt = body.get("prompt")
    blank = prompt is None or (isinstance(prompt, str) and not prompt.strip())
    return [Problem("prompt", prompt, _SCRIPT)] if blank and not body.get("multi_prompt") else []


_SCRIPT = "text that is not blank, or a multi_prompt instead"


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
