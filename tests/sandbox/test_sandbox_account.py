from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sandbox_client import MODEL, Client, visit

from kling_async.sandbox import Faults

pytestmark = pytest.mark.asyncio

OTHER_MODEL = "klingai/v2-master-text-to-video"


async def logged(api: Client, query: str = "") -> list[str]:
    page = (await api.call("GET", f"/v2/logs?{query}")).json
    return [row["client_request_id"] for row in page["data"]]


async def test_a_row_tells_what_was_bought_by_whom_and_for_how_much() -> None:
    async with visit() as api:
        sold = await api.submit(name="a:1")
        api.clock.now += 100_000
        (row,) = (await api.call("GET", "/v2/logs?period=30d")).json["data"]
        age = datetime.now(UTC) - datetime.fromisoformat(row.pop("created"))
        assert abs(age) < timedelta(minutes=2)
        assert row == {
            "status": "succeeded",
            "origin": "api",
            "model": MODEL,
            "cost": {"usd": 1.4, "credits": 140.0},
            "tokens": {},
            "request_id": None,
            "inference_id": sold.generation_id,
            "client_request_id": "a:1",
        }


async def test_a_failed_generation_is_logged_at_no_cost() -> None:
    async with visit(faults=Faults(error_outcome=1)) as api:
        await api.finished()
        (row,) = (await api.call("GET", "/v2/logs?period=30d")).json["data"]
        assert (row["status"], row["cost"]) == ("failed", {"usd": 0.0, "credits": 0.0})


async def test_rows_come_newest_first_and_in_pages() -> None:
    async with visit() as api:
        for n in range(5):
            await api.submit(name=f"row:{n}")
            api.clock.now += 1
        api.clock.now += 1000
        assert await logged(api) == ["row:4", "row:3", "row:2", "row:1", "row:0"]
        pages = [(await api.call("GET", f"/v2/logs?limit=2&offset={offset}")).json for offset in (0, 2, 4)]
        assert [[row["client_request_id"] for row in page["data"]] for page in pages] == [
            ["row:4", "row:3"],
            ["row:2", "row:1"],
            ["row:0"],
        ]
        assert [page["pagination"]["has_more"] for page in pages] == [True, True, False]
        assert pages[0]["pagination"] == {"limit": 2, "offset": 0, "total": 5, "has_more": True}


async def test_rows_are_filtered_by_models_and_outcome() -> None:
    async with visit(faults=Faults(error_outcome={2})) as api:
        for name, model in (("a", MODEL), ("b", MODEL), ("c", OTHER_MODEL)):
            await api.submit(name=name, model=model)
        api.clock.now += 1000
        assert sorted(await logged(api, f"model={MODEL}")) == ["a", "b"]
        assert sorted(await logged(api, f"model={MODEL}&model={OTHER_MODEL}")) == ["a", "b", "c"]
        assert await logged(api, "status=failed") == ["b"]
        assert sorted(await logged(api, "status=succeeded")) == ["a", "c"]


async def test_rows_are_filtered_by_time() -> None:
    async with visit() as api:
        before = datetime.now(UTC) - timedelta(minutes=1)
        await api.submit(name="old")
        api.clock.now += 7200
        await api.submit(name="new")
        api.clock.now += 1000
        middle = (before + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        assert await logged(api, "period=1h") == ["new"]
        assert await logged(api, "period=600m") == ["new", "old"]
        assert await logged(api, f"start={middle}") == ["new"]
        assert await logged(api, f"end={middle}") == ["old"]
        assert await logged(api, f"start={before.replace(tzinfo=None).isoformat()}&end={middle}") == ["old"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "offset=-1", "period=1y", "period=0h", "start=yesterday", "limit=²"]
)
async def test_a_bad_query_is_400(query: str) -> None:
    async with visit() as api:
        refused = await api.call("GET", f"/v2/logs?{query.replace('²', '%C2%B2')}")
        assert refused.status == 400
        assert refused.json["message"].startswith("Query validation error")


