import copy
import json
from pathlib import Path

import pytest

from loragrid.data.render import ModelSettings, Request, load_renderer, make_renderer, prompt_text, zero_shot
from loragrid.data.render import render as render_request
from loragrid.errors import UserError

PROMPTS = Path(__file__).parents[3] / "data" / "prompts"
PLAIN = (PROMPTS / "plain.jinja").read_text()
SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


def render(renderer, example, *arguments, **keywords):
    return render_request(renderer, zero_shot(example), *arguments, **keywords)


@pytest.fixture
def chat(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture
def plain(tokenizer):
    return make_renderer(tokenizer, PLAIN)


def test_chat_prompt_is_the_template_up_to_the_answer(chat, make_example):
    rendered = render(chat, make_example("a"), "Yes.", 512)
    expected = SYSTEM + "<|im_start|>user\nAnswer.\n\nquestion a<|im_end|>\n<|im_start|>assistant\n"
    assert rendered.prompt == expected
    assert chat.tokenizer.decode(rendered.prompt_ids) == expected
    assert chat.tokenizer.decode(rendered.answer_ids) == "Yes.<|im_end|>"


def test_system_prompt_replaces_the_one_of_the_template(tokenizer, make_example):
    rendered = render(make_renderer(tokenizer, None, "Be brief."), make_example("a"), None, 512)
    assert rendered.prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user")


def test_answer_ends_with_the_token_that_ends_a_turn(chat, tokenizer, make_example):
    assert render(chat, make_example("a"), "Yes.", 512).answer_ids[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_empty_answer_to_an_unanswerable_question_is_the_end_of_the_turn_alone(chat, make_example):
    assert render(chat, make_example("1", output=""), "", 512).answer_ids == [chat.end_of_turn]


def test_end_of_turn_is_read_off_the_template_where_it_is_not_the_end_of_text(tokenizer):
    other = copy.deepcopy(tokenizer)
    other.eos_token = "<|endoftext|>"
    assert make_renderer(other).end_of_turn == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert make_renderer(other, PLAIN).end_of_turn == tokenizer.convert_tokens_to_ids("<|endoftext|>")


def test_tokenizer_without_a_token_that_ends_an_answer_is_refused(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in settings.items() if not k.endswith("_token")}))
    model = ModelSettings(prompt_format="plain", template=PLAIN)
    with pytest.raises(UserError, match=r"names no token that ends an answer; set 'eos_token' in its tokenizer_config\.json"):
        load_renderer(tmp_path, model)
    # A chat template may end its turns all the same.
    assert load_renderer(tmp_path, ModelSettings()).end_of_turn == tokenizer.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.parametrize("name", ["chat", "plain", "alpaca", "alpaca_short"])
def test_training_and_inference_have_the_same_prompt(tokenizer, make_example, name):
    renderer = make_renderer(tokenizer, None if name == "chat" else (PROMPTS / f"{name}.jinja").read_text())
    example = make_example("a")
    assert render(renderer, example, example.output, 512).prompt_ids == render(renderer, example, None, 512).prompt_ids


def test_plain_prompt_is_instruction_and_input(plain, make_example):
    assert render(plain, make_example("a"), None, 512).prompt == "Answer.\n\nquestion a\n\n"
    assert prompt_text(plain, Request("Answer.", "")) == "Answer.\n\n"


def test_beginning_of_sequence_stands_once_where_the_tokenizer_adds_one(tokenizer, make_example):
    from tokenizers.processors import TemplateProcessing

    adding = copy.deepcopy(tokenizer)
    bos = adding.bos_token
    adding.backend_tokenizer.post_processor = TemplateProcessing(f"{bos} $A", special_tokens=[(bos, adding.bos_token_id)])
    assert adding("x").input_ids[0] == adding.bos_token_id
    ids = render(make_renderer(adding, PLAIN), make_example("a"), None, 512).prompt_ids
    assert ids.count(adding.bos_token_id) == 1
    assert ids[0] == adding.bos_token_id
    # SmolLM2's beginning token is also what starts each of the three turns.
    assert render(make_renderer(adding), make_example("a"), None, 512).prompt_ids.count(adding.bos_token_id) == 3
    assert tokenizer.bos_token_id not in render(make_renderer(tokenizer, PLAIN), make_example("a"), None, 512).prompt_ids


