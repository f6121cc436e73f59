"""Seeded randomness that does not depend on the order of things."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["Dice"]


class Dice:
    """Rolls that depend on the seed and on what they are about, and on nothing else.

    Concurrent requests arrive in another order on each run, so a shared random generator would deal another duration
    to the same prompt each time.
    """

    def __init__(self, seed: int) -> None:
        self._key = blake2b(str(seed).encode()).digest()

    def bits(self, *about: object) -> bytes:
        """32 bytes."""
        return blake2b(repr(about).encode(), key=self._key, digest_size=32).digest()

    def roll(self, *about: object) -> float:
        """A number between 0 and 1, both excluded."""
        return (int.from_bytes(self.bits(*about)[:6]) + 0.5) / 2**48
