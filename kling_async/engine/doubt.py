"""What a job settles with whose submit may have bought something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.errors import SubmissionUncertain

if TYPE_CHECKING:
    from kling_async.engine.watch import Watch

__all__ = ["doubt"]


def doubt(watch: Watch) -> SubmissionUncertain:
    """The error of a job that may have been bought, saying what is known and how to find out by hand."""
    key, name, cause = watch.record.key, watch.record.client_request_id, watch.doubt
    named = f"client_request_id {name}" if name else f"a client_request_id that begins with {key}:"
    error = SubmissionUncertain(
        f"job {key} may have been bought: {cause or 'its submit was begun, and no answer is known'}. It is not sent "
        f"again. If the account's log (GET /v2/logs) ever has a row with {named}, resume its inference_id",
        client_request_id=name,
    )
    error.__cause__ = cause
    return error
