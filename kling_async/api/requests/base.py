"""The base class of requests: their fields, check, body and digest; and what a session knows beside a request."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping  # noqa: TC003 - callers may read the annotations
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import field, frozen

from kling_async.api.catalogue.lookup import check_body, check_kind, find_model, models, suggest, typo_of
from kling_async.api.catalogue.model import Kind  # noqa: TC001 - callers may read the annotations
from kling_async.api.catalogue.problems import Problem, refusal
from kling_async.api.catalogue.spec import Flag, Text, whole
from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.api.requests.serialize import (
    JSON,
    canonical,
    field_names,
    given,
    is_json,
    is_mapping,
    plain,
    read_mapping,
    short_repr,
)
from kling_async.errors import InvalidRequest

if TYPE_CHECKING:
    from datetime import timedelta

_logger = logging.getLogger("kling_async.requests")

_USUAL: Mapping[str, object] = {"endpoint": UNIVERSAL, "extra": {}, "validate": True}
"""The fields of a request that are not in its body, and their defaults."""


@frozen(repr=False, unsafe_hash=False, kw_only=True)
class Request:
    """A request for one video from any model; what has no field here goes into ``extra``.

    A request can be made with anything in it; ``check`` judges it, and is called before anything is sent or spent.
    Requests are frozen and equal by value, and are not hashable. A field that is None is not sent, so that the vendor's
    own default holds.

    A model that is not in the catalogue may be newer than this library, so it passes, with a logged warning; of its
    fields only the types are checked. An id that differs from a known one in nothing but a few letters of a word
    (``v2.1-master-txt-to-video``) is no new model but a typing error, and is refused before a batch is built on it.
    With ``validate=False`` even that is sent.

    Attributes:
        model: The vendor's id of the model.
        endpoint: The path to submit to: the universal one or the legacy one; with ``validate=False``, any.
        extra: Further fields of the body, sent untouched. It may not name a field that the request has itself.
        provider: Which supplier the vendor is to buy from, for models that let you choose.
        validate: False to send anything that is JSON, without a check by the catalogue.
    """

    kind: ClassVar[Kind | None] = None
    """The kind of model this is for; None for any."""

    model: str
    endpoint: str = UNIVERSAL
    extra: Mapping[str, Any] = field(default=None, converter=read_mapping)
    provider: str | None = None
    validate: bool = True

    @property
    def duration_seconds(self) -> int | None:
        """The length of the video asked for, in seconds; None if that is left to the vendor."""
        return whole(getattr(self, "duration", None))

    def check(self) -> None:
        """Judge the request by the catalogue, without sending anything.

        Raises:
            InvalidRequest: It cannot be sent, or its model does not take it; the message has every problem.
        """
        problems = self.problems()
        if problems:
            raise refusal(problems)

    def problems(self) -> list[Problem]:
        """Return everything that ``check`` would refuse, each with its field and what that takes; empty if nothing."""
        return self._basic_problems() or (self._content_problems() if self.validate else [])

    def body(self) -> dict[str, Any]:
        """Return the body of the submit, as plain JSON data; meaningful for a request that passes ``check``."""
        further: dict[str, Any] = plain(self.extra)
        return self._known_part() | further

    def digest(self) -> bytes:
        """Return the SHA-256 of the body in canonical form: equal for requests that ask for the same.

        Raises:
            InvalidRequest: The body is not JSON.
        """
        try:
            return hashlib.sha256(canonical(self.body())).digest()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"the request is not JSON: {error}") from None

    def stated(self) -> dict[str, object]:
        """Return the given fields in their order; ``endpoint``, ``extra`` and ``validate`` only if not the defaults."""
        return {name: part for name, part in given(self).items() if part != _USUAL.get(name)}

    def _typed(self) -> dict[str, object]:
        """Return the fields of the body that are given, ``model`` and ``extra`` aside."""
        return {name: part for name, part in given(self).items() if name != "model" and name not in _USUAL}

    def _known_part(self) -> dict[str, Any]:
        parts: dict[str, Any] = plain(self._typed())
        return {"model": self.model} | parts

    def _basic_problems(self) -> list[Problem]:
        """Return the problems that keep the request from being sent at all."""
        found = Text(blank=False).problems(self.model, "model")
        if self.endpoint not in (UNIVERSAL, LEGACY) and (self.validate or not _is_path(self.endpoint)):
            allowed = f"{UNIVERSAL} or {LEGACY}; with validate=False any other path"
            found.append(Problem("endpoint", self.endpoint, allowed))
        found += Flag().problems(self.validate, "validate")
        if not is_mapping(self.extra):
            return [*found, Problem("extra", self.extra, "a mapping of further fields")]
        own = set(field_names(type(self))) - _USUAL.keys()
        taken = [Problem(f"extra.{name}", self.extra[name], f"only as {name}=") for name in self.extra if name in own]
        return found + taken + self._json_problems()

    def _json_problems(self) -> list[Problem]:
        parts = {"model": self.model, **self._typed(), **self.extra}
        if is_json(parts):
            return []
        return [Problem(str(name), part, JSON) for name, part in parts.items() if not is_json({"": 0, name: part})]

    def _content_problems(self) -> list[Problem]:
        """Return the fields that the model does not take or, if it is unknown, that no model of the kind takes."""
        model = find_model(self.model)
        if model is None:
            return _stranger_problems(self.model) + check_kind(self.kind, plain(self._typed()))
        if self.kind is not None and model.kind is not self.kind:
            ids = ", ".join(known.id for known in models(self.kind))
            return [Problem("model", self.model, f"a model for {self.kind.value}: {ids}")]
        # Models change: fields in ``extra`` of a typed request are sent unchecked, as the caller may know more.
        return check_body(self.body() if self.kind is None else self._known_part())

    def __repr__(self) -> str:
        return short_repr(self, self.stated())


@frozen(kw_only=True)
class Submission:
    """A request with what `KlingSession.submit` takes beside it, for that, ``as_completed`` and ``as_downloaded``.

    It is checked when it is submitted; in a source, one that cannot be comes out as a job settled with the error.

    Attributes:
        request: The request; may be given by position.
        tag: As for ``submit``, like all others.
    """

    request: Request = field(kw_only=False)
    tag: object = None
    key: str | None = None
    deadline: float | timedelta | None = None
    priority: int = 0
    group: str | None = None


def _stranger_problems(model_id: str) -> list[Problem]:
    """Judge a model that is not in the catalogue: a typing error is a problem, anything else a logged warning."""
    meant = typo_of(model_id)
    if meant is not None:
        allowed = f"an id in the catalogue (did you mean {meant}?); with validate=False this one as it is"
        return [Problem("model", model_id, allowed)]
    _warn_of(model_id)
    return []


@lru_cache(maxsize=256)  # a batch may name it ten thousand times
def _warn_of(model_id: str) -> None:
    close = suggest(model_id)
    nearest = f"; the nearest known: {', '.join(close)}" if close else ""
    _logger.warning("model %r is not in the catalogue: only its fields' types are checked%s", model_id[:200], nearest)


def _is_path(endpoint: object) -> bool:
    return isinstance(endpoint, str) and endpoint.startswith("/") and not set(endpoint) & set("?# \t\r\n")
