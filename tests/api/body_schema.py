"""What a model takes as a JSON Schema (draft 2020-12): written apart from the client's own check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from kling_async.api.catalogue.model import SCENES_OF_ONE, SCENES_OF_TWO, PromptOrScenes
from kling_async.api.catalogue.problems import either
from kling_async.api.catalogue.spec import Field, Flag, Integer, ListOf, Number, Object, OneOf, Text, Url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import ValidationError

    from kling_async.api.catalogue.model import Model, Rule
    from kling_async.api.catalogue.spec import Spec


_WEB_OR_DATA = "^(?:[Hh][Tt][Tt][Pp][Ss]?://[^/?#]|[Dd][Aa][Tt][Aa]:[^,]*,)"


def body_schema(model: Model) -> dict[str, Any]:
    """Return the schema of the bodies that a model takes."""
    fields = {"model": {"const": model.id}, **_properties(model.fields)}
    required = ["model", *model.required]
    rules = [part for rule in model.rules for part in _together(rule)]
    return {"type": "object", "properties": fields, "required": required} | ({"allOf": rules} if rules else {})


def _properties(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {name: _property(part) for name, part in fields.items()}


def _property(part: Field) -> dict[str, Any]:
    schema = _schema(part.spec)
    if part.nullable:
        schema["type"] = [schema["type"], "null"]
    return schema if part.default is None else {**schema, "default": part.default}


def _schema(spec: Spec) -> dict[str, Any]:
    match spec:
        case ListOf():
            return _list(spec)
        case Object(fields=fields):
            required = [name for name, part in fields.items() if part.required]
            words = f"an object of {', '.join(fields)}"
            return {"type": "object", "properties": _properties(fields), "required": required, "description": words}
        case OneOf(options=options):
            schemas = [_schema(option) for option in options]
            return {"anyOf": schemas, "description": either([schema["description"] for schema in schemas])}
        case Url(loose=False):
            words = "an http(s) URL or a data: URI"
            return {"type": "string", "format": "uri", "pattern": _WEB_OR_DATA, "description": words}
        case _:
            return _leaf(spec)


def _list(spec: ListOf) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "items": _schema(spec.item), "minItems": spec.fewest}
    if spec.most is None:
        return schema | {"description": "a list" + (f" of at least {spec.fewest}" if spec.fewest else "")}
    return schema | {"maxItems": spec.most, "description": f"a list of {spec.fewest} to {spec.most}"}


def _leaf(spec: Spec) -> dict[str, Any]:
    match spec:
        case Text(choices=choices, longest=longest, blank=blank):
            limits = {"enum": list(choices) or None, "maxLength": longest, "pattern": None if blank else r"\S"}
            schema = {"type": "string"} | _given(limits)
        case Integer(choices=choices) if choices:
            # The vendor's own page gives "duration": "5" ("Kling v2 Master").
            schema = {"enum": [*choices, *map(str, choices)]}
        case Integer(least=least, most=most):
            schema = {"type": "integer"} | _given({"minimum": least, "maximum": most})
        case Number(least=least, most=most):
            schema = {"type": "number"} | _given({"minimum": least, "maximum": most})
        case Flag():
            schema = {"type": "boolean"}
        case _:
            return {"type": "string", "description": "a text"}
    return {**schema, "description": spec.allowed}


def _given(limits: Mapping[str, object]) -> dict[str, Any]:
    return {name: limit for name, limit in limits.items() if limit is not None}


def _together(rule: Rule) -> list[dict[str, Any]]:
    """Express a rule as conditions, each of which fails at the field that the rule is about."""
    if isinstance(rule, PromptOrScenes):
        return [_NOT_BOTH, _EITHER] if rule.required else [_NOT_BOTH]
    return [_FOR_TWO, _FOR_ONE, _FOR_OTHERS]


def _holds(**fields: dict[str, Any]) -> dict[str, Any]:
    return {"required": list(fields), "properties": fields}


def _takes(name: str, words: str, **limits: object) -> dict[str, Any]:
    return {"properties": {name: {**limits, "description": words}}}


_NOT_BOTH = {
    "if": _holds(prompt={"not": {"type": "null"}}),
    "then": _takes("multi_prompt", "a prompt or a multi_prompt, not both", type="null"),
}
_NO_SCENES = {"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}]}
_EITHER = {"if": {"not": _holds(multi_prompt={"not": _NO_SCENES})}, "then": {"required": ["prompt"]}}
_FOR_TWO = {
    "if": _holds(effect_scene={"enum": list(SCENES_OF_TWO)}),
    "then": _takes("image_url", "a list of two images", type="array", minItems=2, maxItems=2),
}
_FOR_ONE = {
    "if": _holds(effect_scene={"enum": list(SCENES_OF_ONE)}),
    "then": _takes("image_url", "one image", maxItems=1),
}
_FOR_OTHERS = _takes("image_url", "one image or two", minItems=1, maxItems=2)


def wrong_fields(model: Model, body: Mapping[str, Any]) -> set[tuple[str | int, ...]]:
    """Return the paths of the fields that a model's schema refuses."""
    errors = Draft202012Validator(body_schema(model)).iter_errors(body)
    return {path for error in errors for path in _paths(error)}


def _paths(error: ValidationError) -> list[tuple[str | int, ...]]:
    path = tuple(error.absolute_path)
    if error.validator != "required":
        return [path]
    broken: Any = error.schema
    there: Any = error.instance
    return [(*path, name) for name in broken["required"] if name not in there]
