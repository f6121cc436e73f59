"""The Kling models on this API, looked up: by id, by kind, family, version and tier, and by what a body holds.

A model that is not here can still be used: nothing is known of it, so of what it takes nothing is checked.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, get_args

from kling_async.api.catalogue.data import MODELS
from kling_async.api.catalogue.model import TEN, Family, Kind, Model, Tier, lacks_script, scale
from kling_async.api.catalogue.problems import Problem, close_names, did_you_mean, either, misspelt, refusal
from kling_async.api.catalogue.spec import AnyMedia, Field, Integer, ListOf, Number, Object, OneOf, Text, Url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kling_async.api.catalogue.spec import Spec

_UNKNOWN_SECONDS: Final = 240.0  # the middle of what is published for 5 s of video
_BY_ID = {model.id: model for model in sorted(MODELS, key=lambda model: model.id)}


def models(
    kind: Kind | str | None = None,
    *,
    family: Family | None = None,
    version: str | None = None,
    tier: Tier | None = None,
) -> tuple[Model, ...]:
    """Return the models of the catalogue, by id; those that fit all of what is given, and all without.

    Args:
        kind: What they make their videos from, also as its value: ``"text-to-video"``.
        family: ``video`` (Kling's main line), ``turbo``, ``omni``, ``o1`` or ``avatar``.
        version: Such as ``v2.1``, with or without the v.
        tier: ``standard``, ``pro`` or ``master``; of omni models ``720p`` or ``1080p``.

    Raises:
        InvalidRequest: There is no such kind, family, version or tier; the message has the nearest there is.
    """
    versions = sorted({model.version for model in _BY_ID.values() if model.version is not None})
    given = {
        "kind": (kind.value if isinstance(kind, Kind) else kind, [member.value for member in Kind]),
        "family": (family, get_args(Family)),
        "version": (f"v{version}" if str(version)[:1].isdigit() else version, versions),
        "tier": (tier, get_args(Tier)),
    }
    sought = [(name, _known(name, value, known)) for name, (value, known) in given.items() if value is not None]

    def is_sought(model: Model) -> bool:
        facts = {"kind": model.kind.value, "family": model.family, "version": model.version, "tier": model.tier}
        return all(facts[name] == value for name, value in sought)

    return tuple(filter(is_sought, _BY_ID.values())) if sought else tuple(_BY_ID.values())


def find_model(model_id: str) -> Model | None:
    """Return the model with this id, or None if the catalogue has none."""
    return _BY_ID.get(model_id) if isinstance(model_id, str) else None


def get_model(model_id: str) -> Model:
    """Return the model with this id.

    Raises:
        InvalidRequest: The catalogue has none; the message has the nearest it has.
    """
    return _BY_ID[_known("model", model_id, tuple(_BY_ID), "the id of a model in the catalogue")]


def suggest(model_id: str) -> list[str]:
    """Return the ids most like one that is not known, best first, at most three; empty where none is close."""
    return close_names(model_id, _BY_ID)


def typo_of(model_id: str) -> str | None:
    """Return the id in the catalogue that this one misspells; None for what may be a model newer than the catalogue.

    Letters within words are what is misspelt; another number, another word or another order is another model.
    """
    return misspelt(model_id, tuple(_BY_ID))


def typical_seconds(model_id: str, duration: int | None) -> float:
    """Return how long a generation usually takes, in seconds; for an unknown model 240 s per 5 seconds of video."""
    model = find_model(model_id)
    return scale(_UNKNOWN_SECONDS, TEN, duration) if model is None else model.typical_seconds(duration)


def check_body(body: Mapping[str, object]) -> list[Problem]:
    """Return everything in a submit's body that its model does not take, in the order of the model's fields.

    A body for a model that is not in the catalogue has none, as nothing is known to hold it against. Never raises.
    """
    model_id = body.get("model")
    if not isinstance(model_id, str) or not model_id.strip():
        return [Problem("model", model_id, "the id of a model, such as 'klingai/v2.1-master-text-to-video'")]
    model = find_model(model_id)
    if model is None:
        return []
    content = {name: value for name, value in body.items() if name != "model"}
    found = [_say_who_takes(model, problem) for problem in Object(model.fields).problems(content)]
    wrong = {problem.field.partition(".")[0] for problem in found}
    sound = [rule for rule in model.rules if wrong.isdisjoint(rule.fields)]
    return found + [problem for rule in sound for problem in rule.problems(content)]


def _say_who_takes(model: Model, problem: Problem) -> Problem:
    """Return where the model does not take the field but others do, the problem that names them."""
    if problem.field.partition(".")[0] in model.fields:
        return problem
    takers = [other for other in _BY_ID.values() if problem.field in other.fields]
    same = [other.id for other in takers if other.kind is model.kind]
    if same:
        return Problem(problem.field, problem.value, f"nothing by {model.id}; these take it: {', '.join(same)}")
    if takers:
        kinds = either(sorted({other.kind.value for other in takers}))
        return Problem(problem.field, problem.value, f"nothing by {model.kind.value} models; {kinds} models take it")
    return problem


def _known(field: str, value: str, known: Sequence[str], words: str = "") -> str:
    if value in known:
        return value
    allowed = words or either([repr(name) for name in known])
    raise refusal([Problem(field, value, allowed + did_you_mean(str(value), known))])


@cache
def fields_of(kind: Kind | None) -> Mapping[str, Field]:
    """Return the fields of a kind, as loose as can be; for no kind those that every request has."""
    known = () if kind is None else models(kind)
    return {**_fields([model.fields for model in known]), "provider": Field(Text())}


@cache
def types_of(kind: Kind | None) -> Mapping[str, Field]:
    """Return the fields of a kind, of which nothing but the types is judged."""
    return _typed_fields(fields_of(kind))


def _typed_fields(fields: Mapping[str, Field]) -> dict[str, Field]:
    return {name: Field(_typed(part.spec), nullable=True) for name, part in fields.items()}


def _typed(spec: Spec) -> Spec:
    match spec:
        case Url():
            return AnyMedia()
        case Integer():
            return Integer()
        case ListOf():
            return ListOf(_typed(spec.item))
        case Object():
            return Object(_typed_fields(spec.fields))
        case OneOf():
            return OneOf(tuple(map(_typed, spec.options)))
        case _:
            return spec


def check_kind(kind: Kind | None, content: Mapping[str, object]) -> list[Problem]:
    """Return everything in a body, ``model`` aside, that no model of the kind could take."""
    missing = lacks_script(content) if kind is Kind.TEXT_TO_VIDEO else []
    return missing + Object(fields_of(kind)).problems(content)


def _fields(objects: Sequence[Mapping[str, Field]]) -> dict[str, Field]:
    names = dict.fromkeys(name for members in objects for name in members)
    parts = {name: [members[name] for members in objects if name in members] for name in names}
    return {
        name: Field(
            _union([part.spec for part in same]),
            required=len(same) == len(objects) and all(part.required for part in same),
        )
        for name, same in parts.items()
    }


def _union(specs: Sequence[Spec]) -> Spec:
    """Return a loose spec that takes what any of these takes."""
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
