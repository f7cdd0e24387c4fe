import math

import pytest

from loragrid.records import Example
from loragrid.runtime.locks import held_if_free
from loragrid.scoring.protocol import Failed, Item, Scored, each, items_of, score_rows
from loragrid.scoring.scorers.rouge import rouge
from loragrid.scoring.store import CHUNK, scored_once
from unit.scoring.answers import item, prediction, prediction_to_prompts


def rows_of(scorer, metrics, *predictions):
    items = items_of(predictions)
    return list(score_rows("name", metrics, items, scorer([one for of_prediction in items for one in of_prediction])))


def test_every_prediction_has_a_row_for_every_metric():
    rows = rows_of(rouge(True), ("rouge1", "rougeL"), prediction("1", "a b", "a b"), prediction("2", "", ["x", "y"]))
    assert [(row.id, row.metric, row.value) for row in rows] == [
        (i, m, v) for i, v in (("1", 1.0), ("2", 0.0)) for m in ("rouge1", "rougeL")
    ]
    assert {row.scorer for row in rows} == {"name"}


def test_value_that_is_missing_or_no_number_becomes_a_row_with_a_status():
    def scorer(items):
        return [Scored({"good": 1.0, "bad": math.nan})]

    rows = rows_of(scorer, ("good", "bad", "missing"), prediction("1", "p", "r"))
    assert [(row.value, row.status) for row in rows] == [
        (1.0, "ok"),
        (None, "failed: the value is nan"),
        (None, "failed: the value is nan"),
    ]


def test_failure_has_a_row_for_every_metric_with_its_reason():
    rows = rows_of(lambda items: [Failed("no words", "what it said")], ("a", "b"), prediction("1", "p", "r"))
    assert [(row.metric, row.value, row.status) for row in rows] == [
        ("a", None, "failed: no words"),
        ("b", None, "failed: no words"),
    ]
    assert [row.detail for row in rows] == ["what it said", None]


def rows_of_parts(outcomes, metrics=("a",), worst={}):  # noqa: B006
    """The rows of one example that has a part for each outcome."""
    texts = ["x"] * len(outcomes)
    items = items_of([prediction_to_prompts("1", texts, texts, "each")])
    return [(row.metric, row.value, row.status) for row in score_rows("name", metrics, items, outcomes, worst)]


def test_part_that_failed_counts_as_the_worst_part_and_not_as_the_whole_example():
    outcomes = [Scored({"a": 1.0})] * 9 + [Failed("no words")]
    assert rows_of_parts(outcomes) == [("a", 0.9, "1 of 10 parts failed and count as 0: no words")]
    [(_, value, status)] = rows_of_parts(outcomes, worst={"a": -1.0})
    assert (value, status) == (0.8, "1 of 10 parts failed and count as -1: no words")


def test_part_that_failed_is_left_out_if_a_metric_has_no_worst_value():
    outcomes = [Scored({"a": 3.0}), Failed("no words"), Scored({"a": 5.0})]
    assert rows_of_parts(outcomes, worst={"a": None}) == [("a", 4.0, "1 of 3 parts failed and are left out: no words")]


def test_value_that_one_part_lacks_fails_for_this_part_and_metric_alone():
    outcomes = [Scored({"a": 1.0, "b": 1.0}), Scored({"b": 1.0}, undefined={"a": "no words"}), Scored({"a": math.inf, "b": 0.5})]
    assert rows_of_parts(outcomes, ("a", "b"), {"a": None}) == [
        ("a", 1.0, "2 of 3 parts failed and are left out: no words"),
        ("b", 2.5 / 3, "ok"),
    ]


def test_example_whose_parts_all_fail_has_failed():
    assert rows_of_parts([Failed("no words"), Failed("no pity")]) == [("a", None, "failed: no words")]


def test_criterion_that_nobody_rates_in_one_part_is_the_mean_of_the_others():
    outcomes = [Scored({"a": 1.0}, left_out={"mean"}), Scored({"a": 0.0, "mean": 0.0}), Scored({}, left_out={"a", "mean"})]
    assert rows_of_parts(outcomes, ("a", "mean")) == [("a", 0.5, "ok"), ("mean", 0.0, "ok")]


def test_answer_that_a_scorer_has_nothing_to_do_with_has_no_row():
    rows = rows_of(lambda items: [None, Scored({"a": 1.0})], ("a",), prediction("1", "p", "r"), prediction("2", "p", "r"))
    assert [row.id for row in rows] == ["2"]


@pytest.mark.parametrize(("answers", "reference", "expected"), [("each", ["a b", "x y"], 0.75), ("joined", "a b\nx z", 1.0)])
def test_several_answers_are_scored_one_by_one_or_joined(answers, reference, expected):
    several = prediction_to_prompts("1", ["a b", "x z"], reference, answers)
    rows = rows_of(rouge(False), ("rouge1",), several, prediction("2", "a", "a"))
    assert [row.value for row in rows] == [expected, 1.0]


