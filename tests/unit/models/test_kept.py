"""A base model that stays in memory: each piece of work finds it as if it had been loaded from disk."""

import copy
import os
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loragrid.data.render import ModelSettings, Request, end_tokens, load_renderer, render
from loragrid.inference.batching import answer_with
from loragrid.inference.protocol import Decoding, generate
from loragrid.models import kept
from loragrid.models.adapters import load_adapter
from loragrid.models.kept import kept_base
from loragrid.models.loading import load_base_model
from loragrid.training.job import train_claimed
from loragrid.training.methods import BESIDE_BASE, parse_training
from trainings import changed

SHORT = {"batch_size": 4, "max_steps": 2, "learning_rate": 0.01, "evaluations": 1}
METHODS = {
    "lora": {"dropout": 0.1, "packing": "off"},
    "full": {"method": "full", "learning_rate": 1e-3},
    "rslora": {"rslora": True, "gradient_checkpointing": True, "neftune_alpha": 5.0},
    "pissa": {"initialisation": "pissa_niter_4", "rank": 4},
    "dora": {"dora": True},
    "prompt tuning": {"method": "prompt_tuning", "virtual_tokens": 4},
}
ALL_LINEAR = {"r": 4, "target_modules": "all-linear"}
OF_PEFT = {
    "IA3Config": {},
    "LNTuningConfig": {"target_modules": ["input_layernorm", "norm"]},
    "LoHaConfig": ALL_LINEAR | {"modules_to_save": ["lm_head"]},
    "LoKrConfig": ALL_LINEAR,
    "PrefixTuningConfig": {"num_virtual_tokens": 4},
    "PromptEncoderConfig": {"num_virtual_tokens": 4},
    "PromptTuningConfig": {"num_virtual_tokens": 4},
}


@pytest.fixture
def from_disk(monkeypatch):
    """The folders of the models that were loaded from disk."""
    loaded = []

    def noted(folder, *args, **kwargs):
        loaded.append(Path(folder).name)
        return load_base_model(folder, *args, **kwargs)

    monkeypatch.setattr(kept, "load_base_model", noted)
    return loaded


@pytest.fixture
def own_model(tiny_model, tmp_path):
    """A model folder that may be changed."""
    return Path(shutil.copytree(tiny_model, tmp_path / "own"))


def trained_bytes(job):
    return {path.name: path.read_bytes() for path in Path(job.folder).glob("*.safetensors")}


@pytest.fixture(scope="module")
def renderer(tiny_model):
    return load_renderer(tiny_model, ModelSettings())


def answers(model, folder, renderer):
    prompts = [render(renderer, Request("Answer.", text), None, 512) for text in ("What is ice?", "Why? " * 20)]
    found = generate(answer_with(model, renderer, end_tokens(renderer, folder), 16384), prompts, Decoding(max_new_tokens=6))
    return [one.token_ids for [one] in found]


def logits(model):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits


def test_trainings_and_predictions_one_after_another_have_the_bytes_of_work_that_loads_its_own(
    make_job, tiny_model, monkeypatch, from_disk, renderer
):
    monkeypatch.setattr("loragrid.training.job.load_renderer", lambda folder, settings: renderer)

    def work(load, name):
        config = parse_training(SHORT | METHODS[name])
        job = changed(make_job(f"{name} {load is load_base_model}"), {"config": config})
        train_claimed(job, None, bool, load)
        base = load(tiny_model, "float32")
        found = [trained_bytes(job), answers(base, tiny_model, renderer)]
        if not config.makes_whole_model:
            adapted = load_adapter(base, job.folder).eval()
            found += [answers(adapted, tiny_model, renderer), logits(adapted).tolist()]
        return found

    alone = {name: work(load_base_model, name) for name in METHODS}
    with kept_base() as load:
        for name in METHODS:
            assert work(load, name) == alone[name], name
    # Those that change the base model load their own; then it is loaded again.
    assert len(from_disk) == 1 + 2 * len({"full", "pissa"})


@pytest.mark.parametrize("config_class", sorted(BESIDE_BASE))
def test_methods_that_share_the_weights_leave_them_alone(tiny_model, from_disk, config_class):
    config = parse_training({"method": "peft", "config_class": config_class, "settings": OF_PEFT[config_class]})
    assert config.leaves_base_alone
    with kept_base() as load:
        model = config.make_trainable(load(tiny_model, "float32"), 1)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=0.1)
        model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits.square().mean().backward()
        optimizer.step()
        load(tiny_model, "float32")
    assert len(from_disk) == 1
    assert any(weight.grad is not None and weight.grad.any() for weight in trained)


@pytest.mark.parametrize(
    "keys",
    [
        {"method": "full"},
        {"initialisation": "pissa"},
        {"initialisation": "olora"},
        {"method": "continue", "adapter": "some/folder"},
        {"method": "peft", "config_class": "LoraConfig", "settings": {"bias": "all"}},
        {"method": "peft", "config_class": "BOFTConfig"},
    ],
)
def test_methods_that_change_the_base_model_or_are_not_known_to_leave_it_alone_share_nothing(keys):
    assert not parse_training(keys).leaves_base_alone


def test_copies_share_the_memory_of_the_weights_and_nothing_else(tiny_model):
    with kept_base() as load:
        one, other = load(tiny_model, "float32"), load(tiny_model, "float32")
        pairs = list(zip(one.named_parameters(), other.named_parameters(), strict=True))
        assert all(a.data_ptr() == b.data_ptr() and a is not b for (_, a), (_, b) in pairs)
        assert [name for (name, _), _ in pairs] == [name for name, _ in load_base_model(tiny_model, "float32").named_parameters()]
        assert not {id(part) for part in one.modules()} & {id(part) for part in other.modules()}
        assert one.config is not other.config
        assert one.generation_config is not other.generation_config


