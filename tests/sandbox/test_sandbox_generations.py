from __future__ import annotations

from decimal import Decimal

import pytest
from sandbox_client import LEGACY, MODEL, UNIVERSAL, Reply, visit

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(("endpoint", "status"), [(UNIVERSAL, 200), (LEGACY, 201)])
async def test_each_endpoint_sells_and_tells(endpoint: str, status: int) -> None:
    async with visit(id_style="uuid") as api:
        sold = await api.submit(endpoint=endpoint)
        assert sold.status == status
        assert sold.json["status"] == "queued"
        assert sold.json["meta"] == {"usage": {"credits_used": 140.0, "usd_spent": 1.4}}
        told = await api.poll(sold.json["id"], endpoint=endpoint)
        assert told.status == 200
        assert told.json == {
            "id": sold.json["id"],
            "status": "queued",
            "video": None,
            "error": None,
            "meta": None,
        }


async def test_a_generation_goes_through_its_phases_as_time_passes() -> None:
    async with visit(speed=10, sigma=0) as api:
        generation_id = (await api.submit()).generation_id
        words = []
        for passed in (0, 2, 20, 21.9, 22.1):  # 220 s of the vendor's time, at ten times the speed
            api.clock.now = 1000 + passed
            words.append((await api.poll(generation_id)).json["status"])
        assert words == ["queued", "generating", "generating", "generating", "completed"]


async def test_the_older_vocabulary_can_be_had() -> None:
    async with visit(sigma=0, speed=1, legacy_words=True) as api:
        sold = await api.submit(endpoint=LEGACY)
        api.clock.now += 100
        assert sold.json["status"] == "waiting"
        assert (await api.poll(sold.generation_id, endpoint=LEGACY)).json["status"] == "active"


async def test_a_completed_generation_has_its_video_and_its_cost() -> None:
    async with visit(file_size=20_000) as api:
        told = await api.finished()
        video = told.json["video"]
        assert told.json["status"] == "completed"
        assert video["url"].startswith(f"{api.sandbox.url}/files/")
        assert (video["content_type"], video["file_name"], video["file_size"]) == ("video/mp4", "output.mp4", 20_000)
        assert told.json["meta"]["usage"] == {"credits_used": 140.0, "usd_spent": 1.4}
        assert told.headers["x-aimlapi-credits-used"] == "140"
        assert told.headers["x-aimlapi-usd-spent"] == "1.4"


async def test_the_answers_are_traced() -> None:
    async with visit() as api:
        sold = await api.submit(name="row-1:n.1_x")
        assert sold.headers["x-client-request-id"] == "row-1:n.1_x"
        assert sold.headers["x-inference-id"] == sold.generation_id
        assert sold.headers["x-request-id"]
        assert (await api.poll(sold.generation_id)).headers["x-inference-id"] == sold.generation_id


@pytest.mark.parametrize("name", ["a b", "x" * 129, "ä", ""])
async def test_an_invalid_client_request_id_is_silently_dropped(name: str) -> None:
    async with visit() as api:
        sold = await api.submit(name=name)
        assert sold.status == 200
        assert "x-client-request-id" not in sold.headers
        assert list(api.sandbox.ledger.accepted) == [None]


async def test_every_other_answer_has_an_inference_id_of_its_own() -> None:
    async with visit() as api:
        first, second = await api.call("GET", "/v2/billing"), await api.submit(duration=7)
        assert first.headers["x-inference-id"] != second.headers["x-inference-id"]


async def test_a_nanoid_comes_as_generation_id() -> None:
    async with visit(id_style="nanoid") as api:
        sold = await api.submit()
        assert "id" not in sold.json
        assert (await api.poll(sold.json["generation_id"])).status == 200


async def test_an_id_with_its_model_is_also_known_without_it() -> None:
    async with visit(id_style="uuid:model") as api:
        generation_id = (await api.submit()).generation_id
        assert generation_id.endswith(f":{MODEL}")
        assert (await api.poll(generation_id.partition(":")[0])).json["id"] == generation_id


async def test_a_session_behind_a_prefix_finds_everything_there() -> None:
    async with visit(prefix="/proxy/kling") as api:
        told = await api.finished()
        assert told.status == 200
        assert (await api.file(told.json["video"]["url"])).status == 200
        assert [submit.endpoint for submit in api.sandbox.ledger.submits] == [UNIVERSAL]
        root = api.sandbox.url.removesuffix("/proxy/kling")
        async with api.http.get(f"{root}/v2/billing") as elsewhere:
            assert elsewhere.status == 404


# refusals


def is_enveloped(reply: Reply, status: int, path: str) -> bool:
    body = reply.json
    names = {"message", "path", "requestId", "statusCode", "timestamp"}
    return names <= body.keys() and (body["statusCode"], body["path"]) == (status, path)


