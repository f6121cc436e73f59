"""Answers that come in pages, as the log and the ledger do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_async.api.loose import is_list, is_object
from kling_async.api.protocol import read_answer
from kling_async.errors import MalformedResponse

if TYPE_CHECKING:
    from kling_async.api.messages import HttpResponse

__all__ = ["read_page"]


def read_page(response: HttpResponse, of: str) -> tuple[list[Any], dict[str, Any]]:
    """A page's rows, whatever they are, and what it says of further pages.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer is not a page.
    """
    answer = read_answer(response)
    rows, pagination = answer.get("data"), answer.get("pagination")
    if not is_list(rows) or not is_object(pagination):
        raise MalformedResponse(f"{response.status}: the answer is not a page of the {of}", status=response.status)
    return rows, pagination
