"""The engine `openai` against a real server, well and badly behaved."""

import pytest

from loragrid.config import parse_engine
from loragrid.engine_openai import open_openai, pause, request
from loragrid.errors import UserError
from loragrid.inference import Decoding, Question, generate

INPUTS = ("What is the capital of France?", "Name a colour.", "How many legs has a spider?", "Say hello.", "What is ice?")
EIGHT = Decoding(max_new_tokens=8)


@pytest.fixture
def prompts(make_prompts):
    return make_prompts(*INPUTS)


def settings(**values):
    return parse_engine({"type": "openai", "concurrency": 2, "retries": 2, "timeout_s": 5} | values)


def ask(smollm2, prompts, journal=None, decoding=EIGHT, **values):
    with open_openai("m", settings(model=str(smollm2), **values), None, None) as engine:
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
    answers = ask(smollm2, prompts[:3])
    assert [one.text for one in answers] == [one.text for [one] in generate(smollm2_answers, prompts[:3], EIGHT)]
    assert len(gate.requests) == 4


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("429", "answered 429: .*fault 429.* It was asked 2 times."),
        ("500", "answered 500: .*fault 500.* It was asked 2 times."),
        ("malformed", "sent a reply that cannot be read .* It was asked 2 times."),
        ("empty", "sent a reply that cannot be read .* It was asked 2 times."),
        ("dropped", "cannot be reached. It was asked 2 times."),
        ("400", "answered 400: .*fault 400"),
        ("404", "answered 404: .*fault 404"),
    ],
)
def test_fault_that_stays_ends_in_a_sentence_and_keeps_what_was_finished(
    gate, smollm2, prompts, smollm2_answers, tmp_path, fault, sentence
):
    gate.faults, gate.then = [None, None], fault
    with pytest.raises(UserError, match=f"the server in OPENAI_BASE_URL {sentence}"):
        ask(smollm2, prompts, tmp_path / "journal.jsonl", concurrency=1, retries=1)
    assert len(gate.requests) == (3 if fault.startswith("40") else 4)
    gate.then = None
    gate.requests.clear()
    answers = ask(smollm2, prompts, tmp_path / "journal.jsonl", concurrency=1)
    assert len(gate.requests) == 3
    assert [one.text for one in answers] == [one.text for [one] in generate(smollm2_answers, prompts, EIGHT)]


def test_wrong_key_is_refused_at_once_and_not_repeated_to_anyone(gate, smollm2, prompts, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(UserError, match=r"refuses the key in OPENAI_API_KEY \(401\)") as error:
        ask(smollm2, prompts, concurrency=1)
    assert len(gate.requests) == 1
    assert "sk-wrong" not in str(error.value) + "".join(capfd.readouterr())


def test_server_that_is_down_is_named_by_its_variable(gate, smollm2, prompts, monkeypatch):
    gate.server.shutdown()
    gate.server.server_close()
    with pytest.raises(UserError, match=r"the server in OPENAI_BASE_URL cannot be reached\. It was asked 2 times\."):
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
        return request(Question(prompts[0], 5), decoding, "m", settings(**values), make_prompts.renderer)

    usual = {"model": "m", "max_tokens": 8, "temperature": 0.0, "prompt": prompts[0].prompt}
    assert sent(EIGHT) == usual
    sampled = Decoding(8, 2, temperature=0.5, top_p=0.9, top_k=5, repetition_penalty=1.1, stop=["."])
    more = {"temperature": 0.5, "seed": 5, "top_p": 0.9, "top_k": 5, "repetition_penalty": 1.1, "stop": ["."], "min_tokens": 2}
    assert sent(sampled) == usual | more
    assert sent(EIGHT, settings={"max_tokens": None, "max_completion_tokens": 9, "user": "u"}) == {
        **{key: value for key, value in usual.items() if key != "max_tokens"},
        "max_completion_tokens": 9,
        "user": "u",
    }
    ids = sent(EIGHT, send="token_ids")
    assert (ids["prompt"], ids["stop_token_ids"]) == (prompts[0].prompt_ids, [make_prompts.renderer.end_of_turn])
    chat = sent(EIGHT, api="chat")
    assert "prompt" not in chat
    assert chat["messages"] == [{"role": "user", "content": f"Answer in a few words.\n\n{INPUTS[0]}"}]


def test_pauses_grow_unless_the_server_says_how_long():
    assert [1 <= pause(ValueError(), attempt) / 2**attempt * 4 / 3 <= 5 / 3 for attempt in range(5)] == [True] * 5
    assert pause(ValueError(), 20) <= 75
