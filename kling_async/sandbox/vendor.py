"""The vendor's state: what was sold, the account, the slots, the ledger, and the faults that strike."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Any, TypeVar

from kling_async.api.catalogue.lookup import find_model, typical_seconds
from kling_async.sandbox.capacity import (
    CreditAccount,
    GenerationSlots,
    RequestLimits,
    canonical,
    price_of,
    video_seconds,
)
from kling_async.sandbox.exchange import Answer, DropConnection, Exchange, gateway_page
from kling_async.sandbox.faults import ERROR_SHAPES, FaultInjector, SeededRandom, error_object, make_id
from kling_async.sandbox.files import FileHost
from kling_async.sandbox.ledger import BillingLedger, CallRecorder, Purchase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kling_async.sandbox.faults import Kind
    from kling_async.sandbox.settings import Settings

_T = TypeVar("_T")


class Vendor:
    """The state of the vendor that outlasts a single request."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock: Callable[[], float] = settings.clock
        self.random: SeededRandom = SeededRandom(settings.seed)
        self.ledger: CallRecorder = CallRecorder(self.clock)
        self.account: CreditAccount = CreditAccount()
        self.limits: RequestLimits = RequestLimits(settings)
        self.files: FileHost = FileHost(
            settings, self.random, self.ledger, fires=self.fires, before_handling=self.before_handling
        )
        self._slots = GenerationSlots(self.random, slots=settings.slots, sigma=settings.sigma, speed=settings.speed)
        self._injector = FaultInjector(settings.faults, self.random)
        self.billing: BillingLedger = BillingLedger(settings, self.random, self.ledger)
        self._by_id: dict[str, Purchase] = {}
        self._same_bodies: Counter[str] = Counter()
        self._requests = 0
        # An injected clock has no time of day: the log's begins with the system's and moves with the clock.
        epoch = time() - self.clock()
        self._time_of_day = time if self.clock is monotonic else lambda: epoch + self.clock()

    def real_seconds(self, vendor_seconds: float) -> float:
        """Convert a length of the vendor's time to real seconds."""
        return vendor_seconds / self.settings.speed

    def time_of_day(self) -> float:
        """Return the time of day, in seconds since the epoch: the system's, or by a clock of the test's own."""
        return self._time_of_day()

    def timestamp(self) -> str:
        """Return the time of day in the vendor's format."""
        now = datetime.fromtimestamp(self.time_of_day(), UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def next_request_id(self) -> str:
        """Return an id for one more exchange."""
        self._requests += 1
        return self.random.bits("request", self._requests).hex()[:32]

    def fires(self, fault: str, kind: Kind, *about: object) -> bool:
        """Return whether this fault strikes now. Newly assigned faults count their occasions anew."""
        if self._injector.faults is not self.settings.faults:
            self._injector = FaultInjector(self.settings.faults, self.random)
        return self._injector.fires(fault, kind, *about)

    async def before_handling(self, kind: Kind) -> Answer | None:
        """Apply the faults that strike before the vendor acts; return a gateway's answer, or None to go on.

        Raises:
            DropConnection: The connection is to be dropped.
        """
        if self.fires("slow", kind):
            await asyncio.sleep(self.settings.faults.slow_seconds)
        if self.fires("drop_before", kind):
            raise DropConnection
        return gateway_page(self.choose("gateway", 502, 504)) if self.fires("gateway_error", kind) else None

    def choose(self, about: str, *choices: _T) -> _T:
        """Return one of these, by the seed and the request's number."""
        return choices[int(self.random.uniform(about, self._requests) * len(choices))]

    def serves(self, model: str) -> bool:
        """Return whether the vendor has such a model."""
        return find_model(canonical(model)) is not None or model in self.settings.other_models

    def can_afford(self, body: Mapping[str, Any]) -> bool:
        """Return whether the account has the credits for this request."""
        if self.settings.credits is None:
            return True
        price = price_of(body["model"], body).credits
        return self.account.committed(self.clock()) + price <= self.settings.credits

    def accept(self, exchange: Exchange) -> Purchase:
        """Accept the exchange's body as a purchase, and record it."""
        purchase = self._purchase(exchange, exchange.body)
        self._by_id[purchase.generation_id] = purchase
        # "UUID:model" and "UUID" name the same generation.
        self._by_id[purchase.generation_id.partition(":")[0]] = purchase
        self.account.reserve(purchase)
        self.ledger.record_purchase(purchase)
        self.billing.record(purchase)
        return purchase

    def _purchase(self, exchange: Exchange, body: Mapping[str, Any]) -> Purchase:
        now = self.clock()
        model: str = body["model"]
        about = self._occurrence(body)
        run = self._slots.assign(typical_seconds(model, video_seconds(body)), now, *about)
        failure = self._failure(about)
        price = price_of(model, body)
        is_hidden = self.fires("not_found_after_submit", "submit", *about)
        hidden_seconds = self.real_seconds(self.settings.faults.not_found_seconds)
        return Purchase(
            generation_id=make_id(self.random.bits("id", *about), model, self.settings.id_style),
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
        """Identify a submit by its body and how often that came, which is the same on every run."""
        canonical = json.dumps(body, sort_keys=True)
        self._same_bodies[canonical] += 1
        return canonical, self._same_bodies[canonical]

    def _failure(self, about: tuple[str, int]) -> object:
        if not self.fires("error_outcome", "submit", *about):
            return None
        chosen = ERROR_SHAPES[self.random.bits("shape", *about)[0] % len(ERROR_SHAPES)]
        return error_object(self.settings.faults.error_shape or chosen)

    def find(self, generation_id: str) -> Purchase | None:
        """Return the purchase of this id, or None."""
        return self._by_id.get(generation_id)

    def is_hidden(self, purchase: Purchase) -> bool:
        """Return whether polls do not find the generation yet."""
        asked = self.ledger.polls_of(purchase.generation_id)
        return asked < purchase.hidden_polls or self.clock() < purchase.hidden_until
