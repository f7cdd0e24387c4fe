import textwrap

import pytest

from loragrid.errors import UserError
from loragrid.scoring.protocol import Failed, Item, Scored
from loragrid.scoring.scorers.custom import custom

ITEMS = [
    Item("id-a", "yes", ("yes", "yeah"), instruction="Answer.", input="Is it?"),
    Item("id-b", "no idea", ("no",), instruction="Say something."),
]


@pytest.fixture
def score(tmp_path):
    """Score the two items with a function body that a user might write."""

    def run(body, metrics=("value",), items=ITEMS, **arguments):
        path = tmp_path / "mine.py"
        path.write_text("def function(predictions, references, prompts, **arguments):\n" + textwrap.indent(body, "    ") + "\n")
        return custom(f"{path}:function", metrics, arguments)(items)

    return run


def sentence(score, body, **how):
    with pytest.raises(UserError) as caught:
        score(body, **how)
    assert "mine.py:function'" in str(caught.value)
    return str(caught.value).partition("mine.py:function'")[2]


def test_function_is_given_all_answers_at_once_with_references_questions_and_arguments(score):
    body = """
        assert predictions == ["yes", "no idea"]
        assert references == [["yes", "yeah"], ["no"]]
        assert prompts == ["Answer.\\n\\nIs it?", "Say something."]
        assert arguments == {"factor": 3}
        return [arguments["factor"] * len(text) for text in predictions]
    """
    assert score(textwrap.dedent(body), factor=3) == [Scored({"value": 9}), Scored({"value": 21})]


def test_function_gives_a_number_or_several_by_name_or_nothing_to_say(score):
    assert score("return [0.5, None]") == [Scored({"value": 0.5}), None]
    assert score("return [{'a': 1, 'b': 2}, {'b': 4, 'a': 3}]", metrics=("a", "b")) == [
        Scored({"a": 1, "b": 2}),
        Scored({"a": 3, "b": 4}),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "return [True, False]",
        "return (one for one in (1, 0))",
        "import numpy; return numpy.array([1.0, 0.0], dtype='float32')",
        "import numpy; return [numpy.bool_(True), numpy.array(0)]",
        "import torch; return torch.tensor([1, 0])",
        "import torch; return [{'value': torch.tensor(1.0)}, {'value': torch.tensor(False)}]",
        "import pandas; return pandas.Series([1, 0])",
    ],
)
def test_numbers_of_all_usual_kinds_are_numbers(score, body):
    outcomes = score(body)
    assert outcomes == [Scored({"value": 1.0}), Scored({"value": 0.0})]
    assert {type(one.metrics["value"]) for one in outcomes} == {float}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return [1]", " gives 1 values for 2 answers, none for example id-b; expected one for each."),
        ("return [1, 2, 3]", " gives 3 values for 2 answers; expected one for each."),
        ("return {'value': 1}", " gives {'value': 1}; expected a list with a value for each answer."),
        ("return 0.5", " gives 0.5; expected a list with a value for each answer."),
        ("return", " gives None; expected a list with a value for each answer."),
        ("return [1, 'high']", ", example id-b: gives 'high'; expected a number or a mapping of metric to number."),
        ("return [1, [1]]", ", example id-b: gives [1]; expected a number or a mapping of metric to number."),
        ("return [1, {'value': 'high'}]", ", example id-b: gives 'high' as 'value'; expected a number."),
        ("return [1, {}]", ", example id-b: does not give 'value'; it gives: nothing."),
        ("return [1, {'value': 1, 'valu': 2}]", ", example id-b: gives 'valu', which is not among its metrics: value."),
    ],
)
def test_anything_else_is_a_sentence_that_names_function_and_example(score, body, expected):
    assert sentence(score, body) == expected


def test_one_number_does_not_do_for_several_metrics(score):
    expected = ", example id-a: gives a number; expected a mapping with a, b."
    assert sentence(score, "return [1, 2]", metrics=("a", "b")) == expected


def test_only_answers_on_which_the_function_raises_fail(score):
    assert score("return [{'yes': 1}[text] for text in predictions]") == [Scored({"value": 1}), Failed("KeyError: 'no idea'")]
    assert score("return (len(text) / (len(text) - 3) for text in predictions)") == [
        Failed("ZeroDivisionError: division by zero"),
        Scored({"value": 7 / 4}),
    ]


def test_function_that_raises_on_every_answer_ends_the_job(score):
    assert sentence(score, "raise ValueError('no\\nway')") == " failed on every example; on the first: ValueError: no way"


def test_mistake_in_what_the_function_gives_for_one_answer_is_told_though_it_raises_on_another(score):
    body = "return [{'yes': 'high'}[text] for text in predictions]"
    assert sentence(score, body).startswith(", example id-a: gives 'high'")


def test_file_that_cannot_be_loaded_ends_the_job_with_its_reason_and_its_traceback_in_the_log(tmp_path, caplog):
    path = tmp_path / "mine.py"
    path.write_text("import no_such_package\n")
    caplog.set_level("INFO", logger="loragrid")
    for function, why in (("f", "ModuleNotFoundError: No module named 'no_such_package'"), ("g", "ModuleNotFoundError")):
        with pytest.raises(UserError) as caught:
            custom(f"{path}:{function}", ["value"], {})
        assert str(caught.value).startswith(f"scorer function '{path}:{function}' failed: {why}")
    assert "Traceback" in caplog.text
    path.write_text("")
    with pytest.raises(UserError, match="AttributeError: module 'user_code_mine' has no attribute 'f'"):
        custom(f"{path}:f", ["value"], {})


def test_file_may_have_the_name_of_a_package_and_data_classes(tmp_path):
    path = tmp_path / "json.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport json\n\n"
        "@dataclass\nclass Point:\n    x: int\n\n"
        "def f(predictions, **_):\n    return [Point(json.loads(text)).x for text in predictions]\n"
    )
    assert custom(f"{path}:f", ["value"], {})([Item("1", "7", ("",))]) == [Scored({"value": 7})]
