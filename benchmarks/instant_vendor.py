"""A vendor in memory, which keeps nothing: what it is measured with is the library's."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote
from uuid import UUID

from kling_async import HttpRequest, HttpResponse, Lane

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from kling_async import StreamedResponse

__all__ = ["InstantVendor"]


class InstantVendor:
    """A transport that accepts every submit, and finds every generation still under way.

    Args:
        latency: How long each answer takes, in seconds.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self._numbers = count()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer after the latency."""
        await asyncio.sleep(self._latency)
        submitted = request.lane is Lane.SUBMIT
        generation_id = self._new_id() if submitted else unquote(request.target.partition("generation_id=")[2])
        answer = {"id": generation_id, "status": "queued" if submitted else "generating", "video": None}
        return HttpResponse(200, {}, json.dumps(answer).encode())

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[StreamedResponse]:
        """Refuse: there are no files here."""
        return _no_file(request)

    def _new_id(self) -> str:
        """Return an id of the vendor's usual shape and length."""
        return f"{UUID(int=next(self._numbers))}:kling-video/v2.1/master/text-to-video"


def _no_file(request: HttpRequest) -> NoReturn:
    raise NotImplementedError(f"no file is expected: {request.target}")
