"""Whether the vendor would take a submit's body, and if not, at which of its fields it would point.

Where `jsonschema` is installed, as in this project's tests, bodies are judged by the JSON Schema that the catalogue
makes, so that a mistake in how the client judges them shows. Elsewhere the client's own judgement is taken.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from kling_async.api.catalogue.lookup import check_body, find_model
from kling_async.api.catalogue.spec import ListOf, Object
from kling_async.api.parsing import is_list, is_object
from kling_async.sandbox.schema import body_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jsonschema import ValidationError

    from kling_async.api.catalogue.spec import Spec

__all__ = ["Issue", "judge"]

_SCRIPT = "a text, or a multi_prompt instead"  # the one field that may be missed by no schema of its own
_LONGEST = 200  # characters of a value that an answer repeats


@frozen
class Issue:
    """What is wrong with a field.

    Attributes:
        path: Where it is: names of fields, and places in lists.
        expected: What it takes, in words.
        received: What it holds; None where it is missing.
    """

    path: tuple[str | int, ...]
    expected: str
    received: object

    def as_json(self) -> dict[str, Any]:
        """The issue as the vendor hints at it ("Errors and status codes": the field, expected, received)."""
        received = self.received[:_LONGEST] if isinstance(self.received, str) else self.received
        words = "nothing" if received is None else repr(received)
        message = f"Expected {self.expected}, received {words}"
        return {"path": self.path, "message": message, "expected": self.expected, "received": received}


def judge(body: Mapping[str, Any]) -> list[Issue]:
    """Everything that is wrong with a body; nothing is, if its model is not in the catalogue."""
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
    """A value without the fields that its spec does not name."""
    if isinstance(spec, Object) and is_object(value):
        return {name: _known(spec.fields[name].spec, part) for name, part in value.items() if name in spec.fields}
    if isinstance(spec, ListOf) and is_list(value):
        return [_known(spec.item, item) for item in value]
    return value
