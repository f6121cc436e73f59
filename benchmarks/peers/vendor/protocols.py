"""How each service is spoken to: which requests there are, and what the answers look like.

Every answer says as little as the peer's client can do with. "Still running" is what a service says of a generation
until it completes; none ever fails.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import frozen

from benchmarks.peers.vendor.http import Answer, Dropped, Held, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.vendor.http import Request
    from benchmarks.peers.vendor.ledger import Ledger, Purchase

__all__ = ["Service"]

_WAIT = 60.0  # seconds that Replicate holds a submit with "Prefer: wait"
_DATE = "2026-01-01T00:00:00Z"
_TOO_MANY = Answer({"message": "Too many requests", "statusCode": 429, "detail": "Too many requests"}, 429)
_UNKNOWN = Answer({"message": "Not found", "statusCode": 404, "detail": "Not found"}, 404)


@frozen
class Service:
    """Replies to requests in the protocol of the service whose path is asked for.

    Attributes:
        ledger: The ledger.
        url: Where this is, for answers that hold addresses.
        wall: The time of day by the shared clock, in seconds since the epoch.
    """

    ledger: Ledger
    url: str
    wall: Callable[[], float]

    def reply(self, request: Request) -> Reply:
        """Decide how to reply to a request."""
        if not self.ledger.admit(is_post=request.method == "POST"):
            return _TOO_MANY
        for method, pattern, action in _ROUTES:
            if method == request.method and (match := pattern.fullmatch(request.target)):
                return action(self, request, *match.groups())
        return _UNKNOWN

    def _sold(self, purchase: Purchase, answer: Answer) -> Reply:
        return Dropped() if self.ledger.loses_answer(purchase) else answer

    def _about(self, generation_id: str, say: Callable[[Purchase, bool, str], Any]) -> Reply:
        purchase = self.ledger.purchases.get(unquote(generation_id))
        return _UNKNOWN if purchase is None else Answer(self._said(purchase, say))

    def _said(self, purchase: Purchase, say: Callable[[Purchase, bool, str], Any]) -> Any:  # noqa: ANN401 - JSON
        return say(purchase, self.ledger.now() >= purchase.completes_at, f"{self.url}/files/{purchase.id}.mp4")

    # AI/ML API

    def sell_aimlapi(self, request: Request) -> Reply:
        """Sell by the universal endpoint."""
        name = request.headers.get("x-client-request-id")
        purchase = self.ledger.buy(request.body, model=json.loads(request.body)["model"], name=name)
        echo = (("x-inference-id", purchase.id), *((("x-client-request-id", name),) if name else ()))
        return self._sold(purchase, Answer({"id": purchase.id, "status": "queued"}, headers=echo))

    def tell_aimlapi(self, _request: Request, generation_id: str) -> Reply:
        """Say how far a generation is."""
        return self._about(generation_id, _aimlapi)

    def log(self, request: Request) -> Reply:
        """Return a page of the account's log. A generation is in it once it has ended."""
        query = parse_qs(urlsplit(request.target).query)
        start, end = (datetime.fromisoformat(query[name][0]) for name in ("start", "end"))
        rows = [row for row in map(self._row, self.ledger.purchases.values()) if row is not None]
        rows = [row for row in rows if start <= datetime.fromisoformat(row["created"]) <= end]
        rows.sort(key=lambda row: str(row["created"]), reverse=True)
        limit, offset = int(query["limit"][0]), int(query["offset"][0])
        more = offset + limit < len(rows)
        pages = {"limit": limit, "offset": offset, "total": len(rows), "has_more": more}
        return Answer({"data": rows[offset : offset + limit], "pagination": pages})

    def transactions(self, request: Request) -> Reply:
        """Return a page of the ledger, newest first; empty unless `VendorSettings.lag` says otherwise."""
        query = parse_qs(urlsplit(request.target).query)
        limit, charged = int(query["limit"][0]), self.ledger.charged()
        rest = int(query["cursor"][0]) if "cursor" in query else len(charged)  # counted from the oldest
        page = charged[len(charged) - rest :][:limit]
        rest -= len(page)
        return Answer(
            {
                "data": [
                    {"direction": "CHARGE", "type": "MODEL_USAGE", "reference_id": each.id, "model": each.model}
                    for each in page
                ],
                "pagination": {"next_cursor": str(rest) if rest else None, "has_more": rest > 0},
            }
        )

    def _row(self, purchase: Purchase) -> dict[str, Any] | None:
        now = self.ledger.now()
        if now < purchase.completes_at:
            return None
        created = datetime.fromtimestamp(self.wall() - (now - purchase.accepted_at), UTC)
        return {
            "created": created.isoformat(),
            "status": "succeeded",
            "model": purchase.model,
            "inference_id": purchase.id,
            "client_request_id": purchase.name,
        }

    # The others

    def sell_fal(self, request: Request) -> Reply:
        """Put into fal's queue."""
        purchase = self.ledger.buy(request.body)
        place = f"{self.url}/fal-ai/kling-video/requests/{purchase.id}"
        names = {"response_url": place, "status_url": f"{place}/status", "cancel_url": f"{place}/cancel"}
        return self._sold(purchase, Answer({"request_id": purchase.id, **names}))

    def tell_fal(self, _request: Request, generation_id: str) -> Reply:
        """Say how far a request in fal's queue is."""
        return self._about(generation_id, _fal)

    def give_fal(self, _request: Request, generation_id: str) -> Reply:
        """Return what came of a request that is done."""
        return self._about(generation_id, lambda _, __, url: {"video": {"url": url}})

    def sell_replicate(self, request: Request) -> Reply:
        """Begin a prediction, and hold the answer for up to a minute if that is preferred."""
        purchase = self.ledger.buy(request.body)
        if self.ledger.loses_answer(purchase):
            return Dropped()
        if not request.headers.get("prefer", "").startswith("wait"):
            return Answer(self._said(purchase, _replicate), 201)
        until = min(purchase.completes_at, self.ledger.now() + _WAIT)
        return Held(until, lambda: Answer(self._said(purchase, _replicate), 201))

    def tell_replicate(self, _request: Request, generation_id: str) -> Reply:
        """Say how far a prediction is."""
        return self._about(generation_id, _replicate)

    def sell_runway(self, request: Request) -> Reply:
        """Begin a task."""
        purchase = self.ledger.buy(request.body)
        return self._sold(purchase, Answer({"id": purchase.id}))

    def tell_runway(self, _request: Request, generation_id: str) -> Reply:
        """Say how far a task is."""
        return self._about(generation_id, _runway)

    def sell_openai(self, request: Request) -> Reply:
        """Begin a video."""
        purchase = self.ledger.buy(request.body)
        return self._sold(purchase, Answer(self._said(purchase, _openai)))

    def tell_openai(self, _request: Request, generation_id: str) -> Reply:
        """Say how far a video is. How often to ask is not said, so that the client's own interval holds."""
        return self._about(generation_id, _openai)


