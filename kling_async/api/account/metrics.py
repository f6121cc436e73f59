"""The current performance of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from kling_async.api.messages import HttpRequest
from kling_async.api.parsing import amount, is_list, is_object, part, read_moment, text
from kling_async.api.protocol import malformed, read_answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from kling_async.api.messages import HttpResponse


@frozen
class Quantiles:
    """Percentiles of a figure: half of all requests are at or below ``p50``, and so on."""

    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p99: float | None = None


@frozen
class ModelMetrics:
    """The performance of one model.

    Attributes:
        model: The model's id, or an alias of it.
        duration_ms: The time its requests take from end to end, in milliseconds, as the vendor counts them.
        endpoint: The path that was measured.
        raw: The entry as it came.
    """

    model: str
    duration_ms: Quantiles | None = None
    endpoint: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


@frozen
class Metrics:
    """The performance of models ("Model Performance Metrics"): only successful requests of the last minutes count.

    Attributes:
        models: Those that completed something within the window; what is missing there did not.
        window_seconds: The length of the window.
        generated_at: The time of the measurement.
    """

    models: tuple[ModelMetrics, ...]
    window_seconds: float | None = None
    generated_at: datetime | None = None

    def find(self, model: str) -> ModelMetrics | None:
        """Return the entry of a model, by the name it was asked for under; None if there is none."""
        return next((entry for entry in self.models if entry.model == model), None)


def metrics_request(models: Sequence[str]) -> HttpRequest:
    """Return the GET for some models, one parameter for each, or for all of them."""
    query = urlencode([("aliases", model) for model in models])
    return HttpRequest("GET", f"/models/metrics?{query}" if query else "/models/metrics")


def read_metrics(response: HttpResponse) -> Metrics:
    """Read the answer; entries without a name are left out."""
    answer = read_answer(response)
    entries = answer.get("models")
    if not is_list(entries):
        raise malformed(response, "the answer lists no models")
    return Metrics(
        tuple(entry for entry in map(_read_entry, filter(is_object, entries)) if entry is not None),
        amount(answer.get("window_seconds")),
        read_moment(answer.get("generated_at")),
    )


def _read_entry(entry: dict[str, Any]) -> ModelMetrics | None:
    name = text(entry.get("alias")) or text(entry.get("id"))
    if name is None:
        return None
    spread = (part(entry, "metrics") or entry).get("duration_ms")
    return ModelMetrics(name, _read_quantiles(spread), text(entry.get("endpoint")), entry)


def _read_quantiles(spread: object) -> Quantiles | None:
    if not is_object(spread):
        return None
    return Quantiles(*(amount(spread.get(name)) for name in ("p50", "p75", "p90", "p99")))
