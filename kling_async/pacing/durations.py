"""Models of how long generations take, one for each kind, and as data that the next session begins with."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from kling_async.api.arguments import is_number
from kling_async.api.catalogue.lookup import find_model, typical_seconds
from kling_async.api.parsing import is_list
from kling_async.api.reprs import show
from kling_async.api.requests.serialize import is_mapping
from kling_async.errors import ConfigurationError
from kling_async.pacing import priors
from kling_async.pacing.end_grid import EndGrid
from kling_async.pacing.estimator import HazardEstimator
from kling_async.pacing.hazard import BINS, FIRST, RATIO, AgeBins
from kling_async.pacing.percentiles import believable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kling_async.api.account.usage import Metrics
    from kling_async.pacing.percentiles import Percentiles
    from kling_async.pacing.priors import PriorFamily

_MIN_GENERATIONS: Final = 10.0  # generations that an estimator must have seen for others to borrow from it
_MAX_KINDS: Final = 500  # a resumed id may name anything as its model, and each estimator takes some kilobytes
_SHORTEST: Final = 1e-3  # seconds; no bins are laid out for less
_LENGTHS: Final = (5, 10)  # seconds of video, where there are several


class Phase(Enum):
    """The phase of a generation whose duration is learned."""

    QUEUED = "queued"
    GENERATING = "generating"


@frozen
class GenerationKind:
    """A kind of generation, for which durations are learned apart from others.

    Attributes:
        model: The vendor's id of the model.
        duration: The length of the video in seconds; None if left to the vendor.
        phase: The phase that is timed.
    """

    model: str
    duration: int | None = None
    phase: Phase = Phase.GENERATING

    @property
    def typical(self) -> float:
        """The usual time to generate it in seconds, by the catalogue."""
        return typical_seconds(self.model, self.duration)


class DurationModels:
    """The estimators of all kinds, created on use.

    A new kind begins with the hazard learned for the same model at another duration; for a model that is not in the
    catalogue, with that of the kind of which most was seen; otherwise with the catalogue's figures. Hazards are
    borrowed in proportion to typical durations. What the vendor publishes of a model changes how likely each of the
    hazards is that its kinds may have, and nothing of what was seen.
    """

    __slots__ = ("_estimators", "_published", "_scale")

    def __init__(self, scale: float = 1.0) -> None:
        """Begin with no kinds. ``scale`` is how many times as fast as the vendor a stand-in is; 1 for the vendor."""
        self._scale = scale
        self._estimators: dict[GenerationKind, HazardEstimator] = {}
        self._published: Mapping[str, Percentiles] = {}  # by model

    def estimator(self, kind: GenerationKind) -> HazardEstimator:
        """Return the estimator of this kind, always the same. Beyond 500 kinds, those of unknown models share one."""
        found = self._estimators.get(kind)
        if found is None and len(self._estimators) >= _MAX_KINDS and find_model(kind.model) is None:
            kind = GenerationKind("", None, kind.phase)
            found = self._estimators.get(kind)
        if found is None:
            found = self._estimators[kind] = HazardEstimator(self.bins(kind.typical), self._prior(kind))
        return found

    def bins(self, typical: float) -> AgeBins:
        """Return the bins for generations that usually take this many seconds with the vendor itself."""
        return AgeBins(max(_SHORTEST, typical / self._scale))

    @property
    def scale(self) -> float:
        """The number of times as fast as the vendor that a stand-in is; 1 for the vendor."""
        return self._scale

    def restore(self, kind: GenerationKind, estimator: HazardEstimator) -> None:
        """Replace the estimator of this kind by an earlier one."""
        self._estimators[kind] = estimator

    def publish(self, metrics: Metrics) -> None:
        """Take what the vendor publishes now of models' durations, instead of what it did before."""
        self._published = dict(_believable(metrics))
        for kind, estimator in self:
            if kind.phase is Phase.GENERATING:
                borrowed = estimator.prior.borrowed_rates
                prior = self.own_prior(kind) if borrowed is None else self.borrowed_prior(kind, borrowed)
                estimator.expect(prior)

    def own_prior(self, kind: GenerationKind) -> PriorFamily:
        """Return the prior of a kind by itself, with nothing borrowed."""
        if kind.phase is Phase.QUEUED:
            return priors.queued()
        return self._given(kind, priors.generating(known=find_model(kind.model) is not None))

    def borrowed_prior(self, kind: GenerationKind, rates: Sequence[float]) -> PriorFamily:
        """Return the prior of a kind that borrows these hazards, per typical duration, from another."""
        return self._given(kind, priors.borrowed(rates, known=find_model(kind.model) is not None))

    def _given(self, kind: GenerationKind, prior: PriorFamily) -> PriorFamily:
        published = self._published.get(kind.model) if kind.phase is Phase.GENERATING else None
        return prior if published is None else prior.given(published)

    def __iter__(self) -> Iterator[tuple[GenerationKind, HazardEstimator]]:
        """Iterate over every kind asked about, and its estimator, in the order they came."""
        return iter(self._estimators.items())

    def __len__(self) -> int:
        return len(self._estimators)

    def __repr__(self) -> str:
        return f"<DurationModels of {len(self)} kinds>"

    def _prior(self, kind: GenerationKind) -> PriorFamily:
        source = self._borrow_from(kind)
        if source is None:
            return self.own_prior(kind)
        return self.borrowed_prior(kind, [rate * source.bins.unit for rate in source.hazard.rates])

    def _borrow_from(self, kind: GenerationKind) -> HazardEstimator | None:
        seen = [(k, t) for k, t in self if k.phase is kind.phase and t.generations >= _MIN_GENERATIONS]
        same = [estimator for k, estimator in seen if k.model == kind.model]
        if not same and find_model(kind.model) is None:
            same = [estimator for _, estimator in seen]
        return max(same, key=lambda estimator: estimator.generations, default=None)