@pytest.mark.parametrize("key", [None, "Bearer wrong", "sandbox", "Bearer ÿ"])
async def test_a_missing_or_unknown_key_is_401(key: str | None) -> None:
    headers = {} if key is None else {"Authorization": key}
    async with visit() as api, api.http.get(f"{api.sandbox.url}/v2/billing", headers=headers) as reply:
        assert reply.status == 401
        assert (await reply.json())["statusCode"] == 401


async def test_a_revoked_key_is_401_until_it_is_restored() -> None:
    async with visit() as api:
        api.sandbox.revoke_key()
        refused = await api.submit()
        assert is_enveloped(refused, 401, UNIVERSAL)
        api.sandbox.restore_key()
        assert (await api.submit()).status == 200


async def test_a_bad_field_is_400_with_its_name_and_what_is_expected() -> None:
    async with visit() as api:
        refused = await api.submit(duration=7, aspect_ratio="4:3")
        assert is_enveloped(refused, 400, UNIVERSAL)
        assert refused.json["message"] == "Body validation error"
        issues = {tuple(issue["path"]): issue for issue in refused.json["details"]}
        assert issues.keys() == {("duration",), ("aspect_ratio",)}
        assert issues["duration",]["received"] == 7
        assert "5" in issues["duration",]["expected"]


async def test_a_bad_item_is_named_by_its_place() -> None:
    async with visit() as api:
        model = "klingai/v2.1-master-image-to-video"
        body = {"model": model, "image_url": "https://example.com/a.png", "dynamic_masks": [{"mask": 5}]}
        refused = await api.call("POST", UNIVERSAL, json=body)
        assert ["dynamic_masks", 0, "mask"] in [issue["path"] for issue in refused.json["details"]]