def _aimlapi(purchase: Purchase, done: bool, url: str) -> Any:  # noqa: ANN401, FBT001 - JSON, by one signature for all
    video = {"url": url, "content_type": "video/mp4"} if done else None
    return {"id": purchase.id, "status": "completed" if done else "generating", "video": video, "error": None}


def _fal(_: Purchase, done: bool, __: str) -> Any:  # noqa: ANN401, FBT001
    return {"status": "COMPLETED" if done else "IN_PROGRESS", "logs": None, "metrics": {}}


def _replicate(purchase: Purchase, done: bool, url: str) -> Any:  # noqa: ANN401, FBT001
    # A prediction that a held submit was not long enough for is said to be starting.
    return {
        "id": purchase.id,
        "model": "kwaivgi/kling-v2.1",
        "version": "hidden",
        "status": "succeeded" if done else "starting",
        "input": {},
        "output": url if done else None,
        "logs": "",
        "error": None,
        "metrics": {},
        "created_at": _DATE,
        "started_at": None,
        "completed_at": _DATE if done else None,
        "urls": {},
    }


def _runway(purchase: Purchase, done: bool, url: str) -> Any:  # noqa: ANN401, FBT001
    about = {"id": purchase.id, "createdAt": _DATE}
    if done:
        return about | {"status": "SUCCEEDED", "output": [url], "cost": {"credits": 25}}
    return about | {"status": "RUNNING", "progress": 0.5, "estimatedCost": {"credits": 25}}


def _openai(purchase: Purchase, done: bool, _: str) -> Any:  # noqa: ANN401, FBT001
    return {
        "id": purchase.id,
        "object": "video",
        "created_at": 1_767_225_600,
        "completed_at": 1_767_225_600 if done else None,
        "model": "sora-2",
        "progress": 100 if done else 50,
        "seconds": "4",
        "size": "720x1280",
        "status": "completed" if done else "in_progress",
    }


_ROUTES: tuple[tuple[str, re.Pattern[str], Callable[..., Reply]], ...] = tuple(
    (method, re.compile(pattern), action)
    for method, pattern, action in (
        # "Text-to-video" and "Fetch the video", and the vendor's "Request logs"
        ("GET", r"/v2/video/generations\?generation_id=(.+)", Service.tell_aimlapi),
        ("POST", r"/v2/video/generations", Service.sell_aimlapi),
        ("GET", r"/v2/logs\?.+", Service.log),
        ("GET", r"/v2/billing/transactions\?.+", Service.transactions),
        # fal.ai's queue
        ("GET", r"/fal-ai/kling-video/requests/([^/]+)/status\?logs=false", Service.tell_fal),
        ("GET", r"/fal-ai/kling-video/requests/([^/]+)", Service.give_fal),
        ("POST", r"/fal-ai/kling-video/.+", Service.sell_fal),
        # Replicate's predictions
        ("GET", r"/v1/predictions/([^/]+)", Service.tell_replicate),
        ("POST", r"/v1/models/[^/]+/[^/]+/predictions", Service.sell_replicate),
        # Runway's tasks
        ("GET", r"/v1/tasks/([^/]+)", Service.tell_runway),
        ("POST", r"/v1/text_to_video", Service.sell_runway),
        # OpenAI's videos
        ("GET", r"/v1/videos/([^/]+)", Service.tell_openai),
        ("POST", r"/v1/videos", Service.sell_openai),
    )
)
