"""The engine `vllm` on a real vLLM: `make test-vllm` makes its environment."""

import json
from pathlib import Path

import pytest
import torch

from loragrid.data.render import end_tokens, text_ids
from loragrid.errors import UserError
from loragrid.inference.batching import answer_with
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.engines.openai import OpenAiEngine
from loragrid.inference.engines.vllm import VllmEngine, open_vllm, vllm_engine
from loragrid.inference.kept_engines import kept_engines
from loragrid.inference.measuring import measure_with
from loragrid.inference.protocol import Decoding, GivenText, generate, pose
from loragrid.inference.vllm_process import environment, started
from loragrid.models.loading import load_base_model, load_trained
from loragrid.training.methods import LoraTraining
from servers import free_port, running_server

PYTHON = Path(__file__).parents[4] / ".venv-vllm" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="make test-vllm installs vLLM in .venv-vllm")

INPUTS = ("What is the capital of France?", "Name a colour.", "How many legs has a spider?", "Say hello.", "What is ice?")
TWELVE = Decoding(max_new_tokens=12)
SETTINGS = {"max_num_seqs": 16, "enforce_eager": True}
NAMES = (None, "first", "second")


@pytest.fixture(scope="module")
def prompts(make_prompts):
    return make_prompts(*INPUTS)


@pytest.fixture(scope="module")
def adapters(smollm2, tmp_path_factory):
    """Folders of two adapters that change what SmolLM2 says."""
    folders = {}
    for seed, name in enumerate(NAMES[1:]):
        config = LoraTraining(rank=4, target_modules=["q_proj", "v_proj"])
        model = config.make_trainable(load_base_model(smollm2, "float32"), seed)
        torch.manual_seed(seed)
        for parameter_name, parameter in model.named_parameters():
            if "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter, std=0.05)
        folders[name] = tmp_path_factory.mktemp("adapters") / name
        model.save_pretrained(folders[name])
    return folders


@pytest.fixture(scope="module")
def expected(smollm2, adapters, prompts, make_prompts):
    """What the engine `hf` answers in float32, by adapter."""
    ends, texts = end_tokens(make_prompts.renderer, smollm2), {}
    for name in NAMES:
        trained = adapters[name] / "adapter_model.safetensors" if name else None
        model = load_trained(load_base_model(smollm2, "float32"), trained, "float32")
        answers = generate(answer_with(model, make_prompts.renderer, ends, 16384), prompts, TWELVE)
        texts[name] = [answer.token_ids for [answer] in answers]
    assert len({str(of_model) for of_model in texts.values()}) == 3
    return texts


@pytest.fixture(scope="module")
def vllm(smollm2, adapters, make_prompts):
    engine = VllmEngine(type="vllm", python=str(PYTHON), settings=SETTINGS)
    with open_vllm(engine, smollm2, "float32", adapters, make_prompts.renderer, 512) as opened:
        yield opened


def test_base_and_two_adapters_answer_in_one_go_as_they_do_with_hf(vllm, prompts, expected):
    questions = [(question, name) for question in pose(prompts, TWELVE) for name in NAMES]
    answers = {}
    for new in vllm.ask(questions, TWELVE):
        answers |= new
    for name in NAMES:
        found = [answers[i] for i, (_, asked) in enumerate(questions) if asked == name]
        assert [one.token_ids for one in found] == expected[name]
    assert max(one.batch_size for one in answers.values()) > len(prompts)


def test_each_model_is_an_engine_of_its_own(vllm, prompts, expected, tmp_path):
    for name in NAMES:
        engine = vllm_engine(vllm, name)
        answers = [one for [one] in generate(engine.answer, prompts, TWELVE, tmp_path / f"{name}.jsonl")]
        assert [one.token_ids for one in answers] == expected[name]
        assert all(one.finish_reason == ("length" if len(one.token_ids) == 12 else "stop") for one in answers)
        assert all(one.compute_s > 0 and one.queue_s >= 0 for one in answers)
    assert engine.version == "0.32.0"


def test_what_is_answered_already_is_not_asked_again(vllm, prompts, expected):
    engine = vllm_engine(vllm, None)
    found = list(engine.answer(pose(prompts, TWELVE), TWELVE, {0, 2, 3}))
    assert {i: one.token_ids for new in found for i, one in new.items()} == {i: expected[None][i] for i in (1, 4)}


def test_decodings_reach_vllm(vllm, prompts, make_prompts):
    engine = vllm_engine(vllm, None)

    def ask(**decoding):
        return [one for of_prompt in generate(engine.answer, prompts[:2], Decoding(12, **decoding)) for one in of_prompt]

    [free, _] = ask()
    stop = free.text[5:7]
    [stopped, _] = ask(stop=[stop])
    assert stopped.text == free.text[: free.text.index(stop)].strip()
    sampled = {"temperature": 1.5, "samples": 3, "seed": 4}
    texts = [one.text for one in ask(**sampled)]
    assert texts == [one.text for one in ask(**sampled)]
    assert len(set(texts)) > 3
    assert {one.batch_size for one in ask(latency=True)} == {1}


