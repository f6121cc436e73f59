from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.account.usage import Metrics, ModelMetrics, Quantiles
from kling_async.pacing import priors
from kling_async.pacing.durations import DurationModels, GenerationKind, Phase
from kling_async.pacing.hazard import BINS, AgeBins, Hazard
from kling_async.pacing.percentiles import Percentiles, believable

MODEL = "klingai/v2.1-master-text-to-video"  # usually takes 220 s for 5 s of video
ONE_LENGTH = "klingai/avatar-pro"  # usually takes 90 s
FIVE = GenerationKind(MODEL, 5)
amounts = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0.0, 1e7)


def quantiles(median: float, sigma: float) -> Quantiles:
    """Percentiles of a lognormal with this median in seconds, in milliseconds."""
    p50, p75, p90 = (
        1000.0 * median * math.exp(sigma * NormalDist().inv_cdf(share)) if sigma else 1000.0 * median
        for share in (0.5, 0.75, 0.9)
    )
    return Quantiles(p50, p75, p90, 1e9)


def published(median: float, sigma: float = 0.15, model: str = ONE_LENGTH) -> Metrics:
    return Metrics((ModelMetrics(model, quantiles(median, sigma)),))


def told(median: float, sigma: float) -> Hazard:
    """The hazard, per typical duration, of a kind of one length with these percentiles and nothing seen."""
    found = believable(quantiles(median, sigma), [1.0])
    assert found is not None
    return Hazard(AgeBins(1.0), priors.generating(known=True).given(found).rates)


def spread(hazard: Hazard) -> float:
    return math.log(hazard.quantile(0.75) / hazard.quantile(0.25)) / 1.349


# What can be percentiles of generations


@pytest.mark.parametrize(
    "given_", [Quantiles(), Quantiles(p50=2e5), Quantiles(2e5, 2.2e5), Quantiles(2e5, 1.9e5, 2.2e5)]
)
def test_it_takes_three_percentiles_that_do_not_fall(given_: Quantiles) -> None:
    assert believable(given_, [220.0]) is None


@pytest.mark.parametrize(
    ("median", "sound"), [(1.8, False), (43.0, False), (46.0, True), (220.0, True), (900.0, True), (1100.0, False)]
)
def test_they_are_near_what_a_generation_takes(median: float, sound: bool) -> None:  # noqa: FBT001
    assert (believable(quantiles(median, 0.1), [220.0]) is not None) is sound


def test_they_are_in_typical_durations_of_each_length() -> None:
    found = believable(Quantiles(220e3, 440e3, 660e3), [220.0, 440.0])
    assert found is not None
    assert found.ages == ((1.0, 2.0, 3.0), (0.5, 1.0, 1.5))


@given(amounts, amounts, amounts)
def test_whatever_is_published_its_likelihood_is_one(p50: float | None, p75: float | None, p90: float | None) -> None:
    found = believable(Quantiles(p50, p75, p90), [220.0, 506.0])
    if found is not None:
        assert 0.02 <= found.likelihood(lambda age: math.exp(-age)) <= 1.0


@pytest.mark.parametrize("given_", [Quantiles(220e3, 220e3, 220e3), Quantiles(44e3, 44e3, 1100e3)])
def test_whatever_is_believed_hazards_stay_hazards(given_: Quantiles) -> None:
    found = believable(given_, [220.0])
    assert found is not None
    assert all(0.0 < rate < math.inf for rate in priors.generating(known=True).given(found).rates)


# How likely they are


def test_durations_with_exactly_these_percentiles_are_the_likeliest() -> None:
    exact = Percentiles(((1.0, 2.0, 3.0),))
    shares = {1.0: 0.5, 2.0: 0.25, 3.0: 0.1}
    assert exact.likelihood(shares.__getitem__) == pytest.approx(1.0)
    assert exact.likelihood({1.0: 0.6, 2.0: 0.25, 3.0: 0.1}.__getitem__) < 1.0


def test_nothing_is_so_unlikely_that_it_could_not_be_about_something_else() -> None:
    assert Percentiles(((1.0, 2.0, 3.0),)).likelihood(lambda _: 1.0) == pytest.approx(0.02)


