"""Prompt templates of users: white space at their end, and texts that they do not show."""

import logging
from pathlib import Path

import pytest

from loragrid.data.prompt_templates import fill_prompt, surplus_end
from loragrid.data.render import ModelSettings, Request, load_renderer, make_renderer, prompt_text
from loragrid.errors import UserError
from loragrid.runtime.templates import fill_template

PROMPTS = Path(__file__).parents[3] / "data" / "prompts"
SHOWN = [{"instruction": "Shout.", "input": "a", "output": "A"}]
ARROWS = "{% for one in demonstrations %}{{ one.input }} -> {{ one.output }}\n{% endfor %}{{ input }} ->"
LINES = "{% for one in demonstrations %}Q: {{ one.input }}\nA:\n{{ one.output }}\n\n{% endfor %}Q: {{ input }}\nA:\n"
LABELLED = (
    "{% for one in demonstrations %}Example: {{ one.input }}\nIts answer: {{ one.output }}\n\n{% endfor %}"
    "Question: {{ input }}\nAnswer:\n"
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (ARROWS, "a -> A\nb ->"),
        (ARROWS + "\n", "a -> A\nb ->"),
        (ARROWS + "  \n\n", "a -> A\nb -> "),
        (ARROWS + " ", "a -> A\nb -> "),
        (LINES, "Q: a\nA:\nA\n\nQ: b\nA:\n"),
        (LINES + "\n", "Q: a\nA:\nA\n\nQ: b\nA:\n"),
        (LABELLED, "Example: a\nIts answer: A\n\nQuestion: b\nAnswer:"),
    ],
)
def test_prompt_with_demonstrations_ends_as_these_do_before_their_answers(template, expected):
    assert fill_prompt(template, "Shout.", "b", None, SHOWN) == expected


@pytest.mark.parametrize("template", [ARROWS + "\n", LINES + "\n"])
def test_prompt_without_demonstrations_keeps_its_end_since_models_are_trained_with_it(template):
    assert fill_prompt(template, "Shout.", "b", None) == template.partition("{% endfor %}")[2].replace("{{ input }}", "b")


@pytest.mark.parametrize("name", ["plain", "alpaca", "alpaca_short"])
@pytest.mark.parametrize("has_input", [True, False])
def test_templates_of_the_workflow_have_nothing_to_leave_out(name, has_input):
    assert surplus_end((PROMPTS / f"{name}.jinja").read_text(), has_input) == ""


@pytest.mark.parametrize(
    "template",
    [
        "{{ input }}\n",
        "{% for one in demonstrations %}{{ one.output }}\n{% endfor %}{{ input }}\n",
        "{% for one in demonstrations %}Q {{ one.input }} is {{ one.output }}\n{% endfor %}{{ input }}: A\n",
        "{{ input.split(',')[1] }}\n",
    ],
)
def test_template_whose_demonstrations_look_otherwise_keeps_its_end(template):
    assert surplus_end(template) == ""
    known = {"instruction": "", "input": "b,c", "system_prompt": "", "demonstrations": SHOWN}
    assert fill_prompt(template, "", "b,c", None, SHOWN) == fill_template(template, known)


def test_white_space_that_demonstrations_lack_is_told(tokenizer, tmp_path, caplog):
    tokenizer.save_pretrained(tmp_path / "tiny")
    with caplog.at_level(logging.WARNING, "loragrid"):
        load_renderer(tmp_path / "tiny", ModelSettings(prompt_format="arrows", template=ARROWS + "\n"))
        load_renderer(tmp_path / "tiny", ModelSettings(prompt_format="arrows", template=ARROWS))
    assert [record.getMessage() for record in caplog.records] == [
        "models.tiny.prompt_format: the template ends with white space that its demonstrations lack before their answers: prompts "
        "with demonstrations leave it out, prompts without keep it, in training and prediction"
    ]


@pytest.mark.parametrize(
    ("template", "system_prompt", "request_", "lost"),
    [
        ("Answer:", None, Request("Say.", "b"), "the input of the question (`input`)"),
        ("{{ instruction }}", None, Request("Say.", "b"), "the input of the question (`input`)"),
        ("{{ input }}:", None, Request("Say.", ""), "the question (`instruction`)"),
        ("{{ instruction }} {{ input }}", "Be brief.", Request("Say.", "b"), "the system prompt (`system_prompt`)"),
    ],
)
def test_template_that_does_not_show_a_text_is_refused(tokenizer, template, system_prompt, request_, lost):
    with pytest.raises(UserError) as refused:
        prompt_text(make_renderer(tokenizer, template, system_prompt), request_)
    assert str(refused.value) == f"the template does not show {lost}."


def test_template_without_demonstrations_is_refused_where_prompts_show_some(tokenizer, make_example):
    renderer = make_renderer(tokenizer, "{{ input }}:")
    assert prompt_text(renderer, Request("Say.", "b")) == "b:"
    with pytest.raises(UserError, match=r"^the template does not show the demonstrations \(`demonstrations`, each with"):
        prompt_text(renderer, Request("Say.", "b", (make_example("a"),)))


@pytest.mark.parametrize(
    ("template", "request_"),
    [
        ("Translate: {{ input }}", Request("Say.", "b")),
        ("{{ instruction }}", Request("Say.", "")),
        ("{{ input | upper }}", Request("Say.", "b")),
    ],
)
def test_template_may_show_only_what_makes_the_question(tokenizer, template, request_):
    assert prompt_text(make_renderer(tokenizer, template), request_)
