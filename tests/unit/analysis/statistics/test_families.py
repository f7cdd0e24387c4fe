from itertools import combinations

import numpy as np
import pytest
from evalsig.inference.multiplicity import holm as holm_of_evalsig
from scipy.integrate import quad
from scipy.special import ndtr, ndtri
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from loragrid.analysis.statistics.families import benjamini_hochberg, holm, simultaneous_level, simultaneous_p_values
from loragrid.analysis.statistics.intervals import at_level, difference_of
from loragrid.analysis.statistics.results import Results

RNG = np.random.default_rng(0)
P_VALUES = np.array([0.01, 0.04, 0.03, 0.5, 0.005])


def independent(number: int, questions: int = 60) -> list:
    """Estimates that share no questions."""
    made = []
    for place in range(number):
        own, other = RNG.random((2, 1, questions))
        clusters = np.arange(questions) + place * questions
        made.append(difference_of(Results(own, clusters, (0.0, 1.0)), Results(other, clusters, (0.0, 1.0))))
    return made


def test_holm_and_benjamini_hochberg_are_those_of_statsmodels_and_evalsig():
    assert holm(P_VALUES) == pytest.approx(multipletests(P_VALUES, method="holm")[1])
    assert holm(P_VALUES) == pytest.approx(holm_of_evalsig(P_VALUES).p_adjusted)
    assert benjamini_hochberg(P_VALUES) == pytest.approx(multipletests(P_VALUES, method="fdr_bh")[1])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_comparisons_without_a_p_value_do_not_count(adjust):
    with_gap = adjust(np.insert(P_VALUES, 2, np.nan))
    assert np.isnan(with_gap[2])
    assert np.delete(with_gap, 2) == pytest.approx(adjust(P_VALUES))
    assert np.isnan(adjust([np.nan])).all()
    assert len(adjust([])) == 0


def test_independent_estimates_need_the_level_of_sidak():
    assert 1 - simultaneous_level(independent(10)) == pytest.approx(1 - 0.95 ** (1 / 10), rel=0.1)


def test_the_same_comparison_twice_counts_once():
    [estimate] = independent(1)
    assert simultaneous_level([estimate]) == 0.95
    assert simultaneous_level([estimate] * 20) == pytest.approx(0.95, abs=0.004)


def test_many_comparisons_on_few_questions_need_what_their_correlations_say():
    """All pairs of 9 ways on 20 questions: 36 estimates, more than clusters. The normal errors are drawn here from their covariance."""
    ways = [Results(RNG.random((1, 20)), np.arange(20), (0.0, 1.0)) for _ in range(9)]
    estimates = [difference_of(own, other) for own, other in combinations(ways, 2)]
    errors = np.stack([one.influence.contributions / np.linalg.norm(one.influence.contributions) for one in estimates])
    drawn = np.random.default_rng(1).multivariate_normal(np.zeros(36), errors @ errors.T, size=40_000, method="eigh")
    expected = 2 * ndtr(-np.quantile(np.abs(drawn).max(axis=1), 0.95))
    assert 1 - simultaneous_level(estimates) == pytest.approx(expected, rel=0.1)


def test_all_against_one_need_the_level_of_dunnett():
    """Dunnett 1955: with equal variances the correlations are 1/2, and the probability is an integral over what all share."""

    def all_within(limit: float) -> float:
        def of_shared(z: float) -> float:
            return (ndtr(2**0.5 * limit + z) - ndtr(z - 2**0.5 * limit)) ** 10 * norm.pdf(z)

        return quad(of_shared, -8, 8)[0]

    shared = RNG.normal(size=4000)
    base = Results(shared[None], np.arange(4000))
    ways = [Results(RNG.normal(size=(1, 4000)), np.arange(4000)) for _ in range(10)]
    level = simultaneous_level([difference_of(way, base) for way in ways])
    assert all_within(-ndtri((1 - level) / 2)) == pytest.approx(0.95, abs=0.005)


def test_adjusted_p_values_agree_with_simultaneous_intervals():
    estimates = independent(12)
    level, adjusted = simultaneous_level(estimates), simultaneous_p_values(estimates)
    for estimate, p_value in zip(estimates, adjusted, strict=True):
        interval = at_level(estimate, level)
        assert (interval.low > 0 or interval.high < 0) == (p_value <= 0.05)
        assert p_value >= estimate.p_value
    assert (adjusted <= holm([estimate.p_value for estimate in estimates]) + 0.01).all()


def test_the_same_estimates_have_the_same_level():
    estimates = independent(5)
    assert simultaneous_level(estimates) == simultaneous_level(estimates)


def test_estimates_without_an_error_do_not_count():
    nothing = difference_of(Results(np.ones((1, 1)), np.arange(1)), Results(np.zeros((1, 1)), np.arange(1)))
    estimates = independent(3)
    assert simultaneous_level([*estimates, nothing]) == simultaneous_level(estimates)
    assert np.isnan(simultaneous_p_values([*estimates, nothing])[-1])
    assert simultaneous_level([nothing, nothing]) == 0.95
