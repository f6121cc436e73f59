"""The live list of models: what the vendor serves today, under which names, and at which prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import Factory, field, frozen

from kling_async.api.loose import is_list, is_object, text
from kling_async.api.messages import HttpRequest
from kling_async.api.prices import Pricing, read_pricing
from kling_async.api.protocol import read_answer
from kling_async.errors import MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kling_async.api.messages import HttpResponse

__all__ = ["Listing", "LiveModel", "listing_request", "read_listing"]


@frozen
class LiveModel:
    """A model as the vendor lists it today ("Complete Model List").

    Attributes:
        id: Its canonical name.
        aliases: Other names it can still be asked for under.
        type: The kind of endpoint that serves it.
        name: Its name for people.
        developer: Who made it.
        docs_url: Its page in the vendor's documentation.
        tags: The vendor's tags.
        capabilities: What it can do; None unless that was asked for.
        input_modalities: What goes in, such as ``image``; None unless that was asked for.
        output_modalities: What comes out, such as ``video``; None unless that was asked for.
        pricing: What it costs; None unless that was asked for, or where it is unreadable.
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
        """Whether it is one of Kling's that make videos, as far as its names, its maker and its type tell."""
        whose = " ".join([*self.names, self.developer or ""]).lower()
        what = " ".join([self.type or "", *self.tags, *(self.output_modalities or ())]).lower()
        return "kling" in whose and "video" in what


def _named(listing: Listing) -> dict[str, LiveModel]:
    # An id counts before an alias of the same name.
    by_alias = {alias: model for model in listing.models for alias in model.aliases}
    return by_alias | {model.id: model for model in listing.models}


@frozen(eq=False)
class Listing:
    """Models of the live list, in the vendor's order."""

    models: tuple[LiveModel, ...]
    _by_name: Mapping[str, LiveModel] = field(init=False, repr=False, default=Factory(_named, takes_self=True))

    def find(self, name: str) -> LiveModel | None:
        """The model of this id or alias; None if the vendor serves none."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[LiveModel]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)


def listing_request(include: Sequence[str] = (), ids: Sequence[str] = (), etag: str | None = None) -> HttpRequest:
    """The GET for the list, or, with an ETag, for what has changed since; needs no key."""
    query = urlencode([*(("include", section) for section in include), *(("id", name) for name in ids)])
    headers = {} if etag is None else {"If-None-Match": etag}
    return HttpRequest("GET", f"/v1/models?{query}" if query else "/v1/models", headers=headers)


def read_listing(response: HttpResponse) -> Listing:
    """The models of an answer; what has no id is left out.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer is not a list of models.
    """
    entries = read_answer(response).get("data")
    if not is_list(entries):
        raise MalformedResponse(f"{response.status}: the answer is not a list of models", status=response.status)
    read = (_read_model(entry) for entry in entries if is_object(entry))
    return Listing(tuple(model for model in read if model is not None))


def _read_model(entry: dict[str, Any]) -> LiveModel | None:
    name, about, modalities = text(entry.get("id")), entry.get("info"), entry.get("modalities")
    if name is None:
        return None
    info: Mapping[str, Any] = about if is_object(about) else {}
    sides: Mapping[str, Any] = modalities if is_object(modalities) else {}
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
