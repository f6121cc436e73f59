"""``kling-async models``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kling_async import Kind, get_model
from kling_async import models as known_models
from kling_async.cli.connect import open_session
from kling_async.cli.options import CONNECTION, AsJson, Connection
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import clock, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from kling_async import CatalogueChanges, Model, ModelList

_KINDS = tuple(Kind)


def models(
    name: str | None = None,
    /,
    *,
    live: bool = False,
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> None:
    """List Kling's models with what they make videos from and how long that takes, or explain one model's fields.

    This is the catalogue that comes with this program, and asks nobody.

    Args:
        name: A model's id, to have its fields explained; or a part of ids, a version or a kind, to list those alone.
        live: Ask the vendor, too: for today's prices, and for what is new or gone.
    """
    terminal = Terminal(as_json=as_json)
    chosen = _chosen(name)
    listing, changes = asyncio.run(_asked(connection)) if live else (None, None)
    prices = {model.id: _price(model.id, listing) for model in chosen} if listing is not None else {}
    if as_json:
        for model in chosen:
            terminal.json_result(_facts(model, prices))
        return
    explained = len(chosen) == 1 and name is not None
    for line in _explained(chosen[0], prices) if explained else _listed(chosen, prices):
        terminal.result(line)
    if changes is not None:
        for line in _news(changes):
            terminal.message(line, "yellow")


def _chosen(name: str | None) -> Sequence[Model]:
    every = known_models()
    if name is None:
        return every
    exact = [model for model in every if model.id == name]
    part = [model for model in every if name in model.id or name in (model.version, model.kind.value, model.family)]
    return exact or part or [get_model(name)]


async def _asked(connection: Connection) -> tuple[ModelList, CatalogueChanges]:
    async with open_session(connection) as kling:
        return await kling.list_kling_models(), await kling.catalogue_changes()


def _listed(chosen: Sequence[Model], prices: Mapping[str, str]) -> Iterator[str]:
    head = ("model", "from", "usual time", *(["price"] if prices else []))
    ordered = sorted(chosen, key=lambda model: (_KINDS.index(model.kind), model.id))
    cells = [
        (model.id, model.kind.value, clock(model.seconds), *([prices[model.id]] if prices else [])) for model in ordered
    ]
    return table([head, *cells])


def _explained(model: Model, prices: Mapping[str, str]) -> Iterator[str]:
    yield f"{model.id}: {model.kind.value}, usually {clock(model.seconds)} for 5 seconds of video"
    if prices:
        yield f"price: {prices[model.id]}"
    yield ""
    cells = [(name, *_field(name, model)) for name in model.fields]
    yield from table([("field", "", "takes"), *cells])


def _field(name: str, model: Model) -> tuple[str, str]:
    part = model.fields[name]
    usual = "" if part.default is None else f"; usually {part.default}"
    return "required" if part.required else "", f"{part.spec.allowed}{usual}".replace(
        "a file as a Path or bytes", "a file"
    )


def _price(model_id: str, listing: ModelList) -> str:
    live = listing.find(model_id)
    if live is None:
        return "not served any more"
    if live.pricing is None or not live.pricing.rates:
        return "unknown"
    unit = live.pricing.rates[0].unit
    each = [rate.each for rate in live.pricing.rates if rate.unit == unit]
    return f"{_usd(min(each))}{'' if min(each) == max(each) else f' to {_usd(max(each))}'} per {unit}"


def _usd(amount: Decimal) -> str:
    whole, _, parts = f"{amount:f}".partition(".")
    return f"${whole}.{parts.rstrip('0'):0<2}"


def _facts(model: Model, prices: Mapping[str, str]) -> dict[str, Any]:
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


def _news(changes: CatalogueChanges) -> list[str]:
    return str(changes).splitlines()
