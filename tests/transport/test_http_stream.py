"""Files over real sockets: from hosts that must learn nothing of the account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from loopback import Exchange, loopback, response

from kling_async.api.protocol import HttpRequest, Lane, file_request
from kling_async.errors import RequestTimeout, TransportError
from kling_async.transport.base import Timeouts
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.asyncio

KEY = "sk-0123456789abcdef"
FILE = bytes(range(256)) * 4096


@pytest.fixture
async def unused() -> None:
    return None


async def _read(transport: HttpTransport, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    async with transport.stream(file_request(url, headers or {})) as answer:
        return answer.status, b"".join([piece async for piece in answer.chunks()])


def _transport(**settings: object) -> HttpTransport:
    return HttpTransport(KEY, base_url="https://api.example.com", **settings)


async def send_file(exchange: Exchange) -> None:
    await exchange.answer(200, FILE, content_type="video/mp4")
