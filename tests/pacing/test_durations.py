from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hazards import MODEL, lognormal
from hypothesis import given
from hypothesis import strategies as st

from kling_async.errors import ConfigurationError
from kling_async.pacing.durations import DurationModels, GenerationKind, Phase, from_data, to_data
from kling_async.pacing.hazard import BINS

if TYPE_CHECKING:
    from kling_async.pacing.estimator import HazardEstimator

OTHER = "kling-video/v1.6/standard/text-to-video"


def learned(*kinds: GenerationKind, factor: float = 1.5, jobs: int = 60, pace: float = 1.0) -> DurationModels:
    models, rng = DurationModels(pace), Random(1)
    for kind in kinds:
        seen = models.estimator(kind)
        for _ in range(jobs):
            end = lognormal(factor * kind.typical / pace, 0.2, rng)
            seen.observe_pending(0.0, end)
            seen.observe_detection(end, end)
        seen.rebuild()
    return models


def relative_median(estimator: HazardEstimator) -> float:
    return estimator.hazard.median / estimator.bins.unit


# Which estimator


def test_a_kind_has_one_estimator_with_bins_for_its_typical_duration() -> None:
    models = DurationModels()
    first = models.estimator(GenerationKind(MODEL, 5))
    assert models.estimator(GenerationKind(MODEL, 5)) is first
    assert first.bins.unit == 220.0
    assert models.estimator(GenerationKind(MODEL, 10)).bins.unit == pytest.approx(220.0 * 2.3)
    assert models.estimator(GenerationKind(MODEL, 5, Phase.QUEUED)) is not first
    assert len(models) == 3
    assert repr(models) == "<DurationModels of 3 kinds>"


def test_a_faster_pace_shortens_everything() -> None:
    assert DurationModels(60.0).estimator(GenerationKind(MODEL, 5)).hazard.median == pytest.approx(
        DurationModels().estimator(GenerationKind(MODEL, 5)).hazard.median / 60.0
    )


def test_the_prior_of_an_unknown_model_is_wider() -> None:
    known = DurationModels().estimator(GenerationKind(MODEL, 5)).hazard
    unknown = DurationModels().estimator(GenerationKind("somebody/new", 5)).hazard
    assert unknown.quantile(0.1) / unknown.median < known.quantile(0.1) / known.median


def test_another_duration_borrows_from_the_same_model() -> None:
    models = learned(GenerationKind(MODEL, 5))
    assert relative_median(models.estimator(GenerationKind(MODEL, 10))) == pytest.approx(1.5, rel=0.1)


def test_a_known_model_borrows_from_no_other() -> None:
    assert relative_median(learned(GenerationKind(MODEL, 5)).estimator(GenerationKind(OTHER, 5))) == pytest.approx(
        1.02, abs=0.02
    )


def test_an_unknown_model_borrows_from_the_one_most_is_known_of() -> None:
    models = learned(GenerationKind(MODEL, 5))
    few = models.estimator(GenerationKind(OTHER, 5))
    for _ in range(12):
        few.observe_pending(0.0, 30.0)
        few.observe_detection(30.0, 30.0)
    assert relative_median(models.estimator(GenerationKind("somebody/new", 5))) == pytest.approx(1.5, rel=0.1)


def test_no_kind_borrows_from_what_has_hardly_been_seen() -> None:
    models = learned(GenerationKind(MODEL, 5), jobs=9)
    assert relative_median(models.estimator(GenerationKind(MODEL, 10))) == pytest.approx(1.02, abs=0.02)


def test_phases_do_not_borrow_from_each_other() -> None:
    models = learned(GenerationKind(MODEL, 5))
    assert relative_median(models.estimator(GenerationKind(MODEL, 10, Phase.QUEUED))) == pytest.approx(0.5, abs=0.02)


# Keeping it


