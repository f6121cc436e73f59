"""How jobs ended, as JSON and back: videos, and errors of this library's tree."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import asdict
from cattrs import Converter

from kling_async import errors
from kling_async.api.results import Video
from kling_async.errors import KlingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import UnionType

__all__ = ["read_error", "read_video", "write_error", "write_video"]


def write_video(video: Video) -> str:
    """The video as JSON."""
    return json.dumps(asdict(video))


def read_video(encoded: str) -> Video:
    """The video that ``write_video`` was given; what a later version may have added is left out.

    Raises:
        Exception: It is something else.
    """
    return _CONVERTER.structure(json.loads(encoded), Video)


def write_error(error: KlingError) -> str:
    """The error as JSON: its class, its message and its attributes, but neither cause nor traceback.

    An outcome is never lost for a detail: an attribute that is not JSON is kept as its repr.
    """
    attributes = {name: _as_json_data(value) for name, value in vars(error).items()}
    return json.dumps({"class": type(error).__name__, "attributes": attributes})


def read_error(encoded: str) -> KlingError:
    """An error of the class and with the attributes of the one that ``write_error`` was given.

    One of a class this version does not know is a plain `KlingError` with the same message.

    Raises:
        Exception: It is something else.
    """
    data = json.loads(encoded)
    attributes = _checked(data["attributes"], dict)
    error = _CLASSES.get(data["class"], KlingError)(_checked(attributes["message"], str))
    own = vars(error)
    own.update((name, value) for name, value in attributes.items() if name in own)
    return error


_CLASSES: dict[str, Callable[[str], KlingError]] = {
    name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, KlingError)
}


def _as_json_data(value: object) -> object:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
    return value


def _checked(value: object, cls: type[Any] | UnionType) -> Any:  # noqa: ANN401 - it is of the class that was asked for
    if not isinstance(value, cls):
        raise TypeError(f"{value!r:.80} is not what was written there")
    return value


def _number(value: object, _: object) -> float:
    return float(_checked(value, int | float))


_CONVERTER = Converter(detailed_validation=False)
_CONVERTER.register_structure_hook(str, _checked)
_CONVERTER.register_structure_hook(int, _checked)
_CONVERTER.register_structure_hook(float, _number)
