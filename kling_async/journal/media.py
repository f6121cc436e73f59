"""Media inside requests, kept once: a data URI may weigh megabytes, and a thousand jobs may share it.

Every text that begins with ``data:`` is set apart, and ``data:`` with the SHA-256 of that text stands in its place. As
none is left out, whatever begins with ``data:`` in the data that is kept is such a reference.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from kling_async.api.plain import is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["put_back", "set_apart"]

_SCHEME = "data:"  # of a URI: case does not matter
_LIKELY = f'"{_SCHEME}'


def set_apart(data: object) -> tuple[Any, dict[str, str]]:
    """Plain JSON data with references in place of its media, and the media by their digests."""
    media: dict[str, str] = {}

    def keep(text: str) -> str:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        media[digest] = text
        return _SCHEME + digest

    return _mapped(data, keep), media


def put_back(data: object, encoded: str, fetch: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """What ``set_apart`` was given, from what it made of it, that as JSON, and the media.

    Raises:
        LookupError: ``fetch`` does not know a digest.
    """
    if _LIKELY not in encoded:  # as in almost every request
        return data
    return _mapped(data, lambda reference: fetch(reference.removeprefix(_SCHEME)))


def _mapped(value: object, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    if isinstance(value, str):
        return change(value) if value[: len(_SCHEME)].lower() == _SCHEME else value
    if is_mapping(value):
        return {name: _mapped(member, change) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in cast("Sequence[object]", value)]
    return value
