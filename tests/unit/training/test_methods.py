"""Every method trains a Llama and a model of another architecture, and its result loads in plain peft or transformers."""

import copy
import importlib.util
import json
from typing import ClassVar, Literal

import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel
from transformers import AutoModelForCausalLM

from architectures import make_model
from loragrid.errors import UserError
from loragrid.models.adapters import SavedStart, experts_left_out, save_adapter, save_model
from loragrid.models.loading import load_base_model, load_trained
from loragrid.training.batches import Encoded
from loragrid.training.gradients import Layout
from loragrid.training.loop import make_learner, train
from loragrid.training.method import Training
from loragrid.training.methods import ContinuedTraining, LoraTraining, parse_training
from loragrid.training.settings import Seeds

METHODS = {
    "lora": {"target_modules": "all-linear"},
    "lora by regex": {"target_modules": r".*\.(1|29)\..*(q_proj|v_proj|c_attn)"},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "lora with dropout": {"dropout": 0.1},
    "gaussian": {"initialisation": "gaussian"},
    "orthogonal": {"initialisation": "orthogonal"},
    "pissa": {"initialisation": "pissa_niter_4"},
    "pissa with rslora": {"initialisation": "pissa_niter_4", "rslora": True},
    "olora": {"initialisation": "olora"},
    "prompt tuning": {"method": "prompt_tuning", "virtual_tokens": 8},
    "prompt tuning from text": {"method": "prompt_tuning", "virtual_tokens": 8, "init_text": "Summarise this."},
    "ia3": {"method": "peft", "config_class": "IA3Config", "settings": {}},
    "prefix tuning": {"method": "peft", "config_class": "PrefixTuningConfig", "settings": {"num_virtual_tokens": 4}},
    "loha": {"method": "peft", "config_class": "LoHaConfig", "settings": {"r": 4, "target_modules": "all-linear"}},
    "full": {"method": "full", "learning_rate": 1e-4},
}
EXAMPLES = [Encoded([5, 6, 7, 8, 9, 10, 11, 2][: 8 - i], 3) for i in range(4)]
IDS = torch.tensor([[5, 6, 7, 30]])


def logits(model):
    with torch.inference_mode():
        # Virtual tokens of a learnt prompt stand in front.
        return model.eval()(input_ids=IDS).logits[:, -IDS.shape[1] :]


@pytest.fixture(scope="module")
def fresh():
    """Gives a base model as if it was loaded anew: to copy the real one takes a part of the time."""
    loaded = {}

    def copied(load, folder):
        if (load, folder) not in loaded:
            loaded[load, folder] = load(folder)
        return copy.deepcopy(loaded[load, folder])

    return copied


def by_us(folder):
    return load_base_model(folder, "float32")


