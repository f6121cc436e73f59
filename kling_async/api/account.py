"""The account's balance: how to ask for it, and what the answer says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.api.messages import HttpRequest
from kling_async.api.protocol import read_answer
from kling_async.errors import MalformedResponse

if TYPE_CHECKING:
    from kling_async.api.messages import HttpResponse

__all__ = ["balance_request", "read_balance"]


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
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        raise MalformedResponse(f"{response.status}: the answer names no balance", status=response.status)
    return float(balance)
