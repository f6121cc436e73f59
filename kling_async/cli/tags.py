"""What a batch keeps in its jobs' tags: the row's own tag, and the name that it wants for its file."""

from __future__ import annotations

import json
from typing import cast

from attrs import frozen

from kling_async.cli.text import one_line

__all__ = ["Label", "label_of", "tag_of"]

_TAG, _OUTPUT = "tag", "output"


@frozen
class Label:
    """What a tag says.

    Attributes:
        tag: The caller's own label, in a line.
        output: The name for its file, if one was asked for.
    """

    tag: str | None = None
    output: str | None = None


def tag_of(tag: str | None, output: str | None) -> object:
    """The tag of a job: the row's, or both, so that a later run knows the name from the journal alone."""
    return tag if output is None else {_OUTPUT: output} | ({} if tag is None else {_TAG: tag})


def label_of(tag: object) -> Label:
    """What a job's tag says, whoever made it."""
    if tag is None or isinstance(tag, str):
        return Label(None if tag is None else one_line(tag))
    if isinstance(tag, dict):
        members = cast("dict[object, object]", tag)
        own, output = members.get(_TAG), members.get(_OUTPUT)
        if isinstance(output, str) and (own is None or isinstance(own, str)) and members.keys() <= {_TAG, _OUTPUT}:
            return Label(None if own is None else one_line(own), output)
    return Label(one_line(json.dumps(tag, default=str)))
