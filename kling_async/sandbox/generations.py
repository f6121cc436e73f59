"""The endpoints that accept generations and report their state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

from kling_async.api.protocol import LEGACY
from kling_async.sandbox.exchange import Answer, ErrorResponse, Exchange
from kling_async.sandbox.responses import UNDOCUMENTED_STATUS, accepted, ended, initial_status, running, status_at
from kling_async.sandbox.validation import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.sandbox.ledger import Purchase
    from kling_async.sandbox.vendor import Vendor

_LONGEST_ID = 200


def submit(vendor: Vendor, exchange: Exchange) -> Answer:
    """Accept a generation, or refuse it for the reasons that "Errors and status codes" lists."""
    exchange.body = _read(exchange.content)
    _check(vendor, exchange.body)
    if vendor.fires("out_of_credits", "submit") or not vendor.can_afford(exchange.body):
        raise ErrorResponse(403, "You've run out of credits. Please top up your balance to continue.")
    vendor.limits.admit_generation(vendor.account.running(vendor.clock()))
    purchase = vendor.accept(exchange)
    exchange.purchase = purchase
    exchange.inference_id = purchase.generation_id
    word = initial_status(legacy=vendor.settings.legacy_words)
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
    """Report the state of a generation."""
    generation_id = exchange.request.query.get("generation_id", "")
    if not generation_id:
        raise ErrorResponse(400, "Query validation error: generation_id is required")
    if generation_id.isprintable() and generation_id.isascii() and len(generation_id) <= _LONGEST_ID:
        exchange.inference_id = generation_id
    exchange.purchase = vendor.find(generation_id)
    if exchange.purchase is None or vendor.is_hidden(exchange.purchase):
        raise ErrorResponse(404, f"Generation {generation_id[:_LONGEST_ID]} not found")
    exchange.inference_id = exchange.purchase.generation_id
    word = status_at(exchange.purchase, vendor.clock(), legacy=vendor.settings.legacy_words)
    if word in ("completed", "error"):
        return _ended(vendor, exchange, exchange.purchase, word)
    exchange.generation_status = UNDOCUMENTED_STATUS if vendor.fires("unknown_status", "poll") else word
    return Answer.json(running(exchange.purchase, exchange.generation_status))


def _ended(vendor: Vendor, exchange: Exchange, purchase: Purchase, word: str) -> Answer:
    exchange.generation_status = word
    has_succeeded = purchase.failure is None
    has_url = has_succeeded and not vendor.fires("completed_without_url", "poll")
    exchange.final = has_url or not has_succeeded
    # The file is served at the host the client came to, whatever lies between.
    origin = f"{exchange.request.scheme}://{exchange.request.host}"
    url = vendor.files.url(origin, purchase) if has_url else None
    answer = ended(purchase, word, url, vendor.files.video(purchase).size)
    return Answer.json(answer, headers=_cost_headers(purchase) if has_succeeded else {})


def _cost_headers(purchase: Purchase) -> Mapping[str, str]:
    return {"x-aimlapi-credits-used": f"{purchase.credits:g}", "x-aimlapi-usd-spent": f"{float(purchase.usd):g}"}
