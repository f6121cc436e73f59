"""A job's tag as the rows of a table make it: the caller's own label, with the name that is wanted for its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from attrs import frozen

OUTPUT = "a name for a file inside the output folder, such as fox.mp4"
"""The names that ``is_output`` accepts, in words."""

_TAG, _OUTPUT = "tag", "output"


@frozen
class Label:
    """What a tag holds.

    Attributes:
        tag: The caller's own label: any JSON.
        output: The name that is wanted for the file, or None.
    """

    tag: object = None
    output: str | None = None


def tag_of(tag: object, output: str | None = None) -> object:
    """Return a row's tag for its job: as it is, or in an object with the file's name, so that the journal has both."""
    if output is None:
        return tag if label_of(tag) == Label(tag) else {_TAG: tag}
    return {_OUTPUT: output} | ({} if tag is None else {_TAG: tag})


def label_of(tag: object) -> Label:
    """Return what a tag of any origin holds: the reverse of `tag_of`."""
    if isinstance(tag, Mapping):
        members = cast("Mapping[object, object]", tag)
        output = members.get(_OUTPUT)
        if members and members.keys() <= {_TAG, _OUTPUT} and (isinstance(output, str) or _OUTPUT not in members):
            return Label(members.get(_TAG), cast("str | None", output))
    return Label(tag)  # pyright: ignore[reportUnknownArgumentType] - any mapping


def is_output(value: object) -> bool:
    """Return whether it names a file, perhaps in folders, that is inside of any folder it is put in."""
    if not isinstance(value, str):
        return False
    name = value.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return bool(name.strip() and parts) and not name.startswith("/") and ".." not in parts and ":" not in parts[0]
