from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from sandbox_client import LEGACY, Client, visit

from kling_async.sandbox import Faults

if TYPE_CHECKING:
    from kling_async.sandbox.faults import ErrorShape, Kind

pytestmark = pytest.mark.asyncio

GENERATION = "a-generation"


async def call(api: Client, kind: str) -> tuple[int, bytes]:
    if kind == "submit":
        reply = await api.submit()
    elif kind == "poll":
        reply = await api.poll(GENERATION)
    else:
        reply = await api.call("GET", "/v2/billing")
    return reply.status, reply.content


@pytest.mark.parametrize("kind", ["submit", "poll", "account"])
async def test_server_error_is_enveloped_and_buys_nothing(kind: str) -> None:
    async with visit(faults=Faults(server_error=1)) as api:
        seen = {await call(api, kind) for _ in range(20)}
        assert {status for status, _ in seen} == {500, 503}
        assert all(b'"requestId"' in content for _, content in seen)
        assert api.sandbox.ledger.purchases == {}


@pytest.mark.parametrize("kind", ["submit", "poll", "account"])
async def test_gateway_error_is_html_without_the_vendors_headers_and_buys_nothing(kind: str) -> None:
    async with visit(faults=Faults(gateway_error=1)) as api:
        seen = {await call(api, kind) for _ in range(20)}
        assert {status for status, _ in seen} == {502, 504}
        assert all(content.startswith(b"<html>") for _, content in seen)
        reply = await api.submit()
        assert reply.headers["Content-Type"].startswith("text/html")
        assert "x-request-id" not in reply.headers
        assert api.sandbox.ledger.purchases == {}


async def test_gateway_error_after_has_bought_all_the_same() -> None:
    async with visit(faults=Faults(gateway_error_after={1})) as api:
        reply = await api.submit(name="a:1")
        assert reply.status in (502, 504)
        assert list(api.sandbox.ledger.by_key) == ["a"]
        (submit,) = api.sandbox.ledger.submits
        assert submit.status == reply.status
        assert submit.purchase is not None


@pytest.mark.parametrize("kind", ["submit", "poll", "account"])
async def test_drop_before_answers_nothing_and_buys_nothing(kind: Kind) -> None:
    async with visit(faults=Faults(drop_before={kind: 1})) as api:
        with pytest.raises(aiohttp.ClientError):
            await call(api, kind)
        assert set(api.sandbox.ledger.answers) == {(kind, None)}
        assert api.sandbox.ledger.purchases == {}


async def test_drop_after_has_bought_all_the_same() -> None:
    async with visit(faults=Faults(drop_after={2})) as api:
        assert (await api.submit()).status == 200
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await api.submit(name="lost:1")
        assert len(api.sandbox.ledger.by_key["lost"]) == 1
        assert [submit.status for submit in api.sandbox.ledger.submits] == [200, None]


async def test_slow_waits_before_anything_happens() -> None:
    async with visit(faults=Faults(slow={1}, slow_seconds=1000)) as api:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await api.submit()
        assert api.sandbox.ledger.purchases == {}
        assert (await api.submit()).status == 200


async def test_slow_answers_in_the_end() -> None:
    async with visit(faults=Faults(slow=1, slow_seconds=0.001)) as api:
        assert (await api.submit()).status == 200


@pytest.mark.parametrize("fault", ["truncated_json", "malformed_json"])
async def test_unreadable_json_has_bought_all_the_same_and_is_no_notice(fault: str) -> None:
    async with visit(faults=Faults(**dict[str, Any]({fault: 1}))) as api:
        sold = await api.submit()
        assert sold.status == 200
        with pytest.raises(ValueError, match=r"char|column|Expecting"):
            _ = sold.json
        (generation_id,) = api.sandbox.ledger.purchases
        api.clock.now += 100_000
        with pytest.raises(ValueError, match=r"char|column|Expecting"):
            _ = (await api.poll(generation_id)).json
        assert api.sandbox.ledger.noticed == {}
        assert [poll.generation_status for poll in api.sandbox.ledger.polls[generation_id]] == [None]


async def test_unknown_status_shows_while_a_generation_runs() -> None:
    async with visit(faults=Faults(unknown_status={1})) as api:
        generation_id = (await api.submit()).generation_id
        words = [(await api.poll(generation_id)).json["status"] for _ in range(2)]
        assert words == ["upscaling", "queued"]


