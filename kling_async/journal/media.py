"""Media inside requests, kept once: a file may weigh megabytes, and a thousand jobs may share it.

Data URIs and files' contents are set apart, and what stands in their place begins with ``data:`` and names them by the
SHA-256 of what they are. A file given by its path is kept as that path: what it holds is its owner's. As no text that
begins with ``data:`` is left out, whatever begins so in the data that is kept is such a reference::

    data:<sha256>        the data URI with this digest, or any other text that begins like one
    data:bytes:<sha256>  the content with this digest
    data:file:///<path>  a path
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from kling_async.api.media import file_uri, is_file, is_path, path_from_uri
from kling_async.api.requests.serialize import is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Content", "put_back", "set_apart", "shortened"]

Content: TypeAlias = str | bytes
"""What is set apart: a data URI, or a file's content."""

_SCHEME = "data:"  # of a URI: case does not matter
_LIKELY = f'"{_SCHEME}'
_BYTES = "bytes:"
_FILE = "file:"
_SHORT = 200  # characters of a data URI that need no shortening


def set_apart(data: object) -> tuple[Any, dict[str, Content]]:
    """Plain data, which may hold files, as JSON data with references in place of its media; the media by their digests.

    Hashing takes about a millisecond for every megabyte or two.
    """
    media: dict[str, Content] = {}

    def keep(value: object) -> str:
        reference, digest = _reference(value)
        if digest is not None:
            media[digest] = cast("Content", value)
        return reference

    return _mapped(data, keep), media


def shortened(data: object) -> tuple[Any, bool]:
    """Plain data as JSON data in which digests stand for what is large, to be carried without it; and whether any do.

    What stands there is no data URI that could be sent by mistake. Paths stand there as ``file:`` URIs.
    """
    large: list[object] = []

    def cut(value: object) -> str:
        if is_path(value):
            return file_uri(value)
        if isinstance(value, str) and len(value) <= _SHORT:
            return value
        large.append(value)
        return _reference(value)[0]

    return _mapped(data, cut), bool(large)


def put_back(data: object, encoded: str, fetch: Callable[[str], Content]) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """What ``set_apart`` was given, from what it made of it, that as JSON, and the media.

    Raises:
        LookupError: ``fetch`` does not know a digest.
    """
    if _LIKELY not in encoded:  # as in almost every request
        return data

    def found(value: object) -> object:
        reference = cast("str", value).removeprefix(_SCHEME)
        if reference.startswith(_FILE):
            return path_from_uri(reference)
        if reference.startswith(_BYTES):
            return _as_bytes(fetch(reference.removeprefix(_BYTES)))
        return _as_text(fetch(reference))

    return _mapped(data, found)


def _reference(value: object) -> tuple[str, str | None]:
    """What stands for media, and the digest they are kept by, if they are kept."""
    if isinstance(value, str):
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        return _SCHEME + digest, digest
    if isinstance(value, bytes):
        digest = hashlib.sha256(value).hexdigest()
        return f"{_SCHEME}{_BYTES}{digest}", digest
    assert is_path(value)  # noqa: S101 - nothing else is asked about
    return _SCHEME + file_uri(value), None


# A content may be the very bytes of some data URI; then one of them is kept for both.


def _as_bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")


def _as_text(content: Content) -> str:
    return content if isinstance(content, str) else content.decode("utf-8", "surrogatepass")


def _mapped(value: object, change: Callable[[object], object]) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    if isinstance(value, str):
        return change(value) if value[: len(_SCHEME)].lower() == _SCHEME else value
    if is_file(value):
        return change(value)
    if is_mapping(value):
        return {name: _mapped(member, change) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in cast("Sequence[object]", value)]
    return value
