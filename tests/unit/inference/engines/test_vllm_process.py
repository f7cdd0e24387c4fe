"""The engine `vllm` where there is no vLLM, or another than that for CPUs."""

import importlib.util
import sys

import pytest

from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.engines.vllm import VllmEngine

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
