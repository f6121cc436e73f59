"""What a kind's fields take whatever the model: enough to keep a request for an unknown model sane.

It is the facts of all known models of the kind, with choices, bounds and lengths left out: those are what a new model
changes. A field is required where every known model requires it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from kling_async.api.catalogue import models
from kling_async.api.fields import Field, Integer, ListOf, Number, Object, OneOf, Text, Url
from kling_async.api.model import Kind
from kling_async.api.rules import lacks_script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kling_async.api.fields import Problem, Spec

__all__ = ["check_kind", "fields_of"]

_ANY_MODELS: Mapping[str, Field] = {"provider": Field(Text())}


@cache
def fields_of(kind: Kind | None) -> Mapping[str, Field]:
    """The fields of a kind, as loose as can be; for no kind those that every request has."""
    known = () if kind is None else models(kind)
    return {**_fields([model.fields for model in known]), **_ANY_MODELS}


def check_kind(kind: Kind | None, content: Mapping[str, object]) -> list[Problem]:
    """Everything in a body, ``model`` aside, that no model of the kind could take."""
    missing = lacks_script(content) if kind is Kind.TEXT_TO_VIDEO else []
    return missing + Object(fields_of(kind)).problems(content)


def _fields(objects: Sequence[Mapping[str, Field]]) -> dict[str, Field]:
    names = dict.fromkeys(name for members in objects for name in members)
    return {name: _field([members.get(name) for members in objects]) for name in names}


def _field(parts: Sequence[Field | None]) -> Field:
    spec = _union([part.spec for part in parts if part is not None])
    return Field(spec, required=all(part is not None and part.required for part in parts))


def _union(specs: Sequence[Spec]) -> Spec:
    """A loose spec that takes what any of these takes."""
    flat = [option for spec in specs for option in (spec.options if isinstance(spec, OneOf) else (spec,))]
    lists = [spec.item for spec in flat if isinstance(spec, ListOf)]
    objects = [spec.fields for spec in flat if isinstance(spec, Object)]
    options: list[Spec] = list(
        {type(spec): _leaf(spec) for spec in flat if not isinstance(spec, ListOf | Object)}.values()
    )
    options += [ListOf(_union(lists))] if lists else []
    options += [Object(_fields(objects))] if objects else []
    return options[0] if len(options) == 1 else OneOf(tuple(options))


def _leaf(spec: Spec) -> Spec:
    if isinstance(spec, Text):
        return Text()
    if isinstance(spec, Url):
        return Url(spec.file, loose=spec.loose)
    if isinstance(spec, Integer):
        return Integer(least=1 if spec.choices else None)  # what is chosen from are lengths in seconds
    return Number() if isinstance(spec, Number) else spec
