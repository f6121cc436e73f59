"""Faults: which requests they strike, by rate, schedule or function; and randomness that the seed decides alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import Literal, TypeGuard, cast, get_args
from uuid import UUID

import attrs
from attrs import field, frozen
from attrs.validators import optional as if_given

from kling_async.api.arguments import bad_setting
from kling_async.api.catalogue.problems import either
from kling_async.api.reprs import show
from kling_async.errors import ConfigurationError
from kling_async.pacing.validators import non_negative_number, takes


class SeededRandom:
    """Random numbers that depend on the seed and on their subject, and on nothing else.

    Concurrent requests arrive in another order on each run, so a shared random generator would deal another duration
    to the same prompt each time.
    """

    def __init__(self, seed: int) -> None:
        self._key = blake2b(str(seed).encode()).digest()

    def bits(self, *about: object) -> bytes:
        """Return 32 bytes about this subject."""
        return blake2b(repr(about).encode(), key=self._key, digest_size=32).digest()

    def uniform(self, *about: object) -> float:
        """Return a number between 0 and 1, both excluded."""
        return (int.from_bytes(self.bits(*about)[:6]) + 0.5) / 2**48


IdStyle = Literal["uuid", "uuid:model", "nanoid", "digits"]
"""``uuid:model`` holds a colon and slashes; a ``nanoid`` may begin with ``-`` or hold ``_``."""

ID_STYLES: tuple[IdStyle, ...] = get_args(IdStyle)

_NANOID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
NANOID_LENGTH = 21


def make_id(bits: bytes, model: str, style: IdStyle | None) -> str:
    """Make an id of this style from at least 24 random bytes; without a style, the bytes choose one."""
    style = style or ID_STYLES[bits[-1] % len(ID_STYLES)]
    if style == "nanoid":
        return "".join(_NANOID[byte % len(_NANOID)] for byte in bits[:NANOID_LENGTH])
    if style == "digits":
        return str(10**18 + int.from_bytes(bits[:8]) % 10**18)
    uuid = UUID(bytes=bits[:16], version=4)
    return str(uuid) if style == "uuid" else f"{uuid}:{model}"


Kind = Literal["submit", "poll", "account", "ledger", "file"]
"""The kinds of request: a POST that buys, a GET about a generation, any other API call, one for the ledger, a file."""

Trigger = float | AbstractSet[int] | Sequence[int] | Callable[[int], bool]
"""A rate from 0 to 1, the occasions to strike on (1 is the first), or a function of an occasion's number."""

When = Mapping[Kind, Trigger] | Trigger
"""One trigger for every kind of request the fault concerns, or one for each kind named."""

ErrorShape = Literal["object", "detail", "string", "message"]
"""The shapes in which the vendor says why a generation failed."""


ERROR_SHAPES: tuple[ErrorShape, ...] = get_args(ErrorShape)

_REASON = "Could not detect face in the image"


def error_object(shape: ErrorShape) -> object:
    """Return the reason of a failure in this shape; each is documented or was seen."""
    shapes: dict[ErrorShape, object] = {
        "object": {"name": "GenerationError", "message": _REASON},
        "detail": {"detail": [{"loc": ["body", "image_url"], "msg": _REASON, "type": "face_detection_error"}]},
        "string": _REASON,
        "message": {"message": _REASON},
    }
    return shapes[shape]


Plan = Mapping[Kind, Trigger]


def _never() -> Plan:
    return {}


def _anywhere(when: When) -> Plan:
    return _plan(when, "submit", "poll", "account", "ledger", "file")


def _api(when: When) -> Plan:
    return _plan(when, "submit", "poll", "account", "ledger")


def _account(when: When) -> Plan:
    return _plan(when, "account", "ledger")


def _submit(when: When) -> Plan:
    return _plan(when, "submit")


def _poll(when: When) -> Plan:
    return _plan(when, "poll")


def _file(when: When) -> Plan:
    return _plan(when, "file")


def _plan(when: When, *kinds: Kind) -> Plan:
    """Return a trigger for each kind of request that is named, out of those the fault concerns."""
    plan = when if _is_plan(when) else dict.fromkeys(kinds, cast("Trigger", when))
    for kind in plan:
        if kind not in kinds:
            raise ConfigurationError(f"this fault does not concern {show(kind)}, only {', '.join(kinds)}")
    return plan


def _is_plan(when: When) -> TypeGuard[Plan]:
    return isinstance(when, Mapping)


def _is_trigger(trigger: object) -> bool:
    if isinstance(trigger, int | float):
        return 0 <= trigger <= 1
    return callable(trigger) or (isinstance(trigger, AbstractSet | Sequence) and not isinstance(trigger, str | bytes))


_TRIGGERS = "a rate from 0 to 1, a collection of occasions, or a function of an occasion's number"
_shape = takes(lambda value: value in ERROR_SHAPES, either([repr(shape) for shape in ERROR_SHAPES]))


