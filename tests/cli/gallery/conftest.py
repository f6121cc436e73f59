"""A real browser, for tests of what a page does."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NoReturn

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("KLING_REQUIRE_BROWSER"):
        pytest.fail(f"a browser is required here: {reason}")
    pytest.skip(reason)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium; where there is none, tests are skipped, unless ``KLING_REQUIRE_BROWSER`` is set."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        _unavailable(f"there is none of {', '.join(_NAMES)}")
    try:
        from playwright.async_api import async_playwright  # noqa: PLC0415 - without it the tests are skipped
    except ModuleNotFoundError:
        _unavailable("playwright is not installed")
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
