"""What becomes of submits whose outcome nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from kling_async.api.catalogue import typical_seconds
from kling_async.errors import ConfigurationError
from kling_async.pacing.durations import not_negative, seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from attrs import Attribute

__all__ = ["Reconciliation"]

_AT_LEAST = 3600.0  # the account's log lags, and may show a generation only once that has ended
_MEDIANS = 4.0  # by how many typical durations even a slow generation has ended


def _optional(value: float | timedelta | None) -> float | None:
    return None if value is None else seconds(value)


def _optional_length(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None:
        not_negative(instance, attribute, value)


def _is_verdict(_: object, attribute: Attribute[Any], value: object) -> None:
    if value not in ("report", "resubmit"):
        raise ConfigurationError(f'{attribute.name} is {value!r}; it takes "report" or "resubmit"')


def _is_count(_: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a whole number, 0 or more")


@frozen(kw_only=True)
class Reconciliation:
    """What becomes of a job whose submit may or may not have been accepted.

    It is looked for in the account's log of requests, under the name it was sent under, and goes on if it is found.

    Attributes:
        after: How long after the POST a complete look through the log counts as proof that it is not there, in
            seconds or as a ``timedelta``. By default the greater of an hour and four times the model's typical
            duration: rows lag, and one may appear only when its generation ends.
        then: What follows when it is not there. ``"report"``: the job settles with `SubmissionUncertain`.
            ``"resubmit"``: it is sent again; **if the log is wrong, that buys it twice**. It is still reported if the
            log proves nothing, because it shows no later job of this journal under its name.
        max_resubmits: How often one job may be sent again so. 1.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    after: float | None = field(default=None, converter=_optional, validator=_optional_length)
    then: Literal["report", "resubmit"] = field(default="report", validator=_is_verdict)
    max_resubmits: int = field(default=1, validator=_is_count)

    def patience(self, model: str, duration: int | None) -> float:
        """How long after its POST a job is looked for at least, in seconds."""
        return max(_AT_LEAST, _MEDIANS * typical_seconds(model, duration)) if self.after is None else self.after
