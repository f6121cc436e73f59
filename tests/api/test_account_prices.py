from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from attrs import evolve

from kling_async import (
    Cost,
    Estimate,
    HttpResponse,
    ImageToVideo,
    LiveModel,
    ModelList,
    Pricing,
    Request,
    TextToVideo,
    from_dict,
    models,
)
from kling_async.api.account.estimates import estimate
from kling_async.api.account.models import UnitPrice, changes, models_request, read_models, read_pricing
from kling_async.api.catalogue.spec import Field, Integer
from kling_async.sandbox.capacity import price_list_entry, price_of

MASTER = "klingai/v2.1-master-text-to-video"
V26 = "klingai/video-v2-6-pro-text-to-video"
BY_RESOLUTION = {
    "kind": "variants",
    "dimensions": ["resolution"],
    "variants": [
        {"when": {"resolution": "720p"}, "price": 0.39, "unit": "second", "per": 1},
        {"when": {"resolution": "1080p"}, "price": 0.65, "unit": "second", "per": 1},
    ],
}


def listed(*entries: dict[str, Any]) -> ModelList:
    return read_models(HttpResponse(200, {}, json.dumps({"object": "list", "data": entries}).encode()))


def entry(name: str, pricing: object = None, **more: Any) -> dict[str, Any]:
    return {"id": name, "aliases": [], "type": "internal/video-generations/submit", "info": {}, "tags": []} | (
        {"pricing": pricing} | more
    )


def fixed(*units: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "fixed", "currency": "USD", "units": list(units)}


def second(price: float = 0.28, per: float = 1) -> dict[str, Any]:
    return {"name": "second", "measure": "output", "price": price, "per": per}


def cost_of(request: Request, pricing: object) -> Estimate:
    return estimate(request, listed(entry(request.model, pricing)))


# The price list


def test_a_fixed_price_is_read_as_it_is_published() -> None:
    block = fixed({"name": "token", "measure": "output", "price": 3.25, "per": 1_000_000})
    pricing = read_pricing(block)
    rate = UnitPrice(Decimal("3.25"), Decimal(1_000_000), "token", "output")
    assert pricing == Pricing("fixed", (rate,), currency="USD")
    assert rate.each == Decimal("0.00000325")


def test_variants_are_read_as_they_are_published() -> None:
    pricing = read_pricing(BY_RESOLUTION)
    assert pricing is not None
    assert (pricing.kind, pricing.dimensions, pricing.is_whole) == ("variants", ("resolution",), True)
    assert pricing.rates[1] == UnitPrice(Decimal("0.65"), Decimal(1), "second", when={"resolution": "1080p"})


@pytest.mark.parametrize("block", [None, [], {}, {"kind": 5}])
def test_what_says_no_kind_is_no_pricing(block: object) -> None:
    assert read_pricing(block) is None


@pytest.mark.parametrize(
    "unit",
    [
        5,
        {"name": "second", "price": 1},
        {"name": "second", "price": 1, "per": 0},
        {"name": "second", "price": -1, "per": 1},
        {"price": 1, "per": 1},
        {"name": "second", "price": "?", "per": 1},
        {"name": "second", "price": 1, "per": 1, "when": []},
    ],
)
def test_a_price_that_cannot_be_read_makes_the_cost_unknown_rather_than_less(unit: object) -> None:
    pricing = read_pricing(fixed(second()) | {"units": [second(), unit]})
    assert pricing is not None
    assert not pricing.is_whole
    estimated = cost_of(TextToVideo("a fox", duration=5), pricing.raw)
    assert (estimated.usd, estimated.at_least) == (None, None)
    assert "form" in estimated.note


def test_what_all_variants_share_may_stand_beside_them() -> None:
    block = {"kind": "variants", "unit": "second", "per": 2, "variants": [{"when": {}, "price": 1}]}
    assert cost_of(TextToVideo("a fox", duration=10), block).usd == 5
    assert cost_of(TextToVideo("a fox", duration=10), {"kind": "fixed", "price": 3, "per": 1, "unit": "video"}).usd == 3


# Estimates


def test_the_vendors_own_example_costs_what_the_vendor_says() -> None:
    request = TextToVideo("a fox", model="kling/next", duration=5, extra={"resolution": "1080p"})
    estimated = cost_of(request, BY_RESOLUTION)
    assert (estimated.usd, estimated.is_exact, estimated.note) == (Decimal("3.25"), True, "")


def test_a_price_is_for_per_units() -> None:
    assert cost_of(TextToVideo("a fox", duration=10), fixed(second(28, per=100))).usd == Decimal("2.8")


