"""Reads a file host's response: the headers, and then the first bytes of the body, which count for more."""

from __future__ import annotations

import re
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.api.file_types import FileType, recognised
from kling_async.errors import MalformedResponse
from kling_async.transport.decoding import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEAD = 512
"""The bytes at the beginning of a file that are enough to recognise its format."""

STRONG_ETAG = re.compile(r'"[!#-~]*"')
"""A strong ETag, which promises equal bytes (RFC 9110, 8.8.3)."""

_ABSENT = frozenset({202, 204, 401, 403, 404, 409, 410, 425})
_TRANSIENT = frozenset({408, 429})
_NUMBER = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (?P<start>[0-9]{1,18})-(?P<end>[0-9]{1,18})/(?P<size>[0-9]{1,18}|\*)")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # bytes that no text has
_UTF_16 = (b"\xff\xfe<\0", b"\xfe\xff\0<", b"\xff\xfe{\0", b"\xfe\xff\0{")
_VIDEOS = (b"\x1aE\xdf\xa3", b"GIF8", b"FLV\x01", b"\0\0\1\xba")  # Matroska and WebM, GIF, Flash, MPEG
_OTHERS = {b"\x1f\x8b": "gzip", b"PK\3\4": "a ZIP archive", b"%PDF-": "a PDF"}
_TRANSPORT_STREAM, _PACKET = 0x47, 188  # each of its packets begins with this byte


class Answer(Enum):
    """The meaning of a response without a body to store."""

    ABSENT = "the file is not there, not yet or no more, or the URL has expired"
    PASSING = "an error that may pass"
    MISFIT = "the rest that came does not continue the partial file"
    NO_RANGES = "the host does not serve ranges"
    FINAL = "another try will not help"


@frozen(eq=False, repr=False)
class Body:
    """A body that may be the file or its rest.

    Attributes:
        offset: The byte of the file it begins with.
        size: The whole file's size in bytes, if stated; of a compressed body, the compressed size.
        etag: The file's strong ETag, if stated.
        media_type: The media type in its header.
        encoding: The content encoding in its header.
    """

    offset: int
    size: int | None
    etag: str | None
    media_type: str
    encoding: str


class NoVideo(Exception):
    """The body is no video; the message says what it is."""


def read_answer(status: int, headers: Mapping[str, str], have: int, etag: str | None) -> Body | Answer:
    """Return the body that a response has, or what the response means without one.

    Args:
        status: Its status.
        headers: Its headers.
        have: The offset in bytes from which the file was asked for; 0 if all of it was.
        etag: The strong ETag of the partial file.
    """
    if status in (HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION):
        return _body(headers, 0, _digits(headers.get("content-length")), _strong_etag(headers))
    if status == HTTPStatus.PARTIAL_CONTENT:
        return _read_rest(headers, have, etag) if have else _read_unasked(headers)
    if status in _ABSENT:
        return Answer.ABSENT
    if status in _TRANSIENT:
        return Answer.PASSING
    if have and (status in range(400, 500) or status == HTTPStatus.NOT_IMPLEMENTED):
        return Answer.NO_RANGES
    return Answer.PASSING if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Answer.FINAL


def _read_rest(headers: Mapping[str, str], have: int, etag: str | None) -> Body | Answer:
    stated = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    changed = headers.get("etag", etag) != etag
    if stated is None or int(stated["start"]) != have or changed:
        return Answer.MISFIT
    return _body(headers, have, _digits(stated["size"]), etag)


def _read_unasked(headers: Mapping[str, str]) -> Body | Answer:
    """Accept a 206 without a range asked for if it covers the whole file."""
    stated = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if stated is None or int(stated["start"]) or int(stated["end"]) + 1 != _digits(stated["size"]):
        return Answer.FINAL
    return _body(headers, 0, _digits(stated["size"]), _strong_etag(headers))


def _body(headers: Mapping[str, str], offset: int, size: int | None, etag: str | None) -> Body:
    label = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Body(offset, size, etag, label, headers.get("content-encoding", ""))


class Incoming:
    """Checks and decodes a body as it comes in.

    Args:
        body: The body as its headers describe it.
        expected_size: The file's size in bytes as announced elsewhere, which may be wrong.
        size_cap: The most bytes to take, before and after decoding.
    """

    def __init__(self, body: Body, *, expected_size: int | None, size_cap: int) -> None:
        self.final_size: int | None = (
            None if body.offset == 0 else body.size
        )  # the file's size, once its first bytes came
        self.is_decoded: bool = False
        self._body = body
        self._expected_size = expected_size
        self._cap = size_cap
        self._head = b""
        self._decoder: Decoder | None = None
        self._is_checked = body.offset > 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the pieces to store; the first come once there are enough bytes to recognise the format.

        Raises:
            NoVideo: It is no video, or is compressed in a way that was not asked for.
            MalformedResponse: Its compression is broken, or it is too long.
        """
        if self._decoder is None:
            self._head += piece
            if len(self._head) < HEAD and not self._body.offset:
                return
            piece = self._begin()
        yield from self._decoded(piece)

    def finish(self) -> Iterator[bytes]:
        """Yield the last pieces to store. Raises as `feed` does."""
        if self._decoder is None and self._head:
            yield from self._decoded(self._begin())
        if self._decoder is not None:
            self._decoder.finish()

    def _begin(self) -> bytes:
        head, self._head = self._head, b""
        encoding = "" if self._body.offset or is_video(head) else self._body.encoding
        try:
            self._decoder = Decoder(encoding, cap=self._cap, status=HTTPStatus.OK)
        except MalformedResponse:
            raise NoVideo(f"something compressed with {encoding[:40]}") from None
        self.is_decoded = self._decoder.changes
        return head

    def _decoded(self, piece: bytes) -> Iterator[bytes]:
        assert self._decoder is not None  # noqa: S101 - made before
        for plain in self._decoder.feed(piece):
            if plain and not self._is_checked:
                self._check_head(plain)
                self._is_checked = True
            yield plain

    def _check_head(self, head: bytes) -> None:
        """Recognise the first bytes, and decide by them which stated size counts."""
        stated = None if self.is_decoded else self._body.size
        if is_video(head):
            self.final_size = stated
            return
        self.final_size = self._expected_size if stated is None else stated
        label = self._body.media_type
        is_page = label.startswith("text/") or label.endswith(("json", "xml"))  # as an error may come with status 200
        if (other := _other_type(head) or (label if is_page else None)) is not None:
            raise NoVideo(other)
        if self.final_size is None:
            raise NoVideo("something of unknown length that begins like no video")


def is_video(head: bytes) -> bool:
    """Return whether these first bytes are the signature of a video format."""
    known = recognised(head)
    is_stream = len(head) > _PACKET and head[0] == head[_PACKET] == _TRANSPORT_STREAM
    is_riff = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    return (known is not None and known.file is FileType.VIDEO) or head.startswith(_VIDEOS) or is_stream or is_riff


def _other_type(head: bytes) -> str | None:
    """Return the name of the format, if these first bytes are those of something other than a video."""
    if not _CONTROL.search(head[:HEAD]) or head.startswith(_UTF_16):
        return f"a text that begins with {head[:40].decode('utf-8', 'replace')!r}"
    known = recognised(head)
    if known is not None and known.file is FileType.IMAGE:
        return f"a {known.label} image"
    return next((what for magic, what in _OTHERS.items() if head.startswith(magic)), None)


def _strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the ETag if it is a strong one."""
    etag = headers.get("etag", "").strip()
    return etag if STRONG_ETAG.fullmatch(etag) else None


def _digits(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None
