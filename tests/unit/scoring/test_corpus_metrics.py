import math

import pytest

from loragrid.scoring.registry import SCORERS, corpus_metrics


@pytest.mark.parametrize(
    ("scorer", "names"), [(type_, scorer.corpus_metrics) for type_, scorer in SCORERS.items() if scorer.corpus_metrics]
)
def test_without_examples_every_metric_over_all_is_no_number(scorer, names):
    found = corpus_metrics(scorer, {})
    assert tuple(found) == names
    assert all(map(math.isnan, found.values()))


def test_most_scorers_have_no_metric_over_all_examples():
    assert corpus_metrics("rouge", {}) == corpus_metrics("custom", {"a": 1}) == {}


def test_labels_that_neither_prediction_nor_reference_has_do_not_count():
    # As when an example is taken away from the sums.
    assert corpus_metrics("label", {"tp/a": 3, "fp/a": 1, "fn/a": 1, "tp/b": 0, "fn/b": 0}) == {"macro_f1": 0.75}


def test_labels_may_have_slashes():
    assert corpus_metrics("label", {"tp/n/a": 1, "fp/n/a": 1, "fn/b": 1}) == {"macro_f1": pytest.approx((2 / 3 + 0) / 2)}


def test_spans_over_all_are_counted_together():
    assert corpus_metrics("spans", {"tp": 3, "fp": 1, "fn": 3}) == {
        "micro_precision": 0.75,
        "micro_recall": 0.5,
        "micro_f1": pytest.approx(0.6),
    }
    assert set(corpus_metrics("spans", {"tp": 0, "fp": 0, "fn": 0}).values()) == {1.0}
    assert set(corpus_metrics("spans", {"tp": 0, "fp": 0, "fn": 2}).values()) == {0.0}
