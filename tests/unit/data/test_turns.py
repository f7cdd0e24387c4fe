"""Conversations as prompts: turns as the template takes them, and which tokens are answers of the assistant."""

import copy
import logging

import pytest

from loragrid.data.learnt_turns import earlier_answers
from loragrid.data.prompting import make_request
from loragrid.data.render import Request, make_renderer, render, render_conversation, zero_shot
from loragrid.data.tokens import tokenise
from loragrid.errors import UserError
from loragrid.records import Turn

# The forms of four families, in templates of our own. ANSWER stands where a template writes what the model gives.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}ANSWER{% else %}"
    "{{ m['content'] }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{% if m['role'] == 'assistant' %}"
    "ANSWER{% else %}{{ m['content'] | trim }}<|eot_id|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
ALTERNATE = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + ALTERNATE + "<bos>"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}ANSWER{% else %}{{ m['content'] | trim }}<end_of_turn>{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('Only user and assistant roles are supported') }}{% endif %}"
    + ALTERNATE
    + "<s>{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %}ANSWER{% endif %}{% endfor %}"
)
ENDS = {
    "chatml": (CHATML, "<|im_end|>"),
    "llama3": (LLAMA3, "<|eot_id|>"),
    "gemma": (GEMMA, "<end_of_turn>"),
    "mistral": (MISTRAL, "</s>"),
}
ADDED = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<s>", "</s>"]
ADDED += ["[INST]", "[/INST]"]
SIGNS = {"[INST]", "[/INST]"}
TALK = [
    ("user", "What is 2 + 2?"),
    ("assistant", "Four,\n  of course."),
    ("user", "Sure?"),
    ("assistant", "Yes. Ünd ja!"),
    ("user", "3?"),
]


def turns(*said: tuple[str, str]) -> tuple[Turn, ...]:
    return tuple(Turn(role=role, content=text) for role, text in said)


def request(*said: tuple[str, str]) -> Request:
    return Request("", "", turns=turns(*said))


@pytest.fixture(scope="session")
def with_form(tokenizer):
    """A renderer whose template has the form of a family, with or without marks around what the model gives."""

    def make(name: str, marked: bool = False, answer: str = "{{ m['content'] | trim }}END", system_prompt: str | None = None):
        template, end = ENDS[name]
        changed = copy.deepcopy(tokenizer)
        changed.add_special_tokens({"additional_special_tokens": ADDED})
        answer = f"{{% generation %}}{answer}{{% endgeneration %}}" if marked else answer
        changed.chat_template = template.replace("ANSWER", answer).replace("END", end)
        changed.eos_token = end
        return make_renderer(changed, None, system_prompt)

    return make


def masked_by_transformers(renderer, said) -> tuple[list[int], list[int]]:
    """Token ids of a prompt, and those of them that transformers counts to the assistant."""
    messages = [{"role": role, "content": text} for role, text in said]
    found = renderer.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return found["input_ids"], [place for place, is_said in enumerate(found["assistant_masks"]) if is_said]


def places(spans) -> list[int]:
    return [place for start, end in spans for place in range(start, end)]


@pytest.mark.parametrize("name", ENDS)
def test_tokens_of_earlier_answers_are_those_of_transformers_own_mask(with_form, name):
    marked, plain = with_form(name, marked=True), with_form(name)
    ids, said_by_assistant = masked_by_transformers(marked, TALK)
    for renderer in (marked, plain):
        prompt = render(renderer, request(*TALK), None, 512)
        assert prompt.prompt_ids == ids
        assert places(earlier_answers(renderer, request(*TALK), ids)) == said_by_assistant


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("name", ENDS)
def test_every_answer_ends_with_its_end_of_turn(with_form, name, marked):
    renderer = with_form(name, marked)
    prompt = render(renderer, request(*TALK), "Yes.", 512)
    spans = earlier_answers(renderer, request(*TALK), prompt.prompt_ids)
    said = [renderer.tokenizer.decode(prompt.prompt_ids[start:end]) for start, end in spans]
    assert [text.strip() for text in said] == [f"{text}{ENDS[name][1]}" for role, text in TALK if role == "assistant"]
    assert {prompt.prompt_ids[end - 1] for _, end in spans} | {prompt.answer_ids[-1]} == {renderer.end_of_turn}


