"""A sandbox behind a gateway that shows pages of its own, with a log that comes in pieces, and with suspends."""

from __future__ import annotations

import json
from email.utils import formatdate
from random import Random
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from benchmarks.kill.constants import Trouble

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["faulty_sandbox"]

_PAGES = 0.01  # of all requests are answered with a page, and as many of the answers are lost to one
_CORRUPTED = 0.4  # of the log's pages
_SUSPENDS = 0.004  # a request
_STATUSES = (502, 502, 404, 403)
_HOURS = (0.5, 3.0)  # how long a suspend takes, by both sides' wall clocks


def faulty_sandbox(troubles: AbstractSet[Trouble], clock: Path, seed: int, **settings: Any) -> Sandbox:  # noqa: ANN401 - its own
    """Return a sandbox with these troubles.

    Args:
        troubles: Which of them.
        clock: The file that tells the children by how many seconds their wall clocks are to be ahead.
        seed: What decides when trouble comes.
        settings: Those of ``Sandbox``.
    """
    suspended = _SuspendedClock(clock)
    gateway = _Gateway(troubles, suspended, Random(seed))  # noqa: S311 - as planned
    # Hours pass in a suspend, and not thousands of them, as they would by what the other settings are in.
    lifetime = 86_400.0 * settings["speed"]
    return _FaultySandbox(gateway, seed=seed, clock=suspended.clock, url_lifetime=lifetime, **settings)


class _SuspendedClock:
    """A clock that jumps where both machines' wall clocks do; the children's monotonic clocks know nothing of it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = 0.0

    def clock(self) -> float:
        return monotonic() + self._ahead

    async def date(self, _: web.Request, response: web.StreamResponse) -> None:
        """Have every answer dated by the vendor's wall clock."""
        response.headers["Date"] = formatdate(time() + self._ahead, usegmt=True)

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds
        beside = self._file.with_suffix(".new")
        beside.write_text(str(self._ahead))
        beside.replace(self._file)


class _Gateway:
    """The gateway in front of the vendor."""

    def __init__(self, troubles: AbstractSet[Trouble], suspended: _SuspendedClock, rng: Random) -> None:
        self._troubles = troubles
        self.suspended = suspended
        self._rng = rng

    @web.middleware
    async def pass_on(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._strikes("suspend", _SUSPENDS):
            self.suspended.sleep(self._rng.uniform(*_HOURS) * 3600.0)
        if self._strikes("gateway", _PAGES):
            return _page(self._rng.choice(_STATUSES))
        response = await handler(request)
        if self._strikes("gateway", _PAGES):
            return _page(502)
        if request.path.endswith("/v2/logs") and response.status == 200 and self._strikes("log", _CORRUPTED):  # noqa: PLR2004 - HTTP's
            return self._corrupted(response)
        return response

    def _strikes(self, trouble: Trouble, rate: float) -> bool:
        return trouble in self._troubles and self._rng.random() < rate

    def _corrupted(self, response: web.StreamResponse) -> web.Response:
        """Return a page of the log that is not what it says, or none."""
        assert isinstance(response, web.Response)  # noqa: S101 - the log is not streamed
        content = json.loads(response.text or "")
        kind = self._rng.choice(("lost", "empty", "short", "bare"))
        if kind == "lost":
            return _page(502)
        if kind == "empty":
            content["data"], content["pagination"]["has_more"] = [], True
        elif kind == "short":
            content["data"] = content["data"][: len(content["data"]) // 2]
        else:
            content["data"] = content["data"][: len(content["data"]) // 2]
            del content["pagination"]["has_more"]
        return web.json_response(content, headers={"x-request-id": response.headers.get("x-request-id", "")})


class _FaultySandbox(Sandbox):
    """A sandbox with something in gateway of it."""

    def __init__(self, gateway: _Gateway, **settings: Any) -> None:  # noqa: ANN401 - its own
        super().__init__(**settings)
        self._gateway = gateway

    def _application(self) -> web.Application:
        application = super()._application()
        application.middlewares.append(self._gateway.pass_on)
        application.on_response_prepare.append(self._gateway.suspended.date)
        return application


def _page(status: int) -> web.Response:
    return web.Response(status=status, text=f"<html><body><h1>{status}</h1></body></html>", content_type="text/html")
