import pytest

from answers import item, metrics
from loragrid.scorer_overlap import exact_match, normalise_answer, rouge


def test_rouge_counts_n_grams_and_the_longest_common_subsequence():
    # 5 of 6 words and 3 of 5 pairs in common; the longest common subsequence has 5 words.
    [found] = metrics(rouge(stemmer=False), item("the cat sat on the mat", "the cat lay on the mat"))
    assert found == pytest.approx({"rouge1": 5 / 6, "rouge2": 3 / 5, "rougeL": 5 / 6, "rougeLsum": 5 / 6})


def test_rouge_stems_words_only_if_asked_to():
    assert metrics(rouge(stemmer=True), item("running dogs", "run dog"))[0]["rouge1"] == 1
    assert metrics(rouge(stemmer=False), item("running dogs", "run dog"))[0]["rouge1"] == 0


def test_of_several_references_the_best_counts_for_each_metric():
    assert metrics(rouge(False), item("a b", "x y", "a b", "a z"))[0]["rougeL"] == 1
    assert metrics(exact_match(True), item("Yes.", "no", "yes")) == [{"exact_match": 1.0}]


@pytest.mark.parametrize(("normalise", "expected"), [(True, 1.0), (False, 0.0)])
def test_exact_match_is_normalised_only_if_asked_to(normalise, expected):
    assert metrics(exact_match(normalise), item("The  answer!", "an answer")) == [{"exact_match": expected}]


def test_normalised_answer_has_no_case_punctuation_articles_or_extra_space():
    assert normalise_answer("  The U.S.A., a theme —  an APPLE") == "usa theme — apple"


def test_empty_predictions_are_scored():
    assert set(metrics(rouge(True), item("", "word"))[0].values()) == {0.0}
    assert metrics(exact_match(True), item("", "word")) == [{"exact_match": 0.0}]
