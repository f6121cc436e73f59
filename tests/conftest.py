"""Settings of every test: no network beyond loopback, no key of the environment, and one profile of Hypothesis."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address

from hypothesis import settings

# A run in CI is the same every time; elsewhere every run looks somewhere new.
settings.register_profile("kling_async", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("kling_async")


def pytest_configure() -> None:
    """Take away what would make a test depend on who runs it, or reach further than this machine."""
    for name in [name for name in os.environ if name.upper().endswith("_PROXY") or name.startswith("AIML")]:
        del os.environ[name]
    sys.addaudithook(_stay_on_loopback)


def _stay_on_loopback(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and not _is_local(arguments[1]):
        raise RuntimeError(f"a test tried to connect to {arguments[1]!r}")


def _is_local(address: object) -> bool:
    host = address[0] if isinstance(address, tuple) else None  # what is no tuple is a socket of this machine
    return not isinstance(host, str) or host == "localhost" or ip_address(host).is_loopback
