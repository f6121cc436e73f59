"""The vendor behind the API: its account, its slots, its books, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue.lookup import find_model, typical_seconds
from kling_async.sandbox.capacity import CreditAccount, GenerationSlots
from kling_async.sandbox.exchange import Answer, DropConnection, Exchange, gateway_page
from kling_async.sandbox.faults import FaultInjector
from kling_async.sandbox.files import FileHost
from kling_async.sandbox.ledger import CallRecorder, Purchase
from kling_async.sandbox.limits import RequestLimits
from kling_async.sandbox.prices import canonical, price_of, video_seconds
from kling_async.sandbox.recording import BillingLedger
from kling_async.sandbox.responses import ERROR_SHAPES, error_object
from kling_async.sandbox.seeded import SeededRandom, make_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.sandbox.faults import Kind
    from kling_async.sandbox.settings import Settings

__all__ = ["Vendor"]


class Vendor:
    """All that outlasts a single request."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = settings.clock
        self._epoch = time() - self.clock()  # what to add to an instant to get the time of day
        self.dice = SeededRandom(settings.seed)
        self.ledger = CallRecorder(self.clock)
        self.till = CreditAccount()
        self.gate = RequestLimits(settings)
        self.files = FileHost(settings, self.dice, self.ledger, fires=self.fires, before_handling=self.before_handling)
        self._studio = GenerationSlots(self.dice, slots=settings.slots, sigma=settings.sigma, speed=settings.speed)
        self._strikes = FaultInjector(settings.faults, self.dice)
        self.billing = BillingLedger(
            lambda: settings.recording,
            self.dice,
            speed=settings.speed,
            began=self.clock(),
            noticed_at=self.ledger.noticed_at,
        )
        self._sold: list[Purchase] = []
        self._by_id: dict[str, Purchase] = {}
        self._same_bodies: Counter[str] = Counter()
        self._requests = 0

    def real_seconds(self, vendor_seconds: float) -> float:
        """How long a length of the vendor's time takes here."""
        return vendor_seconds / self.settings.speed

    def time_of_day(self) -> float:
        """The time of day by the sandbox's clock, in seconds since the epoch."""
        return self._epoch + self.clock()

    def timestamp(self) -> str:
        """The time of day, as the vendor writes it."""
        now = datetime.fromtimestamp(self.time_of_day(), UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def next_request_id(self) -> str:
        """An id for one more exchange."""
        self._requests += 1
        return self.dice.bits("request", self._requests).hex()[:32]

    def fires(self, fault: str, kind: Kind, *about: object) -> bool:
        """Whether this fault strikes now. Newly assigned faults begin to count anew."""
        if self._strikes.faults is not self.settings.faults:
            self._strikes = FaultInjector(self.settings.faults, self.dice)
        return self._strikes.fires(fault, kind, *about)

    async def before_handling(self, kind: Kind) -> Answer | None:
        """What can go wrong before the vendor sees a request: a gateway's answer, or None to go on.

        Raises:
            Hangup: The connection is to be dropped.
        """
        if self.fires("slow", kind):
            await asyncio.sleep(self.settings.faults.slow_seconds)
        if self.fires("drop_before", kind):
            raise DropConnection
        return gateway_page(self.pick("gateway", 502, 504)) if self.fires("gateway_error", kind) else None

    def pick(self, about: str, *choices: Any) -> Any:  # noqa: ANN401 - one of the choices, whatever they are
        """One of these, as the dice have it for this request."""
        return choices[int(self.dice.roll(about, self._requests) * len(choices))]

    def serves(self, model: str) -> bool:
        """Whether the vendor has such a model."""
        return find_model(canonical(model)) is not None or model in self.settings.other_models

    def can_afford(self, body: Mapping[str, Any]) -> bool:
        """Whether the account has the credits for this request."""
        if self.settings.credits is None:
            return True
        price = price_of(body["model"], body).credits
        return self.till.committed(self.clock()) + price <= self.settings.credits

    def accept(self, exchange: Exchange) -> Purchase:
        """Sell a generation for the exchange's body."""
        purchase = self._make(exchange, exchange.body)
        self._sold.append(purchase)
        self._by_id[purchase.generation_id] = purchase
        # "UUID:model" and "UUID" name the same generation.
        self._by_id[purchase.generation_id.partition(":")[0]] = purchase
        self.till.take(purchase)
        self.ledger.record_purchase(purchase)
        self.billing.sold(purchase)
        return purchase

    def _make(self, exchange: Exchange, body: Mapping[str, Any]) -> Purchase:
        now = self.clock()
        model: str = body["model"]
        about = self._occurrence(body)
        run = self._studio.take(typical_seconds(model, video_seconds(body)), now, *about)
        failure = self._failure(about)
        price = price_of(model, body)
        is_hidden = self.fires("not_found_after_submit", "submit", *about)
        hidden_seconds = self.real_seconds(self.settings.faults.not_found_seconds)
        return Purchase(
            generation_id=make_id(self.dice.bits("id", *about), model, self.settings.id_style),
            client_request_id=exchange.client_request_id,
            endpoint=exchange.path,
            model=model,
            body=body,
            accepted_at=now,
            started_at=run.started_at,
            completed_at=run.completed_at,
            failure=failure,
            credits=price.credits,
            usd=price.usd,
            created=self.time_of_day(),
            hidden_polls=self.settings.faults.not_found_polls if is_hidden else 0,
            hidden_until=now + hidden_seconds if is_hidden else now,
        )

    def _occurrence(self, body: Mapping[str, Any]) -> tuple[str, int]:
        """What tells this submit from all others, and is the same on the next run: its body, and how often it came."""
        canonical = json.dumps(body, sort_keys=True)
        self._same_bodies[canonical] += 1
        return canonical, self._same_bodies[canonical]

    def _failure(self, about: tuple[str, int]) -> object:
        if not self.fires("error_outcome", "submit", *about):
            return None
        chosen = ERROR_SHAPES[self.dice.bits("shape", *about)[0] % len(ERROR_SHAPES)]
        return error_object(self.settings.faults.error_shape or chosen)

    def find(self, generation_id: str) -> Purchase | None:
        """The generation of this id."""
        return self._by_id.get(generation_id)

    def is_hidden(self, purchase: Purchase) -> bool:
        """Whether polls do not find it yet."""
        asked = self.ledger.polls_of(purchase.generation_id)
        return asked < purchase.hidden_polls or self.clock() < purchase.hidden_until

    def sold(self) -> list[Purchase]:
        """Everything that was ever sold, oldest first."""
        return self._sold
