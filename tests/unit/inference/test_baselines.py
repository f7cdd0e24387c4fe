import tracemalloc

import pytest

from loragrid.errors import UserError
from loragrid.inference.baselines import BaselineSettings, answer, baseline_prediction, most_frequent, nearest, predict_trivially
from loragrid.records import Example, Turn
from loragrid.scoring.registry import label_of_task
from loragrid.scoring.scorers.label import LabelScorer
from loragrid.scoring.scorers.rouge import RougeScorer
from loragrid.scoring.scorers.true_false import TrueFalseScorer


@pytest.fixture
def tests(make_example):
    return [
        make_example("1", input="All birds fly. Some swim.", metadata={"kind": "a"}),
        make_example("2", input="Some dogs bark.", metadata={"kind": "b"}),
    ]


@pytest.fixture
def train(make_example):
    data = [("Most dogs bark at night.", "True."), ("No bird swims.", "False."), ("Fish fly.", "True.")]
    return [make_example(str(i), input=text, output=output) for i, (text, output) in enumerate(data)]


RULE = "{{ 'false' if input.startswith('All') else metadata.kind }}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("majority", [["True."], ["True."]]),
        ("rule", [["false"], ["b"]]),
        ("copy", [["All birds fly. Some swim."], ["Some dogs bark."]]),
        ("first_sentence", [["All birds fly."], ["Some dogs bark."]]),
        ("empty", [[""], [""]]),
        ("nearest", [["True."], ["True."]]),
    ],
)
def test_each_baseline_answers_without_a_model(tests, train, name, expected):
    assert answer(name, tests, train, RULE, str) == expected


@pytest.mark.parametrize(("name", "expected"), [("copy", "And fish? Do they?"), ("first_sentence", "And fish?")])
def test_baselines_of_a_conversation_take_its_last_turn(make_example, name, expected):
    turns = [Turn(role="user", content="Do birds swim?"), Turn(role="assistant", content="No.")]
    example = make_example("1", messages=[*turns, Turn(role="user", content="And fish? Do they?")])
    assert answer(name, [example], [], None, str) == [[expected]]


def test_nearest_is_the_one_that_shares_the_rarest_words():
    among = ["the cat sat on the mat", "the dog sat on the rug", "a zebra ran"]
    assert nearest(["my zebra", "my dog", "nothing in common"], among) == [2, 1, 0]
    assert nearest(["x"], ["", ""]) == [0]


def test_nearest_of_many_texts_needs_little_memory():
    among = [f"the w{i}" for i in range(4_000)]
    tracemalloc.start()
    found = nearest([f"the w{i}" for i in reversed(range(2_000))], among)
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()
    assert found == list(reversed(range(2_000)))


def test_majority_is_the_most_frequent_output_of_the_most_frequent_label():
    outputs = ["False, a.", "True, x.", "True, y.", "False, b.", "True, z.", "False, a.", "True, x."]
    assert most_frequent(outputs, label_of_task([RougeScorer(type="rouge"), TrueFalseScorer(type="true_false")])) == "True, x."
    assert most_frequent(outputs, label_of_task([])) == "False, a."
    read = label_of_task([LabelScorer(type="label", labels=["yes", "no"])])
    assert most_frequent(["hm", "well", "so", "yes", "no", "yes"], read) == "yes"
    assert most_frequent(["hm", "well", "well"], read) == "well"
    reader = label_of_task([LabelScorer(type="label", labels={"good": ["fine"], "bad": []})])
    assert most_frequent(["bad one", "good", "it is fine", "bad one", "fine"], reader) == "good"


@pytest.mark.parametrize("name", ["majority", "nearest"])
def test_what_a_baseline_learns_from_outputs_with_thoughts_is_their_answers(tests, make_example, name):
    outputs = ["<think>Some bark.</think>True.", "<think>Some do not.</think>False.", "<think>All bark.</think>True."]
    train = [make_example(str(i), input="Some dogs bark.", output=output) for i, output in enumerate(outputs)]
    read = label_of_task([TrueFalseScorer(type="true_false")])
    axes = {"task": "t", "sample_type": "s", "base_model": "baseline", "run": name}
    [answers, _] = answer(name, tests, train, None, read)
    assert baseline_prediction(axes, tests[0], answers).prediction == "True."


@pytest.mark.parametrize("name", ["majority", "nearest"])
def test_baseline_that_learns_says_so_where_there_is_nothing_to_learn_from(tests, name):
    with pytest.raises(UserError, match=f"baseline '{name}': there are no training examples"):
        answer(name, tests, [], None, str)


def test_rule_that_does_not_fit_names_the_example(tests):
    with pytest.raises(UserError, match="'rule' fails on example 1"):
        answer("rule", tests, [], "{{ metadata.colour }}", str)


def test_example_with_several_prompts_has_an_answer_to_each():
    example = Example(
        id="1",
        task="t",
        sample_type="s",
        instruction="Do.",
        input="",
        output=["r", "s"],
        prompts=["One here. Two.", "C."],
        answers="each",
    )
    answers = answer("first_sentence", [example], [], None, str)
    prediction = baseline_prediction({"task": "t", "sample_type": "s", "run": "x", "base_model": "baseline"}, example, answers[0])
    assert prediction.prediction == ["One here.", "C."]
    assert [part["prompt"] for part in prediction.parts] == ["Do.\n\nOne here. Two.", "Do.\n\nC."]
    assert [part["runtime_s"] for part in prediction.parts] == [None, None]


def told(**changes):
    return BaselineSettings(**{"version": 1, "rule": None, "label_scorers": [], "subset": None} | changes)


AXES = {"task": "t", "sample_type": "s", "base_model": "baseline"}


@pytest.mark.parametrize(("name", "expected"), [("nearest", ["no", "no"]), ("majority", ["no", "no"])])
def test_baselines_learn_nothing_from_what_the_test_set_holds(make_example, name, expected):
    passages = [f"a long passage about the {thing}" for thing in ("bridge", "castle", "harbour")]
    tests = [make_example(f"t{i}", input=text, output="yes") for i, text in enumerate(passages)]
    twins = [
        make_example(f"{i}", instruction="Put in other words.", input=text.upper(), output="yes")
        for i, text in enumerate(passages)
    ]
    others = [make_example("x", input="a passage about boats", output="no"), make_example("y", input="zebras", output="no")]
    # Test examples that are not evaluated count too.
    found = predict_trivially(told(subset=2), AXES | {"run": name}, tests, [*twins, *others], str)
    assert [prediction.prediction for prediction in found] == expected
    assert {prediction.run for prediction in found} == {name}
    with pytest.raises(UserError) as caught:
        predict_trivially(told(), AXES | {"run": name}, tests, twins, str)
    assert str(caught.value) == (
        f"baseline '{name}': no training example is left to learn from: "
        "3 of 3 are left out because a test set holds them too (same question: 3)."
    )


def test_questions_that_repeat_in_a_test_set_get_answers_of_their_own(make_example):
    tests = [make_example("a", input="same", output="one"), make_example("b", input="same", output="two")]
    found = predict_trivially(told(), AXES | {"run": "copy"}, tests, [], str)
    assert [(one.id, one.prediction, one.reference) for one in found] == [("a", "same", "one"), ("b", "same", "two")]
