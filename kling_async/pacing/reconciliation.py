"""What becomes of submits whose outcome nobody knows."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import optional as if_given

from kling_async.api.catalogue.lookup import typical_seconds
from kling_async.pacing.validators import factor, not_negative, seconds, takes, times

__all__ = ["Reconciliation"]

_AT_LEAST = 3600.0  # the account's log lags, and may show a generation only once that has ended
_MEDIANS = 4.0  # by how many typical durations even a slow generation has ended
_SOONEST = 5.0  # requests take real time, whatever the scale

_FIRST_GAP, _LONGEST_GAP = 15.0, 300.0  # seconds; the gap between looks doubles
_UNREADABLE = 3600.0  # how much longer a job waits for a log that cannot be read, in seconds


_is_verdict = takes(lambda value: value in ("report", "resubmit"), '"report" or "resubmit"')


@frozen(kw_only=True)
class Reconciliation:
    """What becomes of a job whose submit may or may not have been accepted.

    It is looked for in the account's log of requests, under the name it was sent under, and goes on if it is found.

    Attributes:
        after: How long after the POST a complete look through the log counts as proof that it is not there, in
            seconds or as a ``timedelta``. By default the greater of an hour and four times the model's typical
            duration: rows lag, and one may appear only when its generation ends. Time that the machine sleeps does not
            count, nor, before a job is sent again, what this machine's clock says of an earlier process.
        then: What follows when it is not there. ``"report"``: the job settles with `SubmissionUncertain`.
            ``"resubmit"``: it is sent again; **if the log is wrong, that buys it twice**. It is still reported if the
            log proves nothing: because it shows no later job of this journal under its name, or not everything, or a
            row under the job's own name that cannot be used, or because clocks were set by more than a day.
        max_resubmits: How often one job may be sent again so. 1.
        scale: How many times as fast as the vendor a stand-in is. 1.0. Divides the time between looks, and the default
            of ``after``, which stays 5 s at least.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    after: float | None = field(default=None, converter=optional(seconds), validator=if_given(not_negative))
    then: Literal["report", "resubmit"] = field(default="report", validator=_is_verdict)
    max_resubmits: int = field(default=1, validator=times)
    scale: float = field(default=1.0, validator=factor)

    def patience(self, model: str, duration: int | None) -> float:
        """How long after its POST a job is looked for at least, in seconds."""
        if self.after is not None:
            return self.after
        return max(max(_AT_LEAST, _MEDIANS * typical_seconds(model, duration)) / self.scale, _SOONEST)

    @property
    def first_gap(self) -> float:
        """How long after a submit became doubtful the first look comes, in seconds."""
        return _FIRST_GAP / self.scale

    def gap_after(self, gap: float) -> float:
        """How long after a look the next one comes, at the latest, given the time between it and the one before."""
        return min(2 * gap, self.longest_gap)

    @property
    def longest_gap(self) -> float:
        """How long after a look the next one comes at the latest, in seconds."""
        return _LONGEST_GAP / self.scale

    @property
    def log_grace(self) -> float:
        """How much longer a job waits for a log that cannot be read, in seconds."""
        return _UNREADABLE / self.scale
