import random
import re
from pathlib import Path

import pytest

from loragrid.scoring.protocol import Failed, add_up
from loragrid.scoring.registry import corpus_metrics, parse_scorer
from loragrid.scoring.scorers.label import label
from loragrid.scoring.scorers.true_false import true_false
from loragrid.text.labels import label_reader, mentions_of, verdict
from unit.scoring.answers import item, metrics

GENERICS = Path(__file__).parents[5] / "shared" / "data" / "generics"
needs_generics = pytest.mark.skipif(not GENERICS.is_dir(), reason="needs the generics files under ../shared/data/generics")


@pytest.mark.parametrize(
    ("labels", "text", "expected"),
    [
        (["fresh", "rotten"], "I say Rotten, not fresh.", "rotten"),
        (["fresh", "rotten"], "**FRESH**", "fresh"),
        (["fresh", "rotten"], "_fresh_", "fresh"),
        (["fresh", "rotten"], "refreshing rottenness", None),
        (["fresh", "rotten"], "", None),
        (["fresh", "not fresh"], "It is not \n fresh", "not fresh"),
        (["fresh", "fresh fish"], "fresh fish", "fresh fish"),
        ({"yes": ["positive", "👍"], "no": ["negative"]}, "A positive one", "yes"),
        ({"yes": ["positive", "👍"], "no": ["negative"]}, "👍!", "yes"),
        ({"yes": ["positive"], "no": ["negative"]}, "No.", "no"),
        (["toxic", "neutral"], "non-toxic, so neutral", "neutral"),
        (["t", "f"], "don't: f", "f"),
        (["1", "2", "5"], "4.5 is 1", "1"),
        (["1", "2", "5"], "1, maybe 2", "1"),
        (["-1", "0", "1"], "I give -1", "-1"),
        (["C", "C++"], "c++ it is", "C++"),
        (["正面", "负面"], "这是负面的评价", "负面"),
        (["सही", "गलत"], "यह गलत है", "गलत"),
        (["सह", "गलत"], "सही", None),
        (["STRASSE", "weg"], "Straße", "STRASSE"),
    ],
)
def test_label_is_the_first_one_mentioned_as_a_whole_word(labels, text, expected):
    assert label_reader(labels, "first")(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" **Fresh**.\n", "fresh"), ("not  Fresh!", "not fresh"), ("It is fresh", None), ("", None), ("C++", "C++"), ("„C“", "C")],
)
def test_whole_answer_must_be_a_label_if_asked_to(text, expected):
    assert label_reader(["fresh", "not fresh", "C", "C++"], "whole")(text) == expected


RTE = ["entailment", "not_entailment"]
SENTIMENT = ["positive", "negative", "neutral"]
OPTIONS = ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    "text",
    ["not entailment", "Not entailment.", "not_entailment", "NOT-ENTAILMENT", "This is not an entailment", "It isn't entailment"],
)
def test_words_of_a_label_may_be_joined_in_any_way(text):
    assert label_reader(RTE, "first")(text) == "not_entailment"


def test_labels_that_differ_in_more_than_their_joints_stay_apart():
    assert label_reader(["-1", "1"], "first")("-1") == "-1"
    assert label_reader(["very positive", "positive"], "first")("very-positive") == "very positive"


@pytest.mark.parametrize("read", ["first", "whole"])
def test_number_with_a_minus_is_another_label(read):
    for text in ("-1", "−1", "**-1**", " -1."):
        assert label_reader(["0", "1"], read)(text) is None
        assert label_reader(["-1", "0", "1"], read)(text) == "-1"
    assert label_reader(["0", "1"], read)("- 1") == "1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Option A is incorrect. Option B is correct.", "B"),
        ("(A) is wrong, so (B).", "B"),
        ("**A** is ruled out. C.", "C"),
        ("A and C are wrong, so B.", "B"),
        ("A is not the answer. C is.", "C"),
        ("A isn't right. B", "B"),
        ("A is wrong.", None),
        ("B is right, A and C are wrong.", "B"),
        ("B and A is wrong", "B"),
        ("B. A and C are wrong.", "B"),
        ("A is correct", "A"),
    ],
)
def test_label_that_is_said_to_be_wrong_does_not_count(text, expected):
    assert label_reader(OPTIONS, "first")(text) == expected