@given(
    factor=st.floats(0.3, 3.0),
    durations=st.sets(st.sampled_from([None, 5, 10]), min_size=1),
    phases=st.sets(st.sampled_from(Phase), min_size=1),
    model=st.sampled_from([MODEL, OTHER, "somebody/new"]),
)
def test_what_was_learned_comes_back_from_data(
    factor: float, durations: set[int | None], phases: set[Phase], model: str
) -> None:
    models = learned(*(GenerationKind(model, d, p) for d in durations for p in phases), factor=factor, jobs=12)
    data = to_data(models)
    back = from_data(json.loads(json.dumps(data, allow_nan=False)))
    assert to_data(back) == data
    for kind, seen in models:
        assert back.estimator(kind).hazard.rates == pytest.approx(seen.hazard.rates, rel=0.02)


def test_what_nothing_was_seen_of_is_not_kept() -> None:
    models = DurationModels()
    models.estimator(GenerationKind(MODEL, 5))
    assert to_data(models)["tables"] == []


def test_what_was_learned_at_one_pace_serves_at_another() -> None:
    kind = GenerationKind(MODEL, 5)
    fast = from_data(to_data(learned(kind)), scale=60.0)
    assert fast.estimator(kind).hazard.median == pytest.approx(
        learned(kind).estimator(kind).hazard.median / 60.0, rel=0.01
    )


def test_a_borrowed_prior_is_kept_too() -> None:
    models = learned(GenerationKind(MODEL, 5))
    models.estimator(GenerationKind(MODEL, 10)).observe_pending(0.0, 1.0)
    data = to_data(models)
    assert [estimator["prior"] is None for estimator in data["tables"]] == [True, False]
    assert relative_median(from_data(data).estimator(GenerationKind(MODEL, 10))) == pytest.approx(1.5, rel=0.1)


def spoilt(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(to_data(learned(GenerationKind(MODEL, 5)))))
    data["tables"][0].update(changes)
    return data


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ([], "it is []"),
        ({}, "version is None"),
        ({"version": 2}, "version is 2"),
        ({"version": 1, "grid": [1, 2, 3]}, "grid is [1, 2, 3]"),
        ({"version": 1, "grid": [0.01, 1.05, BINS], "tables": {}}, "tables is {}"),
        ({"version": 1, "grid": [0.01, 1.05, BINS], "tables": [3]}, "tables[0] is 3"),
        (spoilt(model=None), "tables[0].model is None"),
        (spoilt(duration=5.5), "tables[0].duration is 5.5"),
        (spoilt(duration=True), "tables[0].duration is True"),
        (spoilt(phase="dreaming"), "tables[0].phase is 'dreaming'"),
        (spoilt(typical=0), "tables[0].typical is 0"),
        (spoilt(jobs="many"), "tables[0].jobs is 'many'"),
        (spoilt(jobs=float("nan")), "tables[0].jobs is nan"),
        (spoilt(ends=[1.0]), "tables[0].ends is [1.0]"),
        (spoilt(lives="x" * BINS), "tables[0].lives is 'xxx"),
        (spoilt(lives=[-1.0] + [0.0] * (BINS - 1)), "tables[0].lives[0] is -1.0"),
        (spoilt(prior=[0.0] * BINS), "tables[0].prior[0] is 0.0"),
        (spoilt(instants={}), "tables[0].instants is {}"),
        (spoilt(instants=[[15.0, 2.0]]), "tables[0].instants[0] is [15.0, 2.0]"),
        (spoilt(instants=[[15.0, 2.0, None]]), "tables[0].instants[0][2] is None"),
    ],
)
def test_data_of_another_shape_is_refused_with_the_place(data: object, where: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_data(data)
    assert where in caught.value.message
    assert "it takes" in caught.value.message


def test_whatever_ids_name_as_models_the_number_of_estimators_is_bounded() -> None:
    models = DurationModels()
    estimators = [models.estimator(GenerationKind(f"somebody/model-{number}")) for number in range(2000)]
    assert len(models) <= 501
    assert estimators[-1] is estimators[-2] is models.estimator(GenerationKind("yet/another"))
    assert estimators[0] is models.estimator(GenerationKind("somebody/model-0"))
    known = models.estimator(GenerationKind("klingai/v2.1-master-text-to-video", 5))
    assert known is not estimators[-1]
