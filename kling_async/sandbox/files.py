"""The file host: signed URLs that expire, ranges, validators, and no credentials."""

from __future__ import annotations

import re
from base64 import b64encode
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote
from zlib import crc32

from aiohttp import web
from attrs import frozen

from kling_async.sandbox.exchange import Answer, DropConnection, hang_up
from kling_async.sandbox.ledger import FileRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from kling_async.sandbox.faults import Kind, SeededRandom
    from kling_async.sandbox.ledger import CallRecorder, Purchase
    from kling_async.sandbox.settings import Settings

_ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def asked_range(headers: Mapping[str, str], size: int, etag: str) -> range | None:
    """Return the bytes asked for: None for the whole file, an empty range for what lies outside it.

    Several ranges at once, an unreadable one, and one whose ``If-Range`` names another file count as none.
    """
    match = _ONE_RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if first:
        return None if last and int(last) < int(first) else range(size)[int(first) : int(last) + 1 if last else size]
    return range(size)[max(0, size - int(last)) :] if last else None


_BOX_HEADER = 8  # four bytes of length, four of type


@cache
def _films() -> Mapping[str, Sequence[bytes]]:
    """Return the films of each aspect ratio."""
    folder = files("kling_async.sandbox") / "films"
    return {
        ratio: [(folder / f"{ratio.replace(':', 'x')}-{number}.mp4").read_bytes() for number in range(_SCENES)]
        for ratio in ("16:9", "9:16", "1:1")
    }


_SCENES = 8


