"""The account's balance: how to ask for it, what the answer says, and what it says of an earlier refusal."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from kling_async.api.messages import HttpRequest
from kling_async.api.protocol import read_answer
from kling_async.errors import APIError, AuthenticationError, GatewayError, KlingError, MalformedResponse, OutOfCredits

if TYPE_CHECKING:
    from kling_async.api.messages import HttpResponse

__all__ = ["Opinion", "balance_request", "read_balance", "second_opinion"]

_LARGEST = 1e300  # a whole number may be larger than any float


def balance_request() -> HttpRequest:
    """The GET for the balance ("Billing: balance")."""
    return HttpRequest("GET", "/v2/billing")


def read_balance(response: HttpResponse) -> float:
    """What is left, in the account's currency; it may be negative.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer names no balance.
    """
    balance = read_answer(response).get("current_balance")
    if isinstance(balance, bool) or not isinstance(balance, int | float) or not abs(balance) < _LARGEST:
        raise MalformedResponse(f"{response.status}: the answer names no balance", status=response.status)
    return float(balance)


class Opinion(Enum):
    """What another request says of a refusal that would concern every job."""

    CONFIRMED = "confirmed"
    DENIED = "denied"
    NONE = "none"


def second_opinion(refusal: APIError, balance: float | KlingError) -> Opinion:
    """What the balance, or the error that came instead, says of a refusal.

    A bad key is refused everywhere, an account without credits has no balance, and behind a wrong address no request
    reaches the vendor. What only failed says nothing.
    """
    if isinstance(refusal, AuthenticationError):
        return _opinion(isinstance(balance, AuthenticationError), denied=_is_the_vendors(balance))
    if isinstance(refusal, OutOfCredits):
        broke = balance <= 0 if isinstance(balance, float) else isinstance(balance, OutOfCredits)
        return _opinion(broke, denied=isinstance(balance, float))
    if isinstance(refusal, GatewayError):
        return _opinion(_is_a_gateways(balance), denied=_is_the_vendors(balance))
    return Opinion.NONE


def _opinion(confirmed: bool, *, denied: bool) -> Opinion:  # noqa: FBT001 - it comes first in the name, too
    if confirmed:
        return Opinion.CONFIRMED
    return Opinion.DENIED if denied else Opinion.NONE


def _is_the_vendors(balance: float | KlingError) -> bool:
    if isinstance(balance, APIError):
        return not isinstance(balance, GatewayError) and balance.enveloped and 400 <= balance.status < 500  # noqa: PLR2004 - HTTP's own borders
    return isinstance(balance, float)


def _is_a_gateways(balance: float | KlingError) -> bool:
    # A web site may answer any address with a page of its own.
    is_page = isinstance(balance, MalformedResponse) and balance.excerpt.lstrip().startswith("<")
    return is_page or isinstance(balance, GatewayError)
