"""How the live list of models differs from the catalogue that this library brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from kling_async.api.catalogue import find_model, models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.listing import Listing, LiveModel

__all__ = ["CatalogueChanges", "changes"]


@frozen
class CatalogueChanges:
    """What is different at the vendor from the catalogue that ``models()`` lists. Readable as text.

    Attributes:
        new: Kling's video models that the catalogue does not know. They can be used all the same; nothing is checked.
        gone: The ids of models that the vendor no longer serves under any name.
        renamed: Ids that are only aliases now, with the names they are aliases of. They still work.
        total: How many models the catalogue has.
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
            *(f"new: {_described(model)}" for model in self.new),
            *(f"gone: {name}" for name in self.gone),
            *(f"renamed: {name} is now {canonical}" for name, canonical in self.renamed.items()),
        ]
        return "\n".join(lines)


def changes(listing: Listing) -> CatalogueChanges:
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


def _described(model: LiveModel) -> str:
    return model.id if model.name in (None, model.id) else f"{model.id} ({model.name})"
