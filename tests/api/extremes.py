"""For any spec: the least and the most that fits it, and everything that is just outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bodies import together
from samples import data_uri_for

from kling_async.api.catalogue.problems import join
from kling_async.api.catalogue.spec import Flag, Integer, ListOf, Number, Object, OneOf, Spec, Text, Url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async.api.catalogue.model import Model

__all__ = ["maximal", "minimal", "violations"]

URL = "https://host.example/a?b=c"
MANY = 3  # items of a list without a bound


def minimal(model: Model) -> dict[str, Any]:
    """A body's content with what is required and no more."""
    return together(model, least(Object(model.fields)))


def maximal(model: Model, *, brief: bool = False) -> list[dict[str, Any]]:
    """Contents that give every field the most it takes, with ``brief`` in short lists; one each with a multi_prompt."""
    content = most(Object(model.fields), brief=brief)
    if "multi_prompt" not in content:
        return [together(model, content)]
    without = {name: part for name, part in content.items() if name != "prompt"}
    return [together(model, content), without]


def violations(model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every single violation: the dotted name of the field, and the content that is wrong there and nowhere else."""
    found = [case for content in maximal(model, brief=True) for case in _broken(Object(model.fields), content)]
    if "multi_prompt" in model.fields:
        content, scenes = maximal(model, brief=True)
        found.append(("multi_prompt", content | {"multi_prompt": scenes["multi_prompt"]}))
    if "effect_scene" in model.fields:
        found += [("image_url", {"effect_scene": "hug", "image_url": images}) for images in (URL, [URL], [URL] * 3)]
        found += [("image_url", {"effect_scene": "squish", "image_url": images}) for images in ([], [URL, URL])]
        found += [("image_url", {"effect_scene": "fight", "image_url": images}) for images in ([], [URL] * 3)]
    yield from ((field, content) for field, content in found if field)


def least(spec: Spec) -> Any:  # noqa: PLR0911 - one short branch for each spec
    match spec:
        case Text(choices=choices):
            return choices[0] if choices else "a"
        case Integer(choices=choices, least=least_):
            return choices[0] if choices else least_ or 0
        case Number(least=least_):
            return least_ or 0
        case Flag():
            return False
        case ListOf(item=item, fewest=fewest):
            return [least(item)] * fewest
        case OneOf(options=options):
            return least(options[0])
        case Object(fields=fields):
            return {name: least(part.spec) for name, part in fields.items() if part.required}
        case _:
            return URL


def most(spec: Spec, *, brief: bool) -> Any:  # noqa: PLR0911 - one short branch for each spec
    match spec:
        case Text(choices=choices, longest=longest):
            return choices[-1] if choices else "\N{RACCOON}" * (longest or 20)
        case Integer(choices=choices, most=most_):
            return choices[-1] if choices else most_ or 1000
        case Number(most=most_):
            return most_ or 1e6
        case Flag():
            return True
        case ListOf(item=item, fewest=fewest, most=most_):
            return [most(item, brief=brief)] * (max(fewest, 1) if brief else most_ or MANY)
        case OneOf(options=options):
            return most(options[-1], brief=brief)
        case Object(fields=fields):
            return {name: most(part.spec, brief=brief) for name, part in fields.items()}
        case Url(file=file):
            return data_uri_for(file)
        case _:
            raise AssertionError(spec)


def _broken(spec: Spec, value: Any) -> Iterator[tuple[str, Any]]:
    match spec:
        case Object(fields=fields):
            yield "", 5
            for name, part in fields.items():
                if part.required:
                    yield name, {other: member for other, member in value.items() if other != name}
                for path, changed in _broken(part.spec, value[name]) if name in value else ():
                    yield join(name, path), {**value, name: changed}
        case ListOf(item=item, fewest=fewest, most=most_):
            yield from (("", wrong) for wrong in ("abc", 5, *([value[:0]] if fewest else [])))
            if most_ is not None:
                yield "", value[:1] * (most_ + 1)
            for path, changed in _broken(item, value[0]):
                yield join("0", path), [changed, *value[1:]]
        case _:
            yield from (("", wrong) for wrong in _wrong(spec))


def _wrong(spec: Spec) -> list[object]:
    match spec:
        case Text(choices=choices, longest=longest, blank=blank):
            return [
                5,
                *(["?"] if choices else []),
                *(["a" * (longest + 1)] if longest else []),
                *([] if blank else [" "]),
            ]
        case Url(loose=loose):
            return [5] if loose else [5, "raccoon.png", "ftp://host.example/a.png"]
        case Integer(choices=choices, least=least_, most=most_):
            outside = [choices[0] - 1, choices[-1] + 1] if choices else []
            bounds = [*([] if least_ is None else [least_ - 1]), *([] if most_ is None else [most_ + 1])]
            return [True, 5.5, "five", *outside, *bounds]
        case Number(least=least_, most=most_):
            beyond = [*([] if least_ is None else [least_ - 0.01]), *([] if most_ is None else [most_ + 0.01])]
            return [True, "0.5", *beyond]
        case _:
            return ["yes"]
