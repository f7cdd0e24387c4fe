"""How likely servers, and vLLM in a process of its own, say that given texts are."""

import json

import pytest

from loragrid.data.render import Rendered
from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.engines.openai import OpenAiEngine
from loragrid.inference.engines.vllm import VllmEngine
from loragrid.inference.protocol import GivenText
from loragrid.inference.served_likelihoods import measuring_request, read_logprobs
from servers import KEY, Gate

TEXT = GivenText(Rendered("a b", [7, 8], [], False), "c d", [9, 7])
AS_VLLM = [None, {"8": {"logprob": -9.0}}, {"9": {"logprob": -1.5}, "3": {"logprob": -0.5}}, {"7": {"logprob": -2.5}}]
REPLIES = {
    "prompt_logprobs": {"choices": [{"text": "x", "prompt_logprobs": AS_VLLM}]},
    "echo": {"choices": [{"text": "a b c d x", "logprobs": {"token_logprobs": [None, -9.0, -1.5, -2.5, -0.1]}}]},
}


@pytest.fixture
def gate(monkeypatch):
    """A server that replies as it is told."""
    found = Gate("http://nobody")
    monkeypatch.setenv("OPENAI_BASE_URL", found.address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield found
    found.server.shutdown()


def measured(texts, done=frozenset(), **engine):
    settings = {"type": "openai", "model": "served", "send": "token_ids", "retries": 1} | engine
    found = {}
    with OpenAiEngine(**settings).open(ModelToAsk(name="m", job="a job")) as opened:
        for new in opened.measure(texts, done):
            found |= new
    return found


@pytest.mark.parametrize("way", ["prompt_logprobs", "echo"])
def test_server_tells_the_tokens_of_the_text_and_neither_prompt_nor_what_follows(gate, way):
    gate.then = REPLIES[way]
    assert measured([TEXT, TEXT], log_probabilities=way) == {0: [-1.5, -2.5], 1: [-1.5, -2.5]}
    assert gate.requests[0]["prompt"] == [7, 8, 9, 7]
    assert gate.requests[0]["model"] == "served"


def test_what_is_measured_already_is_not_asked(gate):
    gate.then = REPLIES["echo"]
    assert measured([TEXT, TEXT, TEXT], {0, 2}, log_probabilities="echo").keys() == {1}
    assert len(gate.requests) == 1


def test_fault_that_passes_costs_one_more_request(gate):
    gate.faults, gate.then = ["500"], REPLIES["echo"]
    assert measured([TEXT], log_probabilities="echo") == {0: [-1.5, -2.5]}
    assert len(gate.requests) == 2


def test_server_that_tells_nothing_is_said_in_a_sentence(gate):
    gate.then = {"choices": [{"text": "x"}]}
    with pytest.raises(
        UserError, match="does not tell how likely the tokens of the prompt are, as log_probabilities: echo expects"
    ):
        measured([TEXT], log_probabilities="echo")


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": []},
        {"choices": [{"prompt_logprobs": None}]},
        {"choices": [{"prompt_logprobs": AS_VLLM[:3]}]},
        {"choices": [{"prompt_logprobs": [*AS_VLLM[:3], {"6": {"logprob": -1.0}}]}]},
        {"choices": [{"prompt_logprobs": [*AS_VLLM[:3], {"7": {"logprob": float("-inf")}}]}]},
    ],
)
def test_reply_that_lacks_a_token_is_none(reply):
    with pytest.raises(ValueError, match="does not tell how likely"):
        read_logprobs(reply, TEXT, "prompt_logprobs")


def test_server_that_puts_tokens_before_the_prompt_tells_nothing():
    moved = {"choices": [{"logprobs": {"token_logprobs": [None, -0.2, -9.0, -1.5, -2.5, -0.1]}}]}
    with pytest.raises(ValueError, match="does not tell how likely"):
        read_logprobs(moved, TEXT, "echo")
    without_new = {"choices": [{"logprobs": {"token_logprobs": [None, -9.0, -1.5, -2.5]}}]}
    assert read_logprobs(without_new, TEXT, "echo") == [-1.5, -2.5]


def test_request_asks_for_one_token_greedily():
    fields = {"model": "m", "prompt": [7, 8, 9, 7], "max_tokens": 1, "temperature": 0}
    assert measuring_request(TEXT, "m", "prompt_logprobs") == fields | {"prompt_logprobs": 1}
    assert measuring_request(TEXT, "m", "echo") == fields | {"echo": True, "logprobs": 1}


def test_server_that_gets_text_cannot_measure():
    with pytest.raises(ValueError, match="log_probabilities needs api: completions and send: token_ids"):
        OpenAiEngine(type="openai", log_probabilities="echo")
    assert not OpenAiEngine(type="openai").tells_likelihoods
    assert OpenAiEngine(type="openai", send="token_ids", log_probabilities="echo").tells_likelihoods


WORKER = """#!/bin/sh
read model
echo '{{"version": "1", "device": "cpu", "dtype": "float32"}}'
read order
echo "$order" > {notes}
echo '{second}'
echo '{first}'
"""


def test_vllm_is_asked_for_prompt_and_text_and_its_replies_come_in_any_order(smollm2, make_prompts, tmp_path):
    about = {"token_ids": [5], "text": "a", "finish_reason": "length", "queue_s": 0, "compute_s": 1, "running": 2}
    first = about | {"number": 0, "prompt_logprobs": [None, -9.0, -1.5, -2.5]}
    second = about | {"number": 1, "prompt_logprobs": [None, -9.0, -3.5, -4.5]}
    worker, notes = tmp_path / "worker", tmp_path / "notes"
    worker.write_text(WORKER.format(notes=notes, first=json.dumps(first), second=json.dumps(second)))
    worker.chmod(0o755)
    model = ModelToAsk("m", smollm2, None, make_prompts.renderer, "float32", context_length=512)
    found = {}
    with VllmEngine(type="vllm", python=str(worker)).open(model) as engine:
        for new in engine.measure([TEXT, TEXT, TEXT], {1}):
            found |= new
    assert found == {0: [-1.5, -2.5], 2: [-3.5, -4.5]}
    order = json.loads(notes.read_text())
    assert [one["ids"] for one in order["questions"]] == [[7, 8, 9, 7]] * 2
    assert order["sampling"] == {"temperature": 0.0, "max_tokens": 1, "prompt_logprobs": 1}
