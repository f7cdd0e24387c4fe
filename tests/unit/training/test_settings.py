"""What the job of a training is told, and what its state is named by."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from loragrid.runtime.files import fingerprint
from loragrid.sections import decisive
from loragrid.training.job import MEANS, TrainingJob, _identity
from loragrid.training.methods import parse_training
from loragrid.training.settings import TrainSettings
from trainings import RUN

MODEL = {"dtype": "float32", "prompt_format": "auto", "system_prompt": None, "template": None}
SEEDS = {"adapter_init": 1, "data_order": 2, "mix": 3}


def told(config, model=MODEL):
    """The parameters of the rule, as the configuration gives them."""
    return {"version": 1, "run": RUN, "model": model, "config": decisive(parse_training(config)), "seeds": SEEDS}


# Numbers that are given are floats, defaults are as they are written in the class.
CONFIGS = [
    {},
    {"epochs": 1, "alpha": 16, "target_modules": ["q_proj"]},
    {"method": "prompt_tuning", "init_text": "Answer."},
    {"method": "peft", "config_class": "IA3Config", "settings": {"b": 1, "a": [1.0, 2]}},
    {"method": "continue", "adapter": "a"},
    {"method": "full", "max_grad_norm": None, "epochs": 2.5},
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("model", [MODEL, {**MODEL, "template": "{{ input }}", "chat_template": "{{ messages }}"}])
def test_settings_are_written_back_exactly_as_they_are_told(config, model):
    params = told(config, model)
    settings = TrainSettings.model_validate(params)
    assert repr(decisive(settings)) == repr(params)
    assert repr(decisive(TrainSettings.model_validate_json(json.dumps(settings.model_dump())))) == repr(params)
    assert type(settings.config) is type(parse_training(config))


def test_adapter_is_described_the_same_whether_a_default_is_given_or_not():
    given, default = (TrainSettings.model_validate(told(config)).config for config in ({"alpha": 16}, {}))
    assert repr(given.peft_config("").lora_alpha) == repr(default.peft_config("").lora_alpha) == "16.0"


IN_MODEL = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "sub/module.json",
)
LAUNCH = "num_processes: 2\ndeepspeed_config: {deepspeed_config_file: zero.json}\n"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A training that is launched with accelerate, all its files small texts."""
    monkeypatch.chdir(tmp_path)
    for path in (*(f"model/{name}" for name in IN_MODEL), "train", "validation", "tokens_1", "tokens_2", "adapter", "zero.json"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)
    Path("model/manifest.json").write_text("imported at noon")
    Path("launch.yaml").write_text(LAUNCH)
    return TrainingJob(
        settings=told({}),
        folder="f",
        state="s",
        model="model/model.safetensors",
        tokenizer="model/tokenizer.json",
        train="train",
        validation="validation",
        tokens=["tokens_1", "tokens_2"],
        adapter=["adapter"],
        threads=1,
        checkpoint_minutes=1,
    )


def identity(job):
    return fingerprint(_identity(job, "launch.yaml"))


@pytest.mark.parametrize(
    "path", [*(f"model/{name}" for name in IN_MODEL), "train", "validation", "tokens_1", "tokens_2", "adapter", "zero.json"]
)
def test_state_is_named_by_the_bytes_of_every_file_that_a_training_reads(job, path):
    before = identity(job)
    Path(path).write_text("other")
    assert identity(job) != before


def test_state_is_named_by_every_file_of_the_model_also_by_one_that_is_added(job):
    before = identity(job)
    Path("model/added_tokens.json").write_text("{}")
    assert identity(job) != before


DECISIVE = {
    "run": {"run": RUN | {"loss_computation": "full"}},
    "seeds": {"seeds": SEEDS | {"data_order": 9}},
    "stage": {"version": 2},
    "number type": {"model": MODEL | {"dtype": "bfloat16"}},
    "template": {"model": MODEL | {"template": "{{ input }}"}},
    "chat template": {"model": MODEL | {"chat_template": "{{ messages }}"}},
    "configuration": {"config": parse_training({"rank": 9}).model_dump()},
    "packing": {"config": parse_training({"packing": "off"}).model_dump()},
}


@pytest.mark.parametrize("name", DECISIVE)
def test_state_is_named_by_all_settings(job, name):
    settings = TrainSettings.model_validate(told({}) | DECISIVE[name])
    assert identity(job.model_copy(update={"settings": settings})) != identity(job)


def test_training_goes_on_with_other_kernels(job):
    settings = TrainSettings.model_validate(told({}) | {"config": {"kernels": "none"}})
    assert settings.config.kernels == "none"
    assert identity(job.model_copy(update={"settings": settings})) == identity(job)


COMPUTING = {
    "device": ("loragrid.training.job.pick_device", lambda: torch.device("mps")),
    "number type of the device": ("loragrid.training.job.pick_dtype", lambda setting, device: torch.bfloat16),
    "GPUs": ("torch.cuda.device_count", lambda: 7),
    "libraries": ("loragrid.training.job.versions", lambda *names: {"torch": "1"}),
    "other packages": ("loragrid.training.job.installed_versions", lambda *names: {"flash-attn": "1"}),
}


@pytest.mark.parametrize("name", COMPUTING)
def test_state_is_named_by_what_computes(job, monkeypatch, name):
    before = identity(job)
    monkeypatch.setattr(*COMPUTING[name])
    assert identity(job) != before


def test_states_of_versions_that_could_use_flash_attention_are_still_found(job):
    assert _identity(job, None)["computing"]["flash_attention"] is False


def test_state_is_named_by_how_processes_are_launched(job):
    before = identity(job)
    Path("launch.yaml").write_text(LAUNCH.replace("2", "3", 1))
    assert identity(job) != before
    assert fingerprint(_identity(job, None)) != before


ANY = {"folder": "g", "state": "t", "other_files": "o", "threads": 9, "checkpoint_minutes": 9, "trackers": ["wandb"]}
ANY |= {"keeps_finished": True, "kept_in": "k"}


def test_training_goes_on_whatever_its_means_and_wherever_its_files_are(job):
    before = identity(job)
    Path("model/manifest.json").write_text("imported once more")
    assert identity(job.model_copy(update=ANY)) == before
    shutil.copytree("model", "elsewhere")
    moved = {"model": "elsewhere/model.safetensors", "tokenizer": "elsewhere/tokenizer.json"}
    assert identity(job.model_copy(update=moved)) == before


def test_every_field_of_a_training_either_decides_or_is_marked(job):
    """A new input is a new field. Its bytes decide, unless the field is marked as a means."""
    marked = {name for name, field in TrainingJob.model_fields.items() if MEANS in field.metadata}
    assert marked == set(ANY)
    in_files = set(TrainingJob.model_fields) - marked - {"settings", "model"}
    assert set(_identity(job, None)["files"]) == in_files
    assert set(_identity(job, None)["settings"]) == set(TrainSettings.model_fields)
