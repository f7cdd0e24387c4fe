"""A merged model has to answer as its base model with the adapter does; what was rounded may differ by that."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from loragrid.errors import UserError
from loragrid.inference.merged_checks import LOGITS, TEXT, MergedCheckFiles, check_merged
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.settings import CheckSettings
from loragrid.models.loading import load_base_model
from loragrid.models.merging import merge
from loragrid.records import write_records
from loragrid.training.methods import LoraTraining

TOLD = {
    "version": 1,
    "model": {"dtype": "auto", "prompt_format": "auto", "system_prompt": None, "engine": {"type": "hf"}, "context_length": None},
    "quantization": "none",
    "checks": {"examples": 2, "max_new_tokens": 5},
}


@pytest.fixture
def make_merged(tiny_model, tokenizer, tmp_path, make_example):
    """A base model in a number type, an adapter that changes it, and both merged; returns how its check is run."""

    def make(dtype):
        base = tmp_path / "base"
        load_base_model(tiny_model, "float32").to(dtype).save_pretrained(base)
        tokenizer.save_pretrained(base)
        torch.manual_seed(0)
        adapted = LoraTraining(rank=4).make_trainable(load_base_model(base, "float32"), 1)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        adapted.save_pretrained(tmp_path / "adapter")
        (tmp_path / "merged").mkdir()
        merge(base, tmp_path / "adapter/adapter_model.safetensors", tmp_path / "merged")
        write_records(tmp_path / "test.jsonl", [make_example(str(i), input="why " * (1 + 5 * i)) for i in range(3)])
        named = [*(base / name for name in ("model.safetensors", "config.json", "tokenizer.json"))]
        named += [tmp_path / "adapter" / name for name in ("adapter_model.safetensors", "adapter_config.json")]
        result = tmp_path / "merged-check.json"
        files = MergedCheckFiles(
            str(result), str(tmp_path / "test.jsonl"), ModelFiles(*map(str, named)), str(tmp_path / "merged/model.safetensors")
        )

        def run():
            check_merged(CheckSettings.model_validate(TOLD), "m", files, 1)
            return json.loads(result.read_text())

        return run

    return make


def change(folder):
    """Change a weight of the merged model, so that it answers otherwise."""
    weights = load_file(folder / "merged/model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * torch.linspace(0.1, 3, len(weights["model.norm.weight"])).to(
        weights["model.norm.weight"].dtype
    )
    save_file(weights, folder / "merged/model.safetensors", metadata={"format": "pt"})


def test_model_merged_in_float32_gives_the_same_texts_and_logits(make_merged):
    found = make_merged(torch.float32)()
    assert {name: check["passed"] for name, check in found["checks"].items()} == {LOGITS: True, TEXT: True}
    assert found["checks"][LOGITS]["evidence"]["dtype"] == "float32"
    assert found["checks"][LOGITS]["evidence"]["difference"] < 1e-4
    assert len(found["examples"]) == 2
    assert all(merged == adapted for adapted, merged in found["checks"][TEXT]["evidence"])


def test_model_merged_in_bfloat16_may_differ_by_what_rounding_explains(make_merged):
    found = make_merged(torch.bfloat16)()
    evidence = found["checks"][LOGITS]["evidence"]
    assert found["checks"][LOGITS]["passed"]
    assert found["checks"][TEXT]["passed"] in (True, None)
    assert evidence["dtype"] == "bfloat16"
    assert 1e-4 < evidence["difference"] <= evidence["allowed"] < 0.05


def test_merged_model_that_answers_otherwise_fails_and_leaves_its_evidence(make_merged, tmp_path):
    run = make_merged(torch.float32)
    change(tmp_path)
    with pytest.raises(UserError, match=r"merged-check\.json: the merged model does not pass: same logits as with the adapter"):
        run()
    assert not (tmp_path / "merged-check.json").exists()
    evidence = json.loads((tmp_path / "merged-check.failed.json").read_text())
    assert evidence["checks"][LOGITS]["passed"] is False
