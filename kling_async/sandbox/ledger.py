"""The record of everything bought, asked and fetched, for tests to compare with, and the account's ledger."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kling_async.sandbox.faults import Kind, SeededRandom
    from kling_async.sandbox.settings import Recording, Settings

_Name = TypeVar("_Name", str, str | None)


@frozen(eq=False, kw_only=True)
class Purchase:
    """A generation that was accepted.

    Instants, here and below, are those of the sandbox's clock: by default comparable with ``time.monotonic()`` and an
    event loop's ``time()`` in this process.

    Attributes:
        generation_id: The vendor's id of it.
        client_request_id: What the client named the submit, if it did so validly.
        endpoint: The path it was submitted to, without the prefix.
        model: The model's id.
        body: The request's JSON body.
        accepted_at: When it was accepted.
        started_at: When it got one of the vendor's slots and left the queue.
        completed_at: When it ends, well or not; often still to come.
        failure: The vendor's error object if it ends in failure, else None.
        credits: What it costs if it completes, in credits; a failed one is not charged.
        usd: The same in US dollars.
        created: When it was accepted, in seconds since the epoch.
        hidden_polls: How many polls get 404 at first.
        hidden_until: Until when polls get 404.
    """

    generation_id: str
    client_request_id: str | None
    endpoint: str
    model: str
    body: Mapping[str, Any]
    accepted_at: float
    started_at: float
    completed_at: float
    failure: object = None
    credits: float = 0.0
    usd: Decimal = Decimal(0)
    created: float = 0.0
    hidden_polls: int = 0
    hidden_until: float = 0.0


@frozen(eq=False, kw_only=True)
class Submit:
    """A POST to one of the generation endpoints, as it came.

    Attributes:
        at: When it arrived.
        endpoint: The path it came to, without the prefix.
        headers: Its headers, names in lower case.
        content: The body's bytes.
        body: The body as JSON; None if it is not JSON.
        client_request_id: What the client named it, if it did so validly.
        status: The HTTP status it was answered with; None if the connection was dropped instead.
        purchase: What it bought; None if nothing.
    """

    at: float
    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    body: Any
    client_request_id: str | None
    status: int | None
    purchase: Purchase | None


@frozen(eq=False, kw_only=True)
class Poll:
    """A GET about a generation that exists.

    Attributes:
        at: When it was answered.
        status: The HTTP status it was answered with; None if the connection was dropped instead.
        generation_status: The status that the client could read; None if it could read none.
        final: Whether the client could read that the generation has ended, and how.
    """

    at: float
    status: int | None
    generation_status: str | None
    final: bool


@frozen(eq=False, kw_only=True)
class FileRequest:
    """A request to the file host.

    Attributes:
        at: When it was answered.
        generation_id: Whose video was asked for; None if no such file exists.
        method: ``GET`` or ``HEAD``.
        headers: Its headers, names in lower case.
        status: The HTTP status it was answered with; None if the connection was dropped instead.
    """

    at: float
    generation_id: str | None
    method: str
    headers: Mapping[str, str] = field(repr=False)
    status: int | None


@frozen
class Charge:
    """The charge of a completed generation, booked when it completed."""

    generation_id: str
    credits: float
    usd: Decimal
    at: float


class CallRecorder:
    """Everything that reached the sandbox, kept for tests to read, from any thread.

    Each property is a copy of what is known at that moment, in order of arrival. Nothing is ever forgotten.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._submits: list[Submit] = []
        self._purchases: dict[str, Purchase] = {}
        self._polls: dict[str, list[Poll]] = {}
        self._noticed: dict[str, float] = {}
        self._files: list[FileRequest] = []
        self._answers: Counter[tuple[Kind, int | None]] = Counter()
        self._senders: dict[str, Counter[Kind]] = {}

    @property
    def submits(self) -> tuple[Submit, ...]:
        """Every POST to a generation endpoint, refused and dropped ones included."""
        with self._lock:
            return tuple(self._submits)

    @property
    def purchases(self) -> dict[str, Purchase]:
        """Every generation bought, by its id."""
        with self._lock:
            return dict(self._purchases)

    @property
    def accepted(self) -> dict[str | None, tuple[Purchase, ...]]:
        """Purchases by client request id; under None those without a valid one."""
        return _grouped((one.client_request_id, one) for one in self.purchases.values())

    @property
    def by_key(self) -> dict[str, tuple[Purchase, ...]]:
        """Purchases by job key: the client request id up to its last colon, as sessions of this library set it.

        A key with two purchases was bought twice.
        """
        named = ((one.client_request_id, one) for one in self.purchases.values() if one.client_request_id)
        return _grouped((name.rpartition(":")[0] or name, one) for name, one in named)

    @property
    def polls(self) -> dict[str, tuple[Poll, ...]]:
        """Every GET about a generation, by its id."""
        with self._lock:
            return {generation_id: tuple(polls) for generation_id, polls in self._polls.items()}

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The charges of completed generations, in order of completion. A failed one costs nothing."""
        now = self._clock()
        done = (one for one in self.purchases.values() if one.completed_at <= now and one.failure is None)
        return tuple(
            Charge(one.generation_id, one.credits, one.usd, one.completed_at)
            for one in sorted(done, key=lambda one: one.completed_at)
        )

    @property
    def noticed(self) -> dict[str, float]:
        """The instant a client could first read that a generation has ended, by generation id."""
        with self._lock:
            return dict(self._noticed)

    def noticed_at(self, generation_id: str) -> float:
        """Return when a client could first read that this generation has ended; infinity if none could."""
        return self._noticed.get(generation_id, math.inf)

    @property
    def delays(self) -> dict[str, float]:
        """Seconds from the end of each noticed generation until it was noticed, in real time, by generation id."""
        noticed, purchases = self.noticed, self.purchases
        return {generation_id: at - purchases[generation_id].completed_at for generation_id, at in noticed.items()}

    @property
    def files(self) -> tuple[FileRequest, ...]:
        """Every request to the file host."""
        with self._lock:
            return tuple(self._files)

    @property
    def leaks(self) -> tuple[FileRequest, ...]:
        """Requests that showed the file host a credential. There should never be one."""
        return tuple(request for request in self.files if "authorization" in request.headers)

    @property
    def answers(self) -> Counter[tuple[Kind, int | None]]:
        """The number of answers by kind of request and HTTP status; None for a dropped connection."""
        with self._lock:
            return Counter(self._answers)

    @property
    def by_sender(self) -> dict[str, Counter[Kind]]:
        """The number of requests of each kind, by the ``User-Agent`` they came with.

        Sessions that share a journal can be told apart by a `KlingSession(user_agent=...)` each.
        """
        with self._lock:
            return {sender: Counter(kinds) for sender, kinds in self._senders.items()}

    @property
    def throttled(self) -> int:
        """The number of requests that got 429."""
        return sum(count for (_, status), count in self.answers.items() if status == HTTPStatus.TOO_MANY_REQUESTS)

    def polls_of(self, generation_id: str) -> int:
        """Count the polls of one generation."""
        return len(self._polls.get(generation_id, ()))

    def record_answer(self, kind: Kind, status: int | None, sender: str) -> None:
        """Count an answer to a request of this sender."""
        with self._lock:
            self._answers[kind, status] += 1
            self._senders.setdefault(sender, Counter())[kind] += 1

    def record_purchase(self, purchase: Purchase) -> None:
        """Record what was bought, at the moment it is bought."""
        with self._lock:
            self._purchases[purchase.generation_id] = purchase

    def record_submit(self, submit: Submit) -> None:
        """Record a POST."""
        with self._lock:
            self._submits.append(submit)

    def record_poll(self, generation_id: str, poll: Poll) -> None:
        """Record a GET about a generation, and when its end was noticed."""
        with self._lock:
            self._polls.setdefault(generation_id, []).append(poll)
            if poll.final:
                self._noticed.setdefault(generation_id, poll.at)

    def record_file(self, request: FileRequest) -> None:
        """Record a request for a file."""
        with self._lock:
            self._files.append(request)

    def __repr__(self) -> str:
        polls = sum(map(len, self.polls.values()))
        counts = (
            f"{len(self.purchases)} bought, {polls} polls, {len(self.noticed)} noticed, {len(self.files)} file requests"
        )
        return f"<CallRecorder {counts}>"


def _grouped(pairs: Iterable[tuple[_Name, Purchase]]) -> dict[_Name, tuple[Purchase, ...]]:
    groups: dict[_Name, list[Purchase]] = {}
    for name, purchase in pairs:
        groups.setdefault(name, []).append(purchase)
    return {name: tuple(purchases) for name, purchases in groups.items()}


_FOREIGN_MODEL, _FOREIGN_USD = "openai/gpt-4o", Decimal("0.01")
_MOST_FOREIGN = 20_000  # older ones are no longer shown


@frozen
class Entry:
    """A charge, as recorded at an instant of the sandbox's clock."""

    at: float
    generation_id: str
    model: str
    usd: Decimal
    credits: float