def test_what_the_request_leaves_to_the_vendor_makes_the_cost_a_range() -> None:
    estimated = cost_of(TextToVideo("a fox", model=MASTER), fixed(second()))
    assert (estimated.at_least, estimated.usd) == (Decimal("1.4"), Decimal("2.8"))
    assert not estimated.is_exact
    assert "leaves to the vendor" in estimated.note


def test_a_published_default_counts_as_if_it_were_said() -> None:
    block = {
        "kind": "variants",
        "variants": [
            {"when": {"generate_audio": True}, "price": 0.1, "unit": "second", "per": 1},
            {"when": {"generate_audio": False}, "price": 0.07, "unit": "second", "per": 1},
        ],
    }
    assert cost_of(TextToVideo("a fox", model=V26), block).usd == Decimal("0.5")
    silent = cost_of(TextToVideo("a fox", model=V26, duration=10, generate_audio=False), block)
    assert (silent.usd, silent.is_exact) == (Decimal("0.7"), True)


@pytest.mark.parametrize("wanted", [5, 5.0, "5"], ids=repr)
def test_conditions_are_compared_whatever_their_spelling(wanted: object) -> None:
    variants = [
        {"when": {"duration": wanted}, "price": 1, "unit": "video", "per": 1},
        {"when": {"duration": 10}, "price": 2, "unit": "video", "per": 1},
    ]
    assert cost_of(TextToVideo("a fox", duration=5), {"kind": "variants", "variants": variants}).usd == 1


def test_several_fixed_rates_are_added_up() -> None:
    block = fixed(second(0.1), {"name": "request", "price": 0.25, "per": 1})
    assert cost_of(TextToVideo("a fox", duration=5), block).usd == Decimal("0.75")


def test_an_alias_has_the_price_of_its_model() -> None:
    live = listed(entry("klingai/next", fixed(second(1)), aliases=[MASTER]))
    assert estimate(TextToVideo("a fox", model=MASTER, duration=5), live).usd == 5


UNKNOWN_MODEL = Request(model="some/other", extra={"prompt": "a fox"})


@pytest.mark.parametrize(
    ("request_", "pricing", "why"),
    [
        (TextToVideo("a fox"), None, "no readable price"),
        (TextToVideo("a fox"), {"kind": "variable"}, "'variable'"),
        (TextToVideo("a fox"), {"kind": "new"}, "'new'"),
        (TextToVideo("a fox"), fixed(), "form"),
        (TextToVideo("a fox"), fixed({"name": "token", "price": 1, "per": 1000}), "by the token"),
        (TextToVideo("a fox"), fixed(second() | {"measure": "input"}), "by the second"),
        (UNKNOWN_MODEL, fixed(second()), "how long"),
        (Request(model=MASTER, extra={"duration": "ten"}, validate=False), fixed(second()), "how long"),
        (TextToVideo("a fox", model=V26, extra={"resolution": "4k"}), BY_RESOLUTION, "none of the vendor's prices"),
        (
            TextToVideo(
                model="klingai/video-v3-turbo-pro-text-to-video", multi_prompt=[{"prompt": "a", "duration": 5}]
            ),
            fixed(second()),
            "scenes",
        ),
    ],
)
def test_what_cannot_be_known_is_unknown_and_says_why(request_: Request, pricing: object, why: str) -> None:
    estimated = cost_of(request_, pricing)
    assert (estimated.usd, estimated.at_least, estimated.is_exact) == (None, None, False)
    assert why in estimated.note


def test_a_price_beyond_reckoning_is_unknown_rather_than_an_error_of_arithmetic() -> None:
    unit = {"name": "second", "measure": "output", "price": "9e999999", "per": "1e-99"}
    assert cost_of(TextToVideo("a", duration=5), fixed(unit)).usd is None


def test_lengths_that_are_not_published_leave_the_cost_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    any_length = evolve(models()[0], fields={"duration": Field(Integer(least=1))})
    monkeypatch.setattr("kling_async.api.account.estimates.find_model", lambda _: any_length)
    estimated = cost_of(TextToVideo("a fox"), fixed(second()))
    assert (estimated.usd, "lengths" in estimated.note) == (None, True)


def test_a_model_that_is_not_listed_has_no_price() -> None:
    estimated = estimate(TextToVideo("a fox"), listed())
    assert (estimated.usd, estimated.note) == (None, f"the vendor's list has no model {MASTER!r}")


@pytest.mark.parametrize("model", models(), ids=lambda model: model.id)
def test_what_the_sandbox_charges_lies_within_what_is_estimated(model: Any) -> None:
    for extra in ({}, {"duration": 10}, {"generate_audio": False}):
        body = {name: value for name, value in extra.items() if name in model.fields}
        request = Request(model=model.id, extra=body, validate=False)
        estimated = cost_of(request, price_list_entry(model.id))
        if "duration" not in model.fields:
            assert estimated.usd is None
            continue
        assert estimated.usd is not None
        assert estimated.at_least is not None
        assert float(estimated.at_least) - 1e-6 <= price_of(model.id, body).usd <= float(estimated.usd) + 1e-6