def test_of_two_lengths_any_mixture_may_be_meant() -> None:
    both = Percentiles(((1.0, 1.2, 1.4), (0.5, 0.6, 0.7)))
    short, long = ({1.0: 0.5, 1.2: 0.25, 1.4: 0.1}, {0.5: 0.5, 0.6: 0.25, 0.7: 0.1})
    nothing = dict.fromkeys((1.0, 1.2, 1.4, 0.5, 0.6, 0.7), 1.0)
    for known in (short, long):
        assert both.likelihood((nothing | known).__getitem__) == pytest.approx(1.0)
    halves = {age: 0.5 * share for age, share in (short | long).items()}
    assert both.likelihood(halves.__getitem__) < 0.2


# What a family makes of them


@pytest.mark.parametrize("median", [0.85, 1.0, 1.2])
@pytest.mark.parametrize("sigma", [0.11, 0.17])
def test_they_tell_how_long_a_kind_takes_and_that_it_spreads_little(median: float, sigma: float) -> None:
    before, after = Hazard(AgeBins(1.0), priors.generating(known=True).rates), told(median, sigma)
    assert after.median == pytest.approx(median, rel=0.08)
    assert spread(after) < 0.75 * spread(before)


def test_a_wide_spread_stays_wide() -> None:
    assert spread(told(1.0, 0.5)) > spread(Hazard(AgeBins(1.0), priors.generating(known=True).rates))


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_what_is_twice_off_the_catalogue_is_hardly_believed(times: float) -> None:
    assert told(times, 0.15).median == pytest.approx(told(1.0, 0.35).median, rel=0.06)


def test_early_failures_are_as_likely_as_before() -> None:
    """Only successes are published."""
    before, after = Hazard(AgeBins(1.0), priors.generating(known=True).rates), told(1.0, 0.15)
    assert after.survival(0.3) == pytest.approx(before.survival(0.3), abs=0.01)


def test_what_was_borrowed_is_weighed_and_still_known() -> None:
    rates = priors.generating(known=True).rates
    found = believable(quantiles(1.4, 0.2), [1.0])
    assert found is not None
    family = priors.borrowed(rates, known=True).given(found)
    assert Hazard(AgeBins(1.0), family.rates).median > 1.1
    assert family.borrowed_rates is rates


# Kinds


def median(models: DurationModels, kind: GenerationKind) -> float:
    return models.estimator(kind).hazard.median


def test_kinds_that_are_there_and_those_to_come_go_by_what_is_published() -> None:
    models, kind = DurationModels(), GenerationKind(ONE_LENGTH)
    before = median(models, kind)
    models.publish(published(120.0))
    assert median(models, kind) == pytest.approx(120.0, rel=0.06)
    later = DurationModels()
    later.publish(published(120.0))
    assert median(later, kind) == pytest.approx(median(models, kind))
    models.publish(Metrics(()))
    assert median(models, kind) == pytest.approx(before)


def test_it_says_something_of_every_length_though_less() -> None:
    models = DurationModels()
    before = {length: median(models, GenerationKind(MODEL, length)) for length in (5, 10, None)}
    models.publish(published(260.0, model=MODEL))
    for length, was in before.items():
        assert was < median(models, GenerationKind(MODEL, length)) < 1.2 * was


def test_other_models_and_queues_are_not_concerned() -> None:
    models, queue = DurationModels(), GenerationKind(ONE_LENGTH, None, Phase.QUEUED)
    before = median(models, queue), median(models, FIVE)
    models.publish(published(120.0))
    assert (median(models, queue), median(models, FIVE)) == before


def test_nothing_is_made_of_what_a_submit_takes_or_of_no_figures() -> None:
    models = DurationModels()
    before = models.estimator(FIVE).hazard.rates
    models.publish(Metrics((ModelMetrics(MODEL, quantiles(1.8, 0.2)), ModelMetrics(ONE_LENGTH))))
    assert models.estimator(FIVE).hazard.rates == pytest.approx(before)


def test_counts_stay_as_they_were_and_a_stand_in_may_be_quicker() -> None:
    models, kind = DurationModels(60.0), GenerationKind(ONE_LENGTH)
    seen = models.estimator(kind)
    for _ in range(5):
        seen.observe_pending(0.0, 2.0)
        seen.observe_detection(2.0, 2.0)
    before = seen.seen()
    models.publish(published(120.0))
    events, exposure = seen.seen()
    assert sum(events) == pytest.approx(sum(before[0]), rel=0.02)  # older ones fade
    assert sum(exposure) == pytest.approx(sum(before[1]), rel=0.02)
    assert median(models, kind) == pytest.approx(2.0, rel=0.1)
    assert len(seen.seen()[0]) == BINS
