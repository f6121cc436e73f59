"""Generation ids in every form the vendor was seen to use."""

from __future__ import annotations

from typing import Literal, get_args
from uuid import UUID

__all__ = ["ID_STYLES", "IdStyle", "make_id"]

IdStyle = Literal["uuid", "uuid:model", "nanoid", "digits"]
"""``uuid:model`` holds a colon and slashes; a ``nanoid`` may begin with ``-`` or hold ``_``."""

ID_STYLES: tuple[IdStyle, ...] = get_args(IdStyle)

_NANOID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_NANOID_LENGTH = 21


def make_id(bits: bytes, model: str, style: IdStyle | None) -> str:
    """An id of this style made of at least 24 random bytes; without a style, the bytes choose one."""
    style = style or ID_STYLES[bits[-1] % len(ID_STYLES)]
    if style == "nanoid":
        return "".join(_NANOID[byte % len(_NANOID)] for byte in bits[:_NANOID_LENGTH])
    if style == "digits":
        return str(10**18 + int.from_bytes(bits[:8]) % 10**18)
    uuid = UUID(bytes=bits[:16], version=4)
    return str(uuid) if style == "uuid" else f"{uuid}:{model}"