@pytest.mark.skip(
    reason="vLLM's build for CPUs ends in an error where it measures a prompt and adapters are possible; on a GPU not tried"
)
def test_given_texts_are_as_likely_as_with_hf(vllm, smollm2, adapters, prompts, make_prompts):
    renderer = make_prompts.renderer
    texts = [GivenText(one, text, text_ids(renderer, text)) for one in prompts[:2] for text in ("Paris.", "I do not know.")]
    for name in NAMES[:2]:
        found = {}
        for new in vllm_engine(vllm, name).measure(texts, {1}):
            found |= new
        trained = adapters[name] / "adapter_model.safetensors" if name else None
        model = load_trained(load_base_model(smollm2, "float32"), trained, "float32")
        expected = {}
        for new in measure_with(model, renderer, 512, None)(texts, {1}):
            expected |= new
        assert found.keys() == {0, 2, 3}
        assert all(found[i] == pytest.approx(expected[i], abs=1e-4) for i in found)


@pytest.fixture
def asked_model(smollm2, adapters, make_prompts):
    """What an engine is told about the base model, or an adapter on it."""

    def find(name):
        trained = adapters[name] / "adapter_model.safetensors" if name else None
        return ModelToAsk("m", smollm2, trained, make_prompts.renderer, "float32", context_length=512)

    return find


def test_one_process_takes_the_adapters_of_one_job_after_another(asked_model, prompts, expected, monkeypatch):
    """With a single slot beside the free one, so that each adapter makes room for the next, and the base model gets none."""
    processes = []

    def counted(start):
        processes.append(start)
        return started(start)

    monkeypatch.setattr("loragrid.inference.engines.vllm.started", counted)
    monkeypatch.setattr("loragrid.inference.engines.vllm.TOGETHER", 1)
    engine = VllmEngine(type="vllm", python=str(PYTHON), settings=SETTINGS)
    with kept_engines(load_base_model) as engines:
        for name in ("first", "second", None, "first", None):
            with engines(engine, asked_model(name)) as opened:
                answers = generate(opened.answer, prompts, TWELVE)
            assert [one.token_ids for [one] in answers] == expected[name]
        with engines.together(engine, [asked_model(name) for name in NAMES]) as opened:
            found = {}
            questions = [(question, place) for question in pose(prompts, TWELVE) for place in range(len(NAMES))]
            for new in opened.ask(questions, TWELVE, {0, 4}):
                found |= new
        assert sorted(found) == [i for i in range(len(questions)) if i not in (0, 4)]
        for place, name in enumerate(NAMES):
            ids = {i // 3: one.token_ids for i, one in found.items() if questions[i][1] == place}
            assert ids == {i: expected[name][i] for i in ids}
    assert [(start.slots, start.rank) for start in processes] == [(2, 8)]


def test_vllm_that_dies_while_it_answers_is_said_in_a_sentence_and_keeps_what_it_answered(smollm2, make_prompts, tmp_path):
    worker = tmp_path / "python"
    answer = {"number": 0, "token_ids": [5], "text": "a", "finish_reason": "stop", "queue_s": 0, "compute_s": 1, "running": 1}
    about, answered = json.dumps({"version": "1", "device": "cpu", "dtype": "float32"}), json.dumps(answer)
    worker.write_text(f"#!/bin/sh\nread model\necho '{about}'\nread order\necho '{answered}'\nprintf '{{\"number\": '\nexit 3\n")
    worker.chmod(0o755)
    engine = VllmEngine(type="vllm", python=str(worker))
    with (
        pytest.raises(UserError, match="vLLM ended with exit status 3"),
        open_vllm(engine, smollm2, "float32", {}, make_prompts.renderer, 512) as vllm,
    ):
        generate(vllm_engine(vllm, None).answer, make_prompts(*INPUTS), TWELVE, tmp_path / "journal.jsonl")
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 1


def test_vllm_that_cannot_start_is_said_in_a_sentence(tmp_path, smollm2, make_prompts):
    engine = VllmEngine(type="vllm", python=str(PYTHON), settings={"no_such": 1})
    with (
        pytest.raises(UserError, match="vLLM ended with exit status 1"),
        open_vllm(engine, smollm2, "float32", {}, make_prompts.renderer, 512),
    ):
        pass


def test_server_loads_an_adapter_for_as_long_as_it_is_asked(
    smollm2, adapters, prompts, expected, tmp_path, monkeypatch, make_prompts
):
    port = free_port()
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(smollm2), "--served-model-name", "smollm2"]
    command += ["--dtype", "float32", "--max-model-len", "512", "--enforce-eager", "--enable-lora", "--max-loras", "3"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    allowing = environment() | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    with running_server(command, port, tmp_path / "log", allowing, patience_s=300) as address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        for send in ("text", "token_ids"):
            server = OpenAiEngine(type="openai", model="smollm2", send=send, load_adapters=True)
            for name in NAMES:
                trained = adapters[name] / "adapter_model.safetensors" if name else None
                model = ModelToAsk(name="m", trained=trained, renderer=make_prompts.renderer, job="a job")
                other = server.open(model._replace(job="another job"))
                with server.open(model) as engine:
                    # Another job with the same adapter ends in the meantime.
                    with other:
                        pass
                    answers = [one for [one] in generate(engine.answer, prompts, TWELVE)]
                decode = make_prompts.renderer.tokenizer.decode
                assert [one.text for one in answers] == [decode(ids, skip_special_tokens=True).strip() for ids in expected[name]]
        assert "loragrid" not in json.dumps(list(models(address)))


def models(address):
    import openai

    return [model.id for model in openai.OpenAI(base_url=address, api_key="none").models.list()]
