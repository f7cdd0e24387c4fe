"""The engine `vllm` where there is no vLLM, or another than that for CPUs."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.engines.vllm import VllmEngine, in_groups, lora_rank, start_of
from loragrid.inference.kept_engines import kept_engines
from loragrid.inference.protocol import Decoding, generate
from loragrid.inference.vllm_process import Start

FAKE = """
from types import SimpleNamespace

class LLM:
    def __init__(self, dtype, **_):
        model = SimpleNamespace(dtype=f"torch.{dtype}")
        self.llm_engine = SimpleNamespace(vllm_config=SimpleNamespace(model_config=model))

class SamplingParams: ...
class LoRARequest: ...

current_platform = SimpleNamespace(
    device_type=DEVICE, is_cuda=lambda: DEVICE == "cuda",
    has_device_capability=lambda wanted: CAPABILITY >= wanted, get_device_name=lambda: "Some GPU",
)
"""
"""As much of vLLM as the worker's start needs."""


@pytest.fixture
def opened(smollm2, make_prompts, tmp_path):
    """Open an engine whose environment has a vLLM for a device."""

    def open_on(device, capability=0, dtype="auto", settings=None):
        package = tmp_path / "vllm"
        (package / "lora").mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(f"DEVICE, CAPABILITY = {device!r}, {capability}\n{FAKE}")
        (package / "platforms.py").write_text("from vllm import current_platform")
        (package / "lora" / "request.py").write_text("from vllm import LoRARequest")
        (tmp_path / "vllm-9.dist-info").mkdir(exist_ok=True)
        (tmp_path / "vllm-9.dist-info" / "METADATA").write_text("Name: vllm\nVersion: 9\n")
        (tmp_path / "vllm-9.dist-info" / "top_level.txt").write_text("vllm\n")
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nPYTHONDONTWRITEBYTECODE=1 PYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        model = ModelToAsk(folder=smollm2, renderer=make_prompts.renderer, dtype=dtype, context_length=512)
        with VllmEngine(type="vllm", python=str(python), settings=settings or {}).open(model) as engine:
            return engine.version, engine.device, engine.dtype

    return open_on


def test_number_type_follows_the_gpu_of_vllms_own_environment(opened):
    assert opened("cuda", 90) == ("9", "Some GPU", "bfloat16")
    assert opened("cuda", 75)[2] == "float32"
    assert opened("cuda", 90, "float16")[2] == "float16"
    assert opened("cuda", 90, settings={"dtype": "float16"})[2] == "float16"


def test_number_type_on_a_cpu_is_that_of_the_engine_hf(opened, monkeypatch):
    for dtype in ("float32", "bfloat16"):
        monkeypatch.setattr("loragrid.models.device.pick_dtype", lambda setting, device, dtype=dtype: dtype)
        assert opened("cpu") == ("9", "cpu", dtype)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_missing_vllm_is_said_in_a_sentence_that_tells_how_to_install_it(smollm2, make_prompts):
    model = ModelToAsk(folder=smollm2, renderer=make_prompts.renderer)
    with (
        pytest.raises(UserError, match=r"needs the package vllm, which .* does not find: .*python.* -m pip install vllm, or set"),
        VllmEngine(type="vllm").open(model),
    ):
        pass