def _believable(metrics: Metrics) -> Iterator[tuple[str, Percentiles]]:
    for entry in metrics.models:
        typical = [typical_seconds(entry.model, length) for length in _lengths(entry.model)]
        if entry.duration_ms is not None and (found := believable(entry.duration_ms, typical)) is not None:
            yield entry.model, found


def _lengths(model: str) -> Sequence[int | None]:
    """Return the lengths of video, in seconds, that what is published of a model is most likely about."""
    known = find_model(model)
    return (None,) if known is not None and "duration" not in known.fields else _LENGTHS


_VERSION: Final = 1
_BIN_LAYOUT: Final = [FIRST, RATIO, BINS]
_MAX_NUMBER: Final = 1e12  # above any count of generations or sum of their durations


def to_data(models: DurationModels) -> dict[str, Any]:
    """Return everything learned as JSON data. Kinds of which nothing was seen are left out."""
    estimators = [_estimator_data(kind, estimator, models) for kind, estimator in models]
    return {
        "version": _VERSION,
        "grid": _BIN_LAYOUT,
        "tables": [estimator for estimator in estimators if any(estimator["lives"])],
    }


def from_data(data: object, scale: float = 1.0) -> DurationModels:
    """Read the data that `to_data` made, at any scale.

    Raises:
        ConfigurationError: It is something else, or of another version; names the place, the value and what is allowed.
    """
    models = DurationModels(scale)
    document = _mapping(data, "it")
    if document.get("version") != _VERSION:
        raise _unreadable("version", document.get("version"), f"the number {_VERSION}")
    if document.get("grid") != _BIN_LAYOUT:
        raise _unreadable("grid", document.get("grid"), f"{_BIN_LAYOUT}")
    for number, each in enumerate(_list(document.get("tables"), "tables")):
        _restore(models, _mapping(each, f"tables[{number}]"), f"tables[{number}]")
    return models


def _estimator_data(kind: GenerationKind, estimator: HazardEstimator, models: DurationModels) -> dict[str, Any]:
    events, exposure = estimator.seen()
    borrowed = estimator.prior.borrowed_rates
    return {
        "model": kind.model,
        "duration": kind.duration,
        "phase": kind.phase.value,
        "typical": _rounded(estimator.bins.unit * models.scale),
        "jobs": _rounded(estimator.generations),
        "ends": [_rounded(each) for each in events],
        "lives": [_rounded(each / estimator.bins.unit) for each in exposure],
        "prior": None if borrowed is None else [_rounded(each) for each in borrowed],
        # Grids are of seconds, which a stand-in of another speed does not share.
        "instants": [[*map(_rounded, each)] for each in estimator.grid.evidence()] if models.scale == 1.0 else [],
    }


def _restore(models: DurationModels, data: Mapping[str, object], where: str) -> None:
    kind = _kind(data, where)
    bins = models.bins(_number(data.get("typical"), f"{where}.typical", least=1e-6))
    borrowed = data.get("prior")
    prior = models.own_prior(kind)
    if borrowed is not None:
        prior = models.borrowed_prior(kind, _numbers(borrowed, f"{where}.prior", least=1e-6))
    events = _numbers(data.get("ends"), f"{where}.ends")
    exposure = [lived * bins.unit for lived in _numbers(data.get("lives"), f"{where}.lives")]
    estimator = HazardEstimator(bins, prior, events, exposure, _number(data.get("jobs"), f"{where}.jobs"))
    instants = _list(data.get("instants", []), f"{where}.instants")
    told = [_numbers(each, f"{where}.instants[{at}]", -_MAX_NUMBER, 3) for at, each in enumerate(instants)]
    estimator.grid = EndGrid(told if models.scale == 1.0 else [])
    models.restore(kind, estimator)


def _kind(data: Mapping[str, object], where: str) -> GenerationKind:
    model, duration, phase = data.get("model"), data.get("duration"), data.get("phase")
    if not isinstance(model, str):
        raise _unreadable(f"{where}.model", model, "text")
    if duration is not None and (not isinstance(duration, int) or isinstance(duration, bool)):
        raise _unreadable(f"{where}.duration", duration, "a whole number or null")
    if phase not in [each.value for each in Phase]:
        raise _unreadable(f"{where}.phase", phase, " or ".join(each.value for each in Phase))
    return GenerationKind(model, duration, Phase(phase))


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not is_mapping(value):
        raise _unreadable(where, value, "an object")
    return value


def _list(value: object, where: str, count: int | None = None) -> list[object]:
    if not is_list(value) or count not in (None, len(value)):
        raise _unreadable(where, value, "a list" if count is None else f"a list of {count} numbers")
    return value


def _numbers(value: object, where: str, least: float = 0.0, count: int = BINS) -> list[float]:
    items = _list(value, where, count)
    return [_number(each, f"{where}[{number}]", least) for number, each in enumerate(items)]


def _number(value: object, where: str, least: float = 0.0) -> float:
    if not is_number(value) or not least <= value <= _MAX_NUMBER:
        raise _unreadable(where, value, f"a number from {least} to {_MAX_NUMBER:g}")
    return float(value)


def _rounded(value: float) -> float:
    """Round to six significant digits, which is more than is learned."""
    return float(f"{value:.6g}")


def _unreadable(where: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"what was learned cannot be read: {where} is {show(value)}; it takes {allowed}")
