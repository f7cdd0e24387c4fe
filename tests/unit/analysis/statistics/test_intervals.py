import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.analysis.statistics.intervals import at_level, difference_of, mean_of, p_value_at
from loragrid.analysis.statistics.results import Results, Sums

SHARE = (0.0, 1.0)


def right(better: int, worse: int, questions: int) -> tuple[Results, Results]:
    """Two ways, of which one alone is right in so many questions, and the other alone in so many."""
    own, other = np.zeros((1, questions)), np.zeros((1, questions))
    own[0, :better], other[0, better : better + worse] = 1, 1
    return Results(own, np.arange(questions), SHARE), Results(other, np.arange(questions), SHARE)


def results(values, clusters=None, bounds=SHARE) -> Results:
    values = np.atleast_2d(np.asarray(values, dtype=float))
    return Results(values, np.arange(values.shape[1]) if clusters is None else np.asarray(clusters), bounds)


@pytest.mark.parametrize(
    ("better", "worse", "questions", "exact"), [(4, 0, 16, 0.125), (2, 0, 2, 0.5), (5, 0, 16, 0.0625), (1, 0, 1000, 1)]
)
def test_too_few_answers_that_differ_are_no_difference(better, worse, questions, exact):
    estimate = difference_of(*right(better, worse, questions))
    assert estimate.p_value == pytest.approx(exact)
    assert estimate.low <= 0 <= estimate.high


def test_the_same_holds_for_several_seeds_and_for_scores_that_are_not_right_or_wrong():
    own, other = right(4, 0, 16)
    thrice = own._replace(values=own.values.repeat(3, axis=0))
    assert difference_of(thrice, other).p_value >= 0.125
    scores = np.zeros((1, 16))
    scores[0, :4] = [0.5, 0.6, 0.7, 0.8]
    assert difference_of(results(scores, bounds=None), results(np.zeros((1, 16)), bounds=None)).p_value >= 0.125


def test_answers_that_are_all_alike_leave_doubt():
    same = results(np.ones((1, 16)))
    assert mean_of(same).low < 0.85
    assert mean_of(same).high == 1
    none = difference_of(same, same)
    assert none.p_value == 1
    assert none.low < -0.1 < 0.1 < none.high


def test_without_bounds_and_without_spread_nothing_is_known_about_the_error():
    own, other = results(np.ones((1, 9)), bounds=None), results(np.zeros((1, 9)), bounds=None)
    assert (difference_of(own, other).low, difference_of(own, other).high) == (-math.inf, math.inf)
    assert difference_of(own, other).p_value == 1


def test_one_cluster_has_no_interval():
    estimate = difference_of(results([[1, 0, 1]], [5, 5, 5]), results([[0, 0, 1]], [5, 5, 5]))
    assert estimate.value == pytest.approx(1 / 3)
    assert all(map(math.isnan, (estimate.low, estimate.high, estimate.standard_error, estimate.p_value)))


KINDS = st.sampled_from(["right or wrong", "scores", "unbounded"])


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([3, 8, 30]),
    st.sampled_from([1, 3]),
    st.booleans(),
    KINDS,
    st.sampled_from([0.8, 0.95, 0.998]),
)
def test_p_value_and_interval_agree(seed, questions, seeds, clustered, kind, level):
    rng = np.random.default_rng(seed)
    clusters = np.arange(questions) // (2 if clustered else 1)
    values = rng.random((2, seeds, questions)) + rng.normal(0, 0.2, (2, seeds, 1))
    values = (values > 0.5).astype(float) if kind == "right or wrong" else values.clip(0, 1)
    own, other = (Results(scores, clusters, None if kind == "unbounded" else SHARE) for scores in values)
    estimate = difference_of(own, other, level)
    assert (estimate.p_value < 1 - level) == (estimate.low > 0 or estimate.high < 0)
    for limit in (estimate.low, estimate.high):
        if limit not in (-1, 0, 1) and math.isfinite(limit):
            assert p_value_at(estimate, limit) == pytest.approx(1 - level, rel=1e-3)
    mean = mean_of(own, level)
    assert mean.low <= mean.value <= mean.high
    for limit in (mean.low, mean.high):
        if 1e-9 < limit < 1 - 1e-9:
            assert p_value_at(mean, limit) == pytest.approx(1 - level, rel=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 3]), st.booleans())
