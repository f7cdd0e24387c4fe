import json

import pytest

from loragrid.data.external import ImportedPredictionsSettings
from loragrid.data.mixes import MixSettings
from loragrid.data.preparation import PrepareSettings
from loragrid.data.prompting import DemonstrationSettings
from loragrid.data.tokens import TokeniseSettings
from loragrid.errors import UserError
from loragrid.grid.jobs import settings
from loragrid.grid.jobs.wanted import tiers, usable_jobs
from loragrid.layout import Evaluation
from loragrid.models.hub import PushSettings
from loragrid.models.importing import ImportSettings
from loragrid.training.settings import TrainSettings

RUN = "t__gold__both__n4__lora__completion__seed1"
OF_RUN = {"base_model": "m", "task": "t", "sample_type": "gold", "run": RUN}
TOLD_NOTHING = {"fetch_package", "decontaminate", "export", "merge", "describe_full_model", "train_full"}


READ_BACK = {
    "import_model": ImportSettings,
    "prepare_dataset": PrepareSettings,
    "make_mix": MixSettings,
    "tokenise": TokeniseSettings,
    "train": TrainSettings,
    "select_demonstrations": DemonstrationSettings,
    "import_predictions": ImportedPredictionsSettings,
    "push": PushSettings,
}


def told(rule, grid, wildcards):
    return dict(getattr(settings, rule)(grid, wildcards))


def test_what_a_job_is_told_is_plain_data(grid):
    for rule, jobs in usable_jobs(grid).items():
        for job in jobs if rule not in TOLD_NOTHING else ():
            json.dumps(told(rule, grid, job), allow_nan=False)


@pytest.mark.parametrize("rule", READ_BACK)
def test_what_a_job_is_told_is_the_same_once_it_is_read(grid, rule):
    jobs = usable_jobs(grid)[rule]
    assert jobs
    for job in jobs:
        params = {"version": 1} | told(rule, grid, job)
        assert repr(READ_BACK[rule].model_validate(params).model_dump()) == repr(params)


def test_edited_entry_changes_what_those_jobs_are_told_that_use_it_and_no_others(grid, make_grid):
    raw = grid.config.model_dump(mode="json", exclude_unset=True)
    edited = make_grid(configs=raw["configs"] | {"lora": raw["configs"]["lora"] | {"rank": 5}})
    for run in grid.runs.values():
        changed = told("train", grid, run.wildcards) != told("train", edited, run.wildcards)
        assert changed == (run.config == "lora")


@pytest.mark.parametrize(
    ("engine", "outdated"),
    [({"type": "hf", "batch_tokens": 99}, False), ({"type": "vllm", "settings": {"max_num_seqs": 3}}, True)],
)
def test_how_fast_a_model_is_asked_makes_no_answer_outdated(grid, make_grid, engine, outdated):
    other = make_grid(
        models=grid.config.model_dump(mode="json", exclude_unset=True)["models"]
        | {"m": {"source": {"path": "m"}, "dtype": "float32", "engine": engine}},
        configs={"lora": {"rank": 4, "quantization": "8bit"}},
        grid=[
            {
                "base_models": ["m"],
                "tasks": ["t"],
                "sample_types": ["gold"],
                "mixes": ["alone"],
                "nb_samples": [4],
                "configs": ["lora"],
            }
        ],
    )
    job = Evaluation("m", "t", "gold", "base").wildcards
    assert (told("predict", grid, job) != told("predict", other, job)) is outdated


def test_run_is_trained_on_weights_as_its_config_wants_them(grid):
    assert told("train", grid, OF_RUN)["config"]["quantization"] == "8bit"
    assert told("predict", grid, Evaluation("m", "u", "gold", RUN).wildcards)["quantization"] == "8bit"
    assert told("predict", grid, Evaluation("m", "u", "gold", "base").wildcards)["quantization"] == "none"


def test_prediction_says_what_its_model_was_trained_on(grid):
    axes = told("predict", grid, Evaluation("m", "u", "gold", RUN).wildcards)["axes"]
    assert (axes["task"], axes["trained_task"], axes["mix"], axes["nb_samples"]) == ("u", "t", "both", 4)


def test_prompt_variant_changes_the_prompt_of_its_predictions(grid):
    usual = told("predict", grid, Evaluation("m", "t", "gold", "base").wildcards)
    short = told("predict", grid, Evaluation("m", "t", "gold", "base", "zero_shot", "short").wildcards)
    assert (usual["instruction"], usual["model"]["system_prompt"]) == (None, None)
    assert (short["instruction"], short["model"]["system_prompt"]) == ("Say", "Be brief.")


def test_upload_names_its_repository(grid, make_grid):
    assert told("push", grid, OF_RUN)["hub"]["repository"] == "me/t-lora"
    with pytest.raises(UserError, match=r"^hub: this section is missing"):
        told("push", make_grid(hub=None), OF_RUN)


def test_every_rule_that_the_grid_asks_for_is_told_something_or_known_to_need_nothing(grid):
    for by_rule in tiers(grid).values():
        for rule in by_rule:
            assert hasattr(settings, rule) != (rule in TOLD_NOTHING)
