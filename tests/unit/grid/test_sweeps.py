"""A config with ranges in the grid: which trainings it stands for, wherever it is named."""

import pytest

from loragrid.config.load import parse_config
from loragrid.config.sweeps import meant_comparisons
from loragrid.errors import UserError
from loragrid.grid.feasibility import problems
from loragrid.grid.impossible_jobs import impossible_jobs
from loragrid.grid.jobs import inputs, settings
from loragrid.grid.jobs.wanted import usable_jobs
from loragrid.layout import Run
from loragrid.sections import decisive
from unit.grid.conftest import RAW

BLOCK = RAW["grid"][0] | {"evaluate_on": "same", "mixes": ["alone"], "sample_types": ["gold"], "configs": ["lora"]}
SWEPT = {"quantization": "8bit", "rank": [4, 8]}
NAMES = ["lora-rank4", "lora-rank8"]


def swept(make_grid, block=BLOCK, configs=None, **changes):
    return make_grid(grid=[block], configs=RAW["configs"] | {"lora": SWEPT} | (configs or {}), **changes)


def sentences(**changes):
    with pytest.raises(UserError) as caught:
        parse_config(RAW | {"configs": RAW["configs"] | {"lora": SWEPT}} | changes)
    return str(caught.value)


def trained(grid):
    return {run.config: run for run in grid.runs.values()}


def test_name_of_a_config_means_all_its_settings(make_grid):
    grid = swept(make_grid)
    assert list(trained(grid)) == NAMES
    assert {evaluation.run for evaluation in grid.evaluations} == {"base", *(run.name for run in trained(grid).values())}
    # Whoever parses a run's name finds the setting.
    assert all(Run.parse(run.name, "m") == run for run in trained(grid).values())


def test_a_single_setting_may_be_named(make_grid):
    assert list(trained(swept(make_grid, BLOCK | {"configs": ["lora-rank8"]}))) == ["lora-rank8"]
    assert list(trained(swept(make_grid, BLOCK | {"configs": ["lora-rank8", "full", "lora"]}))) == [
        "lora-rank8",
        "full",
        "lora-rank4",
    ]


def test_setting_is_trained_as_a_config_with_its_values(make_grid):
    grid, plain = swept(make_grid), make_grid(grid=[BLOCK], configs={"lora": {"quantization": "8bit", "rank": 8}})
    told, of_plain = (
        decisive(settings.train(one, trained(one)[name].wildcards, 3)) for one, name in ((grid, "lora-rank8"), (plain, "lora"))
    )
    assert told["config"] == of_plain["config"]
    assert told == of_plain | {"run": of_plain["run"] | {"config": "lora-rank8"}}


def test_sweep_of_one_config_changes_no_job_of_others(make_grid):
    plain = make_grid()
    grid = make_grid(
        configs=RAW["configs"] | {"swept": {"sweep": {"draws": 2, "learning_rate": {"log_uniform": [1e-5, 1e-3]}}}},
        grid=[*RAW["grid"], BLOCK | {"configs": ["swept"]}],
    )
    assert len(grid.runs) == len(plain.runs) + 2
    for rule, jobs in usable_jobs(plain).items():
        told, read = getattr(settings, rule, None), getattr(inputs, rule, None)
        for job in jobs:
            if told is not None and job and rule not in ("describe_full_model", "train_full", "merge", "export"):
                assert repr(decisive(told(grid, job, version=1))) == repr(decisive(told(plain, job, version=1))), rule
            # Sheets have the answers of all runs.
            if read is not None and job and rule not in ("decontaminate", "human_sheet"):
                assert read(grid, job) == read(plain, job), rule


def test_analysis_is_told_of_sweeps_only_where_there_are_some(make_grid):
    assert "config_of" not in decisive(settings.analyse(make_grid()))
    told = decisive(settings.analyse(swept(make_grid, BLOCK | {"configs": ["lora", "full"]})))
    assert told["config_of"] == {"lora-rank4": "lora", "lora-rank8": "lora"}
    # Of a sweep, only what is trained.
    told = decisive(settings.analyse(swept(make_grid, BLOCK | {"configs": ["lora-rank8", "full"]})))
    assert told["config_of"] == {"lora-rank8": "lora"}


def comparisons(make_grid, *asked):
    grid = swept(make_grid, BLOCK | {"configs": ["lora", "full"]}, report={"comparisons": list(asked)})
    return meant_comparisons(grid.config)


def test_comparison_with_a_config_is_one_with_each_of_its_settings(make_grid):
    found = comparisons(make_grid, {"axis": "config", "values": ["full", "lora"]})
    assert [one.values for one in found] == [["full", *NAMES]]
    found = comparisons(make_grid, {"axis": "config", "against": "lora", "where": {"mix": "alone"}})
    assert [one.against for one in found] == NAMES
    found = comparisons(make_grid, {"axis": "training", "where": {"config": ["lora", "full"]}})
    assert [one.where for one in found] == [{"config": [*NAMES, "full"]}]
    assert comparisons(make_grid, {"axis": "config", "values": ["lora"]})[0].values == NAMES