def test_the_other_way_round_is_the_same_with_another_sign_and_units_do_not_matter(seed, seeds, matched):
    values = np.random.default_rng(seed).random((2, seeds, 12))
    one, two = (results(scores, np.arange(12) // 3) for scores in values)
    forth, back = difference_of(one, two, matched_seeds=matched), difference_of(two, one, matched_seeds=matched)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.p_value == pytest.approx(back.p_value)
    percent = [Results(100 * way.values, way.clusters, (0.0, 100.0)) for way in (one, two)]
    scaled = difference_of(*percent, matched_seeds=matched)
    assert (scaled.low / 100, scaled.high / 100, scaled.p_value) == pytest.approx((forth.low, forth.high, forth.p_value))


def test_order_of_questions_does_not_matter():
    rng = np.random.default_rng(0)
    values, clusters, order = rng.random((3, 20)), rng.integers(0, 6, 20), rng.permutation(20)
    shuffled = mean_of(Results(values[:, order], clusters[order], SHARE))
    assert shuffled[:5] == pytest.approx(mean_of(Results(values, clusters, SHARE))[:5])


def test_another_level_needs_no_data():
    own, other = right(9, 2, 40)
    at_99 = at_level(difference_of(own, other), 0.99)
    assert at_99[:6] == difference_of(own, other, 0.99)[:6]
    assert at_99.low < difference_of(own, other).low


def test_seeds_that_differ_widen_the_interval_and_are_reported():
    rng = np.random.default_rng(1)
    questions = rng.random(100)
    alike = 0.5 * questions + 0.2 + rng.normal(0, 0.02, (3, 100))
    apart = alike + np.array([[-0.1], [0.0], [0.1]])
    narrow, wide = (mean_of(results(values)) for values in (alike, apart))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert wide.of_seeds == pytest.approx(0.01, rel=0.2)
    assert wide.seeds == 3
    one = mean_of(results(apart[:1]))
    assert (one.seeds, one.freedom_of_seeds) == (1, 0)
    assert math.isnan(one.of_seeds)


def test_seeds_that_belong_together_share_their_effects():
    rng = np.random.default_rng(2)
    effects = np.array([[-0.2], [0.0], [0.2]])
    own = results((0.5 + effects + rng.normal(0, 0.05, (3, 50))).clip(0, 1))
    other = results((0.45 + effects + rng.normal(0, 0.05, (3, 50))).clip(0, 1))
    assert difference_of(own, other, matched_seeds=True).p_value < 0.05 < difference_of(own, other).p_value


def test_twenty_documents_of_ten_questions_count_as_little_more_than_twenty():
    rng = np.random.default_rng(3)
    of_documents = np.repeat(rng.random(20) < 0.5, 10)
    values = np.where(rng.random(200) < 0.7, of_documents, rng.random(200) < 0.5).astype(float)
    clustered, alone = mean_of(results(values, np.arange(200) // 10)), mean_of(results(values))
    assert clustered.high - clustered.low > 1.8 * (alone.high - alone.low)
    assert (clustered.questions, clustered.clusters) == (200, 20)


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


def test_a_mean_as_a_metric_over_all_examples_is_the_same_mean():
    values = np.random.default_rng(4).random((2, 30))
    counts = np.stack([values, np.ones_like(values)], axis=-1)
    as_sums = mean_of(Sums(counts, np.arange(30), mean_of_sums, SHARE))
    plain = mean_of(results(values))
    assert as_sums[:5] == pytest.approx(plain[:5])
    assert as_sums.questions == 30
