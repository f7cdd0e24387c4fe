"""Merged models answer like their adapters, also where a model's output layer is its embedding."""

import json

import pytest
import torch
from safetensors.torch import load_file

from architectures import make_model
from loragrid.errors import UserError
from loragrid.models import merging
from loragrid.models.adapters import save_adapter, save_model
from loragrid.models.loading import load_base_model, load_trained
from loragrid.models.merging import merge
from loragrid.runtime.files import file_sha256
from loragrid.training.methods import parse_training

IDS = torch.arange(3, 43).reshape(2, 20)


@pytest.fixture(scope="module")
def make_base(tokenizer, tmp_path_factory):
    """Folders with a random Llama, tied or not."""

    def make(tied, dtype=torch.float32):
        folder = tmp_path_factory.mktemp("models")
        make_model("llama", tie_word_embeddings=tied).to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="module")
def tied(make_base):
    return make_base(True)


def train(folder, config, adapter):
    """A few large steps, which move every weight of an adapter."""
    model = config.make_trainable(load_base_model(folder, "float32"), 1)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
    adapter.mkdir()
    save_adapter(model, adapter)
    return logits(model.eval())


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS).logits.float()


def peft(config_class, **settings):
    return {"method": "peft", "config_class": config_class, "settings": settings}


CHANGES = {
    "output layer": ({"target_modules": ["q_proj", "lm_head"]}, False),
    "embedding": ({"target_modules": ["q_proj", "embed_tokens"]}, False),
    "both": ({"target_modules": ["embed_tokens", "lm_head"]}, False),
    "both alike": (peft("LoraConfig", target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True), True),
    "saved output layer": (peft("LoraConfig", target_modules=["q_proj"], modules_to_save=["lm_head"]), False),
    "saved embedding": (peft("LoraConfig", target_modules=["q_proj"], modules_to_save=["embed_tokens"]), False),
    "tokens of both": (peft("LoraConfig", target_modules=["q_proj"], trainable_token_indices=[5, 6]), True),
    "tokens of the output layer": (peft("TrainableTokensConfig", token_indices=[5, 6], target_modules=["lm_head"]), False),
    "scaled output layer": (peft("IA3Config", target_modules=["k_proj", "lm_head"], feedforward_modules=[]), False),
    "neither": ({"target_modules": ["q_proj"]}, True),
    "norms": (peft("LNTuningConfig"), True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_merged_model_of_a_tied_base_answers_like_the_adapter_and_is_tied_only_if_that_is_true(tied, tmp_path, change):
    config, stays_tied = CHANGES[change]
    expected = train(tied, parse_training(config), tmp_path / "adapter")
    trained = tmp_path / "adapter" / "adapter_model.safetensors"
    # The adapter itself is asked as it was trained.
    torch.testing.assert_close(logits(load_trained(load_base_model(tied, "float32"), trained, "float32")), expected)
    merge(tied, trained, tmp_path / "merged")
    assert not torch.allclose(expected, logits(load_base_model(tied, "float32")), atol=0.1)
    torch.testing.assert_close(logits(load_base_model(tmp_path / "merged", "float32")), expected, rtol=1e-4, atol=1e-4)
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["tie_word_embeddings"] is stays_tied


def test_merged_model_in_bfloat16_is_as_near_to_its_adapter_as_rounding_allows(make_base, tmp_path):
    base = make_base(True, torch.bfloat16)
    expected = train(base, parse_training({"target_modules": ["q_proj", "lm_head"]}), tmp_path / "adapter")
    merge(base, tmp_path / "adapter" / "adapter_model.safetensors", tmp_path / "merged")
    assert {weight.dtype for weight in load_file(tmp_path / "merged/model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "merged/config.json").read_text())["dtype"] == "bfloat16"
    assert (logits(load_base_model(tmp_path / "merged", "float32")) - expected).norm() < 0.02 * expected.norm()


def test_experts_are_merged(tokenizer, tmp_path):
    base = tmp_path / "base"
    make_model("qwen2_moe").save_pretrained(base)
    tokenizer.save_pretrained(base)
    expected = train(base, parse_training({"target_modules": "all-linear"}), tmp_path / "adapter")
    merge(base, tmp_path / "adapter" / "adapter_model.safetensors", tmp_path / "merged")
    torch.testing.assert_close(logits(load_base_model(tmp_path / "merged", "float32")), expected, rtol=1e-4, atol=1e-4)


def test_whole_model_is_merged_to_itself(tied, tokenizer, tmp_path):
    model = load_base_model(tied, "float32")
    model.model.norm.weight.data *= 1.5
    save_model(model, tokenizer, tmp_path / "whole", torch.float32)
    merge(tied, tmp_path / "whole" / "model.safetensors", tmp_path / "merged")
    assert file_sha256(tmp_path / "merged/model.safetensors") == file_sha256(tmp_path / "whole/model.safetensors")


@pytest.mark.parametrize("lost", ["a part of the change", "what differs from the embedding", "a number"])
def test_merged_model_that_answers_otherwise_is_an_error(tied, tmp_path, monkeypatch, lost):
    train(tied, parse_training({"target_modules": ["q_proj", "lm_head"]}), tmp_path / "adapter")
    save = merging.save_model

    def losing(model, *arguments):
        if lost == "a part of the change":
            model.model.layers[0].self_attn.q_proj.weight.data[0] += 0.5
        elif lost == "what differs from the embedding":
            model.lm_head.weight.data = model.model.embed_tokens.weight.data.clone()
        else:
            model.model.norm.weight.data *= 1e30
        save(model, *arguments)

    monkeypatch.setattr(merging, "save_model", losing)
    with pytest.raises(
        UserError, match=r"adapter: the merged model does not answer as the adapter does: its logits in float32 are "
    ):
        merge(tied, tmp_path / "adapter" / "adapter_model.safetensors", tmp_path / "merged")


def test_what_is_no_change_of_weights_is_not_merged(tied, tmp_path):
    train(tied, parse_training({"method": "prompt_tuning", "virtual_tokens": 2}), tmp_path / "adapter")
    with pytest.raises(UserError, match="a learnt prompt is not a change of weights; there is nothing to merge"):
        merge(tied, tmp_path / "adapter" / "adapter_model.safetensors", tmp_path / "merged")