async def test_a_missing_field_is_400() -> None:
    async with visit() as api:
        refused = await api.call("POST", UNIVERSAL, json={"model": MODEL})
        assert [issue["path"] for issue in refused.json["details"]] == [["prompt"]]
        assert "nothing" in refused.json["details"][0]["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_400(content: bytes) -> None:
    async with visit() as api:
        refused = await api.call("POST", UNIVERSAL, data=content)
        assert is_enveloped(refused, 400, UNIVERSAL)


async def test_a_body_without_a_model_is_400() -> None:
    async with visit() as api:
        refused = await api.call("POST", UNIVERSAL, json={"prompt": "x"})
        assert refused.json["details"][0]["path"] == ["model"]


async def test_an_unknown_model_is_404_unless_it_was_said_to_exist() -> None:
    async with visit(other_models=["kling/next"]) as api:
        assert (await api.submit(model="kling/other")).status == 404
        assert (await api.submit(model="kling/next", anything={"goes": 1})).status == 200


async def test_an_unknown_generation_is_404_and_traced_by_its_id() -> None:
    async with visit() as api:
        refused = await api.poll("no-such-id")
        assert is_enveloped(refused, 404, UNIVERSAL)
        assert refused.headers["x-inference-id"] == "no-such-id"


async def test_a_poll_with_a_malformed_id_is_not_traced() -> None:
    async with visit() as api:
        refused = await api.poll("ä\n")
        assert refused.status == 404
        assert "x-inference-id" not in refused.headers


async def test_a_poll_without_an_id_is_400() -> None:
    async with visit() as api:
        assert (await api.call("GET", UNIVERSAL)).status == 400


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_path_is_404_in_the_envelope(method: str) -> None:
    async with visit() as api:
        assert is_enveloped(await api.call(method, "/v3/nothing"), 404, "/v3/nothing")


# limits


async def test_more_requests_a_second_than_allowed_get_429_without_retry_after() -> None:
    async with visit(requests_per_second=2) as api:
        statuses = [(await api.call("GET", "/v2/billing")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = await api.submit()
        assert is_enveloped(refused, 429, UNIVERSAL)
        assert "Retry-After" not in refused.headers
        api.clock.now += 1
        assert (await api.submit()).status == 200
        assert api.sandbox.ledger.throttled == 2


@pytest.mark.parametrize(("setting", "header"), [(2, "2"), (0.3, "1"), ("Fri, 20 Nov 2026 08:00:00 GMT",) * 2])
async def test_retry_after_can_be_had(setting: float | str, header: str) -> None:
    async with visit(max_concurrent=0, retry_after=setting) as api:
        assert (await api.submit()).headers["Retry-After"] == header


async def test_the_rate_can_be_changed_while_it_runs() -> None:
    async with visit() as api:
        api.sandbox.requests_per_second = 1
        assert [(await api.call("GET", "/v2/billing")).status for _ in range(2)] == [200, 429]
        api.sandbox.requests_per_second = None
        assert (await api.call("GET", "/v2/billing")).status == 200


async def test_as_many_unfinished_generations_as_allowed_and_no_more() -> None:
    async with visit(max_concurrent=2) as api:
        assert [(await api.submit()).status for _ in range(3)] == [200, 200, 429]
        api.clock.now += 100_000
        assert (await api.submit()).status == 200
        api.sandbox.max_concurrent = None
        assert [(await api.submit()).status for _ in range(3)] == [200, 200, 200]


async def test_the_account_sells_until_its_credits_are_spoken_for() -> None:
    async with visit(credits=300) as api:
        statuses = [(await api.submit()).status for _ in range(3)]
        assert statuses == [200, 200, 403]
        assert "credits" in (await api.submit()).json["message"]
        api.sandbox.credits = 1000
        assert (await api.submit()).status == 200


# the ledger, and the seed


async def test_the_ledger_keeps_submits_as_they_came() -> None:
    async with visit() as api:
        refused = await api.call("POST", LEGACY, data=b'{"duration": "5" }', headers={"X-Client-Request-Id": "a:1"})
        await api.submit("a raccoon", duration="5", name="b:1")
        bad, good = api.sandbox.ledger.submits
        assert (bad.content, bad.body, bad.status, bad.purchase) == (
            b'{"duration": "5" }',
            {"duration": "5"},
            400,
            None,
        )
        assert (bad.endpoint, bad.client_request_id, refused.status) == (LEGACY, "a:1", 400)
        assert good.body == {"model": MODEL, "prompt": "a raccoon", "duration": "5"}
        assert good.headers["x-client-request-id"] == "b:1"
        assert good.purchase is api.sandbox.ledger.accepted["b:1"][0]


async def test_the_ledger_tells_a_key_that_was_bought_twice() -> None:
    async with visit() as api:
        for name in ("one:n1", "two:n1", "two:n2", "plain", None):
            await api.submit(name=name)
        bought = {key: len(purchases) for key, purchases in api.sandbox.ledger.by_key.items()}
        assert bought == {"one": 1, "two": 2, "plain": 1}


async def test_the_ledger_knows_how_late_a_completion_was_noticed() -> None:
    async with visit(sigma=0, speed=1) as api:
        generation_id = (await api.submit()).generation_id
        for passed in (100, 225, 230):
            api.clock.now = 1000 + passed
            await api.poll(generation_id)
        ledger = api.sandbox.ledger
        assert [(poll.at - 1000, poll.generation_status, poll.final) for poll in ledger.polls[generation_id]] == [
            (100, "generating", False),
            (225, "completed", True),
            (230, "completed", True),
        ]
        assert ledger.noticed == {generation_id: 1225}
        assert ledger.delays == {generation_id: pytest.approx(5)}


async def test_the_ledger_charges_at_completion() -> None:
    async with visit(sigma=0, speed=1) as api:
        generation_id = (await api.submit()).generation_id
        ledger = api.sandbox.ledger
        assert ledger.charges == ()
        api.clock.now += 221
        (charge,) = api.sandbox.ledger.charges
        assert (charge.generation_id, charge.credits, charge.usd) == (generation_id, 140.0, Decimal("1.4"))
        assert charge.at == pytest.approx(1220)


async def test_what_the_ledger_gives_out_is_a_copy() -> None:
    async with visit() as api:
        before = api.sandbox.ledger.purchases
        await api.submit()
        assert before == {}
        assert len(api.sandbox.ledger.purchases) == 1


async def test_the_reprs_show_what_goes_on() -> None:
    async with visit() as api:
        told = await api.finished()
        await api.file(told.json["video"]["url"])
        assert repr(api.sandbox).startswith(
            f"<Sandbox {api.sandbox.url} speed=60 seed=1 <CallRecorder 1 bought, 1 polls, 1 noticed, 1 "
        )
        assert api.sandbox.api_key not in repr(api.sandbox)


async def run_of(seed: int, prompts: tuple[str, ...]) -> dict[str, tuple[str, float]]:
    async with visit(seed=seed) as api:
        for prompt in prompts:
            await api.submit(prompt)
        bought = api.sandbox.ledger.purchases.values()
        return {one.body["prompt"]: (one.generation_id, one.completed_at) for one in bought}


async def test_the_same_seed_gives_the_same_ids_and_ends_in_whatever_order_requests_come() -> None:
    assert await run_of(1, ("a", "b", "c")) == await run_of(1, ("c", "a", "b"))
    assert await run_of(1, ("a",)) != await run_of(2, ("a",))


async def test_the_same_prompt_twice_is_two_generations() -> None:
    async with visit() as api:
        first, second = await api.submit("a"), await api.submit("a")
        assert first.generation_id != second.generation_id
