"""Reprs of any value, bounded in length, for messages and logs; every value of a caller's is shown by these."""

from __future__ import annotations

from reprlib import Repr

from kling_async.api.media import brief, brief_text, is_file

_LONGEST = 400  # characters of anything


class _Short(Repr):
    def repr1(self, x: object, level: int) -> str:
        return brief(x) if is_file(x) else super().repr1(x, level)

    def repr_str(self, x: str, level: int) -> str:
        return brief_text(x) or super().repr_str(x, level)

    def repr_int(self, x: int, level: int) -> str:
        # Python itself refuses to write out a number of several thousand digits.
        return super().repr_int(x, level) if abs(x) < 10**_LONGEST else "a number of very many digits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxlong = 80
_SHORT.maxother = _LONGEST


def show(value: object) -> str:
    """Return a repr short enough for a message: without its middle, and with a few words in place of files."""
    return cut(_SHORT.repr(value))


def cut(text: str) -> str:
    """Return a text without its middle, if it is too long for a message."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[: half - 1]}...{text[2 - half :]}"
