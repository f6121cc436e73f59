"""What a request takes, held against the sandbox over HTTP, and against a JSON Schema written apart."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from bodies import contents
from body_schema import body_schema, wrong_fields
from extremes import maximal, minimal, violations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kling_async.api.catalogue.lookup import get_model, models
from kling_async.api.protocol import UNIVERSAL
from kling_async.api.requests import Request, request_class
from kling_async.errors import InvalidRequest
from kling_async.sandbox import Sandbox, SandboxThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async.api.catalogue.model import Model

every_model = pytest.mark.parametrize("model", models(), ids=lambda model: model.id)


class Vendor:
    """A sandbox, spoken to in plain HTTP over one connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._key = sandbox.api_key
        self._connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc)
        self._connection.connect()

    def close(self) -> None:
        self._connection.close()

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        self._connection.request("POST", UNIVERSAL, json.dumps(body), headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        refused = {tuple(issue["path"]) for issue in answer.get("details", ())}
        wrong = wrong_fields(get_model(body["model"]), body)
        assert bool(refused) == bool(wrong)
        assert refused <= wrong
        return response.status, answer

    def refused_fields(self, body: dict[str, Any]) -> list[str]:
        status, answer = self.answer(body)
        assert status == 400
        return [".".join(map(str, issue["path"])) for issue in answer["details"]]


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with SandboxThread(Sandbox(speed=1e6)) as sandbox:
        speaker = Vendor(sandbox)
        yield speaker
        speaker.close()


def request_of(model: Model, content: dict[str, Any]) -> Request:
    parts: dict[str, Any] = {"model": model.id, **content}
    return request_class(model.kind)(**parts)


@every_model
def test_the_least_and_the_most_a_model_takes_are_accepted(model: Model, vendor: Vendor) -> None:
    for content in [minimal(model), *maximal(model)]:
        request = request_of(model, content)
        request.check()
        assert request.body() == {"model": model.id, **content}
        assert vendor.answer(request.body())[0] == 200


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@every_model
def test_whatever_a_model_takes_is_accepted(model: Model, vendor: Vendor, data: st.DataObject) -> None:
    request = request_of(model, data.draw(contents(model)))
    request.check()
    assert vendor.answer(request.body())[0] == 200


@pytest.mark.asyncio
@every_model
async def test_each_single_violation_is_refused_by_its_field_without_a_request(model: Model) -> None:
    async with Sandbox() as sandbox, sandbox.session() as kling:
        for field, content in violations(model):
            with pytest.raises(InvalidRequest) as caught:
                kling.submit(request_of(model, content))
            assert [problem.field for problem in caught.value.problems] == [field]
            assert caught.value.field == field
        assert not sandbox.ledger.submits
        assert kling.pending == ()


@every_model
def test_each_single_violation_is_refused_by_its_field_by_the_vendor_too(model: Model, vendor: Vendor) -> None:
    for field, content in violations(model):
        assert field in vendor.refused_fields({"model": model.id, **content}), content


@every_model
def test_a_models_schema_is_one(model: Model) -> None:
    Draft202012Validator.check_schema(body_schema(model))


@every_model
def test_the_vendor_lets_unknown_fields_through_wherever_they_are(model: Model, vendor: Vendor) -> None:
    for content in maximal(model):
        more = {"model": model.id, **_with_more(content)}
        assert vendor.answer(more)[0] == 200


def _with_more(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{name: _with_more(part) for name, part in value.items()}, "newer": {"than": "the catalogue"}}
    return [_with_more(item) for item in value] if isinstance(value, list) else value
