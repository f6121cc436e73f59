"""What a session has learned of how long generations take, by kind, and as data that the next one can begin with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import frozen

from kling_async.api.arguments import is_number
from kling_async.api.catalogue.lookup import find_model, typical_seconds
from kling_async.api.reprs import show
from kling_async.errors import ConfigurationError
from kling_async.pacing import priors
from kling_async.pacing.estimator import HazardEstimator
from kling_async.pacing.hazard import BINS, FIRST, RATIO, AgeBins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kling_async.pacing.priors import PriorFamily

__all__ = ["DurationModels", "GenerationKind", "Phase", "from_data", "to_data"]

_TELLING: Final = 10.0  # how many generations a table must have seen for others to begin with what it learned
_MOST: Final = 500  # kinds: ids that are resumed may name anything as their models, and each table takes some kilobytes
_SHORTEST: Final = 1e-3  # seconds; no bins are laid out for less


class Phase(Enum):
    """What a generation is doing for the time that is learned."""

    QUEUED = "queued"
    GENERATING = "generating"


@frozen
class GenerationKind:
    """What durations are learned for apart from each other.

    Attributes:
        model: The vendor's id of the model.
        duration: The length of the video in seconds, if it was asked for.
        phase: Whether it waits or works.
    """

    model: str
    duration: int | None = None
    phase: Phase = Phase.GENERATING

    @property
    def typical(self) -> float:
        """How long that usually takes to generate, in seconds, as the catalogue has it."""
        return typical_seconds(self.model, self.duration)


class DurationModels:
    """The tables of all kinds, made as they are asked for.

    A kind that nothing is known of begins with what was learned of the same model at another duration; for a model
    that is not in the catalogue, with the most that was learned of any; otherwise with the catalogue's figures. Shapes
    are borrowed in proportion to typical durations.
    """

    __slots__ = ("_estimators", "_scale")

    def __init__(self, scale: float = 1.0) -> None:
        """``pace`` is how many times as fast as the catalogue says everything goes: 1 but for a stand-in."""
        self._scale = scale
        self._estimators: dict[GenerationKind, HazardEstimator] = {}

    def estimator(self, kind: GenerationKind) -> HazardEstimator:
        """The table of this kind; always the same one. Beyond 500 kinds, those of unknown models share one."""
        found = self._estimators.get(kind)
        if found is None and len(self._estimators) >= _MOST and find_model(kind.model) is None:
            kind = GenerationKind("", None, kind.phase)
            found = self._estimators.get(kind)
        if found is None:
            found = self._estimators[kind] = HazardEstimator(self.bins(kind.typical), self._prior(kind))
        return found

    def bins(self, typical: float) -> AgeBins:
        """The bins for generations that usually take this many seconds at the catalogue's pace."""
        return AgeBins(max(_SHORTEST, typical / self._scale))

    @property
    def scale(self) -> float:
        """How many times as fast as the catalogue says everything goes."""
        return self._scale

    def restore(self, kind: GenerationKind, estimator: HazardEstimator) -> None:
        """Go on from an earlier table of this kind, in place of what was there."""
        self._estimators[kind] = estimator

    def own_prior(self, kind: GenerationKind) -> PriorFamily:
        """What is believed of a kind by itself, with nothing learned of any other."""
        if kind.phase is Phase.QUEUED:
            return priors.queued()
        return priors.generating(known=find_model(kind.model) is not None)

    def borrowed_prior(self, kind: GenerationKind, rates: Sequence[float]) -> PriorFamily:
        """What is believed of a kind, as these hazards per typical duration were learned of another."""
        return priors.borrowed(rates, known=find_model(kind.model) is not None)

    def __iter__(self) -> Iterator[tuple[GenerationKind, HazardEstimator]]:
        """Every kind asked about, and its table, in the order they came."""
        return iter(self._estimators.items())

    def __len__(self) -> int:
        return len(self._estimators)

    def __repr__(self) -> str:
        return f"<DurationModels of {len(self)} kinds>"

    def _prior(self, kind: GenerationKind) -> PriorFamily:
        lender = self._lender(kind)
        if lender is None:
            return self.own_prior(kind)
        return self.borrowed_prior(kind, [rate * lender.bins.unit for rate in lender.hazard.rates])

    def _lender(self, kind: GenerationKind) -> HazardEstimator | None:
        telling = [(k, t) for k, t in self if k.phase is kind.phase and t.generations >= _TELLING]
        same = [estimator for k, estimator in telling if k.model == kind.model]
        if not same and find_model(kind.model) is None:
            same = [estimator for _, estimator in telling]
        return max(same, key=lambda estimator: estimator.generations, default=None)