def test_counts_of_several_answers_are_added_up():
    def scorer(items):
        return [Scored({"a": 1.0}, detail=one.prediction, parts={"n": 2}, usage={"calls": 1}) for one in items]

    [row] = rows_of(scorer, ("a",), prediction_to_prompts("1", ["x", "y"], ["r", "s"], "each"))
    assert (row.detail, row.parts, row.usage) == ("x\ny", {"n": 4}, {"calls": 2})


def test_scorers_that_read_the_examples_get_the_question_of_each_prompt():
    example = Example(
        id="1", task="t", sample_type="s", instruction="Do.", input="", output=["r", "s"], prompts=["p", "q"], answers="each"
    )
    [items] = items_of([prediction_to_prompts("1", ["x", "y"], ["r", "s"], "each")], "a/b", {"1": example})
    assert [(one.instruction, one.input, one.references, one.part) for one in items] == [
        ("Do.", "p", ("r",), 0),
        ("Do.", "q", ("s",), 1),
    ]


def counting(calls: list[int]):
    def scorer(items):
        calls.append(len(items))
        return [Scored({"length": len(one.prediction)}) for one in items]

    return scorer


def test_costly_values_are_computed_once_for_each_distinct_answer(tmp_path):
    calls: list[int] = []
    items = [item("a", "r"), item("bb", "r"), item("a", "r")]
    first = scored_once(items, list, counting(calls), tmp_path / "store.jsonl")
    again = scored_once(items, list, counting(calls), tmp_path / "store.jsonl")
    assert [one.metrics["length"] for one in first] == [1, 2, 1]
    assert again == first
    assert calls == [2]


def test_whoever_starts_a_costly_scorer_scores_for_those_that_wait(tmp_path):
    calls: list[int] = []
    store = tmp_path / "store.jsonl"
    scored_once([item("a", "r")], lambda: [item("bb", "r"), item("ccc", "r")], counting(calls), store)
    assert scored_once([item("ccc", "r")], list, counting(calls), store)[0].metrics == {"length": 3}
    assert calls == [3]


def test_while_somebody_scores_for_all_others_score_only_their_own(tmp_path):
    calls: list[int] = []
    store = tmp_path / "store.jsonl"
    with held_if_free(store.with_suffix(".lock")) as mine:
        assert mine
        scored_once([item("a", "r")], lambda: [item("bb", "r")], counting(calls), store)
    assert calls == [1]


def test_values_that_were_computed_before_a_crash_are_kept(tmp_path):
    calls: list[int] = []
    items = [item(f"{i:04}", f"{i:04}") for i in range(CHUNK + 1)]

    def dying(items):
        if calls:
            raise MemoryError
        return counting(calls)(items)

    with pytest.raises(MemoryError):
        scored_once(items, list, dying, tmp_path / "store.jsonl")
    scored_once(items, list, counting(calls), tmp_path / "store.jsonl")
    assert calls == [CHUNK, 1]


def test_failures_and_answers_without_a_score_come_back_from_the_store(tmp_path):
    outcomes = [Failed("no words"), None]
    items = [item("a", "a"), item("b", "b")]
    for _ in range(2):
        assert scored_once(items, list, lambda _: outcomes, tmp_path / "store.jsonl") == outcomes


def test_of_several_references_the_best_counts():
    [outcome] = each(lambda p, r: {"m": float(p == r), "n": len(r)})([Item("1", "b", ("a", "b", "cc"))])
    assert outcome.metrics == {"m": 1.0, "n": 2}


def test_metric_that_nobody_was_asked_for_has_no_row():
    outcomes = [Scored({"b": 1.0}, "said", {"n": 1}, left_out={"a"}), Scored({"a": 0.0, "b": 0.0})]
    rows = rows_of(lambda items: outcomes, ("a", "b"), prediction("1", "p", "r"), prediction("2", "p", "r"))
    assert [(row.id, row.metric, row.status, row.detail, row.parts) for row in rows] == [
        ("1", "b", "ok", "said", {"n": 1}),
        ("2", "a", "ok", None, {}),
        ("2", "b", "ok", None, {}),
    ]


def test_of_several_answers_those_count_that_have_the_metric():
    outcomes = [Scored({"a": 1.0}, left_out={"b"}), Scored({"a": 0.0, "b": 0.5})]
    rows = rows_of(lambda items: outcomes, ("a", "b"), prediction_to_prompts("1", ["x", "y"], ["r", "s"], "each"))
    assert [(row.metric, row.value) for row in rows] == [("a", 0.5), ("b", 0.5)]