class SampleVideo:
    """A generation's video file: two seconds of H.264 that browsers play, one of eight scenes by the generation's id.

    A ``free`` box at its end, which players skip, holds the id, so that no two files are the same. It also holds the
    padding to the given size, which is made only as it is read.

    Args:
        generation_id: The id.
        size: How many bytes it has at least.
        ratio: Its aspect ratio, as requests have it; any other is taken for 16:9.
    """

    def __init__(self, generation_id: str, size: int | None = None, ratio: object = None) -> None:
        label = generation_id.encode()
        films = _films().get(str(ratio), _films()["16:9"])
        original = films[crc32(label) % len(films)]
        self.size: int = max(len(original) + _BOX_HEADER + len(label), size or 0)
        box_length = self.size - len(original)
        self._head = original + box_length.to_bytes(4) + b"free" + label

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` up to ``stop``, which is at most ``size``."""
        return self._head[start:stop].ljust(stop - start, b"\0")


_PIECE = 256 * 1024


def _error_page(status: int, code: str, message: str) -> Answer:
    page = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, page, content_type="application/xml")


_EXPIRED = _error_page(403, "AccessDenied", "Request has expired")
_ABSENT = _error_page(404, "NoSuchKey", "The specified key does not exist.")


@frozen
class _FileAnswer:
    """The answer to a request for a file: status, headers, and which bytes follow."""

    status: int
    headers: Mapping[str, str]
    video: SampleVideo
    part: range


class FileHost:
    """Serves videos by URLs that it signed itself.

    A URL's query is some hundred characters long and full of percent-escapes; re-encoding a single one breaks it, as it
    would on the real hosts.
    """

    def __init__(
        self,
        settings: Settings,
        random: SeededRandom,
        ledger: CallRecorder,
        *,
        fires: Callable[[str, Kind], bool],
        before_handling: Callable[[Kind], Awaitable[Answer | None]],
    ) -> None:
        self._settings = settings
        self._random = random
        self._ledger = ledger
        self._fires = fires
        self._before_handling = before_handling
        self._purchases: dict[str, Purchase] = {}  # by file name
        self._issued = 0
        self._expired: set[str] = set()  # signatures that a fault let expire before their time

    def url(self, origin: str, purchase: Purchase) -> str:
        """Return a URL for this generation's video, valid for ``url_lifetime`` from now."""
        name = f"{self._random.bits('file', purchase.generation_id).hex()[:32]}.mp4"
        self._purchases[name] = purchase
        self._issued += 1
        expires = self._settings.clock() + self._settings.url_lifetime / self._settings.speed
        policy = _escaped(self._random.bits("policy", self._issued) * 4)
        query = f"Expires={expires:.6f}&Policy={policy}"
        return f"{origin}/files/{name}?{query}&Signature={self._sign(name, query)}"

    def video(self, purchase: Purchase) -> SampleVideo:
        """Return this generation's video."""
        return SampleVideo(purchase.generation_id, self._settings.file_size, purchase.body.get("aspect_ratio"))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for a file, and record it."""
        purchase = self._purchases.get(request.match_info["name"])
        try:
            answer = await self._before_handling("file") or self._decide(request, purchase)
        except DropConnection:
            self._record(request, purchase, None)
            return hang_up(request)
        self._record(request, purchase, answer.status)
        return await self._send(request, answer) if isinstance(answer, _FileAnswer) else answer.to_response({})

    def _decide(self, request: web.Request, purchase: Purchase | None) -> Answer | _FileAnswer:
        if purchase is None:
            return _ABSENT
        return _EXPIRED if self._has_expired(request) else self._file_answer(request, purchase)

    def _has_expired(self, request: web.Request) -> bool:
        query, _, signature = request.raw_path.partition("?")[2].partition("&Signature=")
        if signature != self._sign(request.match_info["name"], query):
            return True
        if self._fires("expired_url", "file"):
            self._expired.add(signature)
        expires = float(query.partition("&")[0].removeprefix("Expires="))
        return signature in self._expired or self._settings.clock() >= expires

    def _sign(self, name: str, query: str) -> str:
        return _escaped(self._random.bits("signature", name, query))

    def _file_answer(self, request: web.Request, purchase: Purchase) -> Answer | _FileAnswer:
        film = self.video(purchase)
        etag = f'"{self._random.bits("etag", purchase.generation_id, film.size).hex()[:32]}"'
        headers = {"Accept-Ranges": "bytes", "Content-Type": "video/mp4", "ETag": etag}
        if request.headers.get("If-None-Match") == etag:
            return Answer(304, headers=headers)
        part = asked_range({name.lower(): value for name, value in request.headers.items()}, film.size, etag)
        if part is None:
            return _FileAnswer(200, headers, film, range(film.size))
        if not part:
            return Answer(416, headers=headers | {"Content-Range": f"bytes */{film.size}"})
        return _FileAnswer(206, headers | {"Content-Range": f"bytes {part[0]}-{part[-1]}/{film.size}"}, film, part)

    async def _send(self, request: web.Request, offer: _FileAnswer) -> web.StreamResponse:
        length = {"Content-Length": str(len(offer.part))}
        response = web.StreamResponse(status=offer.status, headers={**offer.headers, **length})
        with suppress(ConnectionResetError):  # the client has gone
            await self._write(request, response, offer)
        return response

    async def _write(self, request: web.Request, response: web.StreamResponse, offer: _FileAnswer) -> None:
        await response.prepare(request)
        if request.method == "HEAD":
            return
        is_cut = self._fires("truncated_file", "file")
        stop = offer.part.start + len(offer.part) // 2 if is_cut else offer.part.stop
        for start in range(offer.part.start, stop, _PIECE):
            await response.write(offer.video.read(start, min(start + _PIECE, stop)))
        if is_cut and request.transport is not None:
            request.transport.close()  # unlike abort, this lets go of what was written

    def _record(self, request: web.Request, purchase: Purchase | None, status: int | None) -> None:
        self._ledger.record_answer("file", status, request.headers.get("User-Agent", ""))
        self._ledger.record_file(
            FileRequest(
                at=self._settings.clock(),
                generation_id=purchase.generation_id if purchase else None,
                method=request.method,
                headers={name.lower(): value for name, value in request.headers.items()},
                status=status,
            )
        )


def _escaped(bits: bytes) -> str:
    return quote(b64encode(bits).decode(), safe="")
