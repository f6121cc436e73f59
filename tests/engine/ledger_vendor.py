"""A vendor in memory whose ledger records charges as told."""

from __future__ import annotations

import asyncio
import math
import random
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from attrs import define, field
from scripted import ScriptedVendor, answer, played

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripted import Answer

    from kling_async import HttpRequest, HttpResponse


@define
class LedgerVendor(ScriptedVendor):
    """Generations take about 330 s. Each one's charge is recorded when ``recorded(end, first told)`` says.

    Both are infinity until they are known; ``foreign`` entries of others come with every look, and ``shifts`` has pages
    counted from the head, at which they come. ``on_ledger(n)`` answers the nth request instead.
    """

    recorded: Callable[[float, float], float] = lambda end, _told: end
    on_ledger: Callable[[int], Answer] = lambda _: None
    foreign: int = 0
    shifts: bool = False
    lies: bool = False  # shows every generation as soon as it is bought
    usd: float = 1.4
    asked: list[float] = field(factory=list)  # when the ledger was
    told: dict[str, float] = field(factory=dict)  # when a poll first said that one has completed
    others: list[tuple[float, str]] = field(factory=list)
    rng: random.Random = field(factory=lambda: random.Random(7))

    async def _submit(self) -> HttpResponse:
        number = self.submits + 1
        response = await ScriptedVendor._submit(self)
        if f"g{number}" in self.done_at:
            self.done_at[f"g{number}"] += self.rng.lognormvariate(math.log(330.0), 0.3) - self.takes
        return response

    async def _poll(self, request: HttpRequest) -> HttpResponse:
        response = await ScriptedVendor._poll(self, request)
        if b"completed" in response.body:
            generation_id = parse_qs(urlsplit(request.target).query)["generation_id"][0]
            self.told.setdefault(generation_id, asyncio.get_running_loop().time())
        return response

    async def _read_ledger(self, _request: HttpRequest) -> HttpResponse:
        now = asyncio.get_running_loop().time()
        query = {name: values[0] for name, values in parse_qs(urlsplit(_request.target).query).items()}
        assert (query["direction"], query["type"], query["limit"]) == ("CHARGE", "MODEL_USAGE", "100")
        self.asked.append(now)
        scripted = self.on_ledger(len(self.asked))
        await self._take(0.0)
        if scripted is not None:
            return played(scripted)
        if "cursor" not in query:
            self.others += [(now, f"other-{len(self.others) + n}") for n in range(self.foreign)]
        entries = self._entries(now)
        until = int(query.get("cursor", "0" if self.shifts else str(len(entries))))
        page = entries[::-1][until : until + 100] if self.shifts else entries[max(0, until - 100) : until][::-1]
        rest = until + 100 if self.shifts else until - 100
        more = rest < len(entries) if self.shifts else rest > 0
        rows = [_row(generation_id, self.usd) for _, generation_id in page]
        return answer(200, {"data": rows, "pagination": {"next_cursor": str(rest) if more else None, "has_more": more}})

    def _entries(self, now: float) -> list[tuple[float, str]]:
        ours = [
            (end - 400.0 if self.lies else self.recorded(end, self.told.get(which, math.inf)), which)
            for which, end in self.done_at.items()
        ]
        return sorted(entry for entry in [*ours, *self.others] if entry[0] <= now)

    def delay(self) -> float:
        """How late completions were noticed on average, in seconds."""
        return sum(at - self.done_at[which] for which, at in self.told.items()) / len(self.told)


def _row(generation_id: str, usd: float) -> dict[str, object]:
    return {
        "created_at": "2027-01-15T08:00:00Z",
        "direction": "CHARGE",
        "type": "MODEL_USAGE",
        "amount": {"usd": usd, "credits": 100 * usd},
        "model": "klingai/v2.1-master-text-to-video",
        "reference_id": f"{generation_id}:klingai/v2.1-master-text-to-video",
    }
