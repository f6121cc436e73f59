"""Write the page of models, a part of the catalogue's folder: ``python .ci/models_page.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import fields_dict

from kling_async.api.catalogue.lookup import models
from kling_async.api.catalogue.model import Kind
from kling_async.api.catalogue.spec import Integer, ListOf
from kling_async.api.requests import request_class

if TYPE_CHECKING:
    from kling_async.api.catalogue.model import Model
    from kling_async.api.catalogue.spec import Field

PAGE = Path(__file__).parents[1] / "kling_async" / "api" / "catalogue" / "MODELS.md"

_INTRODUCTION = """\
<!-- Written by `python .ci/models_page.py`; change `data.py` instead. -->

# Models

What each model takes, required fields in bold, and how long a 5-second video usually takes to generate, from the
vendor's published runs, in minutes and seconds. `kling_async.models()` has all this as data, `kling-async models ID`
explains one model's fields, and `await kling.catalogue_changes()` says what is new at the vendor. A model that is not
here passes through, with a warning.
"""

_HEAD = ("| Model | What it takes | Usual time |", "|---|---|---|")


def models_page() -> str:
    """Return the page, as it is to be beside the catalogue."""
    return f"{_INTRODUCTION}\n{models_table()}\n"


def models_table() -> str:
    """Return every model as Markdown: a heading and a table for each kind of request, its default model first.

    Required fields are bold; lengths are in seconds, and lists with how many they take. The usual time is in minutes
    and seconds, for 5 seconds of video.
    """
    return "\n\n".join(_section(kind) for kind in Kind)


def _section(kind: Kind) -> str:
    cls = request_class(kind)
    default = fields_dict(cls)["model"].default
    known = sorted(models(kind), key=lambda model: (model.id != default, model.family == "o1", model.version, model.id))
    rows = [_row(model, is_default=model.id == default) for model in known]
    return "\n".join([f"## `{cls.__name__}`: {kind.value}", "", *_HEAD, *rows])


def _row(model: Model, *, is_default: bool) -> str:
    fields = ", ".join(_field(name, part) for name, part in model.fields.items())
    return f"| `{model.id}`{' (default)' if is_default else ''} | {fields} | {_minutes(model.seconds)} |"


def _field(name: str, part: Field) -> str:
    text = f"**{name}**" if part.required else name
    return f"{text}{_range(part)}" if isinstance(part.spec, Integer | ListOf) else text


def _range(part: Field) -> str:
    match part.spec:
        case Integer(choices=(first, last)):
            return f" {first} or {last} s"
        case Integer(choices=(first, *_, last)):
            return f" {first} to {last} s"
        case ListOf(fewest=fewest, most=int(most)):
            return f" ({fewest} to {most})" if fewest else f" (up to {most})"
        case _:
            return ""


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


if __name__ == "__main__":
    PAGE.write_text(models_page(), encoding="utf-8", newline="\n")
