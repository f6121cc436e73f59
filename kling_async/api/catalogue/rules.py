"""Rules between several fields of a body."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias, cast

from kling_async.api.catalogue.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
