"""``kling-async models``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kling_async import Kind, get_model
from kling_async import models as known_models
from kling_async.cli.connect import open_session
from kling_async.cli.options import CONNECTION, AsJson, Connection
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from kling_async import CatalogueChanges, Model, ModelList

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
    listing, changes = asyncio.run(_asked(connection)) if live else (None, None)
    prices = {model.id: _price(model.id, listing) for model in chosen} if listing is not None else {}
    if as_json:
        for model in chosen:
            terminal.json_result(_facts(model, prices))
        return
    if len(chosen) == 1 and words:
        terminal.text(_headlines(chosen[0], prices))
        terminal.table(_fields(chosen[0]))
    else:
        terminal.table(_listed(chosen, prices))
    if changes is not None:
        for line in _news(changes):
            terminal.message(line, "yellow")


def _chosen(words: Sequence[str]) -> Sequence[Model]:
    every = known_models()
    exact = [model for model in every if words == (model.id,)]
    fitting = [model for model in every if all(_fits(model, word) for word in words)]
    return exact or fitting or [get_model(" ".join(words))]


def _fits(model: Model, word: str) -> bool:
    return word in model.id or word in (model.version, model.kind.value, model.family)


async def _asked(connection: Connection) -> tuple[ModelList, CatalogueChanges]:
    async with open_session(connection) as kling:
        return await kling.list_kling_models(), await kling.catalogue_changes()


def _listed(chosen: Sequence[Model], prices: Mapping[str, str]) -> list[tuple[str, ...]]:
    head = ("model", "from", "usual time", *(["price"] if prices else []))
    ordered = sorted(chosen, key=lambda model: (_KINDS.index(model.kind), model.id))
    cells = [
        (model.id, model.kind.value, clock(model.seconds), *([prices[model.id]] if prices else [])) for model in ordered
    ]
    return [head, *cells]


def _headlines(model: Model, prices: Mapping[str, str]) -> Iterator[str]:
    yield f"{model.id}: {model.kind.value}, usually {clock(model.seconds)} for 5 seconds of video"
    if prices:
        yield f"price: {prices[model.id]}"
    yield ""


def _fields(model: Model) -> list[tuple[str, str, str]]:
    return [("field", "", "takes"), *((name, *_field(name, model)) for name in model.fields)]


def _field(name: str, model: Model) -> tuple[str, str]:
    part = model.fields[name]
    default = str(part.default).lower() if isinstance(part.default, bool) else part.default
    usual = "" if default is None else f"; usually {default}"
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