@pytest.mark.parametrize(
    ("shape", "kind", "inside"),
    [
        ("object", dict, "name"),
        ("detail", dict, "detail"),
        ("message", dict, "message"),
        ("string", str, "face"),
    ],
)
async def test_an_error_outcome_is_told_in_the_shape_asked_for_and_costs_nothing(
    shape: ErrorShape, kind: type[Any], inside: str
) -> None:
    async with visit(faults=Faults(error_outcome=1, error_shape=shape)) as api:
        told = await api.finished()
        assert (told.status, told.json["status"], told.json["video"]) == (200, "error", None)
        assert isinstance(told.json["error"], kind)
        assert inside in told.json["error"]
        assert "x-aimlapi-credits-used" not in told.headers
        assert api.sandbox.ledger.charges == ()
        assert list(api.sandbox.ledger.noticed) == list(api.sandbox.ledger.purchases)


async def test_without_a_shape_every_one_comes_up() -> None:
    async with visit(faults=Faults(error_outcome=1)) as api:
        for n in range(40):
            await api.submit(str(n))
        failures = [one.failure for one in api.sandbox.ledger.purchases.values()]
        assert len({repr(failure) for failure in failures}) == 4


async def test_which_generations_fail_does_not_depend_on_the_order_they_come_in() -> None:
    failed = []
    for prompts in (range(20), reversed(range(20))):
        async with visit(faults=Faults(error_outcome=0.5)) as api:
            for n in prompts:
                await api.submit(str(n))
            bought = api.sandbox.ledger.purchases.values()
            failed.append({one.body["prompt"] for one in bought if one.failure is not None})
    assert failed[0] == failed[1]
    assert 3 < len(failed[0]) < 17


async def test_completed_without_url_counts_answers_that_would_have_had_one() -> None:
    async with visit(faults=Faults(completed_without_url={1})) as api:
        generation_id = (await api.submit()).generation_id
        await api.poll(generation_id)
        api.clock.now += 100_000
        bare, whole = await api.poll(generation_id), await api.poll(generation_id)
        assert (bare.json["status"], bare.json["video"]) == ("completed", None)
        assert whole.json["video"]["url"]
        assert [poll.final for poll in api.sandbox.ledger.polls[generation_id]] == [False, False, True]


async def test_a_generation_can_be_hidden_for_its_first_polls() -> None:
    async with visit(faults=Faults(not_found_after_submit={1}, not_found_polls=2)) as api:
        hidden, plain = (await api.submit("a")).generation_id, (await api.submit("b")).generation_id
        assert [(await api.poll(hidden)).status for _ in range(3)] == [404, 404, 200]
        assert (await api.poll(plain)).status == 200


async def test_a_generation_can_be_hidden_for_a_time() -> None:
    faults = Faults(not_found_after_submit=1, not_found_polls=0, not_found_seconds=60)
    async with visit(speed=10, faults=faults) as api:
        hidden = (await api.submit()).generation_id
        statuses = []
        for api.clock.now in (1005.9, 1006.0):
            statuses.append((await api.poll(hidden)).status)
        assert statuses == [404, 200]


async def test_out_of_credits_is_403_whatever_the_balance() -> None:
    async with visit(faults=Faults(out_of_credits={1})) as api:
        refused = await api.submit()
        assert refused.status == 403
        assert "credits" in refused.json["message"]
        assert (await api.submit()).status == 200


async def test_rate_limited_is_429_for_the_kind_of_request_named() -> None:
    async with visit(faults=Faults(rate_limited={"poll": lambda n: n <= 2})) as api:
        generation_id = (await api.submit()).generation_id
        assert [(await api.poll(generation_id)).status for _ in range(3)] == [429, 429, 200]


async def test_the_log_lags() -> None:
    async with visit(sigma=0, speed=1, faults=Faults(log_lag=30)) as api:
        await api.submit()
        rows = []
        for api.clock.now in (1219, 1225, 1251):
            rows.append(len((await api.call("GET", "/v2/logs?period=24h")).json["data"]))
        assert rows == [0, 0, 1]


async def test_newly_assigned_faults_strike_the_next_request() -> None:
    async with visit() as api:
        await api.submit()
        api.sandbox.faults = Faults(server_error={1})
        assert (await api.submit(endpoint=LEGACY)).status in (500, 503)
        api.sandbox.faults = Faults()
        assert (await api.submit(endpoint=LEGACY)).status == 201
