"""HTTP requests and responses as values, apart from any transport."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kling_async.api.parsing import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNREAD = object()


class Lane(Enum):
    """The kind of a request; each kind has connections, timeouts and credentials of its own."""

    SUBMIT = "submit"
    """Costs money: a fresh connection, never repeated by the transport."""
    CALL = "call"
    """Costs nothing: polls and account calls, over kept-alive connections."""
    FILE = "file"
    """A file from a host that must not see the API key."""

    __hash__: Any = object.__hash__  # each request looks up its lane's connections: Enum's own takes ten times as long


@define  # not frozen, which makes one that is made for every poll four times as slow; yet nobody changes one
class HttpRequest:
    """A request, before a transport adds the base URL and the key.

    Attributes:
        method: ``GET`` or ``POST``.
        target: An absolute path with its encoded query, or on the file lane an absolute URL, sent exactly as it is.
        lane: Its kind.
        headers: Headers beyond those every request has.
        body: The bytes of the body, if any.
        about: The id of the generation it asks about, if any: nothing more may be taken from a connection that answers
            about anything else, since each further answer would be another request's, too.
    """

    method: str
    target: str
    lane: Lane = Lane.CALL
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: bytes | None = field(default=None, repr=False)
    about: str | None = None


@define
class HttpResponse:
    """A whole answer.

    Attributes:
        status: The HTTP status.
        headers: The headers, with lower-case names or a mapping that ignores case.
        body: The body, decompressed, at most as long as the transport's cap.
        known_about: The id of the generation that it was found to be about, so that it is found out once only.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    known_about: str | None = field(default=None, init=False, eq=False, repr=False)
    _parsed: object = field(default=_UNREAD, init=False, eq=False, repr=False)

    def json(self) -> object:
        """Read the body as JSON, once however often it is asked for; nobody may change what is returned.

        Raises:
            ValueError: It is not JSON.
            RecursionError: It nests too deep.
        """
        if self._parsed is _UNREAD:
            self._parsed = parse_json(self.body)
        return self._parsed
