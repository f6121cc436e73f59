"""Files of every kind, as short as their headers allow."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

from kling_async.api.file_types import FileType, Format
from kling_async.api.media import media_type


def untyped(value: object) -> Any:
    """A value as a caller without a type checker passes it."""
    return value


def png(width: int = 640, height: int = 480, size: int = 45) -> bytes:
    return (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)).ljust(size, b"\0")


def data_uri(content: bytes) -> str:
    return f"data:{media_type(content)};base64,{b64encode(content).decode()}"


def jpeg(
    width: int = 640,
    height: int = 480,
    *,
    before: bytes = b"\xff\xe0\x00\x04JF",
    frame: int = 0xC0,
    size: int = 0,
) -> bytes:
    header = struct.pack(">BBHBHHB", 0xFF, frame, 17, 8, height, width, 3)
    return b"\xff\xd8" + before + header + bytes(9) + b"\xff\xda\x00\x08" + bytes(max(20, size - 50)) + b"\xff\xd9"


def riff(kind: bytes, content: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(content) + 4) + kind + content


def webp(width: int = 640, height: int = 480) -> bytes:
    head = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return riff(b"WEBP", b"VP8 " + struct.pack("<I", len(head)) + head)


def lossless_webp(width: int, height: int) -> bytes:
    head = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14 | 1 << 28)
    return riff(b"WEBP", b"VP8L" + struct.pack("<I", len(head)) + head)


def extended_webp(width: int, height: int) -> bytes:
    head = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"WEBP", b"VP8X" + struct.pack("<I", len(head)) + head)


def boxed(brand: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16, b"ftyp", brand, 0) + bytes(8)


def tagged(content: bytes, tag: int = 300) -> bytes:
    length = bytes((tag >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + length + bytes(tag) + content


SAMPLES = {
    Format.JPEG: jpeg(),
    Format.PNG: png(),
    Format.WEBP: webp(),
    Format.MP3: b"\xff\xfb\x90\x64" + bytes(20),
    Format.WAV: riff(b"WAVE", b"fmt " + bytes(20)),
    Format.M4A: boxed(b"M4A "),
    Format.AAC: b"\xff\xf1\x50\x80" + bytes(20),
    Format.MP4: boxed(b"isom"),
    Format.MOV: boxed(b"qt  "),
}

OF_A_TYPE = {FileType.IMAGE: Format.PNG, FileType.AUDIO: Format.MP3, FileType.VIDEO: Format.MP4}


def data_uri_for(file: FileType | None) -> str:
    """A data URI that a field takes which takes files of this type."""
    return data_uri(SAMPLES[OF_A_TYPE[file or FileType.IMAGE]])
