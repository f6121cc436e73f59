"""Requests for videos, as values: what is asked for, whether it can be, and the body that asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence  # noqa: TC003 - the codec reads the annotations
from typing import Any, ClassVar

from attrs import field, frozen

from kling_async.api.catalogue import Kind, check_body, find_model, models
from kling_async.api.fields import (
    Field,
    Flag,
    Integer,
    ListOf,
    Number,
    Object,
    OneOf,
    Problem,
    Text,
    Url,
    refusal,
    whole,
)
from kling_async.api.plain import (
    JSON,
    canonical,
    field_names,
    given,
    is_json,
    is_mapping,
    plain,
    read_items,
    read_mapping,
    read_value,
    read_whole,
    short_repr,
)
from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.api.values import AdvancedCameraControl, CameraConfig, CameraControl, DynamicMask, Element, Shot
from kling_async.errors import InvalidRequest

__all__ = ["ImageToVideo", "Request", "TextToVideo"]

_USUAL: Mapping[str, object] = {"endpoint": UNIVERSAL, "extra": {}, "validate": True}
"""What goes with a request beside its body, and what that usually is."""


@frozen(repr=False, unsafe_hash=False)
class Request:
    """A request for one video from any model; what has no field here goes into ``extra``.

    A request can be made with anything in it; ``check`` judges it, and is called before anything is sent or spent.
    Requests are frozen and equal by value, and are not hashable. A field that is None is not sent, so that the vendor's
    own default holds.

    Attributes:
        model: The vendor's id of the model. For one that is not in the catalogue, only the fields' types are checked.
        endpoint: The path to submit to: the universal one or the legacy one; with ``validate=False``, any.
        extra: Further fields of the body, sent untouched. It may not name a field that the request has itself.
        provider: Which supplier the vendor is to buy from, for models that let you choose.
        validate: Whether the catalogue has a say. Without it, anything is sent that is JSON.
    """

    kind: ClassVar[Kind | None] = None
    """The kind of model this is for; None for any."""
    shape: ClassVar[Mapping[str, Field]] = {"provider": Field(Text())}
    """What the fields take whatever the model; looser than any model."""

    model: str = field(kw_only=True)
    endpoint: str = field(default=UNIVERSAL, kw_only=True)
    extra: Mapping[str, Any] = field(default=None, kw_only=True, converter=read_mapping)
    provider: str | None = field(default=None, kw_only=True)
    validate: bool = field(default=True, kw_only=True)

    @property
    def duration_seconds(self) -> int | None:
        """The length of the video asked for, in seconds; None if that is left to the vendor."""
        return whole(getattr(self, "duration", None))

    def check(self) -> None:
        """Judge the request by the catalogue, without sending anything.

        Raises:
            InvalidRequest: It cannot be sent, or its model does not take it. The attributes tell the first problem, the
                message all of them.
        """
        problems = self._basic_problems() or (self._content_problems() if self.validate else [])
        if problems:
            raise refusal(problems)

    def body(self) -> dict[str, Any]:
        """The body of the submit, as plain JSON data; meaningful for a request that passes ``check``."""
        further: dict[str, Any] = plain(self.extra)
        return self._known_part() | further

    def digest(self) -> bytes:
        """SHA-256 of the body in canonical form: two requests that ask for the same have the same.

        Raises:
            InvalidRequest: The body is not JSON.
        """
        try:
            return hashlib.sha256(canonical(self.body())).digest()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"the request is not JSON: {error}") from None

    def _typed(self) -> dict[str, object]:
        """The fields of the body that are given, ``model`` and ``extra`` aside."""
        return {name: part for name, part in given(self).items() if name != "model" and name not in _USUAL}

    def _known_part(self) -> dict[str, Any]:
        parts: dict[str, Any] = plain(self._typed())
        return {"model": self.model} | parts

    def _basic_problems(self) -> list[Problem]:
        """What would keep the request from being sent at all."""
        found = Text(blank=False).problems(self.model, "model") + self._endpoint_problems()
        found += Flag().problems(self.validate, "validate")
        if not is_mapping(self.extra):
            return [*found, Problem("extra", self.extra, "a mapping of further fields")]
        own = set(field_names(type(self))) - _USUAL.keys()
        taken = [Problem(f"extra.{name}", self.extra[name], f"only as {name}=") for name in self.extra if name in own]
        return found + taken + self._json_problems()

    def _endpoint_problems(self) -> list[Problem]:
        if self.endpoint in (UNIVERSAL, LEGACY) or (not self.validate and _is_path(self.endpoint)):
            return []
        return [Problem("endpoint", self.endpoint, f"{UNIVERSAL} or {LEGACY}; with validate=False any other path")]

    def _json_problems(self) -> list[Problem]:
        parts = {"model": self.model, **self._typed(), **self.extra}
        if is_json(parts):
            return []
        return [Problem(str(name), part, JSON) for name, part in parts.items() if not is_json({"": 0, name: part})]

    def _content_problems(self) -> list[Problem]:
        """What the kind and the model do not take; where both object to a field, the model's word counts."""
        model = find_model(self.model)
        if self.kind is not None and model is not None and model.kind is not self.kind:
            return [Problem("model", self.model, _models_of(self.kind))]
        # Facts change: what a typed request has in extra is the caller's knowledge, not the catalogue's.
        found = check_body(self.body() if self.kind is None else self._known_part())
        named = {problem.field for problem in found}
        return found + [problem for problem in self._kind_problems() if problem.field not in named]

    def _kind_problems(self) -> list[Problem]:
        return Object(self.shape).problems(plain(self._typed()))

    def stated(self) -> dict[str, object]:
        """The fields that are given, in their order; of endpoint, extra and validate those that are not as usual."""
        return {name: part for name, part in given(self).items() if part != _USUAL.get(name)}

    def __repr__(self) -> str:
        return short_repr(self, self.stated())


