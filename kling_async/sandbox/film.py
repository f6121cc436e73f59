"""The video: one small real mp4, made distinct for each generation."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["Film"]

_BOX_HEADER = 8  # four bytes of length, four of type


@cache
def _original() -> bytes:
    return files("kling_async.sandbox").joinpath("film.mp4").read_bytes()


class Film:
    """A generation's video file: two seconds of H.264 that browsers play.

    A ``free`` box at its end, which players skip, holds the generation's id, so that no two files are the same and a
    mix-up shows. The padding to a given size is in that box, and is made only as it is read.
    """

    def __init__(self, generation_id: str, size: int | None = None) -> None:
        original = _original()
        label = generation_id.encode()
        self.size = max(len(original) + _BOX_HEADER + len(label), size or 0)
        box_length = self.size - len(original)
        self._head = original + box_length.to_bytes(4) + b"free" + label

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop``, which is at most ``size``."""
        return self._head[start:stop].ljust(stop - start, b"\0")
