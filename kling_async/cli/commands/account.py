"""What the vendor's account and catalogue say: ``balance``, ``cost``, ``fetch``, ``logs``, ``models``."""

from __future__ import annotations

from contextlib import aclosing
from itertools import starmap
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from kling_async import GenerationStatus, Kind, get_model
from kling_async import models as known_models
from kling_async.api.parsing import format_usd
from kling_async.cli.batch.quote import by_model, notes, quote, total, total_json
from kling_async.cli.batch.rows import VIDEO_OPTIONS, BatchSource, VideoOptions
from kling_async.cli.exit_codes import Exit
from kling_async.cli.options import CONNECTION, AsJson, Connection, ask
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import clock, dollars, generation_json, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kling_async import CatalogueChanges, Generation, KlingSession, LogEntry, Model, ModelList
    from kling_async.api.catalogue.spec import Field


def balance(*, as_json: AsJson = False, connection: Connection = CONNECTION) -> None:
    """Print what is left on the account, in US dollars."""
    terminal = Terminal(as_json=as_json)
    left = ask(connection, lambda kling: kling.balance())
    terminal.answer({"usd": left.usd, "currency": left.currency}, dollars(left.usd))


def cost(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    as_json: AsJson = False,
    video: VideoOptions = VIDEO_OPTIONS,
    connection: Connection = CONNECTION,
) -> None:
    """Say what a batch would cost by the vendor's price list of today, model by model. Nothing is submitted.

    Every row is counted, those included that a journal knows already; `batch --dry-run` counts what is still to buy.
    With --json, the last line holds the total.

    Args:
        file: The batch, as for `kling-async batch`; - for standard input.
    """
    terminal = Terminal(as_json=as_json)
    rows = BatchSource(file).rows(video)
    quotes = quote(rows, ask(connection, lambda kling: kling.estimate([row.request for row in rows])), {})
    if as_json:
        for one in quotes:
            terminal.json_result(one.to_json())
        terminal.json_result({"total": total_json(quotes)})
        return
    terminal.table(by_model(quotes))
    terminal.result(f"in all: {total(quotes)}")
    for note in notes(quotes):
        terminal.message(f"not known exactly: {note}", "yellow")


_EXITS = {GenerationStatus.COMPLETED: Exit.OK, GenerationStatus.FAILED: Exit.FAILED}