def test_tied_weights_stay_tied(gpt2):
    with kept_base() as load:
        model = load(gpt2, "float32")
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_nothing_that_work_does_to_its_model_reaches_the_next(tiny_model, from_disk):
    untouched = load_base_model(tiny_model, "float32")
    with kept_base() as load:
        used = load(tiny_model, "float32")
        used.set_attn_implementation("eager")
        used.generation_config.max_new_tokens = 3
        used.config.pad_token_id = 7
        used.gradient_checkpointing_enable({"use_reentrant": False})
        used.get_input_embeddings().register_forward_hook(lambda module, inputs, output: output * 0)
        used.model.layers[0].mlp.forward = torch.nn.Identity()
        used.requires_grad_(False).train()
        used.lm_head.weight.data = torch.zeros_like(used.lm_head.weight)
        used.model.norm.half()
        parse_training({}).make_trainable(used, 1)
        fresh = load(tiny_model, "float32")
    assert len(from_disk) == 1
    assert fresh.config.to_dict() == untouched.config.to_dict()
    assert fresh.config._attn_implementation == untouched.config._attn_implementation != "eager"
    assert fresh.generation_config.to_dict() == untouched.generation_config.to_dict()
    assert not fresh.training
    assert not fresh.is_gradient_checkpointing
    assert all(weight.requires_grad and weight.grad is None for weight in fresh.parameters())
    assert [name for name, _ in fresh.named_modules()] == [name for name, _ in untouched.named_modules()]
    assert torch.equal(logits(fresh), logits(untouched))


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.detach().mul_(2),
        lambda weight: weight.data.add_(1),
        lambda weight: torch.nn.init.zeros_(weight),
        lambda weight: weight.data.view(-1)[:1].neg_(),
    ],
)
def test_weights_that_work_has_changed_are_loaded_again(tiny_model, from_disk, caplog, change):
    untouched = logits(load_base_model(tiny_model, "float32"))
    with kept_base() as load, caplog.at_level("INFO", logger="loragrid"):
        change(load(tiny_model, "float32").model.layers[1].mlp.up_proj.weight)
        assert torch.equal(logits(load(tiny_model, "float32")), untouched)
    assert caplog.messages == ["the base model's weights in memory have been changed; they are loaded again"]
    assert len(from_disk) == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_change_of_one_number_is_noticed_in_every_number_type(tiny_model, dtype):
    model = load_base_model(tiny_model, dtype)
    before = kept._content(model)
    assert kept._content(copy.deepcopy(model)) == before
    with torch.no_grad():
        model.model.norm.weight[3] += 0.125
    assert kept._content(model) != before


def test_another_model_or_number_type_is_loaded_and_takes_the_place(tiny_model, gpt2, from_disk):
    wanted = [(tiny_model, "float32"), (tiny_model, "float32"), (tiny_model, "bfloat16"), (gpt2, "float32"), (gpt2, "float32")]
    with kept_base() as load:
        found = [load(folder, dtype, "none", torch.device("cpu")) for folder, dtype in wanted]
    assert [(model.config.name_or_path, str(model.dtype)) for model in found] == [
        (str(f), f"torch.{dtype}") for f, dtype in wanted
    ]
    assert from_disk == ["tiny", "tiny", "gpt2"]


def test_files_that_are_not_those_that_were_loaded_are_loaded(own_model, from_disk):
    with kept_base() as load:
        before = logits(load(own_model, "float32"))
        weights = load_file(own_model / "model.safetensors")
        weights["model.norm.weight"] += 1
        save_file(weights, own_model / "new", {"format": "pt"})
        os.replace(own_model / "new", own_model / "model.safetensors")
        assert not torch.equal(logits(load(own_model, "float32")), before)
    assert len(from_disk) == 2


def test_nothing_is_kept_beside_a_model_that_is_loaded_from_disk(tiny_model, monkeypatch):
    models, beside = [], []

    def noted(folder, *args):
        beside.append([one for one in models if one() is not None])
        model = load_base_model(folder, *args)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(kept, "load_base_model", noted)
    with kept_base() as load:
        for keys in ({}, {"to_change": True}, {"to_change": True}, {}, {"dtype": "bfloat16"}, {}):
            used = load(**{"folder": tiny_model, "dtype": "float32"} | keys)
            models.append(weakref.ref(used))
            # As by a hook of what computes its loss.
            vars(used)["itself"] = used
            del used
    assert beside == [[]] * 6


def test_quantized_weights_are_not_kept(tiny_model, own_model, monkeypatch):
    given = []
    monkeypatch.setattr(kept, "load_base_model", lambda *args: given.append(args))
    monkeypatch.setattr(kept, "stored_quantization", lambda folder: "gptq" if folder == own_model else None)
    with kept_base() as load:
        for _ in range(2):
            load(tiny_model, "auto", "4bit")
            load(own_model, "auto")
    assert [args[0] for args in given] == [tiny_model, own_model] * 2


def test_a_model_whose_functions_know_its_modules_is_not_kept(tiny_model, monkeypatch, caplog):
    loaded = []

    def knowing(*args):
        model = load_base_model(*args)
        embeddings = model.get_input_embeddings()
        model.lm_head.register_forward_pre_hook(lambda module, inputs: (inputs[0] + embeddings.weight[0],))
        loaded.append(model)
        return model

    monkeypatch.setattr(kept, "load_base_model", knowing)
    with kept_base() as load, caplog.at_level("INFO", logger="loragrid"):
        assert [load(tiny_model, "float32"), load(tiny_model, "float32")] == loaded
    assert set(caplog.messages) == {
        "the base model is not kept in memory: its modules know each other in a way that is not copied"
    }
