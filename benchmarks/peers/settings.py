"""Who is compared, and how each is set: once as its documentation has it, once at its best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SETTINGS", "Setting"]

_ABOUT_RIGHT = "klingai/v2-master-text-to-video"
_ENDLESS = 1000  # retries: more than any run needs


@frozen(kw_only=True)
class Setting:
    """A client, set in one way.

    Attributes:
        name: What it is called on the command line, and in the data.
        title: What it is called in the table.
        how: How it is set, in words.
        label: The same, as briefly as the plot needs it.
        client: The module in ``benchmarks.peers.clients`` that uses it.
        requirements: The file in ``requirements`` with what it needs; None for what this library needs.
        options: What the module is given.
        best: Whether this is its best setting, and not its documented one.
    """

    name: str
    title: str
    how: str
    label: str
    client: str
    requirements: str | None = None
    options: Mapping[str, Any] = field(factory=dict[str, Any])
    best: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="kling_async",
        title="kling_async",
        how="defaults, expecting 300 s, which is about right",
        label="defaults",
        client="kling",
        options={"model": _ABOUT_RIGHT},
    ),
    Setting(
        name="kling_async-misled",
        title="kling_async",
        how="defaults, expecting 220 s, which is far too little",
        label="misled",
        client="kling",
        options={"model": "klingai/v2.1-master-text-to-video"},
    ),
    Setting(
        name="kling_async-economy",
        title="kling_async",
        how='as in the first row, and `Polling(profile="economy")`',
        label="economy",
        client="kling",
        options={"model": _ABOUT_RIGHT, "polling": {"profile": "economy"}},
        best=True,
    ),
    Setting(
        name="kling_async-fast",
        title="kling_async",
        how='as in the first row, and `Polling(profile="fast")`',
        label="fast",
        client="kling",
        options={"model": _ABOUT_RIGHT, "polling": {"profile": "fast"}},
        best=True,
    ),
    Setting(
        name="aimlapi",
        title="AI/ML API SDK",
        how="defaults: every 10 s, for 600 s, 2 retries",
        label="10 s, for 600 s",
        client="aimlapi",
        requirements="aimlapi",
        options={"settings": {}, "polling": {}},
    ),
    Setting(
        name="aimlapi-best",
        title="AI/ML API SDK",
        how="every 10 s, without end, endless retries",
        label="10 s",
        client="aimlapi",
        requirements="aimlapi",
        options={"settings": {"max_retries": _ENDLESS}, "polling": {"poll_timeout": None}},
        best=True,
    ),
    Setting(
        name="sample-15s",
        title="AI/ML API's sample",
        how="requests in threads, every 15 s, for 1,000 s",
        label="15 s",
        client="sample",
        requirements="requests",
        options={"interval": 15.0},
    ),
    Setting(
        name="sample-10s",
        title="AI/ML API's sample",
        how="requests in threads, every 10 s, for 1,000 s",
        label="10 s",
        client="sample",
        requirements="requests",
        options={"interval": 10.0},
    ),
    Setting(
        name="aiohttp-10s",
        title="aiohttp by hand",
        how="every 10 s, no retries",
        label="10 s",
        client="aiohttp_loops",
        options={"interval": 10.0, "retry": False},
    ),
    Setting(
        name="aiohttp-10s-best",
        title="aiohttp by hand",
        how="every 10 s, endless full-jitter retries",
        label="10 s, retries",
        client="aiohttp_loops",
        options={"interval": 10.0, "retry": True},
        best=True,
    ),
    Setting(
        name="aiohttp-backoff",
        title="aiohttp by hand",
        how="full-jitter backoff (1 to 30 s) of polls and retries, endless",
        label="full-jitter backoff",
        client="aiohttp_loops",
        options={"interval": None, "retry": True},
    ),
    Setting(
        name="runwayml",
        title="runwayml",
        how="defaults: every 6 ± 1.5 s, for 600 s, 2 retries",
        label="6 s, for 600 s",
        client="runway",
        requirements="runwayml",
        options={"settings": {}, "waiting": {}},
    ),
    Setting(
        name="runwayml-best",
        title="runwayml",
        how="every 6 ± 1.5 s, without end, endless retries",
        label="6 s",
        client="runway",
        requirements="runwayml",
        options={"settings": {"max_retries": _ENDLESS}, "waiting": {"timeout": None}},
        best=True,
    ),
    Setting(
        name="openai",
        title="openai",
        how="defaults: every 1 s, 2 retries",
        label="1 s",
        client="openai",
        requirements="openai",
        options={"settings": {}, "polling": {}},
    ),
    Setting(
        name="openai-best",
        title="openai",
        how="every 10 s, endless retries",
        label="10 s",
        client="openai",
        requirements="openai",
        options={"settings": {"max_retries": _ENDLESS}, "polling": {"poll_interval_ms": 10_000}},
        best=True,
    ),
    Setting(
        name="replicate",
        title="replicate",
        how="`run`, defaults: held for 60 s, then every 0.5 s",
        label="0.5 s",
        client="replicate",
        requirements="replicate",
    ),
    Setting(
        name="replicate-best",
        title="replicate",
        how="not held, every 10 s, 1,000 connections",
        label="10 s",
        client="replicate",
        requirements="replicate",
        options={"interval": 10.0, "connections": 1000},
        best=True,
    ),
    Setting(
        name="fal",
        title="fal-client",
        how="`subscribe`, defaults: every 0.1 s, 10 attempts",
        label="0.1 s",
        client="fal",
        requirements="fal",
    ),
    Setting(
        name="fal-best",
        title="fal-client",
        how="`subscribe`, every 10 s, 10 attempts",
        label="10 s",
        client="fal",
        requirements="fal",
        options={"interval": 10.0},
        best=True,
    ),
)
