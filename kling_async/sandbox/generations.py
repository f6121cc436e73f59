"""The endpoints that accept generations and report their state, in the vendor's several vocabularies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue.lookup import check_body, find_model
from kling_async.api.catalogue.spec import ListOf, Object
from kling_async.api.parsing import is_list, is_object
from kling_async.api.protocol import LEGACY
from kling_async.sandbox.exchange import Answer, ErrorResponse, Exchange
from kling_async.sandbox.faults import NANOID_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.api.catalogue.problems import Problem
    from kling_async.api.catalogue.spec import Spec
    from kling_async.sandbox.ledger import Purchase
    from kling_async.sandbox.vendor import Vendor

_LONGEST = 200  # characters of an id, or of a value, that an answer repeats
_UNDOCUMENTED_STATUS = "upscaling"
"""A status that no page documents."""


def initial_status(*, legacy: bool) -> str:
    """Return the status right after acceptance."""
    return "waiting" if legacy else "queued"


def status_at(purchase: Purchase, now: float, *, legacy: bool) -> str:
    """Return the status of a generation at this instant."""
    if now >= purchase.completed_at:
        return "completed" if purchase.failure is None else "error"
    if now < purchase.started_at:
        early = legacy and _is_first_half(now, purchase.accepted_at, purchase.started_at)
        return "waiting" if early else "queued"
    early = legacy and _is_first_half(now, purchase.started_at, purchase.completed_at)
    return "active" if early else "generating"


def _is_first_half(now: float, start: float, end: float) -> bool:
    return now - start < end - now


def accepted(purchase: Purchase, word: str) -> dict[str, Any]:
    """Return the answer to a submit. A nanoid is in ``generation_id``, as was seen; the other forms in ``id``."""
    name = "id" if len(purchase.generation_id) != NANOID_LENGTH else "generation_id"
    return {name: purchase.generation_id, "status": word, "meta": _meta(purchase)}


def running(purchase: Purchase, word: str) -> dict[str, Any]:
    """Return the answer to a poll before the end."""
    return {"id": purchase.generation_id, "status": word, "video": None, "error": None, "meta": None}


def ended(purchase: Purchase, word: str, url: str | None, file_size: int) -> dict[str, Any]:
    """Return the answer to a poll after the end; with a failure, or without a URL, there is no video."""
    answer = running(purchase, word)
    if purchase.failure is not None:
        return answer | {"error": purchase.failure}
    # Every file has the same name, as some of the vendor's providers have it: it is a label, and no path to write to.
    video = {"url": url, "content_type": "video/mp4", "file_name": "output.mp4", "file_size": file_size}
    return answer | {"video": video if url else None, "meta": _meta(purchase)}


def _meta(purchase: Purchase) -> dict[str, Any]:
    return {"usage": {"credits_used": purchase.credits, "usd_spent": float(purchase.usd)}}


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
    if not is_object(body):
        raise ErrorResponse(400, "Body validation error: the body is not a JSON object")
    return body


def _check(vendor: Vendor, body: Mapping[str, Any]) -> None:
    model = body.get("model")
    if isinstance(model, str) and model.strip() and not vendor.serves(model):
        raise ErrorResponse(404, f"Model {model} does not exist or is deprecated")
    known = find_model(model) if isinstance(model, str) else None
    content = body if known is None else {**_known(Object(known.fields), body), "model": model}
    if problems := check_body(content):
        raise ErrorResponse(400, "Body validation error", details={"details": list(map(_issue, problems))})


def _known(spec: Spec, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Strip the fields that the spec does not name, which the vendor's pages do not forbid."""
    if isinstance(spec, Object) and is_object(value):
        return {name: _known(spec.fields[name].spec, part) for name, part in value.items() if name in spec.fields}
    if isinstance(spec, ListOf) and is_list(value):
        return [_known(spec.item, item) for item in value]
    return value


def _issue(problem: Problem) -> dict[str, Any]:
    """Return a problem in the vendor's form ("Errors and status codes": the field, expected, received)."""
    path = [int(part) if part.isdigit() else part for part in problem.field.split(".")]
    received = problem.value[:_LONGEST] if isinstance(problem.value, str) else problem.value
    message = f"Expected {problem.allowed}, received {'nothing' if received is None else repr(received)}"
    return {"path": path, "message": message, "expected": problem.allowed, "received": received}


def poll(vendor: Vendor, exchange: Exchange) -> Answer:
    """Report the state of a generation."""
    generation_id = exchange.request.query.get("generation_id", "")
    if not generation_id:
        raise ErrorResponse(400, "Query validation error: generation_id is required")
    if generation_id.isprintable() and generation_id.isascii() and len(generation_id) <= _LONGEST:
        exchange.inference_id = generation_id
    exchange.purchase = vendor.find(generation_id)
    if exchange.purchase is None or vendor.is_hidden(exchange.purchase):
        raise ErrorResponse(404, f"Generation {generation_id[:_LONGEST]} not found")
    exchange.inference_id = exchange.purchase.generation_id
    word = status_at(exchange.purchase, vendor.clock(), legacy=vendor.settings.legacy_words)
    if word in ("completed", "error"):
        return _ended(vendor, exchange, exchange.purchase, word)
    exchange.generation_status = _UNDOCUMENTED_STATUS if vendor.fires("unknown_status", "poll") else word
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