# What fields hold whatever the model: enough to keep a request for an unknown one sane, and readable by the codec.

_LENGTH = Field(Integer(least=1))
_SHOT = Object({"prompt": Field(Text(), required=True), "duration": _LENGTH})
_MOVE = Object({"movement_type": Field(Text(), required=True), "movement_value": Field(Integer(), required=True)})
_CAMERA = Object(
    {"type": Field(Text()), "config": Field(Object(dict.fromkeys(field_names(CameraConfig), Field(Number()))))}
)
_PATH = ListOf(Object({"x": Field(Integer(), required=True), "y": Field(Integer(), required=True)}))
_MASK = Object({"mask": Field(Text(), required=True), "trajectories": Field(_PATH, required=True)})
_ELEMENT = Object(
    {
        "reference_image_urls": Field(ListOf(Url())),
        "frontal_image_url": Field(Url()),
        "video_url": Field(Url()),
    }
)

_SHAPE = {
    "prompt": Field(Text()),
    "duration": _LENGTH,
    "negative_prompt": Field(Text()),
    "cfg_scale": Field(Number()),
    "generate_audio": Field(Flag()),
    "shot_type": Field(Text()),
    "multi_prompt": Field(ListOf(OneOf((Text(), _SHOT)))),
    **Request.shape,
}


def _shots(values: Sequence[str | Shot | Mapping[str, Any]] | None) -> tuple[str | Shot, ...] | None:
    return read_items(Shot, values)


def _movement(value: AdvancedCameraControl | Mapping[str, Any] | None) -> AdvancedCameraControl | None:
    return read_value(AdvancedCameraControl, value)


@frozen(repr=False, unsafe_hash=False)
class TextToVideo(Request):
    """A video from words ("Video Models: Kling AI", the text-to-video pages).

    Attributes:
        prompt: What to show. Required, except where ``multi_prompt`` takes its place.
        model: Any text-to-video model.
        aspect_ratio: ``16:9``, ``9:16`` or ``1:1``.
        duration: Length in seconds: 5 or 10, on v3 models 3 to 15. The string "5" is taken for 5.
        negative_prompt: What not to show.
        cfg_scale: How closely to follow the prompt, from 0 to 1.
        camera_control: A preset: ``down_back``, ``forward_up``, ``right_turn_forward`` or ``left_turn_forward``.
        advanced_camera_control: One movement of the camera instead; a mapping of its fields is taken, too.
        generate_audio: Whether the video has sound; v2.6 and v3 only, where the vendor's default is yes.
        shot_type: ``customize`` or ``intelligent``; v3 only.
        multi_prompt: Several scenes instead of one prompt: texts on v3, up to 6 shots on v3 turbo.
    """

    kind: ClassVar[Kind | None] = Kind.TEXT_TO_VIDEO
    shape: ClassVar[Mapping[str, Field]] = _SHAPE | {
        "prompt": Field(Text(blank=False)),
        "aspect_ratio": Field(Text()),
        "camera_control": Field(Text()),
        "advanced_camera_control": Field(_MOVE),
    }

    prompt: str | None = None
    model: str = field(default="klingai/v2.1-master-text-to-video", kw_only=True)
    aspect_ratio: str | None = field(default=None, kw_only=True)
    duration: int | None = field(default=None, kw_only=True, converter=read_whole)
    negative_prompt: str | None = field(default=None, kw_only=True)
    cfg_scale: float | None = field(default=None, kw_only=True)
    camera_control: str | None = field(default=None, kw_only=True)
    advanced_camera_control: AdvancedCameraControl | None = field(default=None, kw_only=True, converter=_movement)
    generate_audio: bool | None = field(default=None, kw_only=True)
    shot_type: str | None = field(default=None, kw_only=True)
    multi_prompt: tuple[str | Shot, ...] | None = field(default=None, kw_only=True, converter=_shots)

    def _kind_problems(self) -> list[Problem]:
        found = super()._kind_problems()
        silent = self.prompt is None and not self.multi_prompt
        return [Problem("prompt", None, Text(blank=False).allowed), *found] if silent else found


