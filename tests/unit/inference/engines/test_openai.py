"""The engine `openai` against a real server, well and badly behaved."""

import copy
import json
import time

import httpx2
import openai
import pytest
from tokenizers.processors import TemplateProcessing

from loragrid.data.render import Request, make_renderer, render
from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.engines.openai import OpenAiEngine, Served, request, text_to_send
from loragrid.inference.protocol import Decoding, Question, generate
from loragrid.runtime.server import pause
from servers import ANSWER_S

INPUTS = ("What is the capital of France?", "Name a colour.", "How many legs has a spider?", "Say hello.", "What is ice?")
EIGHT = Decoding(max_new_tokens=8)


@pytest.fixture
def prompts(make_prompts):
    return make_prompts(*INPUTS)


def settings(**values):
    return OpenAiEngine(**{"type": "openai", "concurrency": 2, "retries": 2} | values)


def ask(smollm2, prompts, journal=None, decoding=EIGHT, **values):
    with settings(model=str(smollm2), **values).open(ModelToAsk(name="m", job="a job")) as engine:
        return [one for [one] in generate(engine.answer, prompts, decoding, journal)]


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_server_gives_the_same_texts_as_the_model_itself(gate, smollm2, prompts, smollm2_answers, api):
    expected = [one for [one] in generate(smollm2_answers, prompts, EIGHT)]
    answers = ask(smollm2, prompts, api=api)
    for found, wanted in zip(answers, expected, strict=True):
        assert found.text == wanted.text
        assert (found.prompt_tokens, found.new_tokens) == (wanted.prompt_tokens, wanted.new_tokens)
        assert found.finish_reason == ("length" if found.new_tokens == 8 else "stop")
        assert found.compute_s > 0
        assert found.runtime_s == pytest.approx(found.compute_s / found.batch_size, abs=1e-5)
    assert max(one.queue_s for one in answers) >= min(one.compute_s for one in answers)


@pytest.mark.parametrize("fault", ["429", "500", "503", "malformed", "empty", "dropped", "slow"])
def test_fault_that_passes_costs_one_more_request_and_changes_nothing(gate, smollm2, prompts, smollm2_answers, fault):
    gate.faults = [None, fault]
    answers = ask(smollm2, prompts[:3], timeout_s=ANSWER_S)
    assert [one.text for one in answers] == [one.text for [one] in generate(smollm2_answers, prompts[:3], EIGHT)]
    assert len(gate.requests) == 4


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("429", "answered 429: .*fault 429.* It was asked 2 times."),
        ("500", "answered 500: .*fault 500.* It was asked 2 times."),
        ("malformed", "sent a reply that cannot be read .* It was asked 2 times."),
        ("empty", "sent a reply that cannot be read .* It was asked 2 times."),
        ("dropped", "closed the connection without a whole reply. It was asked 2 times."),
        ("400", "answered 400: .*fault 400"),
        ("404", "answered 404: .*fault 404"),
    ],
)
def test_fault_that_stays_ends_in_a_sentence_and_keeps_what_was_finished(
    gate, smollm2, prompts, smollm2_answers, tmp_path, fault, sentence
):
    gate.faults, gate.then = [None, None], fault
    with pytest.raises(UserError, match=f"^models.m.engine: the server in OPENAI_BASE_URL {sentence}"):
        ask(smollm2, prompts, tmp_path / "journal.jsonl", concurrency=1, retries=1)
    assert len(gate.requests) == (3 if fault.startswith("40") else 4)
    gate.then = None
    gate.requests.clear()
    answers = ask(smollm2, prompts, tmp_path / "journal.jsonl", concurrency=1)
    assert len(gate.requests) == 3
    assert [one.text for one in answers] == [one.text for [one] in generate(smollm2_answers, prompts, EIGHT)]


