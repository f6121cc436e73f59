"""Every parameter of every public entry refuses what it cannot use, at once, by name, in a message of bounded length.

The entries are found by introspection: a new parameter without a line in these tables is a failed test.
"""

from __future__ import annotations

import inspect
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from scripted import ScriptedVendor, promptly

import kling_async
from kling_async import (
    ConfigurationError,
    InvalidRequest,
    Job,
    KlingError,
    KlingSession,
    Limits,
    Polling,
    Reconciliation,
    Retry,
    TextToVideo,
    Timeouts,
    Usage,
    Video,
)
from kling_async.otel import trace
from kling_async.sandbox import Faults, Sandbox, SandboxThread

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "x" * 3_000_000
HUGE = 10**4200  # beyond any float
NOW = datetime(2026, 1, 1, tzinfo=UTC)
VIDEO = Video("https://host.example/a.mp4", None, None, 9, "g1", Usage())
FOX = TextToVideo("a fox")
ANY = ()
"""Of a parameter that takes anything, or that something else judges."""

IDS = (5, None, "", " ", "\ud800", b"g1")
KEYS = (5, "", "a b", "é", LONG, b"k")
PATHS = (5, "", b"a", ["a"])
DEADLINES = (0, -1, math.nan, math.inf, HUGE, "60", True, timedelta(0))
COUNTS = (0, -1, 2.5, "2", True, math.inf, LONG, HUGE)
BEYOND = (
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
)
MOMENTS = ("2026-01-01", 5, *BEYOND)
NAMES = (5, "", [5], [""], object(), b"a", ["\ud800"])
SOURCES = (5, None, "a fox", b"a fox", FOX, LONG)

SESSION: dict[str, dict[str, tuple[Any, ...]]] = {
    "__init__": {
        "api_key": (
            *(
                "'s3cret'",
                '"s3cret"',
                "AIMLAPI_API_KEY=s3cret",
                "s3cret#mine",
                "\ufeffs3cret",
                "s3cret\n",
                "s3cret mine",
            ),
            *(5, b"s3cret", ["s3cret"], " ", "s\x003\0c\0r\0e\0t\0"),
        ),
        "base_url": (5, b"https://host.example", Path("host.example"), "host.example"),
        "journal": (5, b"a.db", object(), ["a.db"]),
        "limits": ({}, {"burst": 5}, 5, LONG, Limits),
        "polling": ("fast", LONG, {}, 0, Limits()),
        "timeouts": (5, 5.0, timedelta(5), {}, HUGE),
        "reconciliation": ("resubmit", {}, 5, False),
        "retry": (2, {}, "all", Limits(), True),
        "hold": ("yes", 0, None, LONG),
        "proxy": (5, b"http://a", "", "proxy.example.com:3128", "socks5://a:1", LONG, ["http://a"]),
        "trust_env": ("yes", 0, None, LONG),
        "ssl": (True, False, 5, "", b"ca.pem", "absent.pem", "a\0b", LONG, ["ca.pem"]),
        "headers": (
            5,
            "X-A: b",
            ["X-A"],
            {5: "a"},
            {"": "a"},
            {"X-A": 5},
            {"X-A": ""},
            {"X-A": LONG + "\n"},
            {LONG: "é"},
        ),
        "user_agent": (5, "", " ", b"a", "a\nb", "é", LONG + "\n"),
        "allow_http": ("yes", 0, None, LONG),
        "shared": ("yes", 0, None, True),  # True without a file to share
        "transport": (object(), 5, LONG, "https"),
        "rng": (5, 0.0, "seed", {}),
    },
    "submit": {
        "request": (5, None, "a fox", LONG, {"prompt": "a fox"}),
        "tag": ANY,
        "key": KEYS,
        "deadline": DEADLINES,
        "retry_failed": (5, 0, None, "yes", LONG),
        "priority": (1.0, "1", None, True, 1001, -1001, HUGE, math.nan),
        "group": (5, "", " ", b"a", "\ud800", LONG),
    },
    "resume": {
        "generation_id": IDS,
        "tag": ANY,
        "key": KEYS,
        "deadline": DEADLINES,
        "endpoint": (5, None, "/v3", LONG),
    },
    "as_completed": {"source": SOURCES, "max_in_flight": COUNTS},
    "as_downloaded": {
        "source": SOURCES,
        "path": (5, "a.mp4", Path("a.mp4"), LONG),
        "into": PATHS,
        "max_in_flight": COUNTS,
    },
    "find": {"key": (*KEYS, None)},
    "fetch": {"generation_id": IDS, "endpoint": (5, None, "/v3", [])},
    "stats": {"own": (1, None, "yes", [])},
    "subscribe": {"job": (5, "k", []), "buffer": COUNTS},
    "transactions": {"start": MOMENTS, "end": MOMENTS, "direction": (5, "SIDEWAYS", LONG, []), "type": (5, "", [])},
    "usage": {"period": (5, "", "7", "7w", "0d", LONG, ["7d"]), "start": MOMENTS, "end": MOMENTS},
    "logs": {
        "period": (5, "7w", LONG),
        "start": MOMENTS,
        "end": MOMENTS,
        "models": NAMES,
        "statuses": (*NAMES, "done", LONG),
    },
    "metrics": {"models": NAMES},
    "list_models": {"include": (*NAMES, "prices", LONG), "ids": NAMES},
    "estimate": {"requests": (5, None, "a fox", [5], [FOX, "a fox"], LONG)},
    "reconcile_costs": {"jobs": (5, None, "k", ["k"], [5], LONG), "start": MOMENTS},
    "download": {
        "video": (5, None, "https://host.example/a.mp4", LONG),
        "path": PATHS,
        "into": PATHS,
        "progress": (5, LONG),
    },
}
USUAL: dict[str, dict[str, Any]] = {
    "submit": {"request": FOX},
    "resume": {"generation_id": "g1"},
    "as_completed": {"source": [FOX]},
    "as_downloaded": {"source": [FOX], "into": "out"},
    "fetch": {"generation_id": "g1"},
    "download": {"video": VIDEO, "into": "out"},
    "reconcile_costs": {"jobs": []},
}
"""What goes beside the parameter that is tried."""