def test_a_slot_is_kept_free_beside_the_adapters(smollm2, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text('{"r": 9}')
    adapters = {name: tmp_path / name for name in ("first", "second")}
    start = start_of(VllmEngine(type="vllm", settings={"max_num_seqs": 4}), smollm2, "float32", adapters, 512)
    assert (start.slots, start.rank) == (3, 16)
    told = {"enable_lora": True, "max_loras": 3, "max_lora_rank": 16, "model": str(smollm2), "dtype": "float32"}
    told |= {"max_model_len": 512, "max_num_seqs": 4, "trust_remote_code": False}
    assert start.message() == {"arguments": told, "picks_dtype": False}
    alone = start_of(VllmEngine(type="vllm"), smollm2, "float32", {}, 512)
    assert not {"enable_lora", "max_loras", "max_lora_rank"} & alone.message()["arguments"].keys()
    assert [lora_rank(rank) for rank in (1, 8, 9, 64)] == [8, 8, 16, 64]
    assert in_groups(["a", "b", "c"], 2) == [["a", "b"], ["c"]]
    assert in_groups([], 2) == [[]]


PLAIN = Start("python", {"model": "m"}, True)


@pytest.mark.parametrize(
    ("open_", "wanted", "serves"),
    [
        (PLAIN, PLAIN, True),
        (PLAIN, PLAIN._replace(slots=2, rank=8), False),
        (PLAIN._replace(slots=9, rank=16), PLAIN, True),
        (PLAIN._replace(slots=9, rank=16), PLAIN._replace(slots=2, rank=16), True),
        (PLAIN._replace(slots=9, rank=16), PLAIN._replace(slots=12, rank=8), True),
        (PLAIN._replace(slots=9, rank=16), PLAIN._replace(slots=2, rank=32), False),
        (PLAIN, PLAIN._replace(arguments={"model": "another"}), False),
        (PLAIN, PLAIN._replace(python="another"), False),
    ],
)
def test_process_serves_what_it_has_loaded_and_has_room_for(open_, wanted, serves):
    assert open_.serves(wanted) == serves


WORKER = """#!/bin/sh
echo started >> {notes}
read model
echo '{{"version": "1", "device": "cpu", "dtype": "float32"}}'
while read order; do
  echo "$order" >> {notes}
  echo '{{"number": 0, "token_ids": [5], "text": "a", "finish_reason": "stop", "queue_s": 0, "compute_s": 1, "running": 1}}'
done
echo ended >> {notes}
"""


@pytest.fixture
def asked(smollm2, make_prompts, tmp_path):
    """Ask models in turn, with a worker that notes what it gets. Gives its notes: `started`, `ended`, or the adapters of an order."""
    notes, worker = tmp_path / "notes", tmp_path / "worker"
    worker.write_text(WORKER.format(notes=notes))
    worker.chmod(0o755)
    for name, rank in (("first", 4), ("second", 8), ("third", 64)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"r": rank}))

    def ask(engines, name=None, whole=False, then=lambda: None):
        trained = tmp_path / name / ("model.safetensors" if whole else "adapter_model.safetensors") if name else None
        model = ModelToAsk("m", smollm2, trained, make_prompts.renderer, "float32", context_length=512)
        with engines(VllmEngine(type="vllm", python=str(worker)), model) as engine:
            generate(engine.answer, make_prompts("What?"), Decoding(4))
            then()

    def noted():
        lines = notes.read_text().splitlines()
        return [line if line[0] != "{" else [*map(Path, json.loads(line)["adapters"].values())] for line in lines]

    ask.noted, ask.folder = noted, tmp_path
    return ask


def test_process_stays_open_for_what_it_can_serve_and_makes_way_for_the_rest(asked):
    with kept_engines(None) as engines:
        for name in (None, None, "first", "second", None, "third"):
            asked(engines, name)
        asked(engines, "first", whole=True)
    first, second, third = (asked.folder / name for name in ("first", "second", "third"))
    base, adapted = ["started", [], [], "ended"], ["started", [first], [second], [], "ended"]
    assert asked.noted() == [*base, *adapted, "started", [third], "ended", "started", [], "ended"]


def test_process_is_closed_behind_a_job_that_fails_and_the_next_job_gets_another(asked):
    with kept_engines(None) as engines:
        asked(engines)
        with pytest.raises(ZeroDivisionError):
            asked(engines, then=lambda: 1 / 0)
        asked(engines)
    notes = asked.noted()
    assert notes.count("started") == 2
    assert notes[-2:] == [[], "ended"]


def test_no_two_adapters_have_the_same_name_in_one_process(asked):
    """vLLM keeps what it has computed for a name."""
    with kept_engines(None) as engines:
        asked(engines, "first")
        asked(engines, "first")
    orders = [json.loads(line) for line in (asked.folder / "notes").read_text().splitlines() if line[0] == "{"]
    names = [name for order in orders for name in order["adapters"]]
    assert len(set(names)) == 2
    assert [order["questions"][0]["adapter"] for order in orders] == names