def test_wrong_key_is_refused_at_once_and_not_repeated_to_anyone(gate, smollm2, prompts, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(UserError, match=r"^models.m.engine: .* refuses the key in OPENAI_API_KEY \(401\)") as error:
        ask(smollm2, prompts, concurrency=1)
    assert len(gate.requests) == 1
    assert "sk-wrong" not in str(error.value) + "".join(capfd.readouterr())


def test_server_that_is_down_is_named_by_its_variable(gate, smollm2, prompts, monkeypatch):
    gate.server.shutdown()
    gate.server.server_close()
    with pytest.raises(
        UserError,
        match=r"^models.m.engine: the server in OPENAI_BASE_URL cannot be reached: nothing listens there\. .* It was asked 2 times\.",
    ):
        ask(smollm2, prompts, retries=1)
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(UserError, match="OPENAI_BASE_URL must hold the server's address"):
        ask(smollm2, prompts)


def test_no_more_requests_at_a_time_than_allowed(gate, smollm2, prompts):
    ask(smollm2, prompts, concurrency=3)
    assert gate.most_in_flight == 3


def test_latency_is_measured_one_request_at_a_time(gate, smollm2, prompts):
    answers = ask(smollm2, prompts[:3], decoding=EIGHT._replace(latency=True), concurrency=3)
    assert gate.most_in_flight == 1
    assert {one.batch_size for one in answers} == {1}


def test_only_settings_that_are_used_are_sent(prompts, make_prompts):
    def sent(decoding, **values):
        return request(Question(prompts[0], 5), decoding, Served(None, settings(**values), "m", make_prompts.renderer, [2], []))

    usual = {"model": "m", "max_tokens": 8, "temperature": 0.0, "prompt": prompts[0].prompt}
    assert sent(EIGHT) == usual
    sampled = Decoding(8, 2, temperature=0.5, top_p=0.9, top_k=5, repetition_penalty=1.1, stop=["."])
    more = {"temperature": 0.5, "seed": 5, "top_p": 0.9, "top_k": 5, "repetition_penalty": 1.1, "stop": ["."], "min_tokens": 2}
    assert sent(sampled) == usual | more
    assert sent(EIGHT, settings={"temperature": None, "user": "u"}) == {
        **{key: value for key, value in usual.items() if key != "temperature"},
        "user": "u",
    }
    ids = sent(EIGHT, send="token_ids")
    assert (ids["prompt"], ids["stop_token_ids"]) == (prompts[0].prompt_ids, [2])
    limited = sent(EIGHT, length_field="max_completion_tokens")
    assert (limited["max_completion_tokens"], "max_tokens" in limited) == (8, False)
    chat = sent(EIGHT, api="chat")
    assert "prompt" not in chat
    assert chat["messages"] == [{"role": "user", "content": f"Answer in a few words.\n\n{INPUTS[0]}"}]


def test_tools_and_their_calls_are_sent_as_the_api_has_them(prompts):
    call = {"type": "function", "id": "c1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    tool = {"type": "function", "function": {"name": "weather"}}
    messages = ({"role": "user", "content": "Cold?"}, {"role": "assistant", "content": "", "tool_calls": [call]})
    asked = Question(prompts[0]._replace(messages=messages, tools=(tool,)), 5)
    sent = request(asked, EIGHT, Served(None, settings(api="chat"), "m", None))
    assert sent["tools"] == [tool]
    assert sent["messages"][0] == messages[0]
    assert json.loads(sent["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}


def refused(headers):
    response = httpx2.Response(429, headers=headers, request=httpx2.Request("POST", "http://here/v1"))
    return openai.RateLimitError("too many", response=response, body=None)


@pytest.mark.parametrize(("header", "expected"), [("7", 7), ("0", 0), ("9999", 300)])
def test_pauses_are_as_long_as_the_server_says(header, expected):
    assert pause(refused({"retry-after": header}), 1) == expected


@pytest.mark.parametrize("header", [None, "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_pauses_grow_where_the_server_does_not_say_how_long(header):
    error = refused({"retry-after": header} if header else {})
    assert [0.75 <= pause(error, attempt) / 2**attempt <= 1.25 for attempt in range(5)] == [True] * 5


def test_job_that_fails_does_not_wait_for_the_patience_of_its_other_requests(gate, smollm2, prompts):
    gate.faults, gate.then = ["404"], "dropped"
    started = time.monotonic()
    with pytest.raises(UserError, match=r"answered 404: .*Does the address end in /v1\?"):
        ask(smollm2, prompts, concurrency=3, retries=9)
    assert time.monotonic() - started < 20
    assert len(gate.requests) < 9


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("OPENAI_BASE_URL", "localhost:8000/v1", "OPENAI_BASE_URL must hold the server's address, http"),
        ("OPENAI_API_KEY", "kéy", "OPENAI_API_KEY holds what cannot be a key"),
        ("OPENAI_API_KEY", "k\ney", "OPENAI_API_KEY holds what cannot be a key"),
    ],
)
def test_address_or_key_that_cannot_be_right_is_said_at_once(gate, smollm2, prompts, monkeypatch, variable, value, sentence):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"^models.m.engine: the environment variable {sentence}"):
        ask(smollm2, prompts)
    assert not gate.requests


def test_token_that_a_servers_tokenizer_adds_is_not_sent_with_a_text(tokenizer):
    adding = copy.deepcopy(tokenizer)
    adding.bos_token = "<|im_start|>"
    beginning = ("<|im_start|>", adding.bos_token_id)
    adding._tokenizer.post_processor = TemplateProcessing(single="<|im_start|> $A", special_tokens=[beginning])
    renderer = make_renderer(adding)
    rendered = render(renderer, Request("Say", "hello"), None, 99)
    assert rendered.prompt.startswith("<|im_start|>system")
    sent = text_to_send(rendered, renderer)
    assert sent == rendered.prompt.removeprefix("<|im_start|>")
    assert adding(sent).input_ids == rendered.prompt_ids != adding(rendered.prompt).input_ids
    assert text_to_send(rendered, make_renderer(tokenizer)) == text_to_send(rendered, None) == rendered.prompt


def test_engine_can_be_asked_again(gate, smollm2, prompts):
    with settings(model=str(smollm2)).open(ModelToAsk(name="m", job="a job")) as engine:
        first, second = (generate(engine.answer, prompts[:2], EIGHT) for _ in range(2))
    assert [one.text for [one] in first] == [one.text for [one] in second]
    assert len(gate.requests) == 4