SETTINGS: list[tuple[type[Any], dict[str, tuple[Any, ...]]]] = [
    (
        Limits,
        dict.fromkeys(("burst", "max_in_flight", "max_submits", "max_polls", "max_downloads"), (*COUNTS, None))
        | dict.fromkeys(
            ("requests_per_second", "submits_per_second"), (0, -1, "5", math.nan, -math.inf, True, LONG, HUGE)
        )
        | dict.fromkeys(("per_group", "per_model"), (0, 1.5, "5", True, {"a": 0}, {"": 5}, {5: 5}, {"a": None}, LONG))
        | {"max_spend_usd": (-1, "5", math.nan, math.inf, True, HUGE), "allow_unpriced": (1, "no", None, LONG)},
    ),
    (
        Polling,
        dict.fromkeys(("min_gap", "max_gap", "retry_base", "retry_cap"), (0, None, "5", math.nan, math.inf, LONG, HUGE))
        | {
            "profile": ("quick", 5, None, [], LONG),
            "seconds_per_poll": (0, "5", math.nan, HUGE),
            "jitter": (1, -0.1, "0", None, LONG),
            "not_found_grace": (-1, None, "5", HUGE),
            "learned": (5, LONG, {}, {"version": LONG}, {"version": 1, "grid": LONG}),
            "schedule": (5, "fixed", LONG),
            "feed": (True, None, "on", 0, LONG),
            "metrics": (True, None, "on", 0, LONG),
        },
    ),
    (
        Timeouts,
        dict.fromkeys(attrs.fields_dict(Timeouts), (0, -1, None, "5", math.nan, math.inf, True, LONG, HUGE)),
    ),
    (Retry, {"failed": (-1, 2.5, "2", True, math.inf, None, HUGE)}),
    (
        Reconciliation,
        {
            "after": (-1, "5", math.nan, LONG, HUGE),
            "then": ("retry", None, 5, [], LONG),
            "max_resubmits": (-1, 1.5, "1", True, HUGE),
        },
    ),
    (
        Sandbox,
        dict.fromkeys(("speed", "url_lifetime"), (0, -1, "60", None, math.nan, math.inf, LONG))
        | dict.fromkeys(("credits", "requests_per_second", "retry_after"), (-1, [], math.nan, HUGE))
        | dict.fromkeys(("max_concurrent", "file_size"), (-1, 1.5, "5", LONG))
        | {
            "seed": (1.5, "1", None, LONG),
            "slots": COUNTS,
            "published": (0, -1, "2", math.nan, math.inf, True, LONG),
            "sigma": (-1, "0", None, LONG),
            "faults": (5, {}, None, LONG),
            "recording": (5, {}, None, LONG),
            "host": (5, "", None, "a\nb"),
            "port": (-1, 65536, "80", None),
            "prefix": (5, "proxy", "/proxy/", None, LONG),
            "api_key": (5, "", "a b", None, "'key'"),
            "id_style": (5, "guid", LONG, []),
            "legacy_words": (1, "no", None),
            "other_models": (5, "kling/next", [5], LONG),
            "clock": (5, "now", None),
        },
    ),
    (
        Faults,
        {
            name: (-1, "x", None)
            if name in ("slow_seconds", "not_found_polls", "not_found_seconds", "log_lag")
            else (5, "shape", LONG)
            if name == "error_shape"
            else (2, -1, math.nan, "often", None, LONG)
            for name in attrs.fields_dict(Faults)
        },
    ),
]

FUNCTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "find_model": {"model_id": ANY},  # of what is no model, there is none
    "from_dict": {"data": (5, None, "a", LONG, {LONG: 5, "model": FOX.model}, {"kind": LONG}, {"model": LONG})},
    "from_row": {
        "row": (5, None, "a", LONG, {LONG: 5, "model": FOX.model}, {"kind": LONG}),
        "defaults": (5, "a", LONG, ["a"]),
        "folder": (5, b"a", "", []),
    },
    "get_model": {"model_id": (5, None, [], LONG)},
    "models": {"kind": (5, [], LONG), "family": (5, [], LONG), "version": (5, [], LONG), "tier": (5, [], LONG)},
    "read_journal": {"path": (5, None, b"a.db", object(), [], "")},
    "to_dict": {"request": (5, None, "a", LONG)},
}
VALID: dict[str, dict[str, Any]] = {"from_row": {"row": {"prompt": "a fox"}}}
"""Arguments without which a function cannot be called."""


def told(error: KlingError, name: str) -> None:
    """The message names the field, and is fit for a log."""
    assert name in str(error).replace("the API key", "api_key")
    assert len(str(error)) < 2600  # some fields take the ids of all models
    assert "x" * 500 not in str(error)
    assert len(repr(getattr(error, "value", ""))) < 12_000


def cases(table: dict[str, dict[str, tuple[Any, ...]]]) -> list[Any]:
    return [
        pytest.param(entry, name, value, id=f"{entry}-{name}-{number}")
        for entry, parameters in table.items()
        for name, values in parameters.items()
        for number, value in enumerate(values)
    ]


def parameters_of(entry: Callable[..., Any]) -> set[str]:
    kept = inspect.signature(entry).parameters.values()
    return {part.name for part in kept if part.name != "self" and part.kind is not inspect.Parameter.VAR_KEYWORD}


def methods_of(kind: type) -> dict[str, Callable[..., Any]]:
    members = inspect.getmembers(kind, inspect.isfunction)
    return {name: member for name, member in members if name == "__init__" or not name.startswith("_")}


def test_every_parameter_of_a_session_is_in_the_table() -> None:
    found = {name: parameters_of(method) for name, method in methods_of(KlingSession).items()}
    assert {name: set(table) for name, table in SESSION.items()} == {name: some for name, some in found.items() if some}


def test_every_setting_is_in_the_table() -> None:
    for kind, table in SETTINGS:
        assert set(table) == parameters_of(kind), kind


def test_every_public_function_is_in_the_table() -> None:
    public = {name: getattr(kling_async, name) for name in kling_async.__all__}
    found = {name: parameters_of(value) for name, value in public.items() if inspect.isfunction(value)}
    assert {name: set(table) for name, table in FUNCTIONS.items()} == found


def test_a_job_takes_no_other_arguments_than_these() -> None:
    found = {name: parameters_of(method) for name, method in methods_of(Job).items()}
    assert {name: some for name, some in found.items() if some and name != "__init__"} == {
        "add_done_callback": {"callback"},
        "watch": {"every"},
    }