def test_label_said_to_be_wrong_stands_for_its_opposite_and_verdicts_stay_labels():
    assert label_reader(RTE, "first")("Entailment is wrong here.") == "not_entailment"
    assert label_reader(["correct", "incorrect"], "first")("The answer is incorrect.") == "incorrect"
    assert label_reader(["right", "wrong"], "first")("It is wrong.") == "wrong"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is a mixture of both, so (B)", "B"),
        ("The answer is a", "A"),
        ("The answer is a because b is wrong", "A"),
        ("the answer is a.", "A"),
        ("a or b? c", "A"),
    ],
)
def test_article_behind_the_answer_is_no_label(text, expected):
    assert label_reader(OPTIONS, "first")(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not positive", None),
        ("It isn't positive.", None),
        ("It is no longer positive", None),
        ("never positive", None),
        ("not at all positive", None),
        ("I don't think this is positive", None),
        ("far from positive", None),
        ("nicht positiv: not positive", None),
        ("The review is not positive; it is negative.", "negative"),
        ("not negative but positive", "positive"),
        ("neither positive nor negative: neutral", "neutral"),
        ("not positive or negative, so neutral", "neutral"),
        ("positive, not negative", "positive"),
        ("not only positive, but glowing", "positive"),
        ("no doubt positive", "positive"),
        ("an excellent positive one", "positive"),
        ("It isnt positive", None),
        ("no: positive", "positive"),
        ("nothing negative here; positive", "positive"),
        ("nothing but positive", "positive"),
    ],
)
def test_negated_label_does_not_count(text, expected):
    assert label_reader(SENTIMENT, "first")(text) == expected


@pytest.mark.parametrize(
    ("labels", "text", "expected"),
    [
        (["toxic", "non_toxic"], "This isn't toxic", "non_toxic"),
        (["toxic", "non_toxic"], "non-toxic", "non_toxic"),
        (["toxic", "non_toxic"], "nontoxic", "non_toxic"),
        (["toxic", "clean"], "non-toxic", None),
        (["toxic", "clean"], "non toxic", None),
        (["safe", "unsafe"], "not safe", "unsafe"),
        (["equivalent", "not_equivalent"], "They are not semantically equivalent", "not_equivalent"),
        (["safe", "unsafe"], "not unsafe", None),
        (["yes", "no"], "No, not yes", "no"),
        (["正面", "负面"], "不是正面", None),
        (["正面", "负面"], "非常正面", "正面"),
    ],
)
def test_negated_label_stands_for_its_opposite_if_that_is_a_label(labels, text, expected):
    assert label_reader(labels, "first")(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"A and C are wrong. \boxed{B}", "B"),
        (r"A? C? $\boxed{\text{B}}$", "B"),
        ("A looks good.\n#### B", "B"),
        ("A or C? **B**", "B"),
        ("A or C? **B) Paris**", "B"),
        ("A is wrong. The answer is (B).", "B"),
        ("A is wrong. **Answer:** B", "B"),
        ("A is wrong.\nAnswer:\nB", "B"),
        ("A is wrong. The correct answer is option **B**", "B"),
        ("The answer is not A. The answer is B.", "B"),
        ("A 不对，答案是B", "B"),
        ("This is a hard one: B", "B"),
        # Both are in bold type.
        ("**A** rather than **B**", "A"),
    ],
)
def test_label_that_is_marked_as_the_answer_goes_before_all_others(text, expected):
    assert label_reader(OPTIONS, "first")(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [(r"\boxed{B}", "B"), (r"$\boxed{\text{B}}$.", "B"), ("#### B", "B"), ("The answer is B", None)]
)
def test_whole_answer_may_be_a_marked_label(text, expected):
    assert label_reader(OPTIONS, "whole")(text) == expected


def test_labels_that_look_alike_are_one():
    assert label_reader(["yes", "café"], "first")("ye\u200bs") == "yes"
    assert label_reader(["yes", "café"], "first")("Cafe\u0301") == "café"


