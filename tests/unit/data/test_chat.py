"""Chat templates: nothing of a text is lost on the way into a prompt."""

import copy
import datetime
import logging

import pytest

from loragrid.data.chat import FIXED_DATE
from loragrid.data.render import ModelSettings, Request, load_renderer, make_renderer, prompt_text, render
from loragrid.errors import UserError

TURNS = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
BEGIN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
ALTERNATING = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}" + BEGIN
)
WITHOUT_SYSTEM = TURNS.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}") + BEGIN
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for part in m['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}" + BEGIN
)
PARTS_OF_USERS = (
    TURNS.replace("{{ m['content'] }}", "{{ m['content'][0]['text'] if m['role'] == 'user' else m['content'] }}") + BEGIN
)
REQUEST = Request("Answer.", "question x")


@pytest.fixture
def with_template(tokenizer):
    def make(template: str, system_prompt: str | None = None, **keywords):
        changed = copy.copy(tokenizer)
        changed.chat_template = template
        return make_renderer(changed, None, system_prompt, **keywords)

    return make


def chat(*turns: tuple[str, str]) -> str:
    """A conversation in ChatML, up to where the next answer starts."""
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"


def test_empty_system_prompt_leaves_nothing_behind(with_template, tokenizer):
    assert prompt_text(with_template(ALTERNATING, ""), REQUEST) == chat(("user", "Answer.\n\nquestion x"))
    assert prompt_text(make_renderer(tokenizer, "{{ instruction }} {{ input }}", ""), REQUEST) == "Answer. question x"


DATED = "<|im_start|>system\n{{ strftime_now('%d %b %Y %H:%M') }}<|im_end|>\n" + TURNS + BEGIN


def test_prompts_tell_the_same_date_on_every_day(with_template):
    assert FIXED_DATE == "2024-07-26"
    expected = chat(("system", "26 Jul 2024 00:00"), ("user", "Answer.\n\nquestion x"))
    assert prompt_text(with_template(DATED), REQUEST) == expected


def test_date_of_an_experiment_is_what_prompts_tell(with_template):
    assert "31 Jan 2025 00:00" in prompt_text(with_template(DATED, date="2025-01-31"), REQUEST)


def test_clock_of_the_library_goes_on_after_a_prompt(with_template):
    from transformers.utils import chat_template_utils

    prompt_text(with_template(DATED), REQUEST)
    assert chat_template_utils.datetime is datetime.datetime


def test_arguments_reach_the_template(with_template):
    template = TURNS + BEGIN.replace(
        "assistant\n", "assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    )
    usual, without = with_template(template), with_template(template, arguments={"enable_thinking": False})
    assert prompt_text(without, REQUEST) == prompt_text(usual, REQUEST) + "<think>\n\n</think>\n\n"


def test_argument_that_the_template_does_not_read_is_refused(with_template):
    with pytest.raises(UserError, match=r"^chat_template_arguments: the template does not read 'enable_thnking'\.$"):
        with_template("{% if enable_thinking %}{% endif %}" + TURNS + BEGIN, arguments={"enable_thnking": False})


@pytest.mark.parametrize("template", [PARTS, PARTS_OF_USERS])
def test_template_that_wants_parts_gets_parts(with_template, make_example, template):
    renderer = with_template(template, "Be brief.")
    asked = prompt_text(renderer, REQUEST._replace(demonstrations=(make_example("a"),)))
    first, answer, last = ("user", "Answer.\n\nquestion a"), ("assistant", "answer a"), ("user", "Answer.\n\nquestion x")
    assert asked == chat(("system", "Be brief."), first, answer, last)
    assert renderer.end_of_turn == renderer.tokenizer.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.parametrize("template", [ALTERNATING, WITHOUT_SYSTEM])
def test_system_prompt_stands_before_the_first_question_where_there_is_no_system_turn(
    with_template, make_example, template, caplog
):
    with caplog.at_level(logging.WARNING, "loragrid"):
        renderer = with_template(template, "Be brief.")
    assert "the template has no system turn" in caplog.text
    asked = prompt_text(renderer, REQUEST._replace(demonstrations=(make_example("a"),)))
    first, answer = ("user", "Be brief.\n\nAnswer.\n\nquestion a"), ("assistant", "answer a")
    assert asked == chat(first, answer, ("user", "Answer.\n\nquestion x"))
    assert render(renderer, REQUEST, None, 512).messages == ({"role": "user", "content": "Be brief.\n\nAnswer.\n\nquestion x"},)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{% for m in messages %}<|im_start|>{{ m['role'] }}<|im_end|>{% endfor %}",
            "loses the question and the input of the question",
        ),
        (TURNS.replace("m['content']", "m['content'].splitlines()[0]") + BEGIN, "loses the input of the question"),
        ("{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}<|im_end|>{% endfor %}", "loses the answer"),
        ("{{ raise_exception('only for machines') }}", "refuses a conversation (only for machines)"),
        (TURNS + BEGIN + "{{ range(99999) | random }}", "refuses a conversation (No filter named 'random')"),
    ],
)
def test_template_that_loses_a_text_is_refused_in_one_sentence_that_names_model_and_key(tokenizer, tmp_path, template, said):
    tokenizer.save_pretrained(tmp_path / "tiny")
    with pytest.raises(UserError) as refused:
        load_renderer(tmp_path / "tiny", ModelSettings(chat_template=template))
    assert str(refused.value).startswith(f"models.tiny.chat_template: the template {said}")
    assert "\n" not in str(refused.value)


