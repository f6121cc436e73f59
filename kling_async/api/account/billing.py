"""The account's balance, its top-ups and its ledger ("Account Balance"); and a refusal judged by the balance."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from kling_async.api.messages import HttpRequest
from kling_async.api.parsing import amount, dollars, format_moment, is_object, part, read_id, read_moment, text
from kling_async.api.protocol import PAGE, malformed, read_answer, read_page
from kling_async.errors import APIError, AuthenticationError, GatewayError, KlingError, MalformedResponse, OutOfCredits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse


@frozen
class Balance:
    """The account's balance.

    Attributes:
        usd: The amount left, in US dollars; it may be negative.
        currency: The vendor's word for the currency, which it says is always USD.
        raw: The answer as it came.
    """

    usd: Decimal
    currency: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


@frozen
class AutoTopUp:
    """The account's automatic purchase of credits.

    Attributes:
        is_enabled: True if it is on.
        threshold_usd: The balance below which credits are bought, in US dollars.
        amount_usd: The price of a purchase, in US dollars.
    """

    is_enabled: bool | None = None
    threshold_usd: Decimal | None = None
    amount_usd: Decimal | None = None


@frozen
class BillingDetail:
    """The account's balance, owner and automatic top-up.

    Attributes:
        usd: The amount left, in US dollars; it may be negative.
        currency: The vendor's word for the currency.
        user_id: The vendor's id of the account's owner.
        email: The owner's address; not shown in the repr.
        auto_top_up: The automatic purchase of credits; None where the answer does not say.
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
    """An entry of the account's ledger.

    Attributes:
        created: The time it was recorded.
        direction: ``CHARGE`` for money going out, ``TOPUP`` for money coming in.
        type: Its purpose, such as ``MODEL_USAGE``, ``PAYMENT`` or ``REFUND``.
        usd: The amount, in US dollars and without a sign.
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
        """True where a model was used and paid for."""
        return self.direction == "CHARGE" and self.type == "MODEL_USAGE"


@frozen(eq=False)
class TransactionPage:
    """A page of the ledger, newest first, and the cursor of the next; None on the last."""

    rows: tuple[Transaction, ...]
    next_cursor: str | None


def balance_request() -> HttpRequest:
    """Return the GET for the balance ("Billing: balance")."""
    return HttpRequest("GET", "/v2/billing")


def read_balance(response: HttpResponse) -> Balance:
    """Read the balance."""
    answer = read_answer(response)
    return Balance(_balance(answer, response), text(answer.get("currency")), answer)


def detail_request() -> HttpRequest:
    """Return the GET for the balance and how it is topped up."""
    return HttpRequest("GET", "/v2/billing/detail")


def read_detail(response: HttpResponse) -> BillingDetail:
    """Read the balance, and how it is topped up."""
    answer = read_answer(response)
    return BillingDetail(
        usd=_balance(answer, response),
        currency=text(answer.get("currency")),
        user_id=read_id(answer.get("user_id")),
        email=text(answer.get("email")),
        auto_top_up=_read_top_up(answer.get("autotopup_settings")),
        raw=answer,
    )


def _balance(answer: Mapping[str, Any], response: HttpResponse) -> Decimal:
    balance = dollars(answer.get("current_balance"))
    if balance is None:
        raise malformed(response, "the answer names no balance")
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
    """Return the GET for a page of the ledger; a cursor is opaque, and is sent back exactly as it came."""
    span = {name: format_moment(moment) for name, moment in (("from", start), ("to", end)) if moment is not None}
    filters = {"direction": direction, "type": type, "limit": PAGE, "cursor": cursor}
    query = span | {name: value for name, value in filters.items() if value is not None}
    return HttpRequest("GET", f"/v2/billing/transactions?{urlencode(query)}")


def read_transactions(response: HttpResponse) -> TransactionPage:
    """Read a page; rows that are no objects are left out."""
    rows, pagination = read_page(response, "ledger")
    cursor = read_id(pagination.get("next_cursor"))  # of which a URL is made
    goes_on = cursor is not None and pagination.get("has_more") is not False and bool(rows)
    return TransactionPage(tuple(map(_read_row, filter(is_object, rows))), cursor if goes_on else None)


def _read_row(row: dict[str, Any]) -> Transaction:
    parts = part(row, "amount")
    return Transaction(
        created=read_moment(row.get("created_at")),
        direction=text(row.get("direction")),
        type=text(row.get("type")),
        usd=dollars(parts.get("usd")),
        credits=amount(parts.get("credits")),
        model=text(row.get("model")),
        reference_id=read_id(row.get("reference_id")),
        raw=row,
    )


class Opinion(Enum):
    """The verdict of another request on a refusal that would concern every job."""

    CONFIRMED = "confirmed"
    DENIED = "denied"
    NONE = "none"


def second_opinion(refusal: APIError, balance: Decimal | KlingError) -> Opinion:
    """Judge a refusal by the balance, or by the error that came instead.

    A bad key is refused everywhere, an account without credits has no balance, and behind a wrong address no request
    reaches the vendor. What only failed says nothing.
    """
    if isinstance(refusal, AuthenticationError):
        confirmed, denied = isinstance(balance, AuthenticationError), _is_from_vendor(balance)
    elif isinstance(refusal, OutOfCredits):
        broke = isinstance(balance, OutOfCredits) if isinstance(balance, KlingError) else balance <= 0
        confirmed, denied = broke, not isinstance(balance, KlingError)
    elif isinstance(refusal, GatewayError):
        confirmed, denied = _is_from_gateway(balance), _is_from_vendor(balance)
    else:
        return Opinion.NONE
    return Opinion.CONFIRMED if confirmed else Opinion.DENIED if denied else Opinion.NONE


def _is_from_vendor(balance: Decimal | KlingError) -> bool:
    if isinstance(balance, APIError):
        return not isinstance(balance, GatewayError) and balance.enveloped and balance.status in range(400, 500)
    return not isinstance(balance, KlingError)


def _is_from_gateway(balance: Decimal | KlingError) -> bool:
    # A web site may answer any address with a page of its own.
    is_page = isinstance(balance, MalformedResponse) and balance.excerpt.lstrip().startswith("<")
    return is_page or isinstance(balance, GatewayError)
