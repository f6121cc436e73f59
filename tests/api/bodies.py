"""Hypothesis strategies for what a model takes, made from the catalogue's own specs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from samples import data_uri_for

from kling_async.api.catalogue.lookup import models
from kling_async.api.catalogue.model import SCENES_OF_ONE, SCENES_OF_TWO, Kind, Model
from kling_async.api.catalogue.spec import Flag, Integer, ListOf, Number, Object, OneOf, Spec, Text, Url
from kling_async.api.requests import Request, request_class

URLS = ("https://host.example/a.png", "http://10.0.0.1:8080/b?c=d")


def fitting(spec: Spec) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - one short branch for each spec
    """Values that the spec takes."""
    match spec:
        case Text(choices=choices) if choices:
            return st.sampled_from(choices)
        case Text(longest=longest):
            return st.text(min_size=1, max_size=min(longest or 20, 20)).filter(str.strip)
        case Url(file=file):
            return st.sampled_from([*URLS, data_uri_for(file)])
        case Integer(choices=choices) if choices:
            return st.sampled_from(choices)
        case Integer(least=least, most=most):
            return st.integers(least if least is not None else -1000, most if most is not None else 1000)
        case Number(least=least, most=most):
            return st.floats(least if least is not None else -1e6, most if most is not None else 1e6)
        case Flag():
            return st.booleans()
        case ListOf(item=item, fewest=fewest, most=most):
            return st.lists(fitting(item), min_size=fewest, max_size=min(fewest + 2, most or fewest + 2))
        case OneOf(options=options):
            return st.one_of([fitting(option) for option in options])
        case Object(fields=fields):
            return st.fixed_dictionaries(
                {name: fitting(part.spec) for name, part in fields.items() if part.required},
                optional={name: fitting(part.spec) for name, part in fields.items() if not part.required},
            )
        case _:
            raise AssertionError(spec)


def contents(model: Model) -> st.SearchStrategy[dict[str, Any]]:
    """What the model takes besides its id."""
    return fitting(Object(model.fields)).map(lambda content: together(model, content))


def together(model: Model, content: dict[str, Any]) -> dict[str, Any]:
    """Content whose fields fit each by itself, made to fit together."""
    if model.kind is Kind.EFFECT:
        return content | {"image_url": pictures_for(content["effect_scene"], content["image_url"])}
    if content.get("prompt") and "multi_prompt" in content:
        return {name: part for name, part in content.items() if name != "multi_prompt"}
    if model.kind is Kind.TEXT_TO_VIDEO and not content.get("multi_prompt"):
        return {"prompt": "a raccoon"} | {name: part for name, part in content.items() if name != "multi_prompt"}
    return content


def pictures_for(scene: str, images: str | list[str]) -> str | list[str]:
    some = [images] if isinstance(images, str) else images
    first, *others = some or ["https://host.example/a.png"]
    if scene in SCENES_OF_TWO:
        return [first, others[0] if others else first]
    return images if isinstance(images, str) else [first, *others[: 0 if scene in SCENES_OF_ONE else 1]]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests of every kind that their models take."""
    model = draw(st.sampled_from(models()))
    return request_class(model.kind)(model=model.id, **draw(contents(model)))
