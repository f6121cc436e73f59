"""The live list of models, with their names and prices, and its differences from the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import Factory, field, frozen

from kling_async.api.catalogue.lookup import find_model, models
from kling_async.api.messages import HttpRequest
from kling_async.api.parsing import dollars, is_list, is_object, part, text
from kling_async.api.protocol import malformed, read_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse


@frozen
class UnitPrice:
    """A price for so many units of something.

    Attributes:
        price: The price of ``per`` units, in US dollars. Prices can only be compared together with their ``per``.
        per: The number of units it is for; 1 for seconds of video, and as much as 1,000,000 for tokens.
        unit: The unit that is counted, such as ``second``.
        measure: The side that is counted, such as ``output``, where the vendor states it.
        when: The values that a request must have for this price, by field; empty if it always applies.
    """

    price: Decimal
    per: Decimal
    unit: str
    measure: str | None = None
    when: Mapping[str, object] = field(factory=dict[str, object], hash=False)

    @property
    def each(self) -> Decimal:
        """The price of one unit, in US dollars."""
        return self.price / self.per


@frozen
class Pricing:
    """The prices of a model.

    Attributes:
        kind: ``fixed``: all rates hold, and are added up. ``variants``: the one rate holds that fits the request.
            ``variable``: nothing can be said before the request was made.
        rates: The prices; those that cannot be read are left out.
        dimensions: The fields of a request that the price depends on, for ``variants``.
        currency: The vendor's word for the currency; it says that prices are in US dollars.
        is_whole: Whether every price could be read.
        raw: The block as it came.
    """

    kind: str
    rates: tuple[UnitPrice, ...] = ()
    dimensions: tuple[str, ...] = ()
    currency: str | None = None
    is_whole: bool = True
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


def read_pricing(block: object) -> Pricing | None:
    """Return a model's pricing; None if there is none, or none that says of which kind it is."""
    if not is_object(block) or (kind := text(block.get("kind"))) is None:
        return None
    listed = block.get("units" if kind == "fixed" else "variants")
    entries: list[Any] = listed if is_list(listed) else [block] if "price" in block else []
    rates = [_read_rate(entry, block) for entry in entries]
    return Pricing(
        kind=kind,
        rates=tuple(rate for rate in rates if rate is not None),
        dimensions=_texts(block.get("dimensions")) or (),
        currency=text(block.get("currency")),
        is_whole=None not in rates,
        raw=block,
    )


def _read_rate(entry: object, block: Mapping[str, Any]) -> UnitPrice | None:
    if not is_object(entry):
        return None
    # A fixed price names its unit "name", a variant "unit"; what all variants share may stand beside them.
    unit = text(entry.get("unit")) or text(entry.get("name")) or text(block.get("unit"))
    price, per, when = dollars(entry.get("price")), dollars(entry.get("per", block.get("per"))), entry.get("when", {})
    if unit is None or price is None or price < 0 or per is None or per <= 0 or not is_object(when):
        return None
    return UnitPrice(price, per, unit, text(entry.get("measure")), when)