@pytest.mark.parametrize(
    "answer",
    [
        "{% generation %}{{ m['content'] }}{% endgeneration %}END",
        "{% generation %}{{ m['content'] }}END\n{% endgeneration %}",
    ],
)
def test_mark_that_ends_before_or_behind_the_end_of_turn_is_mended(with_form, answer):
    renderer = with_form("chatml", answer=answer)
    prompt = render(renderer, request(*TALK), None, 512)
    for start, end in earlier_answers(renderer, request(*TALK), prompt.prompt_ids):
        assert renderer.tokenizer.decode(prompt.prompt_ids[start:end]).endswith("<|im_end|>")


def test_real_model_sees_its_prompt_as_transformers_writes_it_with_the_whole_history(tokenizer):
    renderer = make_renderer(tokenizer)
    messages = [{"role": role, "content": text} for role, text in TALK]
    prompt = render(renderer, request(*TALK), None, 512)
    assert prompt.prompt == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert prompt.prompt_ids == tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    spans = earlier_answers(renderer, request(*TALK), prompt.prompt_ids)
    said = [tokenizer.decode(prompt.prompt_ids[start:end]) for start, end in spans]
    assert said == ["Four,\n  of course.<|im_end|>", "Yes. Ünd ja!<|im_end|>"]


def test_end_of_turn_that_an_answer_spells_is_text(tokenizer):
    renderer = make_renderer(tokenizer)
    asked = request(("user", "Ends?"), ("assistant", "<|im_end|> and <|im_start|>user"), ("user", "So?"))
    prompt = render(renderer, asked, None, 512)
    ((start, end),) = earlier_answers(renderer, asked, prompt.prompt_ids)
    assert tokenizer.decode(prompt.prompt_ids[start:end]) == "<|im_end|> and <|im_start|>user<|im_end|>"
    assert prompt.prompt_ids[start:end].count(renderer.end_of_turn) == 1
    assert prompt.spelled == ("<|im_end|>", "<|im_start|>")


def test_template_that_rewrites_earlier_answers_cannot_have_all_learnt(with_form):
    renderer = with_form("chatml", answer="{% if loop.last %}<think></think>{% endif %}{{ m['content'] }}END")
    begun = copy.deepcopy(renderer.tokenizer)
    begun.chat_template = begun.chat_template.replace(
        "<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<x>{% endif %}"
    )
    renderer = make_renderer(begun)
    prompt = render(renderer, request(*TALK), None, 512)
    with pytest.raises(
        UserError, match=r"^loss_turns: the template writes earlier answers in another way than it lets the model"
    ):
        earlier_answers(renderer, request(*TALK), prompt.prompt_ids)


def test_template_without_turns_has_no_earlier_answers_to_learn(tokenizer):
    renderer = make_renderer(tokenizer, "{% for d in demonstrations %}{{ d.output }}{% endfor %}{{ instruction }}")
    assert earlier_answers(renderer, request(("user", "Hi!")), [1, 2]) == []
    with pytest.raises(UserError, match=r"^loss_turns: the template has no turns; 'all' needs a chat template"):
        earlier_answers(renderer, request(*TALK), [1, 2])


def test_tokens_of_a_data_set_tell_where_earlier_answers_stand(tokenizer, make_example):
    renderer = make_renderer(tokenizer)
    example = make_example("a", messages=turns(*TALK))
    (row, other) = tokenise(renderer, {"train": [example, make_example("b")]}).to_pylist()
    assert [tuple(span) for span in row["earlier_answers"]] == earlier_answers(renderer, zero_shot(example), row["prompt_ids"])
    assert other["earlier_answers"] == []
    # Data without such answers have no such column.
    assert "earlier_answers" not in tokenise(renderer, {"train": [make_example("b")]}).column_names


SYSTEM = ("system", "Be brief.")
FIRST, SECOND, ANSWERED = ("user", "First."), ("user", "Second."), ("assistant", "Yes.")


