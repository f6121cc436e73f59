"""The account's money: what is left, how it is topped up, and every movement of it.

The shapes are those of "Account Balance". What an answer leaves out, or holds in another shape, is None here, and all
of it is in ``raw``.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from kling_async.api.messages import HttpRequest
from kling_async.api.parsing import amount, dollars, first_id, is_object, read_moment, stamp, text
from kling_async.api.protocol import read_answer, read_page
from kling_async.errors import APIError, AuthenticationError, GatewayError, KlingError, MalformedResponse, OutOfCredits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse

__all__ = [
    "AutoTopUp",
    "Balance",
    "BillingDetail",
    "Opinion",
    "Transaction",
    "TransactionPage",
    "balance_request",
    "bare_id",
    "detail_request",
    "read_balance",
    "read_detail",
    "read_statement",
    "read_transactions",
    "second_opinion",
    "transactions_request",
]

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


_PAGE = 100  # the most entries a page may have


@frozen
class Balance:
    """What is left on the account.

    Attributes:
        usd: What can still be spent, in US dollars; it may be negative.
        currency: The vendor's word for the currency, which it says is always USD.
        raw: The answer as it came.
    """

    usd: Decimal
    currency: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


@frozen
class AutoTopUp:
    """Whether the account buys credits by itself, when, and for how much.

    Attributes:
        is_enabled: Whether it does.
        threshold_usd: The balance below which it does, in US dollars.
        amount_usd: For how much, in US dollars.
    """

    is_enabled: bool | None = None
    threshold_usd: Decimal | None = None
    amount_usd: Decimal | None = None


@frozen
class BillingDetail:
    """The balance, whose it is, and how it is topped up.

    Attributes:
        usd: What can still be spent, in US dollars; it may be negative.
        currency: The vendor's word for the currency.
        user_id: The vendor's id of the account's owner.
        email: The owner's address; not shown in the repr.
        auto_top_up: How the account is topped up by itself; None where the answer does not say.
        raw: The answer as it came.
    """

    usd: Decimal
    currency: str | None = None
    user_id: str | None = None
    email: str | None = field(default=None, repr=False)
    auto_top_up: AutoTopUp | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


@frozen
class Transaction:
    """One movement of the account's money.

    Attributes:
        created: When it was recorded.
        direction: ``CHARGE`` for money going out, ``TOPUP`` for money coming in.
        type: What it is for, such as ``MODEL_USAGE``, ``PAYMENT`` or ``REFUND``.
        usd: How much, in US dollars and without a sign.
        credits: The same in the vendor's credits.
        model: The model that was used.
        reference_id: For ``MODEL_USAGE`` the id of the generation, for ``PAYMENT`` that of the payment.
        raw: The entry as it came.
    """

    created: datetime | None
    direction: str | None
    type: str | None
    usd: Decimal | None
    credits: float | None = None
    model: str | None = None
    reference_id: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def is_charge(self) -> bool:
        """Whether a model was used and paid for."""
        return self.direction == "CHARGE" and self.type == "MODEL_USAGE"


@frozen(eq=False)
class TransactionPage:
    """Some entries, newest first, and where the next ones are."""

    rows: tuple[Transaction, ...]
    next_cursor: str | None


def read_statement(response: HttpResponse) -> Balance:
    """What is left.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer names no balance.
    """
    answer = read_answer(response)
    return Balance(_balance(answer, response), text(answer.get("currency")), answer)


def detail_request() -> HttpRequest:
    """The GET for the balance and how it is topped up."""
    return HttpRequest("GET", "/v2/billing/detail")


def read_detail(response: HttpResponse) -> BillingDetail:
    """What is left, and how it is topped up.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer names no balance.
    """
    answer = read_answer(response)
    return BillingDetail(
        usd=_balance(answer, response),
        currency=text(answer.get("currency")),
        user_id=first_id(answer.get("user_id")),
        email=text(answer.get("email")),
        auto_top_up=_read_top_up(answer.get("autotopup_settings")),
        raw=answer,
    )


def _balance(answer: Mapping[str, Any], response: HttpResponse) -> Decimal:
    balance = dollars(answer.get("current_balance"))
    if balance is None:
        raise MalformedResponse(f"{response.status}: the answer names no balance", status=response.status)
    return balance


def _read_top_up(settings: object) -> AutoTopUp | None:
    if not is_object(settings):
        return None
    is_enabled = settings.get("is_enabled")
    return AutoTopUp(
        is_enabled if isinstance(is_enabled, bool) else None,
        dollars(settings.get("threshold")),
        dollars(settings.get("amount")),
    )


def transactions_request(
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    direction: str | None = None,
    type: str | None = None,  # noqa: A002 - the vendor's name
    cursor: str | None = None,
) -> HttpRequest:
    """The GET for a page of the ledger; a cursor is opaque, and is sent back exactly as it came."""
    query = {
        "from": None if start is None else stamp(start),
        "to": None if end is None else stamp(end),
        "direction": direction,
        "type": type,
        "limit": _PAGE,
        "cursor": cursor,
    }
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    return HttpRequest("GET", f"/v2/billing/transactions?{asked}")


def bare_id(generation_id: str) -> str:
    """Return the part of a generation's id by which any form of it is known: of ``UUID:model``, the first."""
    return generation_id.partition(":")[0] or generation_id


def read_transactions(response: HttpResponse) -> TransactionPage:
    """What a page says. What is not an entry is left out.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer is not a page.
    """
    rows, pagination = read_page(response, "ledger")
    cursor = text(pagination.get("next_cursor"))
    goes_on = cursor is not None and pagination.get("has_more") is not False and bool(rows)
    return TransactionPage(tuple(map(_read_row, filter(is_object, rows))), cursor if goes_on else None)


def _read_row(row: dict[str, Any]) -> Transaction:
    moved = row.get("amount")
    parts: Mapping[str, Any] = moved if is_object(moved) else {}
    return Transaction(
        created=read_moment(row.get("created_at")),
        direction=text(row.get("direction")),
        type=text(row.get("type")),
        usd=dollars(parts.get("usd")),
        credits=amount(parts.get("credits")),
        model=text(row.get("model")),
        reference_id=first_id(row.get("reference_id")),
        raw=row,
    )
