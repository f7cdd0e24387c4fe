"""How far a judge and people agree, beyond chance."""

import math

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa as kappa_of_statsmodels

from loragrid.analysis.statistics.rater_agreement import agreement_of_two, cohens_kappa, contingency, distances_of
from simulations.scorers import coverage_of_agreement


def raters(seed, n, values=4):
    generator = np.random.default_rng(seed)
    own = generator.integers(0, values, n).astype(float)
    return own, np.where(generator.random(n) < 0.6, own, generator.integers(0, values, n))


@pytest.mark.parametrize(("level", "weights"), [("nominal", None), ("ordinal", "quadratic")])
def test_kappa_is_that_of_statsmodels(level, weights):
    own, other = raters(0, 80)
    table = contingency(own.astype(int), other.astype(int), 4)
    expected = kappa_of_statsmodels(table, wt=weights, return_results=False)
    assert cohens_kappa(table, distances_of(np.arange(4.0), level)) == pytest.approx(expected)
    assert agreement_of_two(own, other, np.arange(80), level).kappa.value == pytest.approx(expected)


def test_interval_of_kappa_is_near_that_of_the_formula_for_many_answers():
    # Fleiss, Cohen & Everitt 1969, as statsmodels has it.
    own, other = raters(1, 400)
    formula = kappa_of_statsmodels(contingency(own.astype(int), other.astype(int), 4))
    found = agreement_of_two(own, other, np.arange(400), "nominal").kappa
    assert found.standard_error == pytest.approx(formula.std_kappa, rel=0.2)
    assert (found.low, found.high) == pytest.approx((formula.kappa_low, formula.kappa_upp), abs=0.02)


def test_alpha_of_the_published_example_of_two_raters():
    # Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, part A: two observers, ten units, yes or no.
    own = np.array([0.0, 1, 0, 0, 0, 0, 0, 0, 1, 0])
    other = np.array([1.0, 1, 1, 0, 0, 1, 0, 0, 0, 0])
    assert agreement_of_two(own, other, np.arange(10), "nominal").alpha.value == pytest.approx(0.095, abs=5e-4)


def test_answers_of_one_question_are_not_so_many():
    own, other = (np.repeat(values, 10) for values in raters(2, 30))
    together, apart = (
        agreement_of_two(own, other, clusters, "ordinal") for clusters in (np.repeat(np.arange(30), 10), np.arange(300))
    )
    for name in ("kappa", "alpha"):
        assert getattr(together, name).value == getattr(apart, name).value
        assert getattr(together, name).standard_error > 2 * getattr(apart, name).standard_error


def test_where_both_always_say_the_same_nothing_is_told_about_the_error():
    always = agreement_of_two(np.ones(20), np.ones(20), np.arange(20), "nominal")
    assert always.percent == 100
    assert all(map(math.isnan, (always.kappa.value, always.alpha.value)))
    own, _ = raters(3, 20)
    equal = agreement_of_two(own, own, np.arange(20), "nominal")
    assert (equal.kappa.value, equal.alpha.value) == (1, 1)
    assert all(map(math.isnan, (equal.kappa.low, equal.alpha.low)))


def test_a_few_odd_answers_are_too_little_data():
    own = np.r_[np.ones(94), np.zeros(6)]
    few = agreement_of_two(own, np.roll(own, 1), np.arange(100), "nominal").kappa
    assert few.value > 0.7
    assert math.isnan(few.low)
    own = np.r_[np.ones(88), np.zeros(12)]
    assert math.isfinite(agreement_of_two(own, np.roll(own, 1), np.arange(100), "nominal").kappa.low)


@pytest.mark.parametrize(("kind", "per_cluster", "questions"), [("right or wrong", 1, 50)])
def test_intervals_hold_the_truth_in_95_of_100_studies(kind, per_cluster, questions):
    found = coverage_of_agreement(questions, per_cluster, kind, repetitions=120)
    assert all(0.9 <= share <= 0.995 for share in found.values()), found
