import json

import pytest

from loragrid.errors import UserError
from loragrid.grid.jobs import settings
from loragrid.grid.jobs.wanted import tiers, usable_jobs
from loragrid.layout import Evaluation
from loragrid.runtime.files import fingerprint
from loragrid.sections import decisive

RUN = "t__gold__both__n4__lora__completion__seed1"
OF_RUN = {"base_model": "m", "task": "t", "sample_type": "gold", "run": RUN}
TOLD_NOTHING = {"fetch_package", "decontaminate", "export", "merge", "describe_full_model", "train_full"}


def told(rule, grid, wildcards):
    """The params of a job, as its rule has them."""
    return decisive(getattr(settings, rule)(grid, wildcards, version=1))


def test_what_a_job_is_told_is_plain_data(grid):
    for rule, jobs in usable_jobs(grid).items():
        for job in jobs if rule not in TOLD_NOTHING else ():
            json.dumps(told(rule, grid, job), allow_nan=False)


def test_what_a_job_is_told_is_the_same_once_it_is_read(grid):
    for rule, jobs in usable_jobs(grid).items():
        for job in jobs if rule not in TOLD_NOTHING else ():
            stage = type(getattr(settings, rule)(grid, job, version=1))
            params = told(rule, grid, job)
            assert repr(decisive(stage.model_validate(params))) == repr(params)


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


@pytest.mark.parametrize(
    ("mix", "nb_samples", "keys", "version"),
    [
        # 50 steps an epoch, of 50 examples or of 4 and 46 others: 7 steps instead of 8.
        ("alone", 50, {"batch_size": 1, "epochs": 0.14}, 2),
        ("shared", 4, {"batch_size": 1, "epochs": 0.14}, 2),
        # 4 steps an epoch: 5 as before.
        ("alone", 4, {"batch_size": 1, "epochs": 1.1}, 1),
        ("alone", 200, {"batch_size": 2, "epochs": 0.07}, 2),
        ("alone", 200, {"batch_size": 2, "epochs": 0.07, "max_steps": 8}, 1),
        # The configuration does not tell how many steps an epoch has.
        ("alone", 200, {"batch_tokens": 50, "epochs": 0.07}, 1),
        ("both", 200, {"batch_size": 2, "epochs": 0.07}, 1),
    ],
)
def test_training_that_had_a_step_too_many_is_made_again(make_grid, mix, nb_samples, keys, version):
    mixes = {
        "alone": {"recipe": "target_only"},
        "shared": {"recipe": "weighted", "weights": {"u": 1}, "nb_others": 46},
        "both": {"recipe": "fractional", "tasks": ["t", "u"]},
    }
    of_run = {"mixes": [mix], "nb_samples": [nb_samples], "configs": ["lora"]}
    grid = make_grid(
        mixes=mixes,
        configs={"lora": keys},
        hub=None,
        human_evaluations={},
        grid=[{"base_models": ["m"], "tasks": ["t"], "sample_types": ["gold"], **of_run}],
    )
    [run] = grid.runs.values()
    assert told("train", grid, run.wildcards)["version"] == version


def test_every_rule_that_the_grid_asks_for_is_told_something_or_known_to_need_nothing(grid):
    for by_rule in tiers(grid).values():
        for rule in by_rule:
            assert hasattr(settings, rule) != (rule in TOLD_NOTHING)


OF_ALL_JOBS = {
    "import_model": "e30042c66188",
    "prepare_dataset": "753cd3c18e4e",
    "make_mix": "6f2fa417e4b3",
    "tokenise": "c5006a15c7a6",
    "train": "7ff25824920a",
    "select_demonstrations": "c20fb1211b55",
    "predict": "bb30b3ed1a4f",
    "import_predictions": "f75da540ea50",
    "predict_baseline": "f01a9edf83ad",
    "check": "3839882b449d",
    "score": "e7da0d7e11da",
    "push": "59dbbcec86a8",
    "human_sheet": "c37c9e3c45dd",
}
"""Hashes of what the jobs of each rule are told. Where one changes, results of that stage and of those behind it are made again for every user."""


@pytest.mark.parametrize("rule", sorted(OF_ALL_JOBS))
def test_what_jobs_are_told_stays_as_it_was_so_that_their_results_stay_valid(grid, rule):
    params = [repr(sorted(map(repr, told(rule, grid, job).values()))) for job in usable_jobs(grid)[rule]]
    assert fingerprint(params)[:12] == OF_ALL_JOBS[rule]