def by_transformers(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def trained(base, config, dtype="float32"):
    model = config.make_trainable(base, seed=1)
    start = SavedStart(model) if config.moves_base_weights else None
    learner = make_learner(model, config, Layout(64, False, 2), Accelerator(), getattr(torch, dtype))
    course = train(learner, EXAMPLES, [], Seeds(adapter_init=1, data_order=1, mix=1))
    return model, start, course


REAL = ("lora", "dora", "pissa with rslora", "prompt tuning from text", "ia3", "full")
"""Methods that train the real Llama, which takes long: one of each kind."""
# peft has no OLoRA and no LoHa for the transposed layers of GPT-2.
COMBINATIONS = [(m, "smollm2" if m in REAL else "tiny_model") for m in METHODS] + [
    (m, "gpt2") for m in METHODS if m not in ("olora", "loha")
]


@pytest.mark.parametrize(("method", "architecture"), COMBINATIONS)
def test_method_trains_and_its_result_loads_outside_and_changes_outputs(
    request, fresh, tokenizer, tmp_path, method, architecture
):
    if architecture == "gpt2" and method == "lora by regex":
        METHODS[method] = METHODS[method] | {"target_modules": r".*\.1\..*c_attn"}
    folder = request.getfixturevalue(architecture)
    config = parse_training({"learning_rate": 0.01, "batch_size": 2, "epochs": 1.5} | METHODS[method])
    model, start, course = trained(fresh(by_us, folder), config)
    assert course[-1].step == 3
    plain = fresh(by_transformers, folder)
    untouched = logits(plain)
    if method == "full":
        save_model(model, tokenizer, tmp_path, torch.float32)
        outside = AutoModelForCausalLM.from_pretrained(tmp_path)
        ours = load_trained(plain, tmp_path / "model.safetensors", "float32")
    else:
        save_adapter(model, tmp_path, start)
        outside = PeftModel.from_pretrained(plain, tmp_path)
        ours = load_trained(fresh(by_us, folder), tmp_path / "adapter_model.safetensors", "float32")
    assert not torch.allclose(logits(outside), untouched, atol=1e-3)
    assert torch.equal(logits(outside), logits(ours))
    # An initialisation out of the base weights is saved as a difference, which rounds.
    torch.testing.assert_close(logits(outside), logits(model), rtol=1e-3, atol=1e-3 if start else 1e-5)


def test_a_method_is_a_class_and_nothing_else(tiny_model, tokenizer, tmp_path):
    class NormTraining(Training):
        """The scales of the norms are trained."""

        makes_whole_model: ClassVar[bool] = True

        method: Literal["norms"]

        def make_trainable(self, base, seed):
            for name, parameter in base.requires_grad_(False).named_parameters():
                parameter.requires_grad = "norm" in name
            return base

    config = parse_training({"method": "norms", "learning_rate": 0.1})
    assert type(config) is NormTraining
    model, _, course = trained(by_us(tiny_model), config)
    assert course[-1].step == 1
    assert {name.split(".")[-2] for name, p in model.named_parameters() if p.requires_grad} == {
        "input_layernorm",
        "post_attention_layernorm",
        "norm",
    }
    save_model(model, tokenizer, tmp_path, torch.float32)
    assert not torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(load_base_model(tiny_model, "float32")))


def test_adapter_is_trained_in_float32_on_a_base_model_in_bfloat16(tiny_model):
    model, _, course = trained(load_base_model(tiny_model, "bfloat16"), LoraTraining(learning_rate=0.01, epochs=5), "bfloat16")
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    reference = trained(by_us(tiny_model), LoraTraining(learning_rate=0.01, epochs=5))[2]
    assert [row.train_loss for row in course[1:]] == pytest.approx([row.train_loss for row in reference[1:]], rel=0.02)


IN_BFLOAT16 = {
    "lora": {},
    "dora": {"dora": True},
    "prompt tuning": METHODS["prompt tuning"],
    "ia3": METHODS["ia3"],
    "vera": {"method": "peft", "config_class": "VeraConfig", "settings": {"target_modules": ["q_proj", "o_proj"]}},
    "norms": {"method": "peft", "config_class": "LNTuningConfig"},
    "tokens": {"method": "peft", "config_class": "TrainableTokensConfig", "settings": {"token_indices": [5, 6, 7]}},
    "loha": {"method": "peft", "config_class": "LoHaConfig", "settings": {"r": 4, "target_modules": ["q_proj"]}},
    "oft": {"method": "peft", "config_class": "OFTConfig", "settings": {"target_modules": ["q_proj"], "oft_block_size": 4}},
    "tokens and lora": {
        "method": "peft",
        "config_class": "LoraConfig",
        "settings": {"r": 4, "target_modules": ["q_proj"], "trainable_token_indices": [5, 6], "modules_to_save": ["lm_head"]},
    },
}


@pytest.mark.parametrize("method", IN_BFLOAT16)
def test_method_trains_and_answers_in_bfloat16_as_in_float32(tiny_model, tmp_path, method):
    config = parse_training({"learning_rate": 0.01, "epochs": 4} | IN_BFLOAT16[method])
    model, _, course = trained(load_base_model(tiny_model, "bfloat16"), config, "bfloat16")
    reference, _, expected = trained(by_us(tiny_model), config)
    assert [row.train_loss for row in course[1:]] == pytest.approx([row.train_loss for row in expected[1:]], rel=0.03)
    save_adapter(model, tmp_path)
    asked = load_trained(load_base_model(tiny_model, "bfloat16"), tmp_path / "adapter_model.safetensors", "bfloat16")
    in_float32 = logits(reference)
    assert (logits(asked).float() - in_float32).norm() < 0.05 * in_float32.norm()