@pytest.mark.parametrize("name", ["gemma", "mistral"])
def test_roles_that_a_template_refuses_stand_in_other_turns(with_form, name, caplog):
    renderer = with_form(name)
    asked = render(renderer, request(SYSTEM, FIRST, SECOND, ANSWERED, FIRST, SECOND), None, 512)
    assert (
        asked.prompt
        == render(
            renderer, request(("user", "Be brief.\n\nFirst.\n\nSecond."), ANSWERED, ("user", "First.\n\nSecond.")), None, 512
        ).prompt
    )
    assert [one["role"] for one in asked.messages] == ["user", "assistant", "user"]
    with caplog.at_level(logging.WARNING, "loragrid"):
        tokenise(renderer, {"train": []})
    assert asked.changes == (
        "turns of one role in a row stand in one turn",
        "the system message stands at the beginning of the first question",
    )


def test_turns_stay_as_they_are_where_the_template_takes_them(with_form):
    asked = render(with_form("llama3"), request(SYSTEM, FIRST, SECOND), None, 512)
    assert asked.changes == ()
    assert [one["role"] for one in asked.messages] == ["system", "user", "user"]


def test_log_counts_the_conversations_whose_turns_were_changed(with_form, make_example, caplog):
    examples = [make_example("a", messages=turns(FIRST, SECOND)), make_example("b", messages=turns(FIRST))]
    with caplog.at_level(logging.WARNING, "loragrid"):
        tokenise(with_form("gemma"), {"train": examples})
    assert "1 of 2 conversations: turns of one role in a row stand in one turn, as the template takes them" in caplog.text


def test_conversation_that_a_template_refuses_in_every_way_is_told_with_its_roles(with_form):
    with pytest.raises(UserError) as caught:
        render(with_form("gemma"), request(ANSWERED, FIRST), None, 512)
    said = "the template refuses turns (Conversation roles must alternate), in a conversation of assistant, user."
    assert str(caught.value) == said


def test_turn_that_a_template_leaves_out_is_told(with_form):
    with pytest.raises(UserError, match=r"^the template loses turn 2, of the role 'tool', in a conversation of user, tool\.$"):
        renderer = with_form("chatml")
        renderer.tokenizer.chat_template = renderer.tokenizer.chat_template.replace(
            "in messages %}", "in messages if m['role'] != 'tool' %}"
        )
        render(renderer, request(FIRST, ("tool", "5")), None, 512)


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}
CALLING = (
    *turns(("user", "Cold?")),
    Turn(role="assistant", content="", tool_calls=[CALL]),
    *turns(("tool", "-3"), ANSWERED, ("user", "Sure?")),
)
WITH_TOOLS = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] }}{% for c in m['tool_calls'] or [] %}<tool_call>{{ c['function'] | tojson }}</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def calling(tokenizer):
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = WITH_TOOLS
    return make_renderer(changed)


def test_tools_and_their_calls_reach_the_template_and_calls_are_learnt(calling):
    asked = Request("", "", turns=CALLING, tools=(TOOL,))
    prompt = render(calling, asked, None, 512)
    messages = [turn.model_dump() for turn in CALLING]
    expected = calling.tokenizer.apply_chat_template(messages, tools=[TOOL], tokenize=False, add_generation_prompt=True)
    assert prompt.prompt == expected
    assert '"parameters": {}' in prompt.prompt
    said = [calling.tokenizer.decode(prompt.prompt_ids[a:b]) for a, b in earlier_answers(calling, asked, prompt.prompt_ids)]
    called = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call><|im_end|>'
    assert said == [called, "Yes.<|im_end|>"]
    assert prompt.tools == (TOOL,)


