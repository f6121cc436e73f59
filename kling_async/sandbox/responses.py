"""The JSON of answers about a generation, in the vendor's several vocabularies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from kling_async.sandbox.faults import ErrorShape
from kling_async.sandbox.seeded import NANOID_LENGTH

if TYPE_CHECKING:
    from kling_async.sandbox.ledger import Purchase

UNDOCUMENTED_STATUS = "upscaling"
"""A status that no page documents."""

ERROR_SHAPES: tuple[ErrorShape, ...] = get_args(ErrorShape)

_REASON = "Could not detect face in the image"


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


def error_object(shape: ErrorShape) -> object:
    """Return the reason of a failure in this shape; each is documented or was seen."""
    shapes: dict[ErrorShape, object] = {
        "object": {"name": "GenerationError", "message": _REASON},
        "detail": {"detail": [{"loc": ["body", "image_url"], "msg": _REASON, "type": "face_detection_error"}]},
        "string": _REASON,
        "message": {"message": _REASON},
    }
    return shapes[shape]
