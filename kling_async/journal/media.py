"""Media inside requests, stored once: a file may have megabytes, and a thousand jobs may share it.

Data URIs and files' contents are replaced by references, which begin with ``data:`` and name them by their SHA-256. A
file given by its path is stored as that path. As every text that begins with ``data:`` is replaced, each such text in
the stored data is a reference::

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

Content: TypeAlias = str | bytes
"""Media that are stored by themselves: a data URI, or a file's content."""

_SCHEME = "data:"  # of a URI: case does not matter
_LIKELY = f'"{_SCHEME}'
_BYTES = "bytes:"
_FILE = "file:"
_SHORT = 200  # characters of a data URI that need no shortening


def extract_media(data: object) -> tuple[Any, dict[str, Content]]:
    """Return plain data as JSON data with references in place of its media, and the media by their digests.

    Hashing takes about a millisecond for every megabyte or two.
    """
    media: dict[str, Content] = {}

    def keep(value: object) -> str:
        reference, digest = _reference(value)
        if digest is not None:
            media[digest] = cast("Content", value)
        return reference

    return _replaced(data, keep), media


def replace_large_media(data: object) -> tuple[Any, bool]:
    """Return plain data as JSON data with digests in place of large media, and whether there are any.

    A digest is no data URI that could be sent by mistake. Paths become ``file:`` URIs.
    """
    large: list[object] = []

    def cut(value: object) -> str:
        if is_path(value):
            return file_uri(value)
        if isinstance(value, str) and len(value) <= _SHORT:
            return value
        large.append(value)
        return _reference(value)[0]

    return _replaced(data, cut), bool(large)


def restore_media(data: object, encoded: str, fetch: Callable[[str], Content | None]) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """Return the data that ``extract_media`` was given, from its result, which is also passed as JSON.

    ``fetch`` returns media by their digests; where it returns None, a reference is left as it is.
    """
    if _LIKELY not in encoded:  # as in almost every request
        return data

    def found(value: object) -> object:
        reference = cast("str", value).removeprefix(_SCHEME)
        if reference.startswith(_FILE):
            return path_from_uri(reference)
        content = fetch(reference.removeprefix(_BYTES))
        if content is None:
            return _Reference(value)
        return _as_bytes(content) if reference.startswith(_BYTES) else _as_text(content)

    return _replaced(data, found)


class _Reference(str):
    """A reference that was left, as its media are not stored any more; it is not taken for a text like it."""

    __slots__ = ()


def _reference(value: object) -> tuple[str, str | None]:
    """Return the reference to media, and their digest if they are stored."""
    if isinstance(value, _Reference):
        return str(value), None
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


def _replaced(value: object, change: Callable[[object], object]) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    if isinstance(value, str):
        return change(value) if value[: len(_SCHEME)].lower() == _SCHEME else value
    if is_file(value):
        return change(value)
    if is_mapping(value):
        return {name: _replaced(member, change) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, change) for item in cast("Sequence[object]", value)]
    return value