def test_template_that_does_not_show_tools_or_calls_is_refused(tokenizer, calling):
    with pytest.raises(UserError, match=r"^the template does not show the tools that turn 2 calls, in a conversation of user"):
        render(make_renderer(tokenizer), Request("", "", turns=CALLING), None, 512)
    with pytest.raises(UserError, match=r"^the template does not show tools, in a conversation of user\.$"):
        render(make_renderer(tokenizer), request(FIRST)._replace(tools=(TOOL,)), None, 512)
    # The name of a tool that is called stands among the tools as well.
    calling.tokenizer.chat_template = WITH_TOOLS.replace("m['tool_calls'] or []", "[]")
    with pytest.raises(UserError, match=r"^the template does not show the tools that turn 2 calls"):
        render(calling, Request("", "", turns=CALLING, tools=(TOOL,)), None, 512)
    calling.tokenizer.chat_template = WITH_TOOLS.replace("if tools", "if false")
    with pytest.raises(UserError, match=r"^the template does not show tools"):
        render(calling, Request("", "", turns=CALLING, tools=(TOOL,)), None, 512)


def test_system_prompt_of_the_model_stands_before_that_of_the_conversation(tokenizer):
    asked = render(make_renderer(tokenizer, None, "Speak French."), request(SYSTEM, FIRST), None, 512)
    assert asked.prompt.startswith("<|im_start|>system\nSpeak French.\n\nBe brief.<|im_end|>\n<|im_start|>user\nFirst.")


def test_too_long_conversation_loses_its_earliest_questions_with_their_answers_but_no_system_message(tokenizer):
    renderer = make_renderer(tokenizer)
    long = request(SYSTEM, ("user", "one " * 40), ("assistant", "two " * 40), *TALK)
    short = render(renderer, request(SYSTEM, *TALK), "Yes.", 512)
    cut = render(renderer, long, "Yes.", len(short.prompt_ids) + len(short.answer_ids))
    assert (cut.prompt, cut.answer_ids, cut.truncated) == (short.prompt, short.answer_ids, True)
    assert cut.turns == request(SYSTEM, *TALK).turns
    only_last = render(renderer, long, "Yes.", len(short.prompt_ids))
    assert only_last.prompt == render(renderer, request(SYSTEM, *TALK[2:]), "Yes.", 512).prompt


def test_last_question_is_cut_at_its_end_where_nothing_else_is_left_and_the_answer_never(tokenizer):
    renderer = make_renderer(tokenizer)
    cut = render(renderer, request(SYSTEM, *TALK[:2], ("user", "word " * 200)), "Yes.", 100)
    assert len(cut.prompt_ids) + len(cut.answer_ids) <= 100
    assert [turn.role for turn in cut.turns] == ["system", "user"]
    assert cut.turns[-1].content.startswith("word word")
    assert render(renderer, request(FIRST), "long " * 200, 100) is None


def test_template_of_questions_and_answers_gets_earlier_ones_as_demonstrations(tokenizer):
    template = "{{ system_prompt }}|{% for d in demonstrations %}Q: {{ d.instruction }} A: {{ d.output }}|{% endfor %}Q: {{ instruction }} A:"
    renderer = make_renderer(tokenizer, template)
    asked = render(renderer, request(SYSTEM, FIRST, ANSWERED, SECOND), None, 512)
    assert asked.prompt == "Be brief.|Q: First. A: Yes.|Q: Second. A:"
    with pytest.raises(UserError, match=r"^the template knows only questions and answers in turn.*such as assistant, user\.$"):
        render(renderer, request(ANSWERED, FIRST), None, 512)


def test_demonstrations_of_a_conversation_are_conversations_without_their_system_messages(make_example):
    shown = make_example("b", messages=turns(("system", "Be long."), FIRST), output="Shown.")
    asked = make_request(make_example("a", messages=turns(SYSTEM, SECOND)), None, [shown])
    assert asked.turns == turns(SYSTEM, FIRST, ("assistant", "Shown."), SECOND)


def test_model_on_a_server_gets_the_turns_and_the_tools():
    asked = render_conversation("Speak French.", Request("", "", turns=(*turns(SYSTEM), *CALLING), tools=(TOOL,)))
    assert asked.messages[0] == {"role": "system", "content": "Speak French.\n\nBe brief."}
    assert asked.messages[2]["tool_calls"] == [CALL]
    assert asked.tools == (TOOL,)
    assert asked.prompt != render_conversation("Speak French.", Request("", "", turns=(*turns(SYSTEM), *CALLING))).prompt