def fetch(
    generation_id: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> int:
    """Ask once how far a generation is, and print the vendor's answer: its status, and the video's address.

    It exits with 0 if the video is made, with 1 if it failed, and with 3 while the vendor is at it.

    Args:
        generation_id: The vendor's id of the generation.
    """
    terminal = Terminal(as_json=as_json)
    generation = ask(connection, lambda kling: kling.fetch(generation_id))
    terminal.answer(generation_json(generation), _told(generation))
    return _EXITS.get(generation.status, Exit.STOPPED)


def _told(generation: Generation) -> str:
    if generation.video is not None:
        return f"{generation.status.value}  {generation.video.url}"
    if generation.failure is not None:
        return f"{generation.status.value}  {one_line(generation.failure)}"
    return one_line(generation.raw_status) or generation.status.value


_HEAD = ("time (UTC)", "status", "cost", "model", "key", "generation")


def logs(
    *,
    period: str = "24h",
    model: Annotated[tuple[str, ...], Parameter(name=("--model", "-m"))] = (),
    status: Literal["succeeded", "failed"] | None = None,
    limit: Annotated[PositiveInt, Parameter(name=("--limit", "-n"))] = 100,
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> None:
    """Print the requests that the account was charged for or that failed, newest first, from the vendor's own log.

    They appear there late: a generation once it has ended. The key is that of the job, if this program or this
    library sent it.

    Args:
        period: How far back: a number followed by h or d, such as 7d.
        model: Only requests for this model; may be given several times.
        status: Only those that succeeded, or that failed.
        limit: How many to print at most.
    """
    terminal = Terminal(as_json=as_json)

    async def asked(kling: KlingSession) -> list[LogEntry]:
        entries: list[LogEntry] = []
        async with aclosing(kling.logs(period=period, models=model, statuses=status or ())) as rows:
            async for entry in rows:
                entries.append(entry)
                if len(entries) == limit:
                    break
        return entries

    entries = ask(connection, asked)
    if as_json:
        for entry in entries:
            terminal.json_result(_entry_json(entry))
        return
    terminal.table([_HEAD, *map(_cells, entries)])


def _entry_json(entry: LogEntry) -> dict[str, Any]:
    return {
        "created": None if entry.created is None else entry.created.isoformat(),
        "status": entry.status,
        "model": entry.model,
        "usd": entry.usd,
        "credits": entry.credits,
        "generation_id": entry.inference_id,
        "request_id": entry.request_id,
        "client_request_id": entry.client_request_id,
        "key": entry.key,
    }


def _cells(entry: LogEntry) -> tuple[str, ...]:
    created = "" if entry.created is None else entry.created.strftime("%Y-%m-%d %H:%M:%S")
    usd = "" if entry.usd is None else dollars(entry.usd)
    texts = (entry.status, usd, entry.model, entry.key, entry.inference_id)
    return (created, *(one_line(text or "") for text in texts))


_KINDS = tuple(Kind)


def models(
    *words: str,
    live: bool = False,
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> None:
    """List Kling's models with what they make videos from and how long that takes, or explain one model's fields.

    This is the catalogue that comes with this program, and asks nobody.

    Args:
        words: A model's id, to have its fields explained; or parts of ids, versions or kinds, such as v3 turbo, to list
            what fits them all.
        live: Ask the vendor, too: for today's prices, and for what is new or gone.
    """
    terminal = Terminal(as_json=as_json)
    chosen = _chosen(words)
    listing, changes = ask(connection, _live) if live else (None, None)
    prices = {model.id: _price(model.id, listing) for model in chosen} if listing is not None else {}
    if as_json:
        for model in chosen:
            terminal.json_result(_model_json(model, prices))
        return
    if len(chosen) == 1 and words:
        (model,) = chosen
        terminal.text([f"{model.id}: {model.kind.value}, usually {clock(model.seconds)} for 5 seconds of video"])
        terminal.text([*(f"price: {price}" for price in prices.values()), ""])
        terminal.table([("field", "", "takes"), *starmap(_field, model.fields.items())])
    else:
        rows = [
            (model.id, model.kind.value, clock(model.seconds), *([prices[model.id]] if prices else []))
            for model in sorted(chosen, key=lambda model: (_KINDS.index(model.kind), model.id))
        ]
        terminal.table([("model", "from", "usual time", *(["price"] if prices else [])), *rows])
    if changes is not None:
        for line in str(changes).splitlines():
            terminal.message(line, "yellow")


def _chosen(words: Sequence[str]) -> Sequence[Model]:
    def fits(model: Model) -> bool:
        names = (model.version, model.kind.value, model.family)
        return all(word in model.id or word in names for word in words)

    every = known_models()
    exact = [model for model in every if words == (model.id,)]
    return exact or list(filter(fits, every)) or [get_model(" ".join(words))]


async def _live(kling: KlingSession) -> tuple[ModelList, CatalogueChanges]:
    return await kling.list_kling_models(), await kling.catalogue_changes()


def _field(name: str, part: Field) -> tuple[str, str, str]:
    default = str(part.default).lower() if isinstance(part.default, bool) else part.default
    takes = part.spec.allowed.replace("a file as a Path or bytes", "a file")
    return name, "required" if part.required else "", takes if default is None else f"{takes}; usually {default}"


def _price(model_id: str, listing: ModelList) -> str:
    live = listing.find(model_id)
    if live is None:
        return "not served any more"
    if live.pricing is None or not live.pricing.rates:
        return "unknown"
    unit = live.pricing.rates[0].unit
    each = [rate.each for rate in live.pricing.rates if rate.unit == unit]
    return f"{format_usd(min(each))}{'' if min(each) == max(each) else f' to {format_usd(max(each))}'} per {unit}"


def _model_json(model: Model, prices: Mapping[str, str]) -> dict[str, Any]:
    fields = {
        name: {"required": part.required, "default": part.default, "takes": part.spec.allowed}
        for name, part in model.fields.items()
    }
    return {
        "id": model.id,
        "kind": model.kind.value,
        "family": model.family,
        "version": model.version,
        "tier": model.tier,
        "usual_seconds": model.seconds,
        "fields": fields,
        **({"price": prices[model.id]} if prices else {}),
    }