def test_a_cost_adds_up_what_is_known_and_counts_what_is_not() -> None:
    live = listed(entry(MASTER, fixed(second())), entry(V26, fixed(second(0.1))))
    requests = [
        TextToVideo("a fox", model=V26),
        TextToVideo("a fox", model=MASTER),
        ImageToVideo("https://images.example/fox.png"),
    ]
    cost = Cost.of(estimate(request, live) for request in requests)
    assert (cost.at_least, cost.usd, cost.unknown) == (Decimal("1.9"), Decimal("3.3"), 1)
    assert [one.request for one in cost.estimates] == requests
    assert str(cost) == "$1.90 to $3.30 for 2 requests; the cost of 1 more is unknown"
    assert str(Cost.of(cost.estimates[:1])) == "$0.50 for 1 request"
    assert str(Cost.of([])) == "$0.00 for 0 requests"


# The list of models


def test_a_model_is_listed_as_it_is_published() -> None:
    live = listed(
        entry(
            "google/veo-2.0-generate-001",
            fixed(second()),
            aliases=["veo-2.0-generate-001"],
            info={"name": "Veo 2", "developer": "Google", "docsUrl": "https://docs.example/veo"},
            tags=["playground:video"],
            modalities={"input": ["text"], "output": ["video"]},
            capabilities=["text_to_video"],
        ),
        {"aliases": ["nameless"]},
    )
    (model,) = live
    assert len(live) == 1
    assert model.names == ("google/veo-2.0-generate-001", "veo-2.0-generate-001")
    assert (model.name, model.developer, model.docs_url) == ("Veo 2", "Google", "https://docs.example/veo")
    assert (model.input_modalities, model.output_modalities) == (("text",), ("video",))
    assert (model.capabilities, model.tags) == (("text_to_video",), ("playground:video",))
    assert live.find("veo-2.0-generate-001") is live.find("google/veo-2.0-generate-001") is model
    assert live.find("veo") is None
    assert not model.is_kling_video


def test_sections_that_were_not_asked_for_are_none() -> None:
    (model,) = listed({"id": "a/b"})
    assert model == LiveModel("a/b")
    assert (model.pricing, model.capabilities, model.input_modalities) == (None, None, None)


def test_an_id_counts_before_an_alias_of_the_same_name() -> None:
    live = listed(entry("a"), entry("b", aliases=["a"]))
    found = live.find("a")
    assert found is not None
    assert found.id == "a"


def test_the_list_is_asked_for_by_sections_and_names_and_by_the_etag() -> None:
    request = models_request(["pricing", "modalities"], ["a/b"], etag='W/"1"')
    assert urlsplit(request.target).path == "/v1/models"
    assert parse_qsl(urlsplit(request.target).query) == [
        ("include", "pricing"),
        ("include", "modalities"),
        ("id", "a/b"),
    ]
    assert request.headers == {"If-None-Match": 'W/"1"'}
    assert (models_request().target, models_request().headers) == ("/v1/models", {})


# What is different at the vendor


def everything() -> list[dict[str, Any]]:
    return [entry(model.id) for model in models()]


def test_the_vendors_list_that_has_what_the_catalogue_has_brings_no_changes() -> None:
    nothing = changes(listed(*everything(), entry("google/veo-2.0-generate-001")))
    assert not nothing
    assert (
        str(nothing)
        == f"nothing has changed: the vendor serves all {len(models())} models of the catalogue, and no others"
    )


def test_new_models_gone_ones_and_renamed_ones_are_told_apart() -> None:
    first, second_, *rest = everything()
    renamed = entry("klingai/renamed", aliases=[second_["id"]])
    new = entry("klingai/video-v9", info={"name": "Kling 9", "developer": "Kling AI"})
    image = entry("klingai/image-o1", type="openai/image-generations")
    found = changes(listed(*rest, renamed, new, entry("klingai/video-v10"), image))
    assert [model.id for model in found.new] == ["klingai/video-v10", "klingai/video-v9"]
    assert found.gone == (first["id"],)
    assert found.renamed == {second_["id"]: "klingai/renamed"}
    assert found
    assert str(found).splitlines() == [
        "new: klingai/video-v10",
        "new: klingai/video-v9 (Kling 9)",
        f"gone: {first['id']}",
        f"renamed: {second_['id']} is now klingai/renamed",
    ]


def test_a_request_read_from_plain_data_is_estimated_like_any_other() -> None:
    request = from_dict({"kind": "text-to-video", "model": MASTER, "prompt": "a fox", "duration": "5"})
    assert cost_of(request, fixed(second())).usd == Decimal("1.4")
