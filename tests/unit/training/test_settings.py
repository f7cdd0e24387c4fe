"""What the job of a training is told, and what its state is named by."""

import json

import pytest

from loragrid.runtime.files import file_sha256
from loragrid.runtime.job import versions
from loragrid.training.job import TrainingJob, _identity
from loragrid.training.methods import parse_training
from loragrid.training.settings import TrainSettings
from trainings import RUN

MODEL = {"dtype": "float32", "prompt_format": "auto", "system_prompt": None, "template": None}
SEEDS = {"adapter_init": 1, "data_order": 2, "mix": 3}


def told(config, model=MODEL):
    """The parameters of the rule, as the configuration gives them."""
    return {"version": 1, "run": RUN, "model": model, "config": parse_training(config).model_dump(), "seeds": SEEDS}


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
    assert repr(settings.model_dump()) == repr(params)
    assert repr(TrainSettings.model_validate_json(json.dumps(settings.model_dump())).model_dump()) == repr(params)
    assert type(settings.config) is type(parse_training(config))


def test_adapter_is_described_the_same_whether_a_default_is_given_or_not():
    given, default = (TrainSettings.model_validate(told(config)).config for config in ({"alpha": 16}, {}))
    assert repr(given.peft_config("").lora_alpha) == repr(default.peft_config("").lora_alpha) == "16.0"


@pytest.mark.parametrize("config", CONFIGS)
def test_state_is_named_by_all_that_decides_what_a_training_arrives_at(tmp_path, config):
    for name in ("model", "tokenizer", "train", "validation", "adapter"):
        (tmp_path / name).write_text(name)
    files = {name: str(tmp_path / name) for name in ("model", "tokenizer", "train", "validation")}
    params = told(config)
    job = TrainingJob(
        settings=params,
        folder="f",
        state="s",
        tokens=[],
        adapter=[str(tmp_path / "adapter")],
        threads=1,
        checkpoint_minutes=1,
        **files,
    )
    expected = {
        "run": RUN,
        "config": params["config"],
        "model_settings": MODEL,
        "seeds": SEEDS,
        "stage_version": 1,
        "files": [file_sha256(path) for path in (*files.values(), tmp_path / "adapter")],
        "versions": versions("torch", "transformers", "peft", "accelerate"),
        "accelerate": None,
    }
    assert repr(_identity(job, None)) == repr(expected)
