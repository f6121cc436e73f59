"""A job as a text that can be carried to another process or host, to go on with it there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kling_async.api.arguments import is_priority
from kling_async.api.catalogue.problems import Problem, refusal
from kling_async.api.parsing import amount, is_object, text
from kling_async.api.protocol import UNIVERSAL
from kling_async.api.requests.codec import from_dict, to_data
from kling_async.journal.base import JobState, Record
from kling_async.journal.media import replace_large_media

if TYPE_CHECKING:
    from kling_async.api.requests import Request

_VERSION = 1


def is_token(value: str) -> bool:
    """Return whether a text is a token rather than a generation's id, which is never a JSON object."""
    return value.lstrip().startswith("{")


def write_token(record: Record) -> str:
    """Write a record as a token: versioned JSON, with all that is needed to go on, and no secret.

    It stays small: digests replace files' contents and data URIs of more than 200 characters, as nothing is ever posted
    from a token.
    """
    request, cut = (None, False) if record.request is None else replace_large_media(to_data(record.request))
    parts = {
        "kling_async": _VERSION,
        "key": record.key,
        "endpoint": record.endpoint,
        "priority": record.priority or None,
        "group": record.group,
        "request": request,
        "digest": record.digest.hex() if cut else None,
        "client_request_id": record.client_request_id,
        "generation_id": record.generation_id,
        "queued_at": record.queued_at,
        "submitted_at": record.submitted_at,
        "accepted_at": record.accepted_at,
    }
    return json.dumps({name: part for name, part in parts.items() if part is not None}, ensure_ascii=False)


def read_token(token: str) -> Record:
    """Read a token as a record: pending if the generation's id is known, and otherwise uncertain.

    A token may be older than the job's state, as another process may have submitted it since. So a job without an id
    can be looked for in the account's log, but is never posted from its token.

    Raises:
        InvalidRequest: It is no token, or one that this version cannot read.
    """
    parts = _parse(token)
    key, generation_id = text(parts.get("key")), text(parts.get("generation_id"))
    if key is None:
        raise _unusable(token)
    request = _read_request(token, parts)
    return Record(
        key=key,
        state=JobState.UNCERTAIN if generation_id is None else JobState.PENDING,
        request=request,
        digest=_read_digest(token, parts, request),
        endpoint=text(parts.get("endpoint")) or UNIVERSAL,
        priority=parts.get("priority", 0) if is_priority(parts.get("priority")) else 0,
        group=text(parts.get("group")),
        client_request_id=text(parts.get("client_request_id")),
        generation_id=generation_id,
        queued_at=amount(parts.get("queued_at")) or 0.0,
        submitted_at=amount(parts.get("submitted_at")),
        accepted_at=amount(parts.get("accepted_at")),
    )


def _parse(token: str) -> dict[str, Any]:
    try:
        parts: object = json.loads(token)
    except (ValueError, RecursionError):
        raise _unusable(token) from None
    if not is_object(parts) or parts.get("kling_async") != _VERSION:
        raise _unusable(token)
    return parts


def _read_request(token: str, parts: dict[str, Any]) -> Request | None:
    request = parts.get("request")
    if request is None:
        return None
    if not is_object(request):
        raise _unusable(token)
    return from_dict(request)


def _read_digest(token: str, parts: dict[str, Any], request: Request | None) -> bytes:
    """Return the digest of the request as it was submitted; it is carried where the request is not whole."""
    carried = text(parts.get("digest"))
    if carried is None:
        return b"" if request is None else request.digest()
    try:
        return bytes.fromhex(carried)
    except ValueError:
        raise _unusable(token) from None


def _unusable(token: str) -> Exception:
    return refusal([Problem("token", token, f"a token that job.token() made, of version {_VERSION}")])