def test_settings_of_each_config_compete_with_each_other(make_grid):
    block = BLOCK | {"configs": ["lora", "full"]}
    grid = swept(make_grid, block, selection={"choose": "setting", "by": "rouge/rougeL"})
    assert {Run.parse(one.run).config for one in grid.validated} == set(NAMES)
    grid = swept(make_grid, block, selection={"choose": "config", "by": "rouge/rougeL"})
    assert {Run.parse(one.run).config for one in grid.validated} == {*NAMES, "full"}


def test_choice_of_settings_needs_a_config_with_several(make_grid):
    selection = {"choose": "setting", "by": "validation_loss"}
    found = [line for line in problems(make_grid(grid=[BLOCK], selection=selection).config) if "selection" in line]
    assert found == [
        "selection.choose: there is nothing to choose: no two ways of the grid on the same data set differ only in setting."
    ]
    said = sentences(selection={"choose": ["config", "setting"], "by": "validation_loss"})
    assert said.startswith("selection.choose: 'config' chooses among all settings already")


def test_validation_loss_cannot_choose_how_many_answers_of_a_conversation_count(make_grid):
    def said(task, block=BLOCK, **configs):
        tasks = RAW["tasks"] | {"t": {key: value for key, value in RAW["tasks"]["t"].items() if key != "prompt_variants"} | task}
        selection = {"choose": "setting", "by": "validation_loss"}
        grid = make_grid(
            tasks=tasks, configs={"lora": {"loss_turns": ["last", "all"]} | configs}, grid=[block], selection=selection
        )
        return [line for line in problems(grid.config) if "loss_turns" in line]

    talks = {"instruction": None, "input": None, "messages": "messages", "sample_types": {"gold": {}}, "baselines": []}
    assert said(talks) == [
        "selection.by: validation_loss cannot choose between 'lora-loss_turns_last' and 'lora-loss_turns_all': their loss_turns "
        "differ, so that it is computed on other tokens; give a metric."
    ]
    assert said(talks, loss_turns="all", rank=[4, 8]) == []
    assert said(talks, BLOCK | {"loss_computations": ["full"]}) == []
    # Without conversations both are the same.
    assert said({}) == []


def test_unknown_setting_is_told_with_the_nearest_one():
    said = sentences(grid=[BLOCK | {"configs": ["lora-rank9"]}])
    assert said == "grid[0].configs: unknown config 'lora-rank9'; did you mean 'lora-rank8'?"


@pytest.mark.parametrize(
    ("configs", "said"),
    [
        (
            {"lora-rank8": {}, "lora": SWEPT},
            "configs.lora: its setting 'lora-rank8' has the same name as config 'lora-rank8'; choose another.",
        ),
        ({"lora": {"initialisation": ["pissa_niter_1"], "rank": [4, 4.0]}}, ""),
        (
            {"p": {"method": "prompt_tuning", "init_text": ["yes", "Yes"]}},
            "configs.p: its setting 'p-init_text_Yes' has the same name as 'p-init_text_yes', a setting of config 'p'; "
            "choose another.",
        ),
        ({"lora": {"rank": [4, 0]}}, "configs.lora.rank[1]: input should be greater than or equal to 1, not 0."),
        ({"lora": {"sweep": {"ranc": [4]}}}, "configs.lora.sweep.ranc: unknown key; did you mean 'rank'?"),
        (
            {"lora": {"sweep": {"draws": 1, "rank": {"unifrom": [4, 5]}}}},
            "configs.lora.sweep.rank.unifrom: unknown key; did you mean 'uniform'?",
        ),
        (
            {"lora": {"sweep": {"rank": 8}}},
            "configs.lora.sweep.rank: expected a list of values, or a distribution (uniform, log_uniform, integers, choice), not 8.",
        ),
        (
            {"lora": {"sweep": {"rank": {"integers": [4, 8]}}}},
            "configs.lora.sweep: draws is missing: how many values are drawn for rank.",
        ),
        (
            {"lora": {"keep": "best", "evaluations": [2, 0]}},
            "configs.lora: keep: best and patience need validations: set evaluations or validate_every (in the setting with "
            "evaluations 0).",
        ),
    ],
)
def test_mistake_is_a_sentence_that_names_the_key_as_written(configs, said):
    raw = RAW | {"configs": RAW["configs"] | {"lora": {}} | configs}
    if not said:
        parse_config(raw)
        return
    with pytest.raises(UserError) as caught:
        parse_config(raw)
    assert str(caught.value) == said


def test_what_a_setting_cannot_do_is_told_once_of_its_config(make_grid):
    models = RAW["models"] | {"m": RAW["models"]["m"] | {"engine": {"type": "vllm"}}}
    said = sentences(models=models, configs=RAW["configs"] | {"lora": {"dora": [True, False], "rank": [4, 8]}}, grid=[BLOCK])
    assert said.count("is no plain LoRA") == 1
    assert said.startswith("grid[0].configs: 'lora' ")
    grid = swept(make_grid, configs={"lora": {"method": "continue", "adapter": "results/adapters/a", "epochs": [1, 2]}})
    assert [line for line in impossible_jobs(grid) if "adapter" in line] == [
        "configs.lora.adapter: 'results/adapters/a' does not exist, and no run of the grid makes it."
    ]
    bare = swept(make_grid, configs={"lora": {"evaluations": [0, 1]}}, selection={"choose": "setting", "by": "validation_loss"})
    assert "selection.by: runs of config 'lora' have no validation loss; set configs.lora.evaluations." in problems(bare.config)