async def test_the_log_has_a_limit_of_its_own() -> None:
    async with visit(speed=60) as api:
        statuses = [(await api.call("GET", "/v2/logs")).status for _ in range(201)]
        assert statuses == [200] * 200 + [429]
        assert (await api.call("GET", "/v2/billing")).status == 200
        api.clock.now += 1.01  # 60 s of the vendor's time
        assert (await api.call("GET", "/v2/logs")).status == 200


async def test_the_balance_falls_when_a_generation_completes() -> None:
    async with visit(credits=1000) as api:
        await api.submit()
        detail = (await api.call("GET", "/v2/billing/detail")).json
        assert detail == {"current_balance": 10.0, "reserved": 1.4, "spent": 0.0, "currency": "USD"}
        api.clock.now += 1000
        assert (await api.call("GET", "/v2/billing")).json == {"current_balance": 8.6, "currency": "USD"}
        older = (await api.call("GET", "/v1/billing/balance")).json
        assert (older["balance"], older["lowBalance"], older["lowBalanceThreshold"]) == (860.0, True, 1000)
        assert older.keys() >= {"lastUpdated", "autoDebitStatus", "status", "statusExplanation"}


async def test_endless_credits_show_a_large_balance() -> None:
    async with visit() as api:
        assert (await api.call("GET", "/v2/billing")).json["current_balance"] == 10_000


async def test_usage_sums_what_was_charged() -> None:
    async with visit(faults=Faults(error_outcome={1})) as api:
        await api.submit()
        await api.submit()
        api.clock.now += 1000
        assert (await api.call("GET", "/v2/usage?period=1d")).json == {
            "spend": {"usd": 1.4, "credits": 140.0},
            "requests": 2,
        }


@pytest.mark.parametrize("path", ["/v2/logs", "/v2/billing", "/v2/billing/detail", "/v1/billing/balance", "/v2/usage"])
async def test_the_account_needs_the_key(path: str) -> None:
    async with visit() as api:
        assert (await api.call("GET", path, headers={"Authorization": "Bearer wrong"})).status == 401


async def test_the_models_are_listed_without_a_key() -> None:
    async with visit(other_models=["kling/next"]) as api:
        listed = (await api.call("GET", "/v1/models", headers={"Authorization": ""})).json["data"]
        assert len(listed) == 45
        assert {"id", "aliases", "type", "info", "tags"} == listed[0].keys()


async def test_prices_come_when_asked_for() -> None:
    async with visit() as api:
        ids = f"id={MODEL}&id=klingai/video-v2-6-pro-text-to-video"
        fixed, variants = (await api.call("GET", f"/v1/models?include=pricing,modalities&{ids}")).json["data"]
        assert (fixed["pricing"]["kind"], fixed["pricing"]["price"], fixed["pricing"]["per"]) == ("fixed", 0.28, 1)
        assert [variant["price"] for variant in variants["pricing"]["variants"]] == [0.1, 0.07]


async def test_a_known_list_of_models_is_304() -> None:
    async with visit() as api:
        first = await api.call("GET", "/v1/models")
        again = await api.call("GET", "/v1/models", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.content) == (304, b"")
        priced = await api.call("GET", "/v1/models?include=pricing", headers={"If-None-Match": first.headers["ETag"]})
        assert priced.status == 200


async def test_the_metrics_are_quantiles_of_the_vendors_time() -> None:
    async with visit(sigma=0.35) as api:
        asked = f"/models/metrics?aliases={MODEL}&aliases=nothing"
        (entry,) = (await api.call("GET", asked, headers={"Authorization": ""})).json["data"]
        assert entry["id"] == MODEL
        durations = entry["duration_ms"]
        assert durations["p50"] == 220_000
        assert durations["p50"] < durations["p75"] < durations["p90"] < durations["p99"]
        assert len((await api.call("GET", "/models/metrics")).json["data"]) == 44