@frozen
class LiveModel:
    """A model as the vendor lists it today ("Complete Model List").

    Attributes:
        id: Its canonical name.
        aliases: Other names it can still be asked for under.
        type: The kind of endpoint that serves it.
        name: Its name for people.
        developer: Its maker.
        docs_url: Its page in the vendor's documentation.
        tags: The vendor's tags.
        capabilities: Its capabilities; None unless that was asked for.
        input_modalities: The kinds of input, such as ``image``; None unless that was asked for.
        output_modalities: The kinds of output, such as ``video``; None unless that was asked for.
        pricing: Its prices; None unless that was asked for, or where it is unreadable.
        raw: The entry as it came.
    """

    id: str
    aliases: tuple[str, ...] = ()
    type: str | None = None
    name: str | None = None
    developer: str | None = None
    docs_url: str | None = None
    tags: tuple[str, ...] = ()
    capabilities: tuple[str, ...] | None = None
    input_modalities: tuple[str, ...] | None = None
    output_modalities: tuple[str, ...] | None = None
    pricing: Pricing | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The id and the aliases."""
        return (self.id, *self.aliases)

    @property
    def is_kling_video(self) -> bool:
        """True for a Kling model that makes videos, as far as its names, developer, type and tags tell."""
        whose = " ".join([*self.names, self.developer or ""]).lower()
        what = " ".join([self.type or "", *self.tags, *(self.output_modalities or ())]).lower()
        return "kling" in whose and "video" in what


def _named(listing: ModelList) -> dict[str, LiveModel]:
    # An id counts before an alias of the same name.
    by_alias = {alias: model for model in listing.models for alias in model.aliases}
    return by_alias | {model.id: model for model in listing.models}


@frozen(eq=False)
class ModelList:
    """Models of the live list, in the vendor's order."""

    models: tuple[LiveModel, ...]
    _by_name: Mapping[str, LiveModel] = field(init=False, repr=False, default=Factory(_named, takes_self=True))

    def find(self, name: str) -> LiveModel | None:
        """Return the model of this id or alias; None if the vendor serves none."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[LiveModel]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)


def models_request(include: Sequence[str] = (), ids: Sequence[str] = (), etag: str | None = None) -> HttpRequest:
    """Return the GET for the list, or, with an ETag, for what has changed since; needs no key."""
    query = urlencode([*(("include", section) for section in include), *(("id", name) for name in ids)])
    headers = {} if etag is None else {"If-None-Match": etag}
    return HttpRequest("GET", f"/v1/models?{query}" if query else "/v1/models", headers=headers)


def read_models(response: HttpResponse) -> ModelList:
    """Return the models of an answer; what has no id is left out."""
    entries = read_answer(response).get("data")
    if not is_list(entries):
        raise malformed(response, "the answer is not a list of models")
    read = (_read_model(entry) for entry in entries if is_object(entry))
    return ModelList(tuple(model for model in read if model is not None))


def _read_model(entry: dict[str, Any]) -> LiveModel | None:
    name, info, sides = text(entry.get("id")), part(entry, "info"), part(entry, "modalities")
    if name is None:
        return None
    return LiveModel(
        id=name,
        aliases=_texts(entry.get("aliases")) or (),
        type=text(entry.get("type")),
        name=text(info.get("name")),
        developer=text(info.get("developer")),
        docs_url=text(info.get("docsUrl")),
        tags=_texts(entry.get("tags")) or (),
        capabilities=_texts(entry.get("capabilities")),
        input_modalities=_texts(sides.get("input")),
        output_modalities=_texts(sides.get("output")),
        pricing=read_pricing(entry.get("pricing")),
        raw=entry,
    )


def _texts(values: object) -> tuple[str, ...] | None:
    return tuple(value for value in values if isinstance(value, str) and value) if is_list(values) else None


@frozen
class CatalogueChanges:
    """The differences of the vendor's list from the catalogue that ``models()`` lists. Readable as text.

    Attributes:
        new: Kling's video models that the catalogue does not know. They can be used all the same; nothing is checked.
        gone: The ids of models that the vendor no longer serves under any name.
        renamed: Ids that are only aliases now, with the names they are aliases of. They still work.
        total: The number of models in the catalogue.
    """

    new: tuple[LiveModel, ...] = ()
    gone: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(factory=dict[str, str], hash=False)
    total: int = 0

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.renamed)

    def __str__(self) -> str:
        if not self:
            return f"nothing has changed: the vendor serves all {self.total} models of the catalogue, and no others"
        lines = [
            *(
                f"new: {model.id}" + ("" if model.name in (None, model.id) else f" ({model.name})")
                for model in self.new
            ),
            *(f"gone: {name}" for name in self.gone),
            *(f"renamed: {name} is now {canonical}" for name, canonical in self.renamed.items()),
        ]
        return "\n".join(lines)


def changes(listing: ModelList) -> CatalogueChanges:
    """Compare a list of all models with the catalogue, by ids and aliases, in the order of ids."""
    known = models()
    live = {model.id: listing.find(model.id) for model in known}
    new = [model for model in listing if model.is_kling_video and not any(map(find_model, model.names))]
    return CatalogueChanges(
        new=tuple(sorted(new, key=lambda model: model.id)),
        gone=tuple(name for name, model in live.items() if model is None),
        renamed={name: model.id for name, model in live.items() if model is not None and model.id != name},
        total=len(known),
    )
