"""Hypothesis strategies for what a model takes, made from the catalogue's own specs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from kling_async.api.catalogue import Kind, Model, models
from kling_async.api.fields import Flag, Integer, ListOf, Number, Object, OneOf, Spec, Text, Url
from kling_async.api.requests import ImageToVideo, Request, TextToVideo

urls = st.sampled_from(["https://host.example/a.png", "http://10.0.0.1:8080/b?c=d", "data:image/png;base64,aGk="])
classes: dict[Kind, type[Request]] = {Kind.TEXT_TO_VIDEO: TextToVideo, Kind.IMAGE_TO_VIDEO: ImageToVideo}
typed_models = [model for model in models() if model.kind in classes]


def fitting(spec: Spec) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - one short branch for each spec
    """Values that the spec takes."""
    match spec:
        case Text(choices=choices) if choices:
            return st.sampled_from(choices)
        case Text(longest=longest):
            return st.text(min_size=1, max_size=min(longest or 20, 20)).filter(str.strip)
        case Url():
            return urls
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
    return fitting(Object(model.fields)).map(lambda content: _with_one_prompt(model, content))


def _with_one_prompt(model: Model, content: dict[str, Any]) -> dict[str, Any]:
    if content.get("prompt") and "multi_prompt" in content:
        del content["multi_prompt"]
    elif model.kind is Kind.TEXT_TO_VIDEO and not content.get("multi_prompt"):
        content.pop("multi_prompt", None)
        content.setdefault("prompt", "a raccoon")
    return content


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests of every typed kind that their models take."""
    model = draw(st.sampled_from(typed_models))
    return classes[model.kind](model=model.id, **draw(contents(model)))
