"""What models are called beside their ids."""

from __future__ import annotations

from kling_async.api.catalogue.lookup import find_model

__all__ = ["aliases", "canonical"]

_MAKER = "klingai/"


def aliases(model: str) -> list[str]:
    """Other names of a model: the bare one, as the vendor gives it to models named after their maker."""
    return [model.removeprefix(_MAKER)] if model.startswith(_MAKER) else []


def canonical(name: str) -> str:
    """The id of the model that goes by this name; the name itself if none does."""
    full = _MAKER + name
    return full if find_model(full) is not None else name
