"""Encode a row's own tag and its file name in the job's tag, and decode them."""

from __future__ import annotations

import json
from typing import cast

from attrs import frozen

from kling_async.cli.text import one_line

_TAG, _OUTPUT = "tag", "output"


@frozen
class Label:
    """A decoded tag.

    Attributes:
        tag: The caller's tag, in one line.
        output: The file name that was asked for, or None.
    """

    tag: str | None = None
    output: str | None = None


def tag_of(tag: str | None, output: str | None) -> object:
    """Return a job's tag: the row's, with the file name if one was asked for, so that the journal alone knows it."""
    return tag if output is None else {_OUTPUT: output} | ({} if tag is None else {_TAG: tag})


def label_of(tag: object) -> Label:
    """Decode a job's tag, of this program or any other."""
    if tag is None or isinstance(tag, str):
        return Label(None if tag is None else one_line(tag))
    if isinstance(tag, dict):
        members = cast("dict[object, object]", tag)
        own, output = members.get(_TAG), members.get(_OUTPUT)
        if isinstance(output, str) and (own is None or isinstance(own, str)) and members.keys() <= {_TAG, _OUTPUT}:
            return Label(None if own is None else one_line(own), output)
    return Label(one_line(json.dumps(tag, default=str)))
