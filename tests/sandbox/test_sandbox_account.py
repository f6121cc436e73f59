from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sandbox_client import MODEL, Client, visit

from kling_async.sandbox import Faults

pytestmark = pytest.mark.asyncio

OTHER_MODEL = "klingai/v2-master-text-to-video"


async def logged(api: Client, query: str = "period=24h") -> list[str]:
    stretch = "" if "period" in query or "start" in query else "period=24h&"
    page = (await api.call("GET", f"/v2/logs?{stretch}{query}")).json
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
            "tokens": {"input": 0, "output": 0, "total": 0},
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
        pages = [(await api.call("GET", f"/v2/logs?period=24h&limit=2&offset={offset}")).json for offset in (0, 2, 4)]
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
        after = (before + timedelta(days=1)).isoformat().replace("+00:00", "Z")
        assert await logged(api, "period=1h") == ["new"]
        assert await logged(api, "period=10h") == ["new", "old"]
        assert await logged(api, f"start={middle}&end={after}") == ["new"]
        assert await logged(api, f"start={before.replace(tzinfo=None).isoformat()}&end={middle}") == ["old"]


YEAR = "start=2026-01-01&end=2027-01-01"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "offset=-1", "limit=%C2%B2"])
async def test_a_place_in_the_log_that_makes_no_sense_is_400(query: str) -> None:
    async with visit() as api:
        refused = await api.call("GET", f"/v2/logs?period=24h&{query}")
        assert refused.status == 400
        assert refused.json["message"].startswith("Query validation error")


@pytest.mark.parametrize("path", ["/v2/logs", "/v2/usage"])
@pytest.mark.parametrize(
    "query",
    [
        *("", "period=1y", "period=600m", "period=0h", "period=93d", "start=2026-01-01", "end=2026-01-01", YEAR),
        *("period=1d&start=2026-01-01&end=2026-01-02", "start=2026-01-02&end=2026-01-01", "start=x&end=2026-01-02"),
    ],
)
async def test_a_stretch_of_time_that_makes_no_sense_is_400(path: str, query: str) -> None:
    async with visit() as api:
        assert (await api.call("GET", f"{path}?{query}")).status == 400


async def test_the_log_has_a_limit_of_its_own() -> None:
    async with visit(speed=60) as api:
        statuses = [(await api.call("GET", "/v2/logs?period=24h")).status for _ in range(201)]
        assert statuses == [200] * 200 + [429]
        assert (await api.call("GET", "/v2/billing")).status == 200
        api.clock.now += 1.01  # 60 s of the vendor's time
        assert (await api.call("GET", "/v2/logs?period=24h")).status == 200


async def test_the_balance_falls_when_a_generation_completes() -> None:
    async with visit(credits=1000) as api:
        await api.submit()
        detail = (await api.call("GET", "/v2/billing/detail")).json
        assert (detail["current_balance"], detail["currency"]) == (10.0, "USD")
        assert detail.keys() == {"user_id", "email", "current_balance", "currency", "autotopup_settings"}
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
        told = (await api.call("GET", "/v2/usage?period=1d")).json
        length = datetime.fromisoformat(told.pop("end")) - datetime.fromisoformat(told.pop("start"))
        assert length == timedelta(days=1)
        assert told == {"api_key_prefix": None, "spend": 1.4, "currency": "USD", "requests": 1}


@pytest.mark.parametrize(
    "path",
    ["/v2/logs", "/v2/billing", "/v2/billing/detail", "/v1/billing/balance", "/v2/usage", "/v2/billing/transactions"],
)
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
        assert fixed["pricing"]["kind"] == "fixed"
        assert fixed["pricing"]["units"] == [{"name": "second", "measure": "output", "price": 0.28, "per": 1}]
        assert variants["pricing"]["dimensions"] == ["generate_audio"]
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
        answer = (await api.call("GET", asked, headers={"Authorization": ""})).json
        (entry,) = answer["models"]
        assert answer["window_seconds"] == 300
        assert (entry["alias"], entry["endpoint"]) == (MODEL, "/v2/video/generations")
        durations = entry["metrics"]["duration_ms"]
        assert durations["p50"] == 220_000
        assert durations["p50"] < durations["p75"] < durations["p90"] < durations["p99"]
        assert len((await api.call("GET", "/models/metrics")).json["models"]) == 44