def test_too_long_example_has_the_end_of_its_input_cut_and_nothing_else(chat, make_example):
    example = make_example("a", input="first " + "word " * 300 + "last")
    whole = render(chat, example, "The answer.", 1024)
    cut = render(chat, example, "The answer.", 100)
    assert not whole.truncated
    assert cut.truncated
    assert len(cut.prompt_ids) + len(cut.answer_ids) <= 100
    assert cut.answer_ids == whole.answer_ids
    assert cut.prompt.startswith(SYSTEM + "<|im_start|>user\nAnswer.\n\nfirst word word")
    assert cut.prompt.endswith("word<|im_end|>\n<|im_start|>assistant\n")


def test_room_for_an_answer_is_kept_free(chat, make_example):
    example = make_example("a", input="word " * 300)
    assert len(render(chat, example, None, 200, reserve=64).prompt_ids) <= 136


def test_example_that_fits_without_no_input_is_dropped(chat, make_example):
    assert render(chat, make_example("a"), "word " * 200, 100) is None


ALPACA = "Below is an instruction that describes a task"


@pytest.mark.parametrize(
    ("name", "with_input", "without_input"),
    [
        ("plain", "Do.\n\nIn\n\n", "Do.\n\n"),
        (
            "alpaca_short",
            "### Instruction:\nDo.\n\n### Input:\nIn\n\n### Response:\n",
            "### Instruction:\nDo.\n\n### Response:\n",
        ),
        (
            "alpaca",
            f"{ALPACA}, paired with an input that provides further context. Write a response that appropriately completes the "
            "request.\n\n### Instruction:\nDo.\n\n### Input:\nIn\n\n### Response:\n",
            f"{ALPACA}. Write a response that appropriately completes the request.\n\n### Instruction:\nDo.\n\n### Response:\n",
        ),
    ],
)
def test_templates_give_their_published_text(tokenizer, name, with_input, without_input):
    renderer = make_renderer(tokenizer, (PROMPTS / f"{name}.jinja").read_text())
    assert prompt_text(renderer, Request("Do.", "In")) == with_input
    assert prompt_text(renderer, Request("Do.", "")) == without_input


def test_demonstrations_are_turns_in_a_chat_and_text_in_a_template(chat, plain, make_example):
    request = Request("Answer.", "question x", (make_example("a"), make_example("b")))
    turns = "<|im_start|>user\nAnswer.\n\nquestion {0}<|im_end|>\n<|im_start|>assistant\n"
    shown = "".join(turns.format(name) + f"answer {name}<|im_end|>\n" for name in "ab")
    assert prompt_text(chat, request) == SYSTEM + shown + turns.format("x")
    text = "Answer.\n\nquestion {0}\n\n"
    assert prompt_text(plain, request) == "".join(text.format(n) + f"answer {n}\n\n" for n in "ab") + text.format("x")


def test_too_long_prompt_loses_its_last_demonstrations_before_its_input(chat, make_example):
    request = Request("Answer.", "question x", tuple(make_example(f"{i} " + "word " * 40) for i in range(4)))
    whole, cut = render_request(chat, request, None, 2048), render_request(chat, request, None, 300)
    assert (whole.truncated, cut.truncated) == (False, True)
    assert "question 0" in cut.prompt
    assert "question 3" not in cut.prompt
    assert cut.prompt.endswith("question x<|im_end|>\n<|im_start|>assistant\n")


def tokenizer_with_bos(kind):
    """A tokenizer as Llama-like (it writes <s> itself) or GPT-2-like (byte level, without one) models have, trained here."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>"] if kind == "llama" else ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(["### Instruction: Answer. question answer"] * 5, trainer)
    if kind == "llama":
        backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=special[0], eos_token=special[-1])
    if kind == "llama":
        made.chat_template = (
            "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}"
            "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %} {% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
        )
    return made


@pytest.mark.parametrize(
    ("kind", "name", "beginning"),
    [
        ("llama", "chat", "<s>"),
        ("llama", "alpaca", "<s>"),
        ("llama", "plain", "<s>"),
        ("gpt2", "alpaca", ""),
        ("gpt2", "plain", ""),
    ],
)
def test_ids_are_the_expected_text_with_one_beginning_where_the_model_wants_one(kind, name, beginning, make_example):
    made = tokenizer_with_bos(kind)
    renderer = make_renderer(made, None if name == "chat" else (PROMPTS / f"{name}.jinja").read_text())
    example = make_example("a")
    rendered = render(renderer, example, "Yes.", 512)
    expected = rendered.prompt if rendered.prompt.startswith("<s>") else beginning + rendered.prompt
    assert made.decode(rendered.prompt_ids) == expected
    assert expected.count("<s>") == (1 if beginning else 0)
    assert made.decode(rendered.answer_ids) == "Yes." + made.eos_token
    assert rendered.answer_ids[-1] == made.eos_token_id
    assert render(renderer, example, None, 512).prompt_ids == rendered.prompt_ids
