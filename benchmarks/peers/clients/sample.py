"""AI/ML API's own sample, in other words: requests, ``time.sleep``, and an end to its timeout; a thread a job."""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["threaded"]

_requests: Any = import_module("requests")

_PATIENCE = 1000.0  # seconds; the sample's own


@contextmanager
def threaded(url: str, *, interval: float) -> Generator[Callable[[str], str]]:
    """Ask at this interval, at once at first."""
    place, headers = f"{url}/v2/video/generations", {"Authorization": "Bearer key"}

    def checked(answer: Any) -> Any:  # noqa: ANN401 - JSON
        answer.raise_for_status()
        return answer.json()

    def generate(prompt: str) -> str:
        body = {"model": "kling-video/v2.1/master/text-to-video", "prompt": prompt}
        asked = {"generation_id": checked(_requests.post(place, json=body, headers=headers))["id"]}
        begun = time.time()
        while time.time() - begun < _PATIENCE:
            generation = checked(_requests.get(place, params=asked, headers=headers))
            if generation["status"] in ("completed", "error"):
                return str(generation["video"]["url"])
            time.sleep(interval)
        raise TimeoutError("the sample's timeout has ended")

    yield generate
