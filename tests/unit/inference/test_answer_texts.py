"""What ends an answer is no part of its text, in any engine, and every id that ends is stopped at."""

import json

import pytest
from transformers import AutoTokenizer

from architectures import make_model
from loragrid.data.render import ModelSettings, Request, end_tokens, load_renderer, make_renderer, own_ends, render
from loragrid.inference.answer_texts import stopped_text, text_reader
from loragrid.inference.batching import answer_with
from loragrid.inference.engines.openai import OpenAiEngine, Served, read_reply, request, without_ends
from loragrid.inference.engines.vllm import VllmEngine, open_vllm, vllm_engine
from loragrid.inference.generation import generate_together
from loragrid.inference.protocol import Decoding, Question, generate
from loragrid.text.thoughts import MARKS

TEMPLATE = "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|turn_end|>\n{% endfor %}<|turn|>assistant\n"
EIGHT = Decoding(max_new_tokens=8)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    """A tokenizer whose turns end with a token that does not count as special, with tokens for thoughts that do."""
    folder = tmp_path_factory.mktemp("models") / "turns"
    tokenizer.save_pretrained(folder)
    own = AutoTokenizer.from_pretrained(folder)
    own.add_tokens(["<|turn|>", "<|turn_end|>", "<|stop|>"], special_tokens=False)
    own.add_tokens(["[THINK]", "[/THINK]", "<|pause|>"], special_tokens=True)
    own.chat_template = TEMPLATE
    own.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 2, "text_config": {"eos_token_id": 0}}))
    stop = own.convert_tokens_to_ids("<|stop|>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, stop], "do_sample": True}))
    return folder


@pytest.fixture(scope="module")
def renderer(folder):
    return load_renderer(folder, ModelSettings())


@pytest.fixture(scope="module")
def ids_of(renderer):
    return lambda text: renderer.tokenizer(text, add_special_tokens=False).input_ids


@pytest.fixture(scope="module")
def question(renderer):
    return Question(render(renderer, Request("Say", "yes"), None, 512), 0)


def test_ends_are_the_end_of_turn_the_tokenizers_end_of_text_and_what_the_model_lists(renderer, folder, ids_of):
    turn_end, stop = ids_of("<|turn_end|><|stop|>")
    assert renderer.end_of_turn == turn_end
    assert end_tokens(renderer, folder) == sorted({0, 2, stop, turn_end})
    assert own_ends(renderer, folder) == {0, 2, stop}


@pytest.mark.parametrize(
    ("behind", "end"), [("\n<|turn_end|>\n", "<|turn_end|>"), ("  <|turn_end|>", "<|turn_end|>"), ("\n\n", "<|im_end|>")]
)
def test_tokens_for_white_space_end_no_answer(folder, behind, end):
    own = AutoTokenizer.from_pretrained(folder)
    own.add_tokens(["\n", "\n\n", "  "], special_tokens=False)
    own.chat_template = TEMPLATE.replace("<|turn_end|>\n", behind).replace("endfor %}", "endfor %}{% if add_generation_prompt %}")
    own.chat_template += "{% endif %}"
    assert own.convert_ids_to_tokens(make_renderer(own).end_of_turn) == end


def test_end_of_text_of_a_tokenizer_ends_an_answer_of_a_model_that_lists_none(tokenizer, tmp_path):
    (tmp_path / "config.json").write_text('{"eos_token_id": null}')
    assert end_tokens(make_renderer(tokenizer, "{{ input }}"), tmp_path) == [tokenizer.eos_token_id]


ANSWERS = [
    ("yes<|turn_end|>", "yes", "stop"),
    ("yes<|stop|>", "yes", "stop"),
    ("yes<|im_end|>", "yes", "stop"),
    ("yes", "yes", "length"),
    ("<|turn_end|>", "", "stop"),
    # A special token in between was never text. Others are what the model wrote.
    ("y<|pause|>es<|turn_end|>", "yes", "stop"),
    ("<|turn|>yes<|turn_end|>", "<|turn|>yes", "stop"),
    ("\n\n    return a\n<|turn_end|>", "    return a", "stop"),
    # Special tokens that mark thoughts tell them apart.
    ("[THINK]no[/THINK]yes<|turn_end|>", "[THINK]no[/THINK]yes", "stop"),
]


@pytest.mark.parametrize(("said", "text", "reason"), ANSWERS)
def test_final_token_that_ends_an_answer_is_no_part_of_its_text_with_hf(
    said, text, reason, renderer, folder, ids_of, question, monkeypatch
):
    def given(*_):
        from loragrid.inference.generation import Sequenced

        return [Sequenced(ids_of(said), 0.0)]

    monkeypatch.setattr("loragrid.inference.batching.generate_together", given)
    model = make_model("llama", vocab_size=len(renderer.tokenizer))
    ask = answer_with(model, renderer, end_tokens(renderer, folder), 512)
    [[answer]] = generate(ask, [question.prompt], EIGHT)
    assert (answer.text, answer.finish_reason, answer.new_tokens) == (text, reason, len(ids_of(said)))


@pytest.mark.parametrize(("said", "text", "reason"), ANSWERS)
def test_final_token_that_ends_an_answer_is_no_part_of_its_text_with_vllm(
    said, text, reason, renderer, folder, ids_of, question, tmp_path
):
    ids = ids_of(said)
    reply = {"number": 0, "token_ids": ids, "text": renderer.tokenizer.decode(ids, skip_special_tokens=True)}
    reply |= {"finish_reason": reason, "queue_s": 0, "compute_s": 1, "running": 1}
    (tmp_path / "reply").write_text(
        json.dumps({"version": "1", "device": "cpu", "dtype": "float32"}) + "\n" + json.dumps(reply) + "\n"
    )
    worker = tmp_path / "python"
    worker.write_text(f"#!/bin/sh\nread model\nhead -n 1 {tmp_path}/reply\nread order\ntail -n 1 {tmp_path}/reply\n")
    worker.chmod(0o755)
    with open_vllm(VllmEngine(type="vllm", python=str(worker)), folder, "float32", {}, renderer, 512) as vllm:
        [[answer]] = generate(vllm_engine(vllm, None).answer, [question.prompt], EIGHT)
    assert (answer.text, answer.finish_reason, answer.new_tokens) == (text, reason, len(ids))


def served(renderer, folder, **settings):
    ends = end_tokens(renderer, folder)
    engine = OpenAiEngine(type="openai", **settings)
    return Served(None, engine, "m", renderer, ends, sorted({*ends} - own_ends(renderer, folder)))


@pytest.mark.parametrize(
    ("said", "reason", "expected"),
    [
        ("yes<|turn_end|>", "stop", ("yes", "stop")),
        ("yes<|stop|>\n<|turn_end|>", "stop", ("yes", "stop")),
        ("yes<|turn_end|>\n<|turn|>user\nAnd", "length", ("yes", "stop")),
        ("    return a", "length", ("    return a", "length")),
        # Sent with `skip_special_tokens: false`.
        ("y<|pause|>es<|im_end|>", "stop", ("yes", "stop")),
        ("[THINK]no[/THINK]yes<|im_end|>", "stop", ("[THINK]no[/THINK]yes", "stop")),
    ],
)
def test_final_token_that_ends_an_answer_is_no_part_of_its_text_with_a_server(said, reason, expected, renderer, folder):
    reply = {"choices": [{"text": said, "finish_reason": reason}], "usage": {"prompt_tokens": 1, "completion_tokens": 9}}
    answer = without_ends(served(renderer, folder), read_reply(reply, 0, 1, 1), EIGHT)
    assert (answer.text, answer.finish_reason) == expected


def test_server_is_told_where_to_stop(renderer, folder, question):
    text = request(question, EIGHT._replace(stop=["\n"]), served(renderer, folder))
    assert text["stop"] == ["\n", "<|turn_end|>"]
    ids = request(question, EIGHT, served(renderer, folder, send="token_ids"))
    assert ids["stop_token_ids"] == end_tokens(renderer, folder)
    # Else the server would leave out the tokens that mark thoughts.
    assert ids["skip_special_tokens"] is False
    assert "stop" not in request(question, EIGHT, served(renderer, folder, api="chat"))


def test_what_a_server_tells_apart_is_kept_apart():
    message = {"content": "\n    return a\n", "reasoning_content": "\na sum\n"}
    reply = {"choices": [{"message": message}], "usage": {"prompt_tokens": 1, "completion_tokens": 9}}
    answer = read_reply(reply, 0, 1, 1)
    assert (answer.thoughts, answer.text) == ("a sum", "    return a")
    cut = {"choices": [{"message": {"content": None, "reasoning": "hm"}, "finish_reason": "length"}]} | {"usage": reply["usage"]}
    answer = read_reply(cut, 0, 1, 1)
    assert (answer.thoughts, answer.text, answer.finish_reason) == ("hm", "", "length")


def test_words_that_stop_an_answer_are_searched_in_its_text(renderer, ids_of):
    text_of = text_reader(renderer.tokenizer, set(ids_of("<|turn_end|>")), MARKS)
    ids = ids_of("\n    return a\n\ndef next():<|turn_end|>")
    assert stopped_text(text_of, ids, EIGHT._replace(stop=["\ndef"])) == ("    return a", True)
    assert stopped_text(text_of, ids, EIGHT._replace(stop=["<|turn_end|>"])) == ("    return a\n\ndef next():", False)


@pytest.mark.parametrize("kind", ["llama", "bloom"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_generation_stops_at_each_id_that_ends(kind, place):
    model = make_model(kind)
    prompts = [[5, 6, 7], [9, 8]]

    def tokens(*ends, **decoding):
        found = generate_together(model, prompts, [0, 1], EIGHT._replace(**decoding), ends, 0, lambda ids: False)
        return [sequence.token_ids for sequence in found]

    free = tokens(299)
    # An id beyond the vocabulary ends nothing.
    assert tokens(299, 10**6, min_new_tokens=1) == free
    ends = [of_prompt[place] for of_prompt in free]
    for found, without in zip(tokens(299, *ends), free, strict=True):
        assert found == without[: next(i for i, token in enumerate(without, 1) if token in ends)]
