"""The endpoints that sell generations and say how far they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

from kling_async.api.protocol import LEGACY
from kling_async.sandbox.exchange import Answer, ErrorResponse, Exchange
from kling_async.sandbox.responses import UNKNOWN_WORD, accepted, first_word, running, status_word, told
from kling_async.sandbox.validation import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.sandbox.ledger import Purchase
    from kling_async.sandbox.vendor import Vendor

__all__ = ["poll", "submit"]

_LONGEST_ID = 200


def submit(vendor: Vendor, exchange: Exchange) -> Answer:
    """Sell a generation, or refuse for the reasons that "Errors and status codes" lists."""
    exchange.body = _read(exchange.content)
    _check(vendor, exchange.body)
    if vendor.fires("out_of_credits", "submit") or not vendor.can_afford(exchange.body):
        raise ErrorResponse(403, "You've run out of credits. Please top up your balance to continue.")
    vendor.gate.admit_generation(vendor.till.running(vendor.clock()))
    purchase = vendor.accept(exchange)
    exchange.purchase = purchase
    exchange.inference_id = purchase.generation_id
    word = first_word(legacy=vendor.settings.legacy_words)
    # Documented: 200 on the universal endpoint, 201 on the legacy one.
    status = 201 if exchange.path == LEGACY else 200
    return Answer.json(accepted(purchase, word), status=status, headers=_cost_headers(purchase))


def _read(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise ErrorResponse(400, "Body validation error: the body is not JSON") from None
    if not _is_object(body):
        raise ErrorResponse(400, "Body validation error: the body is not a JSON object")
    return body


def _is_object(body: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(body, dict)


def _check(vendor: Vendor, body: Mapping[str, Any]) -> None:
    model = body.get("model")
    if isinstance(model, str) and model.strip() and not vendor.serves(model):
        raise ErrorResponse(404, f"Model {model} does not exist or is deprecated")
    issues = validate(body)
    if issues:
        raise ErrorResponse(400, "Body validation error", details={"details": [issue.as_json() for issue in issues]})


def poll(vendor: Vendor, exchange: Exchange) -> Answer:
    """Say how far a generation is."""
    generation_id = exchange.request.query.get("generation_id", "")
    if not generation_id:
        raise ErrorResponse(400, "Query validation error: generation_id is required")
    if generation_id.isprintable() and generation_id.isascii() and len(generation_id) <= _LONGEST_ID:
        exchange.inference_id = generation_id
    exchange.purchase = vendor.find(generation_id)
    if exchange.purchase is None or vendor.is_hidden(exchange.purchase):
        raise ErrorResponse(404, f"Generation {generation_id[:_LONGEST_ID]} not found")
    exchange.inference_id = exchange.purchase.generation_id
    word = status_word(exchange.purchase, vendor.clock(), legacy=vendor.settings.legacy_words)
    if word in ("completed", "error"):
        return _tell(vendor, exchange, exchange.purchase, word)
    exchange.said = UNKNOWN_WORD if vendor.fires("unknown_status", "poll") else word
    return Answer.json(running(exchange.purchase, exchange.said))


def _tell(vendor: Vendor, exchange: Exchange, purchase: Purchase, word: str) -> Answer:
    exchange.said = word
    is_good = purchase.failure is None
    has_url = is_good and not vendor.fires("completed_without_url", "poll")
    exchange.final = has_url or not is_good
    # The file is served at the host the client came to, whatever lies between.
    origin = f"{exchange.request.scheme}://{exchange.request.host}"
    url = vendor.files.url(origin, purchase) if has_url else None
    answer = told(purchase, word, url, vendor.files.film(purchase).size)
    return Answer.json(answer, headers=_cost_headers(purchase) if is_good else {})


def _cost_headers(purchase: Purchase) -> Mapping[str, str]:
    return {"x-aimlapi-credits-used": f"{purchase.credits:g}", "x-aimlapi-usd-spent": f"{purchase.usd:g}"}
