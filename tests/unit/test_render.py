import copy

import pytest

from loragrid.render import make_renderer, prompt_text, render

SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


@pytest.fixture
def chat(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture
def plain(tokenizer):
    return make_renderer(tokenizer, "plain")


def test_chat_prompt_is_the_template_up_to_the_answer(chat, make_example):
    rendered = render(chat, make_example("a"), "Yes.", 512)
    expected = SYSTEM + "<|im_start|>user\nAnswer.\n\nquestion a<|im_end|>\n<|im_start|>assistant\n"
    assert rendered.prompt == expected
    assert chat.tokenizer.decode(rendered.prompt_ids) == expected
    assert chat.tokenizer.decode(rendered.answer_ids) == "Yes.<|im_end|>"


def test_system_prompt_replaces_the_one_of_the_template(tokenizer, make_example):
    rendered = render(make_renderer(tokenizer, "chat", "Be brief."), make_example("a"), None, 512)
    assert rendered.prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user")


def test_answer_ends_with_the_token_that_ends_a_turn(chat, tokenizer, make_example):
    assert render(chat, make_example("a"), "Yes.", 512).answer_ids[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_end_of_turn_is_read_off_the_template_where_it_is_not_the_end_of_text(tokenizer):
    other = copy.deepcopy(tokenizer)
    other.eos_token = "<|endoftext|>"
    assert make_renderer(other).end_of_turn == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert make_renderer(other, "plain").end_of_turn == tokenizer.convert_tokens_to_ids("<|endoftext|>")


@pytest.mark.parametrize("prompt_format", ["chat", "plain"])
def test_training_and_inference_have_the_same_prompt(tokenizer, make_example, prompt_format):
    renderer = make_renderer(tokenizer, prompt_format)
    example = make_example("a")
    assert render(renderer, example, example.output, 512).prompt_ids == render(renderer, example, None, 512).prompt_ids


def test_plain_prompt_is_instruction_and_input(plain, make_example):
    assert render(plain, make_example("a"), None, 512).prompt == "Answer.\n\nquestion a\n\n"
    assert prompt_text(plain, "Answer.", "") == "Answer.\n\n"


def test_beginning_of_sequence_stands_once_where_the_tokenizer_adds_one(tokenizer, make_example):
    from tokenizers.processors import TemplateProcessing

    adding = copy.deepcopy(tokenizer)
    bos = adding.bos_token
    adding.backend_tokenizer.post_processor = TemplateProcessing(f"{bos} $A", special_tokens=[(bos, adding.bos_token_id)])
    assert adding("x").input_ids[0] == adding.bos_token_id
    ids = render(make_renderer(adding, "plain"), make_example("a"), None, 512).prompt_ids
    assert ids.count(adding.bos_token_id) == 1
    assert ids[0] == adding.bos_token_id
    # SmolLM2's beginning token is also what starts each of the three turns.
    assert render(make_renderer(adding, "chat"), make_example("a"), None, 512).prompt_ids.count(adding.bos_token_id) == 3
    assert tokenizer.bos_token_id not in render(make_renderer(tokenizer, "plain"), make_example("a"), None, 512).prompt_ids


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
