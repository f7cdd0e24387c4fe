"""Means of people's ratings, with the help of a judge that scored all answers (prediction-powered inference)."""

import math

import numpy as np
import pytest
from scipy import stats

from loragrid.analysis.statistics.ppi import corrected_mean
from simulations.scorers import coverage_of_corrected


def published():
    """Ratings and judgements of 120 answers by two models each, of which the first 40 are rated."""
    generator = np.random.default_rng(20231101)
    truth = generator.normal(size=120)
    ratings = (truth + 0.5 * generator.normal(size=120)).round(2)
    judgements = (0.8 * truth + 0.3 + 0.6 * generator.normal(size=120)).round(2)
    others = (truth * 0.7 - 0.2 + 0.5 * generator.normal(size=120)).round(2)
    of_others = (0.6 * truth - 0.1 + 0.6 * generator.normal(size=120)).round(2)
    is_rated = np.arange(120) < 40
    return [(np.where(is_rated, y, np.nan), f) for y, f in ((ratings, judgements), (ratings - others, judgements - of_others))]


# By ppi-python 0.2.3 on the same data: ppi_mean_pointestimate(Y, Yhat, Yhat_unlabeled, lam) and ppi_mean_ci(…, alpha=0.05, lam),
# with lam 1, 0 and None (power-tuned); and power-tuned on the differences.
@pytest.mark.parametrize(
    ("data", "weight", "value", "low", "high"),
    [
        (0, 1.0, -0.03025, -0.30326865, 0.24276865),
        (0, 0.0, 0.362, 0.0553422, 0.6686578),
        (0, None, 0.15047243, -0.08533768, 0.38628254),
        (1, None, 0.62325661, 0.41875404, 0.82775917),
    ],
)
def test_means_are_those_of_ppi_python_and_intervals_a_little_wider(data, weight, value, low, high):
    ratings, judgements = published()[data]
    found = corrected_mean(ratings, judgements, np.arange(120), weight=weight)
    assert found.mean.value == pytest.approx(value, abs=1e-7)
    # Theirs is normal, and takes the weight for known. Ours has 39 degrees of freedom, and the error of the weight.
    normal = (high - low) / 2 / stats.norm.ppf(0.975)
    assert 1.0 < found.mean.standard_error / normal < 1.08
    assert found.mean.high - found.mean.low > high - low


def test_judge_brings_as_much_as_it_agrees_with_people():
    generator = np.random.default_rng(0)
    truth = generator.standard_normal(2000)
    ratings = np.where(np.arange(2000) < 100, truth, np.nan)
    perfect = corrected_mean(ratings, truth, np.arange(2000))
    assert perfect.mean.value == pytest.approx(truth.mean(), abs=0.02)
    assert perfect.worth > 1000
    useless = corrected_mean(ratings, generator.standard_normal(2000), np.arange(2000))
    assert useless.worth == pytest.approx(100, rel=0.1)
    assert abs(useless.weight) < 0.2


def test_judge_may_have_another_scale_or_say_the_opposite():
    [(ratings, judgements), _] = published()
    plain = corrected_mean(ratings, judgements, np.arange(120))
    for other in (100 * judgements - 7, 3 - judgements / 50):
        found = corrected_mean(ratings, other, np.arange(120))
        assert found.mean[:4] == pytest.approx(plain.mean[:4])
    assert found.weight == pytest.approx(-50 * plain.weight)


def test_judge_that_says_the_same_of_all_brings_nothing():
    [(ratings, _), _] = published()
    found = corrected_mean(ratings, np.full(120, 3.0), np.arange(120))
    assert found.weight == 0
    assert found.mean.value == pytest.approx(np.nanmean(ratings))


def test_answers_of_one_document_are_not_so_many():
    generator = np.random.default_rng(1)
    documents = np.arange(200) // 10
    common = generator.standard_normal(20)[documents]
    ratings = np.where(documents < 10, common + 0.1 * generator.standard_normal(200), np.nan)
    judgements = common + generator.standard_normal(200)
    together, apart = (corrected_mean(ratings, judgements, clusters) for clusters in (documents, np.arange(200)))
    assert together.mean.value == pytest.approx(apart.mean.value)
    assert together.mean.standard_error > 2 * apart.mean.standard_error
    assert (together.mean.clusters, together.people.clusters) == (10, 10)


def test_what_is_not_judged_does_not_count():
    [(ratings, judgements), _] = published()
    gaps = np.arange(120) % 7 == 0
    found = corrected_mean(ratings, np.where(gaps, np.nan, judgements), np.arange(120))
    expected = corrected_mean(ratings[~gaps], judgements[~gaps], np.arange(120)[~gaps])
    assert found == expected
    assert (found.rated, found.judged) == (34, 102)


@pytest.mark.parametrize(
    "ratings", [np.full(30, np.nan), np.r_[1.0, 2, 1, 2, np.full(26, np.nan)], np.r_[np.ones(10), np.full(20, np.nan)]]
)
def test_without_ratings_with_few_and_with_all_the_same_nothing_is_said(ratings):
    found = corrected_mean(ratings, np.random.default_rng(0).standard_normal(30), np.arange(30))
    assert all(map(math.isnan, (found.mean.low, found.mean.high, found.people.low, found.people.high)))


@pytest.mark.parametrize(
    ("kind", "rated", "judged", "per_cluster", "paired"),
    [
        ("scale of 1 to 5", 16, 100, 1, False),
        ("right or wrong", 50, 200, 1, True),
        ("scale of 1 to 5", 100, 300, 5, True),
        ("useless judge", 30, 100, 1, False),
    ],
)
def test_intervals_hold_what_people_would_say_in_95_of_100_studies(kind, rated, judged, per_cluster, paired):
    found = coverage_of_corrected(kind, rated, judged, per_cluster, paired=paired, repetitions=300)
    assert 0.92 <= found["corrected"] <= 0.99, found
