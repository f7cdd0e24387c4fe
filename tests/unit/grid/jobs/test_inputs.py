import inspect
import re

import pytest

from loragrid import layout
from loragrid.ahead.stages import TRAIN
from loragrid.errors import UserError
from loragrid.grid.jobs import inputs
from loragrid.grid.jobs.inputs import AncientFile, UserFile
from loragrid.grid.jobs.wanted import tiers, usable_jobs
from loragrid.layout import Evaluation

RUN = "t__gold__both__n4__lora__completion__seed1"
OF_RUN = {"base_model": "m", "task": "t", "sample_type": "gold", "run": RUN}


LIKE = {"train_full": "train", "describe_full_model": "describe_model"}
"""Rules that read what another one does."""


def reads(rule, grid, job):
    return getattr(inputs, LIKE.get(rule, rule))(grid, job)


def asked(run, *how, base_model="m", task="t", sample_type="gold"):
    return Evaluation(base_model, task, sample_type, run, *how).wildcards


def paths_of(files):
    return [path for paths in files.values() for path in (paths if isinstance(paths, list) else [paths])]


@pytest.mark.parametrize("is_stored", [False, True])
def test_every_input_of_every_usable_job_is_a_user_s_file_or_made_by_a_usable_job(make_grid, is_stored):
    grid = make_grid(is_stored)
    jobs = usable_jobs(grid)
    made = {
        pattern.format_map(job)
        for rule, of_rule in jobs.items()
        for job in of_rule
        for pattern in inputs.model_outputs(grid, layout.RULES[rule]).values()
    }
    for rule, of_rule in jobs.items():
        for job in of_rule if rule != "fetch_package" else ():
            other = {path for path in paths_of(reads(rule, grid, job)) if not isinstance(path, UserFile)}
            assert other <= made, rule


def test_every_rule_that_the_grid_asks_for_says_what_it_reads(grid):
    for by_rule in tiers(grid).values():
        for rule in by_rule:
            assert callable(getattr(inputs, LIKE.get(rule, rule)))


def test_training_reads_its_mix_its_model_and_the_tokens_of_the_tasks_in_the_mix(grid):
    assert inputs.train(grid, OF_RUN) == {
        "train": "results/mixes/t/gold/both/n4-seed1/train.jsonl",
        "validation": "results/mixes/t/gold/both/n4-seed1/validation.jsonl",
        "tokens": ["results/tokens/m/t/gold.parquet", "results/tokens/m/u/gold.parquet"],
        "model": "results/models/m/model.safetensors",
        "model_config": "results/models/m/config.json",
        "tokenizer": "results/models/m/tokenizer.json",
    }


def test_training_that_continues_an_adapter_reads_it(grid):
    run = RUN.replace("lora", "more")
    assert inputs.train(grid, OF_RUN | {"run": run})["start"] == ["old/adapter_model.safetensors", "old/adapter_config.json"]


def test_prediction_reads_the_adapter_of_its_run_wherever_it_is_evaluated(grid):
    files = inputs.predict(grid, asked(RUN, task="u"))
    assert files["adapter"] == f"results/adapters/t/gold/m/{RUN}/adapter_model.safetensors"
    assert files["test"] == "results/datasets/u/gold/test.jsonl"


def test_prediction_of_a_whole_model_reads_that(grid):
    run = RUN.replace("lora", "full")
    assert inputs.predict(grid, asked(run))["adapter"] == f"results/finetuned/t/gold/m/{run}/model.safetensors"


def test_base_model_takes_over_what_it_answered_to_the_first_sample_type(grid):
    assert "known" not in inputs.predict(grid, asked("base"))
    known = inputs.predict(grid, asked("base", sample_type="silver"))["known"]
    assert known == "results/predictions/t/gold/m/base.jsonl"


def test_prompts_that_show_examples_need_them_and_no_known_answers(grid):
    files = inputs.predict(grid, asked("base", "few", "default", "warm"))
    assert files["demonstrations"] == "results/demonstrations/t/gold/few.json"
    assert files["train"] == "results/datasets/t/gold/train.jsonl"
    assert "known" not in files


def test_model_behind_a_server_has_no_files(grid):
    assert inputs.predict(grid, asked("base", base_model="served")) == {"test": "results/datasets/t/gold/test.jsonl"}


def test_run_is_checked_on_its_own_data_and_a_base_model_on_the_first(grid):
    assert inputs.check(grid, OF_RUN)["test"] == "results/datasets/t/gold/test.jsonl"
    assert inputs.check(grid, {"base_model": "served", "run": "base"}) == {"test": "results/datasets/t/gold/test.jsonl"}


def test_probe_reads_a_model_and_the_text_or_the_package_that_holds_it(grid, make_grid):
    with pytest.raises(UserError, match="forgetting: this section is missing in the configuration"):
        inputs.probe(grid, OF_RUN)
    files = inputs.probe(make_grid(forgetting={}), OF_RUN)
    assert files["adapter"] == f"results/adapters/t/gold/m/{RUN}/adapter_model.safetensors"
    assert isinstance(files["text"], AncientFile)
    own = inputs.probe(make_grid(forgetting={"text": {"path": "data/prose.txt"}}), OF_RUN | {"run": "base"})
    assert "adapter" not in own
    assert own["text"] == "data/prose.txt"
    assert isinstance(own["text"], UserFile)


