"""How a sandbox is set up."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs
from attrs import Factory, define, field

from kling_async.errors import ConfigurationError
from kling_async.sandbox.dice import Dice
from kling_async.sandbox.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kling_async.sandbox.ids import IdStyle

__all__ = ["Settings"]

_fixed = attrs.setters.frozen


def _above_zero(_settings: Settings, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a number above 0")


def _not_negative(_settings: Settings, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 <= value < float("inf"):
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a number from 0 up")


def _path(_settings: Settings, attribute: attrs.Attribute[Any], value: str) -> None:
    if value and (not value.startswith("/") or value.endswith("/")):
        raise ConfigurationError(f"{attribute.name} is {value!r}; it starts with a slash and ends without one")


def _ids(ids: Iterable[str]) -> frozenset[str]:
    return frozenset(ids)


def _made_up_key(settings: Settings) -> str:
    return f"sandbox-{Dice(settings.seed).bits('key').hex()[:24]}"


@define(kw_only=True, eq=False, repr=False, slots=False)
class Settings:
    """How a sandbox is set up. Those marked *live* may be assigned while it runs, from any thread.

    Attributes:
        speed: How many times as fast as the real vendor's its time passes. At the default of 60 a five-minute
            generation takes five seconds.
        seed: The same seed and the same requests give the same ids and durations, in whatever order they come.
        slots: How many generations the vendor works on at once; the rest queue.
        sigma: The spread of durations around each model's published one: the standard deviation of their logarithm. 0
            makes each exactly the published one.
        credits: What the account may spend, where 100 credits are 1 USD; None for without end. Live.
        faults: What goes wrong. Live.
        requests_per_second: How many API requests a real second may bring before 429; None for any number. Live.
        max_concurrent: How many generations may be unfinished at once before a submit gets 429; None for any number.
            Live.
        retry_after: The ``Retry-After`` of a 429: seconds (rounded up), or the header's text as it stands. None, the
            default, sends none, as the real vendor does. Live.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        prefix: A path in front of every API path, as behind a proxy.
        api_key: The one key that is accepted. By default one made up from the seed.
        id_style: The form of generation ids; None mixes all that were seen.
        legacy_words: Whether running generations are ``waiting``, ``queued``, ``active`` and ``generating`` in turn, as
            the vendor's older samples have it, rather than ``queued`` and ``generating``.
        other_models: Ids of models beyond the catalogue that are served, too; their bodies are not checked.
        file_size: The size each video is padded to, in bytes; None leaves it as small as it is.
        clock: What the time is, in seconds. By default the same monotonic clock that event loops run by; one of your
            own lets a test decide when generations end.
        url_lifetime: How long a video's URL works, in seconds of the vendor's time. The default is a day.

    Raises:
        ConfigurationError: A value is not of its range; also on assignment.
    """

    speed: float = field(default=60.0, validator=_above_zero, on_setattr=_fixed)
    seed: int = field(default=1, on_setattr=_fixed)
    slots: int = field(default=100, validator=_above_zero, on_setattr=_fixed)
    sigma: float = field(default=0.35, validator=_not_negative, on_setattr=_fixed)
    credits: float | None = field(default=None, validator=_not_negative)
    faults: Faults = field(factory=Faults)
    requests_per_second: float | None = field(default=None, validator=_above_zero)
    max_concurrent: int | None = field(default=None, validator=_not_negative)
    retry_after: float | str | None = None
    host: str = field(default="127.0.0.1", on_setattr=_fixed)
    port: int = field(default=0, validator=_not_negative)
    prefix: str = field(default="", validator=_path, on_setattr=_fixed)
    api_key: str = field(default=Factory(_made_up_key, takes_self=True), on_setattr=_fixed)
    id_style: IdStyle | None = field(default=None, on_setattr=_fixed)
    legacy_words: bool = field(default=False, on_setattr=_fixed)
    other_models: frozenset[str] = field(default=frozenset[str](), converter=_ids, on_setattr=_fixed)
    file_size: int | None = field(default=None, validator=_not_negative, on_setattr=_fixed)
    clock: Callable[[], float] = field(default=monotonic, on_setattr=_fixed)
    url_lifetime: float = field(default=86_400.0, validator=_above_zero, on_setattr=_fixed)
