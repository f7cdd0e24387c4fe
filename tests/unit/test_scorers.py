import math

import pytest

from loragrid.config import METRICS, ExactMatchScorer, RougeScorer, SbertScorer
from loragrid.records import Prediction
from loragrid.scorers import exact_match, make_scorer, normalise_answer, rouge, sbert, score


def prediction(name, text, reference):
    axes = {
        "task": "t",
        "sample_type": "s",
        "base_model": "m",
        "run": "base",
        "prompt": "?",
        "engine": "e",
        "engine_version": "1",
    }
    counts = {
        "runtime_s": 1.0,
        "queue_s": 0.0,
        "compute_s": 1.0,
        "prompt_tokens": 1,
        "new_tokens": 1,
        "finish_reason": "stop",
        "batch_size": 1,
    }
    return Prediction(id=name, prediction=text, reference=reference, **axes, **counts)


def test_rouge_counts_n_grams_and_the_longest_common_subsequence():
    # 5 of 6 words and 3 of 5 pairs in common; the longest common subsequence has 5 words.
    [metrics] = rouge(stemmer=False)(["the cat sat on the mat"], [["the cat lay on the mat"]])
    assert metrics == pytest.approx({"rouge1": 5 / 6, "rouge2": 3 / 5, "rougeL": 5 / 6})


def test_rouge_stems_words_only_if_asked_to():
    assert rouge(stemmer=True)(["running dogs"], [["run dog"]])[0]["rouge1"] == 1
    assert rouge(stemmer=False)(["running dogs"], [["run dog"]])[0]["rouge1"] == 0


def test_of_several_references_the_best_counts_for_each_metric():
    assert rouge(False)(["a b"], [["x y", "a b", "a z"]])[0]["rougeL"] == 1
    assert exact_match(True)(["Yes."], [["no", "yes"]]) == [{"exact_match": 1.0}]


@pytest.mark.parametrize(("normalise", "expected"), [(True, 1.0), (False, 0.0)])
def test_exact_match_is_normalised_only_if_asked_to(normalise, expected):
    assert exact_match(normalise)(["The  answer!"], [["an answer"]]) == [{"exact_match": expected}]


def test_normalised_answer_has_no_case_punctuation_articles_or_extra_space():
    assert normalise_answer("  The U.S.A., a theme —  an APPLE") == "usa theme — apple"


def test_empty_predictions_are_scored():
    assert rouge(True)([""], [["word"]])[0] == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    assert exact_match(True)([""], [["word"]]) == [{"exact_match": 0.0}]


def test_sbert_agrees_with_its_library_and_orders_by_meaning(encoder):
    from sentence_transformers import SentenceTransformer, util

    predictions = ["A cat sat on the mat.", "Stocks fell sharply on Monday.", "", "A cat sat on the mat."]
    references = [
        ["A kitten was sitting on the rug."],
        ["A kitten was sitting on the rug."],
        ["word"],
        ["x", "A cat sat on the mat."],
    ]
    values = [metrics["cosine"] for metrics in sbert(encoder)(predictions, references)]
    model = SentenceTransformer(str(encoder))
    one_by_one = [
        max(float(util.cos_sim(model.encode(p), model.encode(r))) for r in rs)
        for p, rs in zip(predictions, references, strict=True)
    ]
    assert values == pytest.approx(one_by_one, abs=1e-5)
    assert values[0] > values[1] + 0.3
    assert values[3] == pytest.approx(1, abs=1e-5)


def test_every_prediction_has_a_row_for_every_metric():
    rows = score("r", rouge(True), [prediction("1", "a b", "a b"), prediction("2", "", ["x", "y"])])
    assert [(row.id, row.metric, row.value) for row in rows] == [
        (i, m, v) for i, v in (("1", 1.0), ("2", 0.0)) for m in ("rouge1", "rouge2", "rougeL")
    ]
    assert {row.scorer for row in rows} == {"r"}


def test_value_that_is_no_number_becomes_a_row_with_a_status():
    def broken(predictions, references):
        return [{"metric": math.nan if p == "bad" else 1.0} for p in predictions]

    rows = score("x", broken, [prediction("1", "good", "r"), prediction("2", "bad", "r")])
    assert [(row.value, row.status) for row in rows] == [(1.0, "ok"), (None, "failed: the value is nan")]


@pytest.mark.parametrize(
    "settings", [RougeScorer(type="rouge"), ExactMatchScorer(type="exact_match"), SbertScorer(type="sbert", encoder="x")]
)
def test_scorers_give_the_metrics_that_the_config_knows(settings, encoder):
    [metrics] = make_scorer(settings, encoder)(["a"], [["b"]])
    assert tuple(metrics) == METRICS[settings.type]
    assert set(METRICS) == {"rouge", "exact_match", "sbert"}


@pytest.mark.parametrize(("answers", "reference", "expected"), [("each", ["a b", "x y"], 0.75), ("joined", "a b\nx z", 1.0)])
def test_several_answers_are_scored_one_by_one_or_joined(answers, reference, expected):
    one = prediction("1", "", "")
    lists = {"prompt": ["p", "q"], "prediction": ["a b", "x z"], "reference": reference, "answers": answers}
    lists |= {
        "runtime_s": [1.0, 2.0],
        "queue_s": [0.0, 0.0],
        "compute_s": [1.0, 2.0],
        "prompt_tokens": [1, 1],
        "new_tokens": [1, 1],
        "finish_reason": ["stop", "length"],
    }
    several = one.model_copy(update=lists | {"batch_size": [2, 2]})
    rows = score("r", rouge(False), [several, prediction("2", "a", "a")])
    assert [row.value for row in rows if row.metric == "rouge1"] == [expected, 1.0]