SYSTEM_IN_LAST_QUESTION = (
    "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "{% for m in messages if m['role'] != 'system' %}{% if m['role'] == 'user' %}"
    "[INST] {{ system ~ '\n\n' if system and loop.last }}{{ m['content'] }}[/INST]"
    "{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)


def test_system_prompt_that_a_template_moves_to_the_last_question_stays_there(with_template, make_example):
    renderer = with_template(SYSTEM_IN_LAST_QUESTION, "Be brief.")
    assert prompt_text(renderer, REQUEST) == "[INST] Be brief.\n\nAnswer.\n\nquestion x[/INST]"
    asked = prompt_text(renderer, REQUEST._replace(demonstrations=(make_example("a"),)))
    assert asked.endswith("question a[/INST] answer a<|im_end|>[INST] Be brief.\n\nAnswer.\n\nquestion x[/INST]")


def test_beginning_of_an_answer_that_comes_without_the_system_prompt_is_refused(with_template):
    with pytest.raises(UserError, match=r"^the template loses the system prompt where it begins an answer\.$"):
        with_template(SYSTEM_IN_LAST_QUESTION.replace("{% else %}", "{% else %}\nAnswer:"), "Be brief.")


def test_several_templates_without_a_default_are_named(with_template):
    with pytest.raises(UserError, match=r"^the template is one of several \(rag, tool_use\), and none is the default;"):
        with_template({"rag": TURNS, "tool_use": TURNS})


def test_earlier_turns_are_needed_only_where_demonstrations_are_shown(with_template, make_example):
    renderer = with_template(TURNS.replace("in messages", "in messages[-1:]") + BEGIN)
    assert prompt_text(renderer, REQUEST) == chat(("user", "Answer.\n\nquestion x"))
    with pytest.raises(
        UserError,
        match=r"^the template loses the question and the input of the question and the answer; demonstrations are such earlier turns\.$",
    ):
        prompt_text(renderer, REQUEST._replace(demonstrations=(make_example("a"),)))


@pytest.mark.parametrize("end", ["", "{{ eos_token }}"])
def test_template_that_cannot_begin_an_answer_gets_the_beginning_of_its_own_answers(with_template, end):
    assert prompt_text(with_template(TURNS + end), REQUEST) == chat(("user", "Answer.\n\nquestion x"))


def test_prompt_of_a_template_whose_answers_begin_with_white_space_stays_without_it(with_template):
    llama2 = (
        "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
        "{% else %} {{ m['content'] }} {{ eos_token }}{% endif %}{% endfor %}"
    )
    assert prompt_text(with_template(llama2), REQUEST) == "[INST] Answer.\n\nquestion x [/INST]"


def test_template_that_opens_a_thought_is_named(with_template, caplog):
    with caplog.at_level(logging.WARNING, "loragrid"):
        renderer = with_template(TURNS + BEGIN.replace("assistant\n", "assistant\n<think>\n"), name="models.m: its template")
    assert renderer.chat.opened_thought == "</think>"
    assert [record.getMessage() for record in caplog.records] == [
        "models.m: its template opens a thought at the end of each prompt: answers begin inside it, until </think>"
    ]


@pytest.mark.parametrize(
    ("end", "opened"),
    [
        ("", ""),
        ("<think>\n\n</think>\n\n", ""),
        ("[THINK]", "[/THINK]"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|START_THINKING|><|END_THINKING|>", ""),
        ("<seed:think>", "</seed:think>"),
    ],
)
def test_thought_is_open_until_its_closing_mark(with_template, end, opened):
    assert with_template(TURNS + BEGIN.replace("assistant\n", f"assistant\n{end}")).chat.opened_thought == opened
