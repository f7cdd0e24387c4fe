"""Which kind of work outputs show, and which scorers fit."""

import pytest

from loragrid.planning.first_steps.kinds import guess_kind

SENTENCES = [f"The answer of row {i} has more words than a label." for i in range(30)]


@pytest.mark.parametrize(
    ("outputs", "kind", "metric"),
    [
        (["good", "bad", "fair"] * 10, "label", "label/accuracy"),
        (["1", "2", "3", "4", "5"] * 6, "label", "label/accuracy"),
        (["Not good", "not_good", "good"] * 10, "label", "label/accuracy"),
        ([str(i * 7) for i in range(30)], "number", "number/number_match"),
        (["1,200.50", "-3", "$12", "45%", *map(str, range(100, 126))], "number", "number/number_match"),
        (["red; round", "red", "round; small"] * 10, "labels", "token_f1/f1"),
        ([["red", "round"], ["red"], ["small", "red"]] * 10, "labels", "token_f1/f1"),
        ([f"town {i}" for i in range(30)], "short text", "exact_match/exact_match"),
        (SENTENCES, "text", "rouge/rougeL"),
        ([[one, one.upper()] for one in SENTENCES], "text", "rouge/rougeL"),
        (["well, it depends", "yes, it is"] * 15, "label", "label/accuracy"),
        (["-1", "1"] * 15, "label", "label/accuracy"),
        (["-1", "\N{MINUS SIGN}1"] * 15, "short text", "exact_match/exact_match"),
    ],
)
def test_kind_is_told_by_the_outputs(outputs, kind, metric):
    found = guess_kind(outputs)
    assert (found.name, found.metric) == (kind, metric)
    assert metric.partition("/")[0] in found.scorers


def test_labels_are_listed_once_in_their_usual_spelling_the_most_frequent_first():
    outputs = ["yes"] * 8 + ["Yes"] * 3 + ["not sure"] * 12 + ["not_sure"]
    found = guess_kind(outputs)
    assert found.scorers["label"]["labels"] == found.labels == ["not sure", "yes"]
    assert found.why == "2 short outputs in 24 rows: not sure, yes"


def test_outputs_that_hardly_repeat_are_no_labels():
    assert guess_kind([f"town {i // 2}" for i in range(30)]).name == "short text"