def _camera(value: CameraControl | Mapping[str, Any] | None) -> CameraControl | None:
    return read_value(CameraControl, value)


def _masks(values: Sequence[DynamicMask | Mapping[str, Any]] | None) -> tuple[DynamicMask, ...] | None:
    return read_items(DynamicMask, values)


def _elements(values: Sequence[Element | Mapping[str, Any]] | None) -> tuple[Element, ...] | None:
    return read_items(Element, values)


@frozen(repr=False, unsafe_hash=False)
class ImageToVideo(Request):
    """A video that begins with an image ("Video Models: Kling AI", the image-to-video pages).

    Images are http(s) URLs, or data URIs.

    Attributes:
        image_url: The first frame. Required.
        prompt: What happens; some models require it.
        model: Any image-to-video model.
        duration: Length in seconds: 5 or 10, on v3 models 3 to 15. The string "5" is taken for 5.
        negative_prompt: What not to show.
        cfg_scale: How closely to follow the prompt, from 0 to 1.
        tail_image_url: The last frame, on v1 to v1.6 and v3.
        last_image_url: The last frame, on o1.
        static_mask: An image that shades what must not move.
        dynamic_masks: Up to 6 parts that move along paths; mappings of their fields are taken, too.
        camera_control: How the camera moves; a mapping of its fields is taken, too.
        elements: Up to 4 persons, animals or things to appear, on v3; mappings of their fields are taken, too.
        generate_audio: Whether the video has sound; v2.6 and v3 only, where the vendor's default is yes.
        shot_type: ``customize`` or ``intelligent``; v3 only.
        multi_prompt: Several scenes instead of one prompt: texts on v3, up to 6 shots on v3 turbo.
    """

    kind: ClassVar[Kind | None] = Kind.IMAGE_TO_VIDEO
    shape: ClassVar[Mapping[str, Field]] = _SHAPE | {
        "image_url": Field(Url(), required=True),
        "tail_image_url": Field(Url()),
        "last_image_url": Field(Url()),
        "static_mask": Field(Url()),
        "dynamic_masks": Field(ListOf(_MASK)),
        "camera_control": Field(_CAMERA),
        "elements": Field(ListOf(_ELEMENT)),
    }

    image_url: str | None = None
    prompt: str | None = field(default=None, kw_only=True)
    model: str = field(default="klingai/v2.1-master-image-to-video", kw_only=True)
    duration: int | None = field(default=None, kw_only=True, converter=read_whole)
    negative_prompt: str | None = field(default=None, kw_only=True)
    cfg_scale: float | None = field(default=None, kw_only=True)
    tail_image_url: str | None = field(default=None, kw_only=True)
    last_image_url: str | None = field(default=None, kw_only=True)
    static_mask: str | None = field(default=None, kw_only=True)
    dynamic_masks: tuple[DynamicMask, ...] | None = field(default=None, kw_only=True, converter=_masks)
    camera_control: CameraControl | None = field(default=None, kw_only=True, converter=_camera)
    elements: tuple[Element, ...] | None = field(default=None, kw_only=True, converter=_elements)
    generate_audio: bool | None = field(default=None, kw_only=True)
    shot_type: str | None = field(default=None, kw_only=True)
    multi_prompt: tuple[str | Shot, ...] | None = field(default=None, kw_only=True, converter=_shots)


def _is_path(endpoint: object) -> bool:
    return isinstance(endpoint, str) and endpoint.startswith("/") and not set(endpoint) & set("?# \t\r\n")


def _models_of(kind: Kind) -> str:
    return f"a {kind.value} model: {', '.join(model.id for model in models() if model.kind is kind)}"