@pytest.mark.parametrize(("entry", "name", "value"), cases({"__init__": SESSION["__init__"]}))
def test_a_session_judges_its_settings_when_it_is_made(entry: str, name: str, value: object) -> None:
    assert entry == "__init__"
    with pytest.raises(ConfigurationError) as caught:
        KlingSession(**dict[str, Any]({"api_key": "key", name: value}))
    told(caught.value, name)
    assert name != "api_key" or "s3cret" not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("entry", "name", "value"), cases({entry: table for entry, table in SESSION.items() if entry != "__init__"})
)
async def test_a_session_judges_arguments_before_anything_is_sent(entry: str, name: str, value: object) -> None:
    vendor = ScriptedVendor()
    arguments = USUAL.get(entry, {}) | {name: value}
    if name in ("start", "end") and entry in ("usage", "logs"):
        arguments = {"start": NOW, "end": NOW + timedelta(days=1)} | arguments
    if name == "path" and value is not None:
        arguments.pop("into")
    async with promptly(vendor) as kling:
        with pytest.raises(InvalidRequest) as caught:
            answer = getattr(kling, entry)(**arguments)
            await answer
        assert caught.value.field.startswith(name)
        told(caught.value, name)
        assert not kling.pending
    assert vendor.requests == []


@pytest.mark.asyncio
async def test_the_right_field_is_blamed_for_two_places() -> None:
    async with promptly() as kling:
        wrong: list[tuple[dict[str, Any], str, str | None]] = [
            ({"path": "a", "into": "b"}, "into", "b"),
            ({"path": "a", "into": ""}, "into", ""),
            ({}, "path", None),
        ]
        for arguments, field, value in wrong:
            with pytest.raises(InvalidRequest) as caught:
                await kling.download(VIDEO, **arguments)
            assert (caught.value.field, caught.value.value) == (field, value)


@pytest.mark.asyncio
async def test_the_end_is_after_the_start() -> None:
    async with promptly() as kling:
        asks: tuple[Any, ...] = (kling.transactions, kling.logs, kling.usage)
        for ask in asks:
            with pytest.raises(InvalidRequest, match=r"end is .*; allowed: a moment after start"):
                await ask(start=NOW, end=NOW)


@pytest.mark.asyncio
@pytest.mark.parametrize("item", [5, None, "a fox", LONG])
async def test_a_source_of_something_else_is_told(item: object) -> None:
    async with promptly() as kling:
        (job,) = [job async for job in kling.as_completed([item])]  # type: ignore[list-item]
        with pytest.raises(InvalidRequest) as caught:
            job.result()
        told(caught.value, "request")


@pytest.mark.asyncio
async def test_a_callback_can_be_called() -> None:
    async with promptly() as kling:
        job = kling.submit(FOX)
        with pytest.raises(InvalidRequest, match="callback"):
            job.add_done_callback(5)  # type: ignore[arg-type]
        await job


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        pytest.param(kind, name, value, id=f"{kind.__name__}-{name}-{number}")
        for kind, table in SETTINGS
        for name, values in table.items()
        for number, value in enumerate(values)
        if value is not None or attrs.fields_dict(kind)[name].default is not None
    ],
)
def test_settings_are_judged_when_they_are_made(kind: type[Any], name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(**{name: value})
    told(caught.value, "learned" if name == "learned" else name)


@pytest.mark.parametrize("value", [0, None, "5", math.nan, LONG, HUGE], ids=range(6))
@pytest.mark.parametrize(
    ("make", "name"), [(Polling.fixed, "interval"), (Polling.backoff, "base"), (Polling.backoff, "cap")]
)
def test_schedules_are_judged_when_they_are_made(make: Callable[..., Polling], name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(**{name: value})
    told(caught.value, name)


@pytest.mark.parametrize(("entry", "name", "value"), cases(FUNCTIONS))
def test_functions_judge_their_arguments(entry: str, name: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        getattr(kling_async, entry)(**VALID.get(entry, {}) | {name: value})
    told(caught.value, caught.value.field[:20])


@pytest.mark.parametrize("value", [5, None, [], {}, LONG])
def test_of_what_is_no_id_there_is_no_model(value: Any) -> None:
    assert kling_async.find_model(value) is None


@pytest.mark.asyncio
@pytest.mark.parametrize("value", [5, None, "events"])
async def test_only_events_can_be_traced(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="events"):
        await trace(value)


@pytest.mark.parametrize("value", [5, "a", Sandbox])
def test_a_thread_serves_a_sandbox(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="sandbox"):
        SandboxThread(value)


@pytest.mark.parametrize("made", [lambda: KlingSession("key"), Sandbox])
def test_without_asyncio_it_is_said_what_is_missing(made: Callable[[], Any]) -> None:
    entering = made().__aenter__()  # as trio drives it, on a loop of its own
    with pytest.raises(ConfigurationError, match="asyncio"):
        entering.send(None)
