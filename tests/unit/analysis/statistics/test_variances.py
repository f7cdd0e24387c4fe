"""Standard errors, against published formulas and other implementations."""

import numpy as np
import pytest
import statsmodels.api as sm
from evalsig.inference.paired import paired_t_test

from loragrid.analysis.statistics.clusters import contributions, freedom_of, groups_of, totals
from loragrid.analysis.statistics.intervals import difference_of, measure_difference, measure_mean
from loragrid.analysis.statistics.results import Results
from loragrid.analysis.statistics.tails import freedom_of_sum, variance_of

RNG = np.random.default_rng(0)


def clustered(values: np.ndarray, clusters: np.ndarray) -> float:
    return float((contributions(values, groups_of(clusters)) ** 2).sum())


def test_questions_by_themselves_have_the_standard_error_of_a_mean():
    """Miller 2024, equation 1: the root of the sample variance over n. Of 1, 1, 0, 1, 0 it is 0.5477 / 5 ** 0.5."""
    assert clustered(np.array([1.0, 1, 0, 1, 0]), np.arange(5)) ** 0.5 == pytest.approx(0.5477 / 5**0.5, abs=1e-4)


def test_clusters_have_the_standard_error_of_miller_but_for_its_correction():
    """Miller 2024, equation 4, adds up the products of deviations within clusters. Corrected for few clusters, it is G / (G - 1) times that."""
    scores, clusters = np.array([1.0, 1, 0, 0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2, 3, 3])
    deviations = scores - scores.mean()
    of_miller = sum(deviations[i] * deviations[j] for i in range(8) for j in range(8) if clusters[i] == clusters[j]) / 64
    assert of_miller == pytest.approx(((0.75) ** 2 + (-1.25) ** 2 + (-0.25) ** 2 + (0.75) ** 2) / 64)
    assert clustered(scores, clusters) == pytest.approx(of_miller * 4 / 3)


def test_clusters_of_one_size_have_the_standard_error_of_statsmodels():
    values, clusters = RNG.normal(size=60), np.repeat(np.arange(12), 5)
    fitted = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert clustered(values, clusters) == pytest.approx(fitted.cov_params()[0, 0])


def test_paired_differences_have_the_standard_error_and_p_value_of_evalsig():
    own, other = RNG.normal(size=(2, 40))
    theirs = paired_t_test(other, own)
    ours = difference_of(Results(own[None], np.arange(40)), Results(other[None], np.arange(40)))
    assert ours.p_value == pytest.approx(theirs.p_value)
    assert (ours.low, ours.high) == pytest.approx(theirs.ci)


def test_degrees_of_freedom_are_clusters_less_one_and_fewer_if_sizes_differ():
    assert freedom_of(np.full(20, 10)) == 19
    assert 1 <= freedom_of(np.array([100, 1, 1, 1, 1])) < 1.5
    sizes = np.array([1, 4, 2, 7, 3, 3])
    shares = sizes / sizes.sum()
    maker = np.eye(6) - shares[:, None]
    scaled = maker @ np.diag(shares**2) @ maker.T / np.sqrt(np.outer(1 - shares, 1 - shares))
    assert freedom_of(sizes) == pytest.approx(np.trace(scaled) ** 2 / np.trace(scaled @ scaled))


def test_totals_are_sums_in_the_order_of_labels():
    groups = groups_of(np.array([7, 3, 7, 5]))
    assert groups.labels.tolist() == [3, 5, 7]
    assert totals(np.array([[1.0, 2, 3, 4], [0, 1, 0, 1]]), groups).tolist() == [[2, 4, 4], [1, 1, 0]]


def test_seeds_and_questions_have_the_variance_of_the_two_way_layout():
    """(MS_seeds + MS_questions - MS_both) / (seeds questions), the mean squares of an analysis of variance; few wide effects of seeds."""
    values = RNG.normal(size=(4, 25)) + RNG.normal(size=(1, 25)) + 2 * np.arange(4)[:, None]
    grand, of_seeds, of_questions = values.mean(), values.mean(axis=1), values.mean(axis=0)
    seeds = 25 * ((of_seeds - grand) ** 2).sum() / 3
    questions = 4 * ((of_questions - grand) ** 2).sum() / 24
    both = ((values - of_seeds[:, None] - of_questions + grand) ** 2).sum() / 72
    spread, _ = measure_mean(values, groups_of(np.arange(25)), None)
    # What is seen is trusted but for the careful design effect, which is small here.
    assert variance_of(spread.parts) == pytest.approx((seeds + questions - both) / 100, rel=0.01)
    assert spread.of_seeds == pytest.approx((seeds - both) / 25)
    assert spread.of_both == pytest.approx(both)
    assert spread.of_questions == pytest.approx((questions - both) / 4, rel=0.05)


def test_many_sets_of_results_are_measured_as_each_by_itself():
    own, other = RNG.random((2, 5, 3, 12))
    groups = groups_of(np.arange(12) // 3)
    together, _ = measure_difference(own, other, groups, (0.0, 1.0))
    for place in range(5):
        alone, _ = measure_difference(own[place], other[place], groups, (0.0, 1.0))
        assert variance_of(together.parts)[place] == pytest.approx(variance_of(alone.parts))
        assert freedom_of_sum(together.parts)[place] == pytest.approx(freedom_of_sum(alone.parts))


def test_few_answers_that_stand_out_do_not_prove_that_clusters_do_not_matter():
    scores = np.zeros(200)
    scores[[5, 105]] = 1
    clusters = np.arange(200) // 10
    spread, _ = measure_mean(scores[None], groups_of(clusters), (0.0, 1.0))
    assert variance_of(spread.parts) > 1.1 * clustered(scores, clusters)
    many = np.tile([0.0, 1.0], 100)
    spread, _ = measure_mean(many[None], groups_of(clusters), (0.0, 1.0))
    assert variance_of(spread.parts) < 1.1 * many.var() / 199