@frozen(kw_only=True, repr=False)
class Faults:
    """For each fault a rate, a schedule or a function; none strikes by default.

    ::

        Faults(server_error=0.05)                          # 5 % of all API requests
        Faults(drop_after={1, 4})                          # the first and the fourth submit
        Faults(rate_limited={"poll": lambda n: n <= 20})   # the first twenty polls
        Faults(error_outcome=1, error_shape="detail")      # every generation fails

    An occasion is a request on which the fault could have struck: ``completed_without_url={1}`` strikes the first
    answer that would have held a URL. Occasions are counted per fault and kind of request, from when the faults were
    assigned, so that ``sandbox.faults = Faults(drop_before={1})`` strikes the very next request. At the same seed the
    same occasions are struck. Faults strike in the order in which they are listed here; a request struck by one is no
    occasion for the next.

    What concerns account calls also concerns those for the ledger, whose occasions are counted apart.

    Attributes:
        slow: The answer waits for ``slow_seconds``. Concerns submits, polls, account calls and files.
        drop_before: The connection is dropped, and nothing has happened. Submits, polls, account calls, files.
        gateway_error: A gateway's 502 or 504 in HTML, and nothing has happened. Submits, polls, account calls, files.
        server_error: The vendor's own 500 or 503, in its JSON envelope, and nothing has happened. Submits, polls,
            account calls.
        rate_limited: 429, beyond what the limits refuse. Submits, polls, account calls.
        forbidden: 403, as for a key that may not ask that. Account calls.
        out_of_credits: 403, whatever the balance. Submits.
        error_outcome: The generation is accepted, runs its time, and fails. Submits.
        not_found_after_submit: The generation is accepted, but polls find it only after ``not_found_polls`` of them
            and ``not_found_seconds``; until then they get 404. Submits.
        unknown_status: The status is a word no client knows. Polls of running generations.
        completed_without_url: The status is ``completed``, without a URL. Polls of completed generations.
        expired_url: The URL has expired: this request for it gets 403, and so does each later one. Files.
        truncated_file: The body breaks off halfway. Files.
        drop_after: The generation is bought, and the connection dropped without an answer. Submits.
        gateway_error_after: The generation is bought, and a gateway answers 502 or 504 in HTML. Submits.
        truncated_json: The answer's JSON breaks off; a submit has bought its generation. Submits, polls, account calls.
        malformed_json: The answer is not JSON; a submit has bought its generation. Submits, polls, account calls.
        slow_seconds: How long ``slow`` waits, in real seconds.
        error_shape: The shape of a failed generation's reason; None lets the seed choose.
        not_found_polls: See ``not_found_after_submit``.
        not_found_seconds: See there; in seconds of the vendor's time, which passes ``speed`` times as fast.
        log_lag: How long after a generation's end its row appears in the log, in seconds of the vendor's time.

    Raises:
        ConfigurationError: A rate is outside 0 to 1, a fault does not concern that kind of request, or a number is
            negative.
    """

    slow: Plan = field(factory=_never, converter=_anywhere)
    drop_before: Plan = field(factory=_never, converter=_anywhere)
    gateway_error: Plan = field(factory=_never, converter=_anywhere)
    server_error: Plan = field(factory=_never, converter=_api)
    rate_limited: Plan = field(factory=_never, converter=_api)
    forbidden: Plan = field(factory=_never, converter=_account)
    out_of_credits: Plan = field(factory=_never, converter=_submit)
    error_outcome: Plan = field(factory=_never, converter=_submit)
    not_found_after_submit: Plan = field(factory=_never, converter=_submit)
    unknown_status: Plan = field(factory=_never, converter=_poll)
    completed_without_url: Plan = field(factory=_never, converter=_poll)
    expired_url: Plan = field(factory=_never, converter=_file)
    truncated_file: Plan = field(factory=_never, converter=_file)
    drop_after: Plan = field(factory=_never, converter=_submit)
    gateway_error_after: Plan = field(factory=_never, converter=_submit)
    truncated_json: Plan = field(factory=_never, converter=_api)
    malformed_json: Plan = field(factory=_never, converter=_api)
    slow_seconds: float = field(default=1.0, validator=non_negative_number)
    error_shape: ErrorShape | None = field(default=None, validator=if_given(_shape))
    not_found_polls: int = field(default=2, validator=non_negative_number)
    not_found_seconds: float = field(default=0.0, validator=non_negative_number)
    log_lag: float = field(default=0.0, validator=non_negative_number)

    def __attrs_post_init__(self) -> None:
        for part in attrs.fields(Faults):
            plan: object = getattr(self, part.name)
            for trigger in cast("Plan", plan).values() if isinstance(plan, Mapping) else ():
                if not _is_trigger(trigger):
                    raise bad_setting(part.name, trigger, _TRIGGERS)

    def __repr__(self) -> str:
        plain = _DEFAULTS if self is not _DEFAULTS else None
        names = [part.name for part in attrs.fields(Faults)]
        told = [
            f"{name}={getattr(self, name)!r}" for name in names if getattr(self, name) != getattr(plain, name, None)
        ]
        return f"Faults({', '.join(told)})"


_DEFAULTS = Faults()


class FaultInjector:
    """Counts the occasions of each fault, and decides which it strikes."""

    def __init__(self, faults: Faults, random: SeededRandom) -> None:
        self.faults = faults
        self._random = random
        self._occasions: Counter[tuple[str, Kind]] = Counter()

    def fires(self, fault: str, kind: Kind, *about: object) -> bool:
        """Count an occasion for this fault, and return whether it strikes.

        The randomness of a rate depends on the occasion's number, or on ``about`` instead, so that the order of
        concurrent requests does not matter.
        """
        plan: Plan = getattr(self.faults, fault)
        trigger = plan.get(kind)
        if trigger is None:
            return False
        self._occasions[fault, kind] += 1
        occasion = self._occasions[fault, kind]
        if isinstance(trigger, int | float):
            return trigger > 0 and self._random.uniform("fault", fault, kind, *(about or (occasion,))) < trigger
        return bool(trigger(occasion)) if callable(trigger) else occasion in trigger