def test_model_that_is_a_merged_run_is_made_of_its_base_model_and_adapter_and_of_no_card(make_grid):
    models = {"m": {"source": {"path": "m"}}, "served": {"engine": {"type": "openai", "api": "chat"}}}
    grid = make_grid(models=models | {"both": {"source": {"merged": RUN, "base_model": "m"}}})
    assert inputs.import_model(grid, {"base_model": "both"}) == {
        "adapter": f"results/adapters/t/gold/m/{RUN}/adapter_model.safetensors",
        "adapter_config": f"results/adapters/t/gold/m/{RUN}/adapter_config.json",
        "manifest": f"results/adapters/t/gold/m/{RUN}/manifest.json",
        "model": "results/models/m/model.safetensors",
        "tokenizer": "results/models/m/tokenizer.json",
        "model_config": "results/models/m/config.json",
    }
    assert inputs.import_model(grid, {"base_model": "m"}) == {"source": ["m"]}


def test_check_of_a_merged_model_reads_what_the_check_of_its_run_reads(grid):
    of_run = inputs.check(grid, OF_RUN)
    merged = f"results/merged/t/gold/m/{RUN}/model.safetensors"
    assert inputs.check_merged(grid, OF_RUN) == of_run | {"merged": merged}


def test_scorer_with_an_encoder_reads_it(grid):
    files = inputs.score(grid, asked(RUN) | {"scorer": "meaning"})
    assert files == {"predictions": f"results/predictions/t/gold/m/{RUN}.jsonl", "model": "results/models/e/config.json"}


def test_users_function_is_read_as_the_user_s_file(grid):
    files = inputs.score(grid, asked(RUN) | {"scorer": "ours"})
    assert files["files"] == ["ours.py"]
    assert isinstance(files["files"][0], UserFile)


def test_packages_and_leaks_are_only_means(grid):
    assert isinstance(inputs.prepare_dataset(grid, {"task": "u", "sample_type": "gold"})["source"], AncientFile)
    assert inputs.prepare_dataset(grid, {"task": "u", "sample_type": "gold"})["source"] == "results/packages/d==2.tar.gz"
    mix = {"task": "t", "sample_type": "gold", "mix": "both", "nb_samples": "4", "mix_seed": "1"}
    assert all(isinstance(path, AncientFile) for path in inputs.make_mix(grid, mix)["leaks"])


def test_card_reads_the_scores_of_the_run_and_of_its_base_model(grid):
    scores = inputs.describe_model(grid, OF_RUN)["scores"]
    assert f"results/scores/t/gold/m/{RUN}/rouge.jsonl" in scores
    assert "results/scores/u/gold/m/base/meaning.jsonl" in scores
    assert len(scores) == 2 * 2 * 2


def test_upload_is_of_the_adapter_or_of_the_merged_model(grid, make_grid):
    assert inputs.push(grid, OF_RUN)["model"] == f"results/adapters/t/gold/m/{RUN}/adapter_model.safetensors"
    merged = make_grid(hub={"repository": "me/{task}", "merged": True})
    assert inputs.push(merged, OF_RUN)["model"] == f"results/merged/t/gold/m/{RUN}/model.safetensors"


def test_under_a_storage_a_job_names_every_file_of_its_models(make_grid):
    files = inputs.predict(make_grid(True), asked(RUN.replace("lora", "full")))
    assert "results/models/m/other_files.tar" in files["all_files"]
    assert files["other_files_of_adapter"].endswith("/other_files.tar")


@pytest.mark.parametrize(
    ("rule", "wildcards", "sentence"),
    [
        ("train", OF_RUN | {"run": "t__x"}, r"the grid has no run 't__x' of base model 'm'."),
        (
            "import_predictions",
            asked("theirs"),
            r"external_predictions\.theirs: there is no file for task 't', sample type 'gold'",
        ),
        ("human_sheet", {"evaluation": "people", "annotator": "eve"}, "human_evaluations: 'people' with annotator 'eve'"),
    ],
)
def test_job_that_the_configuration_does_not_know_is_a_sentence(grid, rule, wildcards, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        getattr(inputs, rule)(grid, wildcards)


@pytest.mark.parametrize("is_stored", [False, True])
def test_every_input_is_handed_to_a_training_so_that_its_state_depends_on_it(make_grid, is_stored):
    grid = make_grid(is_stored)
    named = {name for job in usable_jobs(grid)["train"] for name in inputs.train(grid, job)}
    handed = re.findall(r'given(?:\.get\(|\[)"(\w+)"', inspect.getsource(TRAIN.describe))
    # The folder of the model comes with its weights.
    assert named - {"model_config", "all_files"} == set(handed)


def test_learnt_prompts_are_left_out_of_what_is_merged_and_refused_by_name(make_grid):
    grid = make_grid(
        configs={
            "lora": {"method": "prompt_tuning"},
            "full": {"method": "full"},
            "more": {"method": "continue", "adapter": "old"},
        }
    )
    assert {job["run"] for job in usable_jobs(grid)["merge"]} == {run.name for run in grid.runs.values() if run.config != "lora"}
    with pytest.raises(UserError) as caught:
        inputs.merge(grid, OF_RUN)
    assert str(caught.value) == (
        f"results/merged: {RUN} cannot be merged: configs.lora learns what stands beside the weights, not a change of them."
    )
