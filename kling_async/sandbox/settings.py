"""The settings of a sandbox, and their validation."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, cast

import attrs
from attrs import Factory, define, field, frozen
from attrs.validators import optional as if_given

from kling_async.api.arguments import checked_api_key, is_count, is_number, is_text
from kling_async.api.protocol import SANDBOX_KEY
from kling_async.pacing.validators import count, flag, non_negative_number, positive_number, takes, times
from kling_async.sandbox.faults import ID_STYLES, Faults, IdStyle, SeededRandom

if TYPE_CHECKING:
    from collections.abc import Callable

_USUAL: float | None = 1.0
_fixed = attrs.setters.frozen
_share = takes(lambda value: isinstance(value, int | float) and 0 <= value <= 1, "a number from 0 to 1")


@frozen(kw_only=True)
class Recording:
    """When the ledger shows the charges of generations that have completed. Durations are of the vendor's time.

    ::

        Recording(lag=2)                  # some 2 s after the end, whether or not anybody has asked
        Recording(once_polled=True)       # not before a poll has shown the end
        Recording(every=60)               # together with all others of the minute
        Recording(unrecorded=1)           # never

    The vendor does not say which of these it does. By default a charge is there at the end of its generation.

    Attributes:
        lag: The mean of the lag, in seconds; it is exponentially distributed.
        lag_growth: The seconds that this mean grows by with each second since the sandbox was made.
        every: The seconds between instants at which charges are recorded together; 0: each by itself.
        unrecorded: The share of completed generations whose charge is never recorded, from 0 to 1.
        once_polled: Whether the lag begins when a poll has first shown the end.
        foreign_per_minute: The charges of other programs on the account that are recorded each minute.
        shifts: Whether the ledger's pages are counted from its head, so that new entries shift those to come.

    Raises:
        ConfigurationError: A value is not of its range.
    """

    lag: float = field(default=0.0, validator=non_negative_number)
    lag_growth: float = field(default=0.0, validator=non_negative_number)
    every: float = field(default=0.0, validator=non_negative_number)
    unrecorded: float = field(default=0.0, validator=_share)
    once_polled: bool = field(default=False, validator=flag)
    foreign_per_minute: float = field(default=0.0, validator=non_negative_number)
    shifts: bool = field(default=False, validator=flag)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and (not value or (value.startswith("/") and not value.endswith("/")))


def _ids(ids: Iterable[str]) -> frozenset[str]:
    is_list = isinstance(ids, Iterable) and not isinstance(ids, str)
    return frozenset(ids) if is_list else cast("frozenset[str]", ids)


def _key(_: object, __: object, value: object) -> None:
    checked_api_key(value, "api_key")


_text = takes(lambda value: is_text(value) and value.isprintable(), "a text in one line")
_path = takes(_is_path, "a text that starts with a slash and ends without one")
_whole = takes(lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number")
_port = takes(lambda value: is_count(value, 0) and value < 2**16, "a whole number from 0 to 65535")
_wait = takes(
    lambda value: isinstance(value, str) or (is_number(value) and value >= 0), "seconds, 0 or more, or a text"
)
_faults = takes(lambda value: isinstance(value, Faults), "Faults(...)")
_recording = takes(lambda value: isinstance(value, Recording), "Recording(...)")
_style = takes(lambda value: value in ID_STYLES, ", ".join(map(repr, ID_STYLES)))
_names = takes(
    lambda value: isinstance(value, frozenset) and all(map(is_text, cast("frozenset[object]", value))), "ids of models"
)
_clock = takes(callable, "a function that returns seconds")


def _made_up_key(settings: Settings) -> str:
    return f"{SANDBOX_KEY}{SeededRandom(settings.seed).bits('key').hex()[:24]}"


@define(kw_only=True, eq=False, repr=False, slots=False)
class Settings:
    """The settings of a sandbox. Those marked *live* may be assigned while it runs, from any thread.

    Attributes:
        speed: The speed of its time: at the default of 60 a five-minute generation takes five seconds.
        seed: The same seed and the same requests give the same ids and durations, in whatever order they come.
        slots: The generations that run at once; the rest queue.
        sigma: The spread of durations around each model's published one: the standard deviation of their logarithm. 0
            makes each exactly the published one.
        credits: The account's credits, where 100 are 1 USD; None for no limit. Live.
        faults: The faults that strike. Live.
        recording: When the ledger shows charges. Live; what was sold before keeps its time.
        published: How many times what generations take the published percentiles of durations are: 2 is wrong by as
            much, and 0.005 about what a submit alone takes. None: no model has completed anything lately. Live.
        requests_per_second: API requests in a real second before 429; None for any number. Live.
        max_concurrent: Unfinished generations before a submit gets 429; None for any number. Live.
        retry_after: The ``Retry-After`` of a 429: seconds (rounded up), or the header's text as it stands. None, the
            default, sends none, as the real vendor does. Live.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        prefix: A path in front of every API path, as behind a proxy.
        api_key: The one key that is accepted. By default one made up from the seed. With one that begins with
            ``sandbox-``, as that does, sessions find out the speed by themselves.
        id_style: The form of generation ids; None mixes all that were seen.
        legacy_words: Whether the statuses are ``waiting``, ``queued``, ``active`` and ``generating`` in turn, as in the
            vendor's older samples, rather than ``queued`` and ``generating``.
        other_models: Ids of models beyond the catalogue that are served, too; their bodies are not checked.
        file_size: The size each video is padded to, in bytes; None leaves it as small as it is.
        clock: Returns the time, in seconds. By default the monotonic clock that event loops run by; one of your own
            lets a test decide when generations end, and what time of day the log has.
        url_lifetime: The lifetime of a video's URL, in seconds of the vendor's time. The default is a day.

    Raises:
        ConfigurationError: A value is not of its range; also on assignment.
    """

    speed: float = field(default=60.0, validator=positive_number, on_setattr=_fixed)
    seed: int = field(default=1, validator=_whole, on_setattr=_fixed)
    slots: int = field(default=100, validator=count, on_setattr=_fixed)
    sigma: float = field(default=0.35, validator=non_negative_number, on_setattr=_fixed)
    credits: float | None = field(default=None, validator=if_given(non_negative_number))
    faults: Faults = field(factory=Faults, validator=_faults)
    recording: Recording = field(factory=Recording, validator=_recording)
    published: float | None = field(default=_USUAL, validator=if_given(positive_number))
    requests_per_second: float | None = field(default=None, validator=if_given(positive_number))
    max_concurrent: int | None = field(default=None, validator=if_given(times))
    retry_after: float | str | None = field(default=None, validator=if_given(_wait))
    host: str = field(default="127.0.0.1", validator=_text, on_setattr=_fixed)
    port: int = field(default=0, validator=_port)
    prefix: str = field(default="", validator=_path, on_setattr=_fixed)
    api_key: str = field(default=Factory(_made_up_key, takes_self=True), validator=_key, on_setattr=_fixed)
    id_style: IdStyle | None = field(default=None, validator=if_given(_style), on_setattr=_fixed)
    legacy_words: bool = field(default=False, validator=flag, on_setattr=_fixed)
    other_models: frozenset[str] = field(default=frozenset[str](), converter=_ids, validator=_names, on_setattr=_fixed)
    file_size: int | None = field(default=None, validator=if_given(times), on_setattr=_fixed)
    clock: Callable[[], float] = field(default=monotonic, validator=_clock, on_setattr=_fixed)
    url_lifetime: float = field(default=86_400.0, validator=positive_number, on_setattr=_fixed)
