"""Decodes a body's Content-Encoding as it comes in, piece by piece, never beyond a cap."""

from __future__ import annotations

import zlib
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from kling_async.errors import MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

_PIECE = 256 * 1024  # the most bytes decompressed at once
_SLICE = 16 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS  # the window bits of zlib's three formats
_COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate"})
_UNASKED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})  # registered, and not decoded here
_LAYERS = 5  # as many as curl and urllib3 undo


class Decoder:
    """Decodes one body.

    ``gzip`` (of any number of members) and ``deflate`` (with zlib's header or without) are decoded, in any case and
    stacked in any order. A value that names no compression, such as ``identity``, ``utf-8`` or ``aws-chunked``, changes
    nothing; nor does ``gzip`` if the bytes are not gzip, as after a proxy that decompresses and keeps the header.

    Args:
        encoding: The value of ``Content-Encoding``, empty without one.
        cap: The most bytes the body may have, before decoding and after.
        status: The answer's HTTP status, for its errors.

    Raises:
        MalformedResponse: The encoding is one that was not asked for.
    """

    def __init__(self, encoding: str, *, cap: int, status: int = 0) -> None:
        self._cap = cap
        self._status = status
        self._came = 0
        self._decoded = 0
        self._layers = self._layers_of(encoding) if encoding else []

    def _layers_of(self, encoding: str) -> list[_Layer]:
        names = [name.strip().lower() for name in encoding.split(",")]
        unasked = [name for name in names if name in _UNASKED]
        compressions = [name for name in names if name in _COMPRESSIONS]
        if unasked or len(compressions) > _LAYERS:
            raise self._malformed("the answer is compressed in a way nobody asked for")
        return [_Layer(gzip=name != "deflate") for name in reversed(compressions)]

    @property
    def changes(self) -> bool:
        """True if the body is compressed, so that a stated length or range is not that of the decoded bytes."""
        return bool(self._layers)

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Return the next bytes decoded; if they are compressed, in pieces of 256 KiB. Take all before the next call.

        Raises:
            MalformedResponse: The compression is broken, or the body is longer than the cap.
        """
        self._came = self._checked(self._came + len(data))
        if self._layers:
            return self._unpacked(data)
        return (data,) if data else ()

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        # In short slices: zlib copies the bytes after each member, which is slow for many members in long data.
        pieces: Iterable[bytes] = (data[start : start + _SLICE] for start in range(0, len(data), _SLICE))
        for layer in self._layers:
            pieces = chain.from_iterable(map(layer.feed, pieces))
        with suppress(zlib.error):
            for piece in filter(None, pieces):
                self._decoded = self._checked(self._decoded + len(piece))
                yield piece
            return
        raise self._broken()

    def finish(self) -> None:
        """Raise `MalformedResponse` if the body has ended, and its compression has not."""
        for layer in self._layers:
            if not layer.is_whole:
                raise self._broken()

    def _checked(self, length: int) -> int:
        if length > self._cap:
            raise self._malformed(f"the answer is longer than {self._cap} bytes")
        return length

    def _broken(self) -> MalformedResponse:
        return self._malformed("the answer's compression is broken")

    def _malformed(self, what: str) -> MalformedResponse:
        return MalformedResponse(f"{self._status}: {what}" if self._status else what, status=self._status)


class _Layer:
    """One compression to decode."""

    def __init__(self, *, gzip: bool) -> None:
        self._is_gzip = gzip
        self._held = b""  # too few bytes to recognise the format
        self._unpacker: Any = None  # of zlib's own type, which has no public name
        self._members = 0  # that have ended
        self._is_plain = False
        self._is_over = False

    @property
    def is_whole(self) -> bool:
        """True if nothing is missing, should nothing follow."""
        return self._unpacker is None and (not self._held or self._members > 0)

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._held = self._held + data, b""
        while data and not self._is_over:
            if self._is_plain:
                yield data
                return
            data = self._begin(data) if self._unpacker is None else (yield from self._unpack(data))

    def _begin(self, data: bytes) -> bytes:
        """Recognise the format that begins here, and return the bytes to decode; none while there are too few."""
        if len(data) < len(_GZIP_MAGIC):
            self._held = data
            return b""
        if not self._is_gzip:
            # A header of zlib's (RFC 1950, 2.2), or raw deflate from its beginning.
            is_zlib = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
            self._unpacker = zlib.decompressobj(_ZLIB if is_zlib else _RAW)
        elif data.startswith(_GZIP_MAGIC):
            self._unpacker = zlib.decompressobj(_GZIP)
        else:
            self._is_over = self._members > 0  # after a member, other bytes are padding
            self._is_plain = not self._is_over
        return data

    def _unpack(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield the bytes decompressed; return those beyond the end of the member."""
        unpacker = self._unpacker
        piece = unpacker.decompress(data, _PIECE)
        yield piece
        while not unpacker.eof and (unpacker.unconsumed_tail or len(piece) == _PIECE):  # zlib may hold more output
            piece = unpacker.decompress(unpacker.unconsumed_tail, _PIECE)
            yield piece
        if not unpacker.eof:
            return b""
        self._unpacker = None
        self._members += 1
        self._is_over = not self._is_gzip
        rest: bytes = unpacker.unused_data
        return rest
