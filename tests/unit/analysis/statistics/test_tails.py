"""P-values where the variance is that of clusters and that of seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import chdtri, ndtr, stdtr
from scipy.stats import ttest_ind

from loragrid.analysis.statistics.results import Parts
from loragrid.analysis.statistics.tails import freedom_of_sum, p_value, quantile, quantiles, variance_of

RNG = np.random.default_rng(0)
LEVELS = (0.95, 1 - 0.05 / 12, 1 - 0.05 / 66, 1 - 1e-4)


def rate_of_false_alarms(freedom: int, of_seeds: float, interaction: float, level: float) -> float:
    """Of 1 - level. The variance of clusters is 1 and known, errors are normal; a sum over what seeds may happen to show."""
    edges = np.concatenate([[0], np.geomspace(1e-6, 1, 400)])
    seen = (of_seeds + interaction) * chdtri(freedom, 1 - (edges[1:] + edges[:-1]) / 2) / freedom
    parts = Parts(*(np.broadcast_to(part, seen.shape) for part in (1.0, 1e9, seen, interaction, float(freedom))))
    limits = quantiles(parts, level) * np.sqrt(variance_of(parts))
    return 2 * ndtr(-limits / np.sqrt(1 + of_seeds)) @ np.diff(edges) / (1 - level)


@pytest.mark.parametrize("freedom", [1, 2, 4, 8])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("interaction", [0.02, 0.3])
def test_false_alarms_are_as_rare_as_promised_at_every_level_whatever_seeds_add(freedom, level, interaction):
    rates = [rate_of_false_alarms(freedom, of_seeds, interaction, level) for of_seeds in (0, 0.1, 0.3, 1, 3, 10, 100)]
    assert max(rates) <= 1.03
    assert rates[-1] >= 0.9


@pytest.mark.parametrize("level", LEVELS)
def test_intervals_are_hardly_wider_than_they_need_to_be_where_seeds_are_many(level):
    rates = [rate_of_false_alarms(24, of_seeds, 0.05, level) for of_seeds in (0, 0.1, 1, 10)]
    assert min(rates) > 0.85


def test_where_clusters_do_not_matter_it_is_the_test_of_t_of_seeds():
    parts = Parts(1e-9, 50.0, 2.0, 0.0, 4.0)
    assert p_value(3.0, parts) == pytest.approx(2 * stdtr(4, -3), rel=1e-3)
    assert quantile(parts, 0.999) == pytest.approx(8.6103, abs=1e-3)


def test_with_one_seed_it_is_the_test_of_t_of_clusters():
    parts = Parts(0.3, 19.0, 0.0, 0.0, 0.0)
    assert p_value(2.0, parts) == 2 * stdtr(19, -2)
    assert quantile(parts, 0.95) == pytest.approx(2.0930, abs=1e-4)
    assert freedom_of_sum(parts) == 19


@pytest.mark.parametrize("difference", [0.5, 1.0, 1.5])
def test_without_interaction_it_is_about_the_test_of_welch(difference):
    """Two samples with variances of their own: the same sum of two variances that are known from little."""
    one, two = RNG.normal(difference, 1, 12), RNG.normal(0, 2, 9)
    parts = Parts(one.var(ddof=1) / 12, 11.0, two.var(ddof=1) / 9, 0.0, 8.0)
    welch = ttest_ind(one, two, equal_var=False)
    assert freedom_of_sum(parts) == pytest.approx(welch.df)
    assert p_value(welch.statistic, parts) == pytest.approx(welch.pvalue, rel=0.2)


PART = st.floats(1e-3, 5)


@settings(max_examples=100, deadline=None)
@given(PART, st.floats(9, 1e4), PART, PART, st.sampled_from([1.0, 1.7, 2.0, 4.0, 30.0]), st.sampled_from([*LEVELS, 0.3]))
def test_quantile_and_p_value_agree(of_questions, freedom, between, interaction, freedom_of_seeds, level):
    parts = Parts(of_questions + interaction, freedom, between, interaction, freedom_of_seeds)
    found = quantile(parts, level)
    assert p_value(found, parts) == pytest.approx(1 - level, rel=1e-6)
    assert quantiles(Parts(*(np.full(2, part) for part in parts)), level) == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("between", [0.0, 1.0, 3.0])
def test_answers_whose_seeds_cancel_out_have_a_p_value_too(between):
    parts = Parts(0.0, 9.0, between, 2.0, 2.0)
    assert 0 <= p_value(2.0, parts) <= 1
    assert p_value(quantile(parts, 0.95), parts) == pytest.approx(0.05)


def test_many_are_as_each_by_itself():
    parts = Parts(*RNG.uniform(0.1, 5, (5, 20)))
    each = [float(p_value(2.5, Parts(*map(float, one)))) for one in zip(*parts, strict=True)]
    assert p_value(np.full(20, 2.5), parts) == pytest.approx(each)
