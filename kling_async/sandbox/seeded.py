"""Seeded randomness that does not depend on the order of requests, and generation ids made from it."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, get_args
from uuid import UUID


class SeededRandom:
    """Random numbers that depend on the seed and on their subject, and on nothing else.

    Concurrent requests arrive in another order on each run, so a shared random generator would deal another duration
    to the same prompt each time.
    """

    def __init__(self, seed: int) -> None:
        self._key = blake2b(str(seed).encode()).digest()

    def bits(self, *about: object) -> bytes:
        """Return 32 bytes about this subject."""
        return blake2b(repr(about).encode(), key=self._key, digest_size=32).digest()

    def uniform(self, *about: object) -> float:
        """Return a number between 0 and 1, both excluded."""
        return (int.from_bytes(self.bits(*about)[:6]) + 0.5) / 2**48


IdStyle = Literal["uuid", "uuid:model", "nanoid", "digits"]
"""``uuid:model`` holds a colon and slashes; a ``nanoid`` may begin with ``-`` or hold ``_``."""

ID_STYLES: tuple[IdStyle, ...] = get_args(IdStyle)

_NANOID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
NANOID_LENGTH = 21


def make_id(bits: bytes, model: str, style: IdStyle | None) -> str:
    """Make an id of this style from at least 24 random bytes; without a style, the bytes choose one."""
    style = style or ID_STYLES[bits[-1] % len(ID_STYLES)]
    if style == "nanoid":
        return "".join(_NANOID[byte % len(_NANOID)] for byte in bits[:NANOID_LENGTH])
    if style == "digits":
        return str(10**18 + int.from_bytes(bits[:8]) % 10**18)
    uuid = UUID(bytes=bits[:16], version=4)
    return str(uuid) if style == "uuid" else f"{uuid}:{model}"
