"""Settings of every test: no network beyond loopback, no key of the environment, and one profile of Hypothesis."""

from __future__ import annotations

import gc
import os
import pkgutil
import sys
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from coverage import Coverage
from hypothesis import settings

import kling_async

if TYPE_CHECKING:
    from collections.abc import Generator

# A run in CI is the same every time; elsewhere every run looks somewhere new.
settings.register_profile("kling_async", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("kling_async")


def pytest_configure() -> None:
    """Take away what would make a test depend on who runs it, or reach further than this machine."""
    for name in [name for name in os.environ if name.upper().endswith("_PROXY") or name.startswith("AIML")]:
        del os.environ[name]
    sys.addaudithook(_stay_on_loopback)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("untraced") is None)


def pytest_collection_finish() -> None:
    """Have a search for garbage, with which many tests end, look only at what has come since."""
    if Coverage.current() is not None:
        _import_all()  # what a test that is not traced imports first would seem never to be executed
    gc.freeze()


def _import_all() -> None:
    for module in pkgutil.walk_packages(kling_async.__path__, "kling_async."):
        if not module.name.endswith(".__main__"):
            import_module(module.name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have a worker more than CPUs: a good part of the tests waits, for children, for files and for time to pass."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Trace neither a test that is marked ``untraced`` nor its children, so that they take a third of the time.

    What is covered can only be told too low by that: such tests play at length what others cover piece by piece.
    """
    coverage = Coverage.current()
    if coverage is None or item.get_closest_marker("untraced") is None:
        return (yield)
    coverage.stop()
    told = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    try:
        return (yield)
    finally:
        if told is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = told
        coverage.start()


def _stay_on_loopback(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and not _is_local(arguments[1]):
        raise RuntimeError(f"a test tried to connect to {arguments[1]!r}")


def _is_local(address: object) -> bool:
    host = address[0] if isinstance(address, tuple) else None  # what is no tuple is a socket of this machine
    return not isinstance(host, str) or host == "localhost" or ip_address(host).is_loopback
