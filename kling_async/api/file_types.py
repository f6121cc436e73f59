"""Formats of files, recognised by their first bytes, and the size of images, read from their headers.

Nothing here decodes a file: a few bytes at known places are looked at, however long the file is.
"""

from __future__ import annotations

from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class FileType(Enum):
    """The types of files that the vendor takes."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class Format(Enum):
    """A format of files: its name, what it is, its media type, and the endings of its files' names."""

    JPEG = ("JPEG", FileType.IMAGE, "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"))
    PNG = ("PNG", FileType.IMAGE, "image/png", (".png",))
    WEBP = ("WebP", FileType.IMAGE, "image/webp", (".webp",))
    MP3 = ("MP3", FileType.AUDIO, "audio/mpeg", (".mp3",))
    WAV = ("WAV", FileType.AUDIO, "audio/wav", (".wav", ".wave"))
    M4A = ("M4A", FileType.AUDIO, "audio/mp4", (".m4a", ".m4b"))
    AAC = ("AAC", FileType.AUDIO, "audio/aac", (".aac", ".adts"))
    MP4 = ("MP4", FileType.VIDEO, "video/mp4", (".mp4", ".m4v"))
    MOV = ("MOV", FileType.VIDEO, "video/quicktime", (".mov", ".qt"))

    def __init__(self, label: str, file: FileType, media_type: str, endings: tuple[str, ...]) -> None:
        self.label = label
        self.file = file
        self.media_type = media_type
        self.endings = endings


def ending(path: str) -> str:
    """Return the ending of a file's name, in lower case with its dot; empty if it has none."""
    name = path.replace("\\", "/").rpartition("/")[2]
    stem, dot, rest = name.rpartition(".")
    return f".{rest.lower()}" if dot and stem else ""


def recognised(content: bytes) -> Format | None:
    """Return the format of a file with this content, or None for any other than those of `Format`."""
    if content.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if content.startswith(b"RIFF"):
        return {b"WEBP": Format.WEBP, b"WAVE": Format.WAV}.get(content[8:12])
    return _boxed(content) or _sounding(content)


# ISO base media: MP4 and its relatives are told apart by the brand in their first box. Still images are among them.
_STILLS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"crx ")
_OLD_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _boxed(content: bytes) -> Format | None:
    box, brand = content[4:8], content[8:12]
    if box == b"ftyp" and brand not in _STILLS:
        if brand in (b"M4A ", b"M4B ", b"M4P "):
            return Format.M4A
        return Format.MOV if brand == b"qt  " else Format.MP4
    return Format.MOV if box in _OLD_QUICKTIME else None


_FOREIGN = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML"),
    (b"<", "HTML"),
    (b"{", "JSON"),
)


def label(content: bytes) -> str:
    """Name the kind of file that has this content, in a word; empty if it is not known."""
    known = recognised(content)
    if known is not None:
        return known.label
    if content[4:8] == b"ftyp":
        return "AVIF" if content[8:11] == b"avi" else "HEIC"
    start = content[:64].lstrip()
    return next((name for mark, name in _FOREIGN if start.startswith(mark)), "")


# MP3 and AAC have no header but those of their frames, which begin with twelve set bits; a tag may come before.
_TAG = 10  # the length of a tag's own header


def _sounding(content: bytes) -> Format | None:
    tagged = content.startswith(b"ID3")
    start = _TAG + _tag_length(content[6:_TAG]) if tagged else 0
    frame = _big(content[start : start + 2])
    if content.startswith(b"ADIF") or frame & 0xFFF6 == 0xFFF0:  # noqa: PLR2004 - all set, whatever version, no layer
        return Format.AAC
    is_mp3 = frame & 0xFFE6 == 0xFFE2 and frame & 0x18 != 0x08  # noqa: PLR2004 - all set, layer III, a version there is
    return Format.MP3 if tagged or is_mp3 else None


def _tag_length(digits: bytes) -> int:
    length = 0
    for digit in digits:
        length = length << 7 | digit & 0x7F
    return length


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Return the width and height of a JPEG, PNG or WebP in pixels, as stored; None if its header has none."""
    match recognised(content):
        case Format.PNG:
            found = _png_size(content)
        case Format.JPEG:
            found = _jpeg_size(content)
        case Format.WEBP:
            found = _webp_size(content)
        case _:
            return None
    return found if min(found) > 0 else None


def _png_size(content: bytes) -> tuple[int, int]:
    header = content[12:24]  # the first part's name and beginning
    if len(header) < 12 or not header.startswith(b"IHDR"):  # noqa: PLR2004 - the name and two numbers of four bytes
        return 0, 0
    return _big(header[4:8]), _big(header[8:])


_SEGMENTS = 4096  # more than any JPEG has before its image; a bound for what is none
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of what tells the size
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without content


def _jpeg_size(content: bytes) -> tuple[int, int]:
    for marker, place in islice(_segments(content), _SEGMENTS):
        if marker in _FRAMES:
            size = content[place + 3 : place + 7]
            return (_big(size[2:]), _big(size[:2])) if len(size) == 4 else (0, 0)  # noqa: PLR2004 - two numbers of two bytes
    return 0, 0


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each segment's marker and where its length stands, up to the image's own data."""
    place = 2
    while content[place : place + 1] == b"\xff":
        marker = content[place + 1 : place + 2]
        if marker == b"\xff":  # filling
            yield 0xFF, place
            place += 1
            continue
        if marker in (b"", b"\xd9", b"\xda"):
            return
        yield marker[0], place + 2
        place += 2 if marker[0] in _BARE else 2 + max(_big(content[place + 2 : place + 4]), 2)


def _webp_size(content: bytes) -> tuple[int, int]:
    kind, head = content[12:16], content[20:30]
    if kind == b"VP8X" and len(head) == 10:  # noqa: PLR2004 - flags and two numbers of three bytes
        return _little(head[4:7]) + 1, _little(head[7:10]) + 1
    if kind == b"VP8L" and head[:1] == b"\x2f" and len(head) >= 5:  # noqa: PLR2004 - a mark and two numbers of 14 bits
        bits = _little(head[1:5])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:  # noqa: PLR2004 - a mark and two numbers of 14 bits
        return _little(head[6:8]) & 0x3FFF, _little(head[8:10]) & 0x3FFF
    return 0, 0


def _big(number: bytes) -> int:
    return int.from_bytes(number, "big")


def _little(number: bytes) -> int:
    return int.from_bytes(number, "little")
