"""A session for a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_async.pacing.polling import Polling
from kling_async.pacing.rate import Limits
from kling_async.session import KlingSession
from kling_async.transport.base import Timeouts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.sandbox.server import Sandbox

__all__ = ["scaled_session"]

_USUAL_PER_SECOND = 10.0  # what a session begins with
_MOST_PER_SECOND = 200.0  # what a loop that runs client and vendor at once does with ease
_SHORTEST_WATCH = 60.0  # seconds: work on this side takes real time, whatever the speed


def scaled_session(sandbox: Sandbox, settings: Mapping[str, Any]) -> KlingSession:
    """A session for this sandbox: what is counted in the vendor's time is divided by its speed, other times are not."""
    speed = sandbox.speed
    polling, timeouts = Polling(), Timeouts()
    scaled: dict[str, Any] = {
        "api_key": sandbox.api_key,
        "base_url": sandbox.url,
        "polling": Polling(
            scale=speed,
            retry_base=polling.retry_base / speed,
            retry_cap=polling.retry_cap / speed,
        ),
        "limits": Limits(requests_per_second=min(_USUAL_PER_SECOND * speed, _MOST_PER_SECOND)),
        "timeouts": Timeouts(generation=max(timeouts.generation / speed, _SHORTEST_WATCH)),
    }
    return KlingSession(**(scaled | dict(settings)))
