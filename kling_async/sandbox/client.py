"""A session's settings scaled to a sandbox's speed, for the sandbox itself and for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_async.settings import Limits, Polling, Reconciliation, Timeouts

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_PER_SECOND = 10.0  # what a session begins with
_MOST_PER_SECOND = 200.0  # what a loop that runs client and vendor at once does with ease
_SHORTEST_WATCH = 60.0  # seconds: work on this side takes real time, whatever the speed


def scaled_settings(speed: float, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return session settings for a vendor that is ``speed`` times as fast as the real one.

    What is counted in the vendor's time is divided by that, other times are not.
    """
    polling, timeouts = Polling(), Timeouts()
    rate = min(_FIRST_PER_SECOND * max(1.0, speed), _MOST_PER_SECOND)
    usual: dict[str, Any] = {} if speed == 1 else {"requests_per_second": rate}
    return {
        "limits": Limits(**(usual | dict(limits))),
        "polling": Polling(scale=speed, retry_base=polling.retry_base / speed, retry_cap=polling.retry_cap / speed),
        "reconciliation": Reconciliation(scale=speed),
        "timeouts": Timeouts(
            generation=max(timeouts.generation / speed, _SHORTEST_WATCH),
            download=max(timeouts.download / speed, _SHORTEST_WATCH),
        ),
    }
