"""Intervals and tests of proportions, against textbooks and other implementations."""

import numpy as np
import pytest
from evalsig.inference.mcnemar import mcnemar_test
from evalstats.core.resampling import tango_scc_paired_ci, wilson_ci
from scipy.special import ndtri
from scipy.stats import binom, permutation_test
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.proportion import proportion_confint

from loragrid.analysis.statistics.proportions import flipped_signs, interval_of_mean, mcnemar, tango, wilson

Z = -ndtri(0.025)


@pytest.mark.parametrize(("successes", "number"), [(0, 16), (1, 16), (8, 16), (15, 16), (3, 200), (81, 263)])
def test_wilson_is_that_of_statsmodels_and_evalstats(successes, number):
    found = wilson(successes / number, number, Z)
    assert found == pytest.approx(proportion_confint(successes, number, method="wilson"), abs=1e-9)
    assert found == pytest.approx(wilson_ci(successes, number, 0.05), abs=1e-9)


def test_wilson_on_the_example_of_newcombe():
    """81 of 263: 0.2553 to 0.3662 (Newcombe 1998, Two-sided confidence intervals for the single proportion, table I)."""
    assert wilson(81 / 263, 263, Z) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_intervals_of_other_bounded_values_lean_to_the_far_side():
    low, high = interval_of_mean(0.1, 50, 1.5, Z)
    assert low > wilson(0.1, 50, Z)[0]
    assert high > wilson(0.1, 50, Z)[1]


def test_tango_on_airway_reactivity_before_and_after_transplantation():
    """1 and 7 of 21 children changed: -0.517 to -0.026 (Fagerland, Lydersen & Laake 2014, table VI, data of Bentur et al. 2009)."""
    assert tango(1 / 21, 7 / 21, 21, Z) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("gains", "losses", "number"), [(4, 0, 16), (1, 7, 21), (30, 10, 200), (5, 5, 50)])
def test_tango_is_that_of_evalstats_without_its_correction(gains, losses, number):
    first, second = np.zeros(number), np.zeros(number)
    first[:gains], second[gains : gains + losses] = 1, 1
    assert tango(gains / number, losses / number, number, Z) == pytest.approx(
        tango_scc_paired_ci(first, second, 0.05, c=0), abs=1e-6
    )


@pytest.mark.parametrize(("better", "worse"), [(4, 0), (2, 0), (1, 7), (12, 25), (6, 6)])
def test_mcnemar_is_that_of_statsmodels(better, worse):
    assert mcnemar(better, worse) == pytest.approx(mcnemar_of_statsmodels([[0, better], [worse, 0]], exact=True).pvalue)


def test_mcnemar_on_airway_reactivity():
    """Exact p = 0.070 (Fagerland, Lydersen & Laake 2013, table 4)."""
    assert mcnemar(1, 7) == pytest.approx(0.070, abs=5e-4)


def test_mcnemar_is_that_of_evalsig_where_it_is_exact():
    """Beyond 25 answers that differ, evalsig takes the chi-squared approximation, and is exact no longer."""
    first, second = np.zeros(40), np.zeros(40)
    first[:9], second[9:12] = 1, 1
    assert mcnemar(9, 3) == pytest.approx(mcnemar_test(first, second).p_value)
    first[:30], second[30:40] = 1, 1
    assert mcnemar(30, 10) != pytest.approx(mcnemar_test(first, second).p_value)


def test_flipped_signs_are_mcnemar_for_answers_that_are_right_or_wrong():
    assert flipped_signs(np.array([1.0] * 30 + [-1.0] * 10 + [0.0] * 60)) == pytest.approx(mcnemar(30, 10))
    assert flipped_signs(np.zeros(5)) == 1


def test_flipped_signs_are_the_permutation_test_of_scipy():
    values = np.array([0.3, -0.1, 0.7, 0.2, 0.0, -0.4, 0.9])
    exact = permutation_test((values, np.zeros(7)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
    assert flipped_signs(values) == pytest.approx(exact.pvalue)


@pytest.mark.parametrize("number", [10, 25, 60])
def test_no_difference_is_found_in_more_than_5_percent_by_the_exact_test(number):
    rejected = [better for better in range(number + 1) if mcnemar(better, number - better) <= 0.05]
    assert binom.pmf(rejected, number, 0.5).sum() <= 0.05
