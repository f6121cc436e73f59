from __future__ import annotations

import copy
import inspect
import pickle
from decimal import Decimal
from typing import Any

import pytest

from kling_async import errors
from kling_async.errors import (
    APIError,
    AuthenticationError,
    BadRequest,
    ConfigurationError,
    ConnectFailed,
    DeadlineExceeded,
    DownloadError,
    GatewayError,
    GenerationFailed,
    InvalidRequest,
    JobAbandoned,
    JournalError,
    KlingError,
    MalformedResponse,
    NotFound,
    OutOfCredits,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    ServerError,
    SessionClosed,
    SpendLimitReached,
    StorageError,
    SubmissionUncertain,
    TransportError,
    error_class,
)

ANSWERED: dict[str, Any] = {
    "status": 418,
    "path": "/v2",
    "request_id": "r",
    "body": {"message": "m"},
    "enveloped": True,
}
EXAMPLES: list[KlingError] = [
    KlingError("m"),
    ConfigurationError("m"),
    InvalidRequest("m", field="duration", value=7, allowed="5 or 10"),
    TransportError("m", sent=False),
    ConnectFailed("m", sent=True, tls=True),
    RequestTimeout("m", sent=False),
    MalformedResponse("m", status=200, excerpt="<html>"),
    APIError("m", **ANSWERED),
    BadRequest("m", **ANSWERED),
    AuthenticationError("m", **ANSWERED),
    OutOfCredits("m", **ANSWERED),
    PermissionDenied("m", **ANSWERED),
    NotFound("m", **ANSWERED),
    RateLimited("m", retry_after=2.5, **ANSWERED),
    ServerError("m", **ANSWERED),
    GatewayError("m", location="https://host.example/login", **ANSWERED),
    GenerationFailed("m", reason={"name": "x"}),
    DeadlineExceeded("m"),
    SpendLimitReached("m", limit_usd=Decimal(5), committed_usd=Decimal("4.2"), price_usd=Decimal("1.4")),
    SubmissionUncertain("m", client_request_id="k:n"),
    JobAbandoned("m"),
    DownloadError("m", url="https://host.example/a.mp4"),
    StorageError("m", url="https://host.example/a.mp4"),
    JournalError("m"),
    SessionClosed("m"),
]
RETRYABLE = {
    TransportError,
    RequestTimeout,
    MalformedResponse,
    RateLimited,
    ServerError,
    GatewayError,
    StorageError,
}

by_class = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def test_there_is_an_example_of_every_class() -> None:
    tree = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, KlingError)}
    assert {type(error) for error in EXAMPLES} == tree


@by_class
def test_an_error_pickles_with_all_it_knows(error: KlingError) -> None:
    error = copy.copy(error).about(key="k", generation_id="g", last_status="queued", polls=3)
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - bytes made here
    assert type(twin) is type(error)
    assert twin.args == error.args
    assert vars(twin) == vars(error)
    assert (twin.key, twin.generation_id, twin.last_status, twin.polls) == ("k", "g", "queued", 3)


@by_class
def test_an_error_reads_as_its_message(error: KlingError) -> None:
    assert str(error) == error.message == "m"


@by_class
def test_an_error_is_about_no_job_until_told(error: KlingError) -> None:
    assert (error.key, error.generation_id, error.last_status, error.polls) == (None, None, None, 0)


@by_class
def test_whether_another_try_makes_sense_is_the_classs_own_property(error: KlingError) -> None:
    assert error.retryable is (type(error) in RETRYABLE)


@pytest.mark.parametrize("tls", [True, False])
def test_a_failed_connection_is_worth_another_try_unless_tls_was_refused(*, tls: bool) -> None:
    error = ConnectFailed("m", tls=tls)
    assert error.retryable is not tls
    assert error.sent is False


def test_about_returns_the_error_itself() -> None:
    error = SessionClosed("m")
    assert error.about(key="k", generation_id=None, last_status=None, polls=0) is error


@pytest.mark.parametrize(
    ("error", "builtin"), [(InvalidRequest("m"), ValueError), (DeadlineExceeded("m"), TimeoutError)]
)
def test_some_errors_are_builtin_ones_too(error: KlingError, builtin: type[Exception]) -> None:
    assert isinstance(error, builtin)


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (301, APIError),
        (400, BadRequest),
        (401, AuthenticationError),
        (402, APIError),
        (403, PermissionDenied),
        (404, NotFound),
        (418, APIError),
        (422, BadRequest),
        (429, RateLimited),
        (500, ServerError),
        (504, ServerError),
        (599, ServerError),
    ],
)
def test_each_status_has_its_class(status: int, cls: type[APIError]) -> None:
    assert error_class(status) is cls


def test_a_copy_holds_the_same_and_settles_another_job() -> None:
    error = RateLimited("m", retry_after=2.5, status=429)
    error.__cause__ = cause = OSError("why")
    twin = errors.copied(error).about(key="k", generation_id="g", last_status=None, polls=1)
    assert (type(twin), twin.message, twin.retry_after, twin.status) == (RateLimited, "m", 2.5, 429)
    assert twin.__cause__ is cause
    assert error.key is None


def test_the_tree_in_the_docstring_names_every_class() -> None:
    assert errors.__doc__ is not None
    for error in EXAMPLES:
        assert type(error).__name__ in errors.__doc__
