"""Validation of submits by JSON Schema (draft 2020-12), as the vendor's pages publish each model's fields.

Names beyond those that are listed are let through, as the vendor's pages do not forbid them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from kling_async.api.catalogue.lookup import check_body, find_model
from kling_async.api.catalogue.model import SCENES_OF_ONE, SCENES_OF_TWO, PromptOrScenes
from kling_async.api.catalogue.problems import either
from kling_async.api.catalogue.spec import Field, Flag, Integer, ListOf, Number, Object, OneOf, Text, Url
from kling_async.api.parsing import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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

_SCRIPT = "a text, or a multi_prompt instead"  # the one field that may be missed by no schema of its own
_LONGEST = 200  # characters of a value that an answer repeats


@frozen
class Issue:
    """One error in a body.

    Attributes:
        path: Where it is: names of fields, and places in lists.
        expected: What it takes, in words.
        received: What it holds; None where it is missing.
    """

    path: tuple[str | int, ...]
    expected: str
    received: object

    def as_json(self) -> dict[str, Any]:
        """Return the issue in the vendor's form ("Errors and status codes": the field, expected, received)."""
        received = self.received[:_LONGEST] if isinstance(self.received, str) else self.received
        words = "nothing" if received is None else repr(received)
        message = f"Expected {self.expected}, received {words}"
        return {"path": self.path, "message": message, "expected": self.expected, "received": received}


def validate(body: Mapping[str, Any]) -> list[Issue]:
    """Return every issue of a body; none if its model is not in the catalogue."""
    name = body.get("model")
    model = find_model(name) if isinstance(name, str) else None
    if model is None:
        return _by_client(body)
    schema = _schema_of(model.id)
    if schema is not None:
        return _by_schema(schema, body)
    return _by_client({**_known(Object(model.fields), body), "model": name})


class _Schema(Protocol):
    def iter_errors(self, instance: Any) -> Iterable[ValidationError]: ...  # noqa: ANN401 - any JSON


def _validator_class() -> Callable[[Mapping[str, Any]], _Schema] | None:
    try:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - a dependency of tests, not of users
    except ImportError:
        return None
    return Draft202012Validator


_make_validator = _validator_class()


@cache
def _schema_of(model_id: str) -> _Schema | None:
    model = find_model(model_id)
    return None if _make_validator is None or model is None else _make_validator(body_schema(model))


def _by_schema(schema: _Schema, body: Mapping[str, Any]) -> list[Issue]:
    first: dict[tuple[str | int, ...], Issue] = {}
    for error in schema.iter_errors(body):
        for issue in _issues(error):
            first.setdefault(issue.path, issue)
    return list(first.values())


def _issues(error: ValidationError) -> list[Issue]:
    path = tuple(error.absolute_path)
    broken: Any = error.schema
    if error.validator != "required":
        return [Issue(path, broken.get("description", error.message), error.instance)]
    fields: dict[str, dict[str, str]] = broken.get("properties", {})
    there: Any = error.instance
    missing = [name for name in broken["required"] if name not in there]
    return [Issue((*path, name), fields.get(name, {}).get("description", _SCRIPT), None) for name in missing]


def _by_client(body: Mapping[str, Any]) -> list[Issue]:
    return [Issue(_path(problem.field), problem.allowed, problem.value) for problem in check_body(body)]


def _path(field: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in field.split("."))


def _known(spec: Spec, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Strip the fields that the spec does not name."""
    if isinstance(spec, Object) and is_object(value):
        return {name: _known(spec.fields[name].spec, part) for name, part in value.items() if name in spec.fields}
    if isinstance(spec, ListOf) and is_list(value):
        return [_known(spec.item, item) for item in value]
    return value