def test_label_is_right_wrong_or_undecided():
    outcomes = label(["a", "b"], "first")([item("A!", "a"), item("b", "a"), item("c", "a"), item("b", "a", "b")])
    assert [(one.metrics["accuracy"], one.metrics["undecided"], one.detail) for one in outcomes] == [
        (1, 0, "a"),
        (0, 0, "b"),
        (0, 1, "undecided"),
        (1, 0, "b"),
    ]


def test_reference_without_a_label_is_a_failure():
    [outcome] = label(["a", "b"], "first")([item("a", "neither\nof them")])
    assert outcome == Failed("the reference has none of the labels: 'neither of them'")


def test_macro_f1_is_that_of_sklearn():
    from sklearn.metrics import f1_score

    labels, random_ = ["x", "y/z", "rare", "unused"], random.Random(0)
    references = [random_.choice(labels[:2]) for _ in range(200)]
    predictions = [random_.choice([reference, reference, "x", "y/z", "undecided"]) for reference in references]
    predictions[0] = "rare"
    outcomes = label(labels, "first")([item(*pair) for pair in zip(predictions, references, strict=True)])
    expected = f1_score(references, predictions, average="macro", labels=labels[:3], zero_division=0)
    assert corpus_metrics("label", add_up(one.parts for one in outcomes)) == pytest.approx({"macro_f1": expected}, rel=1e-12)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["A", "a"], "'a' stands for two labels, 'A' and 'a'"),
        ({"a": ["x y"], "b": ["X  Y"]}, "'X  Y' stands for two labels, 'a' and 'b'"),
        (["a", " "], "' ' of the label ' ' is empty"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(labels, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        mentions_of(labels)
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_scorer({"type": "label", "labels": labels})


@pytest.mark.parametrize(
    ("text", "cut", "expected"),
    [
        ("True, it is.", True, "true"),
        ("FALSE", True, "false"),
        ("true false", True, "tie"),
        ("", True, "tie"),
        ("False. True, true.", True, "false"),
        ("False. True, true.", False, "true"),
        ("untrue", True, "true"),
    ],
)
def test_verdict_is_what_occurs_more_often(text, cut, expected):
    assert verdict(text, cut) == expected


def test_tie_is_wrong_unless_the_reference_ties_too():
    found = metrics(
        true_false(True), item("Hm", "True"), item("Hm", "So so"), item("False", "So so"), item("true", "False", "True")
    )
    assert [(one["accuracy"], one["tie"]) for one in found] == [(0, 1), (1, 1), (0, 0), (1, 0)]


def published(name):
    """Query, answer and expected answer of each block of a file of outputs."""
    text = (GENERICS / name).read_text(encoding="utf-8").replace("\n", "")
    parts = re.split(r"<QUERY>|<MODEL OUTPUT>|<EXPECTED OUTPUT>", text)[1:]
    return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))


@needs_generics
@pytest.mark.parametrize(
    ("name", "cut", "right", "ties", "wrong"),
    [
        ("model6_outputs.txt", True, 834, 2, 8),
        ("model6_outputs.txt", False, 820, None, None),
        ("model3_outputs.txt", True, 419, 1, 0),
        ("model3_outputs.txt", False, 416, 4, 0),
    ],
)
def test_published_outputs_have_their_published_accuracy(name, cut, right, ties, wrong):
    found = metrics(true_false(cut), *(item(answer, expected) for _, answer, expected in published(name)))
    assert sum(one["accuracy"] for one in found) == right
    if ties is not None:
        assert sum(one["tie"] for one in found) == ties
        assert sum(not one["accuracy"] and not one["tie"] for one in found) == wrong


@needs_generics
def test_published_outputs_have_their_accuracy_for_negatives_and_positives():
    right = {True: [], False: []}
    for query, answer, expected in published("model6_outputs.txt"):
        [found] = metrics(true_false(True), item(answer, expected))
        right[query.split()[0] in ("All", "Not")].append(found["accuracy"])
    assert {negative: (sum(values), len(values)) for negative, values in right.items()} == {True: (523, 526), False: (311, 318)}


def test_reference_in_another_script_has_no_verdict():
    [outcome] = true_false(True)([item("", "正确。")])
    assert outcome == Failed("the reference has neither 'true' nor 'false': '正确。'")
    [outcome] = true_false(True)([item("true", "True: 正确。")])
    assert outcome.metrics["accuracy"] == 1