_VERSION: Final = 1
_GRID: Final = [FIRST, RATIO, BINS]
_LARGEST: Final = 1e12  # beyond any count of generations or of their lives


def to_data(experience: DurationModels) -> dict[str, Any]:
    """Everything learned, fit for ``json.dumps``. Kinds of which nothing was seen are left out."""
    estimators = [_table_data(kind, estimator, experience) for kind, estimator in experience]
    return {
        "version": _VERSION,
        "grid": _GRID,
        "tables": [estimator for estimator in estimators if any(estimator["lives"])],
    }


def from_data(data: object, pace: float = 1.0) -> DurationModels:
    """What `as_data` made, as experience again, at any pace.

    Raises:
        ConfigurationError: It is not that, or of another version; says where it is wrong.
    """
    experience = DurationModels(pace)
    document = _mapping(data, "it")
    if document.get("version") != _VERSION:
        raise _wrong("version", document.get("version"), f"the number {_VERSION}")
    if document.get("grid") != _GRID:
        raise _wrong("grid", document.get("grid"), f"{_GRID}")
    estimators = _list(document.get("tables"))
    if estimators is None:
        raise _wrong("tables", document.get("tables"), "a list")
    for number, each in enumerate(estimators):
        _restore(experience, _mapping(each, f"tables[{number}]"), f"tables[{number}]")
    return experience


def _table_data(kind: GenerationKind, estimator: HazardEstimator, experience: DurationModels) -> dict[str, Any]:
    events, exposure = estimator.seen()
    lent = estimator.prior.borrowed_rates
    return {
        "model": kind.model,
        "duration": kind.duration,
        "phase": kind.phase.value,
        "typical": _rounded(estimator.bins.unit * experience.scale),
        "jobs": _rounded(estimator.generations),
        "ends": [_rounded(each) for each in events],
        "lives": [_rounded(each / estimator.bins.unit) for each in exposure],
        "prior": None if lent is None else [_rounded(each) for each in lent],
    }


def _restore(experience: DurationModels, data: Mapping[str, object], where: str) -> None:
    kind = _kind(data, where)
    grid = experience.bins(_amount(data.get("typical"), f"{where}.typical", least=1e-6))
    lent = data.get("prior")
    prior = experience.own_prior(kind)
    if lent is not None:
        prior = experience.borrowed_prior(kind, _amounts(lent, f"{where}.prior", least=1e-6))
    events = _amounts(data.get("ends"), f"{where}.ends")
    exposure = [lived * grid.unit for lived in _amounts(data.get("lives"), f"{where}.lives")]
    experience.restore(kind, HazardEstimator(grid, prior, events, exposure, _amount(data.get("jobs"), f"{where}.jobs")))


def _kind(data: Mapping[str, object], where: str) -> GenerationKind:
    model, duration, phase = data.get("model"), data.get("duration"), data.get("phase")
    if not isinstance(model, str):
        raise _wrong(f"{where}.model", model, "text")
    if duration is not None and (not isinstance(duration, int) or isinstance(duration, bool)):
        raise _wrong(f"{where}.duration", duration, "a whole number or null")
    if phase not in [each.value for each in Phase]:
        raise _wrong(f"{where}.phase", phase, " or ".join(each.value for each in Phase))
    return GenerationKind(model, duration, Phase(phase))


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "an object")
    return cast("Mapping[str, object]", value)


def _list(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _amounts(value: object, where: str, least: float = 0.0) -> list[float]:
    items = _list(value)
    if items is None or len(items) != BINS:
        raise _wrong(where, value, f"a list of {BINS} numbers")
    return [_amount(each, f"{where}[{number}]", least) for number, each in enumerate(items)]


def _amount(value: object, where: str, least: float = 0.0) -> float:
    if not is_number(value) or not least <= value <= _LARGEST:
        raise _wrong(where, value, f"a number from {least} to {_LARGEST:g}")
    return float(value)


def _rounded(value: float) -> float:
    """Six digits: more was not learned."""
    return float(f"{value:.6g}")


def _wrong(where: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"what was learned cannot be read: {where} is {show(value)}; it takes {allowed}")