@pytest.mark.parametrize(("times", "p50"), [(2.0, [440_000]), (0.005, [1100]), (None, [])])
async def test_the_metrics_may_be_wrong_those_of_the_submit_or_absent(times: float | None, p50: list[float]) -> None:
    async with visit(published=times) as api:
        found = (await api.call("GET", f"/models/metrics?aliases={MODEL}")).json["models"]
        assert [entry["metrics"]["duration_ms"]["p50"] for entry in found] == p50


@pytest.mark.parametrize("query", ["models=x", "&".join(f"aliases={n}" for n in range(101))])
async def test_metrics_take_nothing_but_a_hundred_aliases(query: str) -> None:
    async with visit() as api:
        assert (await api.call("GET", f"/models/metrics?{query}")).status == 400


async def test_a_model_is_found_and_sold_under_its_alias_too() -> None:
    async with visit() as api:
        alias = MODEL.removeprefix("klingai/")
        (listed,) = (await api.call("GET", f"/v1/models?id={alias},nothing")).json["data"]
        assert (listed["id"], listed["aliases"]) == (MODEL, [alias])
        assert (await api.submit(model=alias)).status == 200
        assert (await api.call("GET", f"/models/metrics?aliases={alias}")).json["models"][0]["alias"] == alias


async def test_a_model_beyond_the_catalogue_has_no_price_beforehand() -> None:
    async with visit(other_models=["kling/next"]) as api:
        (listed,) = (await api.call("GET", "/v1/models?id=kling/next&include=all")).json["data"]
        assert listed["pricing"] == {"kind": "variable", "currency": "USD"}
        assert listed.keys() >= {"modalities", "capabilities"}


async def test_the_ledger_has_a_charge_for_each_completed_generation_newest_first() -> None:
    async with visit(faults=Faults(error_outcome={2}), sigma=0, speed=1) as api:
        sold = []
        for _ in range(3):
            sold.append((await api.submit()).generation_id)
            api.clock.now += 10
        page = (await api.call("GET", "/v2/billing/transactions")).json
        assert page == {"data": [], "pagination": {"next_cursor": None, "has_more": False}}
        api.clock.now += 1000
        page = (await api.call("GET", "/v2/billing/transactions")).json
        assert [row["reference_id"] for row in page["data"]] == [sold[2], sold[0]]
        entry = page["data"][0]
        assert datetime.fromisoformat(entry.pop("created_at")) > datetime.fromisoformat(page["data"][1]["created_at"])
        assert entry == {
            "direction": "CHARGE",
            "type": "MODEL_USAGE",
            "amount": {"usd": 1.4, "credits": 140.0},
            "model": MODEL,
            "reference_id": sold[2],
        }


async def test_the_ledger_is_paged_by_a_cursor_that_new_charges_do_not_shift() -> None:
    async with visit(sigma=0) as api:
        sold = [(await api.submit()).generation_id for _ in range(5)]
        api.clock.now += 1000
        seen, cursor = [], ""
        for _ in range(3):
            page = (await api.call("GET", f"/v2/billing/transactions?limit=2{cursor}")).json
            seen += [row["reference_id"] for row in page["data"]]
            cursor = f"&cursor={page['pagination']['next_cursor']}"
            await api.submit()
            api.clock.now += 1000
        assert page["pagination"] == {"next_cursor": None, "has_more": False}
        assert sorted(seen) == sorted(sold)


async def test_the_ledger_is_filtered_by_time_direction_and_type() -> None:
    async with visit(sigma=0) as api:
        now = datetime.now(UTC)
        await api.finished()
        day = (now + timedelta(hours=2)).isoformat().replace("+00:00", "Z")
        counts = [
            len((await api.call("GET", f"/v2/billing/transactions?{query}")).json["data"])
            for query in (f"to={day}", f"from={day}", "direction=CHARGE", "direction=TOPUP", "type=PAYMENT")
        ]
        assert counts == [1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "offset=1", "direction=UP", "type=MONEY", "from=x", "from=2026-01-02&to=2026-01-01"),
        *("cursor=djE6NQ", "cursor=x", "cursor=djE6LTU=", "cursor=", "cursor=NQ=="),
    ],
)
async def test_a_ledger_query_that_makes_no_sense_is_400(query: str) -> None:
    async with visit() as api:
        assert (await api.call("GET", f"/v2/billing/transactions?{query}")).status == 400