def test_all_linear_layers_are_also_those_of_experts_whose_weights_are_one_tensor(tmp_path):
    for kind in ("mixtral", "qwen2_moe", "gpt_oss"):
        model = LoraTraining(rank=2).make_trainable(make_model(kind), 1)
        names = {name.removeprefix("base_model.model.") for name, p in model.named_parameters() if p.requires_grad}
        for layer in range(2):
            # Two tensors of each layer's experts, with two matrices each.
            assert len([name for name in names if f"layers.{layer}.mlp.experts" in name]) == 4
        assert experts_left_out(model) == []


@pytest.mark.parametrize("config", [{"dropout": 0.1}, {"dora": True}, METHODS["loha"]], ids=["dropout", "dora", "loha"])
def test_experts_that_a_method_cannot_adapt_are_named(caplog, config):
    caplog.set_level("INFO", "loragrid")
    model = parse_training(config).make_trainable(make_model("qwen2_moe"), 1)
    left_out = ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]
    assert experts_left_out(model) == left_out
    said = "target_modules: all-linear leaves out fused experts, which this method cannot adapt: " + ", ".join(left_out)
    assert said in caplog.text


def test_named_layers_are_not_more_than_those(caplog):
    caplog.set_level("INFO", "loragrid")
    model = LoraTraining(target_modules=["q_proj"]).make_trainable(make_model("qwen2_moe"), 1)
    assert {name.split(".lora")[0].split(".")[-1] for name, p in model.named_parameters() if p.requires_grad} == {"q_proj"}
    assert caplog.text == ""


def test_an_adapter_can_be_continued(tiny_model, tmp_path):
    model, _, course = trained(by_us(tiny_model), LoraTraining(learning_rate=0.01, epochs=10, rank=3))
    save_adapter(model, tmp_path / "first")
    again = ContinuedTraining(method="continue", adapter=str(tmp_path / "first"), learning_rate=0.01, epochs=10)
    continued, _, further = trained(by_us(tiny_model), again)
    assert further[1].train_loss == pytest.approx(course[-1].train_loss, abs=0.1)
    assert further[-1].train_loss < further[1].train_loss
    save_adapter(continued, tmp_path / "second")
    assert json.loads((tmp_path / "second" / "adapter_config.json").read_text())["r"] == 3


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_adapter_is_trained_on_a_quantized_base_model(smollm2, fresh, tmp_path, quantization):
    base = load_base_model(smollm2, "float32", quantization)
    model = LoraTraining().make_trainable(base, seed=1)
    learner = make_learner(model, LoraTraining(learning_rate=0.01, epochs=4), Layout(64, False, 2), Accelerator())
    course = train(learner, EXAMPLES, [], Seeds(adapter_init=1, data_order=1, mix=1))
    assert course[-1].train_loss < course[1].train_loss
    save_adapter(model, tmp_path)
    outside = PeftModel.from_pretrained(fresh(by_transformers, smollm2), tmp_path)
    assert not torch.equal(logits(outside), logits(fresh(by_transformers, smollm2)))


def test_quantization_without_its_package_fails_with_a_sentence(tiny_model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"quantization: 4bit needs the package bitsandbytes: .* install bitsandbytes"):
        load_base_model(tiny_model, "float32", "4bit")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"target_modules": ["no_such_module"]}, r"target_modules: .*no_such_module"),
        ({"target_modules": "no_such.*"}, r"target_modules: .*no_such"),
        ({"method": "peft", "config_class": "NoSuchConfig"}, "config_class: peft has no 'NoSuchConfig'"),
        ({"method": "peft", "config_class": "IA3Config", "settings": {"rank": 2}}, "settings: .*rank"),
    ],
)
def test_what_does_not_fit_the_model_is_named(tiny_model, values, message):
    with pytest.raises(UserError, match=message):
        parse_training(values).make_trainable(load_base_model(tiny_model, "float32"), 1)
