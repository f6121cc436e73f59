"""How a value is shown in a message or a log: bounded, whatever it is. Everything of a caller's goes through this."""

from __future__ import annotations

from reprlib import Repr

from kling_async.api.media import brief, brief_text, is_file

__all__ = ["cut", "show"]

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
    """A repr short enough for a message: long ones lose their middle, files and data URIs are told in a few words."""
    return cut(_SHORT.repr(value))


def cut(text: str) -> str:
    """A text without its middle, if it is too long for a message."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[: half - 1]}...{text[2 - half :]}"