class BillingLedger:
    """The charges of the account, as its ledger shows them."""

    def __init__(self, settings: Settings, random: SeededRandom, calls: CallRecorder) -> None:
        self._settings = settings
        self._random = random
        self._calls = calls
        self._began = settings.clock()
        self._charged: list[tuple[Purchase, Recording]] = []

    def record(self, purchase: Purchase) -> None:
        """Record its charge in time, by the present settings, if it completes."""
        if purchase.failure is None:
            self._charged.append((purchase, self._settings.recording))

    def entries(self, now: float) -> list[Entry]:
        """Return the entries recorded by now, oldest first."""
        ours = (
            Entry(at, one.generation_id, one.model, one.usd, one.credits)
            for one, recording in self._charged
            if (at := self._recorded_at(one, recording)) <= now
        )
        return sorted([*ours, *self._foreign(now)], key=lambda one: one.at)

    def _recorded_at(self, purchase: Purchase, recording: Recording) -> float:
        name = purchase.generation_id
        if self._random.uniform("unrecorded", name) < recording.unrecorded:
            return math.inf
        at = self._calls.noticed_at(name) if recording.once_polled else purchase.completed_at
        if at == math.inf:
            return at
        mean = recording.lag / self._settings.speed + recording.lag_growth * (at - self._began)
        if mean > 0.0:
            at -= mean * math.log1p(-self._random.uniform("recording lag", name))
        every = recording.every / self._settings.speed
        return math.ceil(at / every) * every if every else at

    def _foreign(self, now: float) -> list[Entry]:
        """Return the charges of other programs, evenly spaced since the sandbox was made."""
        rate = self._settings.recording.foreign_per_minute * self._settings.speed / 60.0
        count = int((now - self._began) * rate)
        return [
            Entry(self._began + (n + 1) / rate, f"foreign-{n}", _FOREIGN_MODEL, _FOREIGN_USD, float(100 * _FOREIGN_USD))
            for n in range(max(0, count - _MOST_FOREIGN), count)
        ]
