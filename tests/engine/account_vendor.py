"""A vendor in memory that also answers about the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from attrs import define, field
from scripted import ScriptedVendor, answer

from kling_async import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

PER_SECOND = 0.28
MASTER = "klingai/v2.1-master-text-to-video"


def priced(model: str = MASTER, price: float = PER_SECOND, **more: Any) -> dict[str, Any]:
    """An entry of the price list: so much a second."""
    unit = {"name": "second", "measure": "output", "price": price, "per": 1}
    pricing = {"kind": "fixed", "currency": "USD", "units": [unit]}
    kind = "internal/video-generations/submit"
    return {"id": model, "aliases": [], "type": kind, "info": {}, "tags": [], "pricing": pricing} | more


def price_list(*entries: dict[str, Any], etag: str = 'W/"1"') -> HttpResponse:
    return answer(200, {"object": "list", "data": entries}, etag=etag)


@define
class AccountVendor(ScriptedVendor):
    """Answers paths of the account as told: with these answers in turn, the last of them for ever after."""

    answers: dict[str, list[HttpResponse | Exception | Callable[[dict[str, str]], HttpResponse]]] = field(factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(factory=list)  # paths and queries, in order
    etags: list[str | None] = field(factory=list)

    async def send(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.target)
        if parts.path not in self.answers:
            return await ScriptedVendor.send(self, request)
        query = dict(parse_qsl(parts.query))
        self.asked.append((parts.path, query))
        self.etags.append(request.headers.get("If-None-Match"))
        await self._take(0.0)
        turns = self.answers[parts.path]
        turn = turns.pop(0) if len(turns) > 1 else turns[0]
        if isinstance(turn, Exception):
            raise turn
        return turn if isinstance(turn, HttpResponse) else turn(query)

    def times(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked == path for asked, _ in self.asked)
