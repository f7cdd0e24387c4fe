import pytest

from loragrid.errors import UserError
from loragrid.grid.feasibility import problems
from loragrid.grid.jobs import inputs, settings
from loragrid.grid.jobs.wanted import scorers_of, tiers, usable_jobs
from loragrid.layout import PREDICT, SELECT_DEMONSTRATIONS, Evaluation
from unit.grid.conftest import RAW

BLOCK = RAW["grid"][0] | {"evaluate_on": "same", "mixes": ["alone"], "nb_samples": [4, 8], "configs": ["lora", "full"]}
RUN = "t__gold__alone__n4__lora__completion__seed1"


def chosen(make_grid, choose, by="rouge/rougeL", blocks=(BLOCK,), **changes):
    return make_grid(grid=list(blocks), selection={"choose": choose, "by": by, "subset": 7}, **changes)


def test_only_ways_between_which_a_scorer_chooses_are_asked_about_validation_examples(make_grid):
    alone = BLOCK | {"tasks": ["u"], "configs": ["lora"], "sample_types": ["gold"]}
    grid = chosen(make_grid, "config", blocks=[BLOCK, alone])
    assert {one.split for one in grid.validated} == {"validation"}
    # Neither base models nor runs of the only config.
    assert len(grid.validated) == 2 * 2 * 2
    assert {one.task for one in grid.validated} == {"t"}
    assert {scorer for one in grid.validated for scorer in scorers_of(grid, one)} == {"rouge"}
    assert [one for one in grid.asked if one.split == "test"] == list(grid.evaluations)


def test_nothing_is_asked_for_a_choice_by_validation_loss(make_grid):
    assert chosen(make_grid, "config", by="validation_loss").validated == {}
    assert make_grid().validated == {}


def test_prompts_are_chosen_for_base_models_too(make_grid):
    block = BLOCK | {"sample_types": ["gold"], "nb_samples": [4], "configs": ["lora"], "prompt_variants": ["default", "short"]}
    asked = {(one.run, one.prompt) for one in chosen(make_grid, "prompt_variant", blocks=[block]).validated}
    assert asked == {("base", "default"), ("base", "short"), (RUN, "default"), (RUN, "short")}


def test_scorer_that_compares_with_the_base_model_has_its_answers_to_validation_examples(make_grid):
    scorers = RAW["scorers"] | {"judge": {"type": "judge", "rubric": "pairwise", "model": "j", "against": "base"}}
    tasks = {"t": RAW["tasks"]["t"] | {"scorers": ["judge"]}, "u": RAW["tasks"]["u"] | {"scorers": ["rouge"]}}
    block = BLOCK | {"sample_types": ["gold"], "nb_samples": [4]}
    grid = chosen(make_grid, "config", "judge/win", [block], scorers=scorers, tasks=tasks)
    assert {one.run: scorers_of(grid, one) for one in grid.validated} == {
        "base": [],
        RUN: ["judge"],
        RUN.replace("lora", "full"): ["judge"],
    }
    asked = next(one for one in grid.validated if one.run == RUN)
    read = inputs.score(grid, asked.wildcards | {"scorer": "judge"})
    assert read["base"] == "results/predictions/t/gold/m/base~zero_shot~default~greedy~validation.jsonl"
    assert read["test"] == "results/datasets/t/gold/validation.jsonl"


def test_asking_about_validation_examples_changes_no_job_of_test_examples(make_grid):
    plain, grid = make_grid(grid=[BLOCK]), chosen(make_grid, "config")
    for evaluation in plain.evaluations:
        assert inputs.predict(grid, evaluation.wildcards) == inputs.predict(plain, evaluation.wildcards)
        assert settings.predict(grid, evaluation.wildcards, 2) == settings.predict(plain, evaluation.wildcards, 2)
        assert scorers_of(grid, evaluation) == scorers_of(plain, evaluation)
    assert set(map(str, tiers(plain)["predictions"]["predict"])) < set(map(str, tiers(grid)["predictions"]["predict"]))


def test_validation_prediction_is_told_its_split_and_reads_it(make_grid):
    grid = chosen(make_grid, "config")
    of_test = Evaluation("m", "t", "gold", RUN)
    asked = of_test._replace(split="validation")
    assert asked in grid.validated
    told, of_tests = (settings.predict(grid, one.wildcards, 2) for one in (asked, of_test))
    assert (told.subset, of_tests.subset) == (7, 5)
    assert told.axes == of_tests.axes | {"split": "validation"}
    assert inputs.predict(grid, asked.wildcards) == inputs.predict(grid, of_test.wildcards) | {
        "test": "results/datasets/t/gold/validation.jsonl"
    }
    assert inputs.export(grid, asked.wildcards)["test"] == "results/datasets/t/gold/validation.jsonl"
    assert PREDICT.path("predictions", asked.wildcards).endswith(f"/{RUN}~zero_shot~default~greedy~validation.jsonl")


def test_prompts_for_validation_examples_show_demonstrations_of_their_own(make_grid):
    block = BLOCK | {"sample_types": ["gold"], "promptings": ["zero_shot", "few"], "nb_samples": [4], "configs": ["lora"]}
    grid = chosen(make_grid, "prompting", blocks=[block])
    jobs = tiers(grid)["demonstrations"]["select_demonstrations"]
    paths = {SELECT_DEMONSTRATIONS.path("demonstrations", job) for job in jobs}
    assert paths == {f"results/demonstrations/t/gold/few{of_split}.json" for of_split in ("", "~validation")}
    [job] = {job["of_split"]: job for job in jobs if job["of_split"]}.values()
    assert inputs.select_demonstrations(grid, job)["test"] == "results/datasets/t/gold/validation.jsonl"
    asked = next(one for one in grid.validated if one.prompting == "few")
    assert inputs.predict(grid, asked.wildcards)["demonstrations"] == "results/demonstrations/t/gold/few~validation.json"


def test_training_data_are_compared_with_the_validation_sets_that_decide(make_grid):
    data = {"task": "t", "sample_type": "gold"}
    assert "chosen_by" not in inputs.decontaminate(make_grid(grid=[BLOCK]), data)
    assert inputs.decontaminate(chosen(make_grid, "config"), data)["chosen_by"] == [
        f"results/datasets/t/{name}/validation.jsonl" for name in ("gold", "silver")
    ]


def test_validation_results_are_exported_pruned_and_verified_like_test_results(make_grid):
    jobs = usable_jobs(chosen(make_grid, "config"))
    for rule in ("predict", "export", "score"):
        assert {job["split"] for job in jobs[rule]} == {"test", "validation"}, rule
    # Prompts are shown for tests alone.
    assert {job["split"] for job in jobs["show_prompt"]} == {"test"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"choose": "epochs"}, "selection.choose[0]: "),
        (
            {"choose": ["config", "checkpoint"]},
            "selection.choose: 'checkpoint' cannot be chosen here: a training keeps one checkpoint",
        ),
        (
            {"choose": "seed"},
            "selection.choose: 'seed' cannot be chosen here: a way is trained with all of its seeds, and its result is their mean.",
        ),
        ({"choose": "task"}, "selection.choose: 'task' cannot be chosen here: a choice is made for each task."),
        ({"choose": ["config", "mix", "config"]}, "selection.choose: 'config' stands twice."),
        ({"by": ["rouge/rougeL", "rouge/rougeL"]}, "selection.by: 'rouge/rougeL' stands twice."),
        ({"by": "rouge/rougeX"}, "selection.by: unknown metric 'rouge/rougeX'"),
        ({"by": "people/good"}, "selection.by: 'people/good' is rated by people"),
        (
            {"by": "validation_loss", "choose": ["config", "prompt_variant"]},
            "selection.by: validation_loss cannot choose prompt_variant",
        ),
        ({"by": "validation_loss", "choose": "loss_computation"}, "selection.by: validation_loss cannot choose loss_computation"),
        ({"by": []}, "selection.by: "),
        ({"subset": 0}, "selection.subset: "),
    ],
)
def test_choice_that_is_not_possible_is_a_sentence(make_grid, change, sentence):
    rated = {"people": {"type": "human", "evaluation": "people", "sheets": ["ann.csv"]}}
    tasks = {"t": RAW["tasks"]["t"] | {"scorers": ["rouge", "people"]}, "u": RAW["tasks"]["u"]}
    selection = {"choose": "config", "by": "rouge/rougeL"} | change
    with pytest.raises(UserError) as error:
        make_grid(grid=[BLOCK], selection=selection, scorers=RAW["scorers"] | rated, tasks=tasks)
    assert str(error.value).startswith(sentence)
    assert str(error.value) == sentence or not sentence.endswith(".")


def told(make_grid, **changes):
    return [line for line in problems(make_grid(**changes).config) if line.startswith("selection.")]


def test_grid_in_which_there_is_nothing_to_choose_is_a_sentence(make_grid):
    found = told(make_grid, grid=[BLOCK | {"configs": ["lora"]}], selection={"choose": "config", "by": "rouge/rougeL"})
    assert found == [
        "selection.choose: there is nothing to choose: no two ways of the grid on the same data set differ only in config."
    ]
    assert told(make_grid, grid=[BLOCK], selection={"choose": "config", "by": "rouge/rougeL"}) == []


def test_metric_that_no_task_with_ways_to_choose_between_has_is_a_sentence(make_grid):
    tasks = RAW["tasks"] | {"t": RAW["tasks"]["t"] | {"scorers": ["rouge"]}}
    selection = {"choose": "config", "by": ["rouge/rougeL", "meaning/cosine"]}
    assert told(make_grid, grid=[BLOCK, {**BLOCK, "tasks": ["u"], "configs": ["lora"]}], selection=selection, tasks=tasks) == [
        "selection.by: no task with ways to choose between has the scorer 'meaning'; add it to the task's scorers."
    ]
    # One task that has it is enough.
    assert told(make_grid, grid=[BLOCK, {**BLOCK, "tasks": ["u"]}], selection=selection, tasks=tasks) == []


def test_training_without_validation_loss_is_a_sentence(make_grid):
    selection = {"choose": "config", "by": "validation_loss"}
    assert told(make_grid, grid=[BLOCK], selection=selection) == []
    mixes = RAW["mixes"] | {"alone": {"recipe": "target_only", "nb_validation": 0}}
    configs = RAW["configs"] | {"full": {"method": "full", "evaluations": 0}}
    assert told(make_grid, grid=[BLOCK], selection=selection, mixes=mixes, configs=configs) == [
        "selection.by: runs of mix 'alone' have no validation loss; set mixes.alone.nb_validation.",
        "selection.by: runs of config 'full' have no validation loss; set configs.full.evaluations.",
    ]


def test_data_without_validation_examples_are_a_sentence(make_grid):
    bare = {"words": {"splits": {"train": {"path": "a.jsonl"}, "test": {"path": "b.jsonl"}}}, "packed": RAW["sources"]["packed"]}
    selection = {"choose": "config", "by": "rouge/rougeL"}
    block = BLOCK | {"sample_types": ["gold"]}
    assert told(make_grid, grid=[block], selection=selection, sources=bare) == [
        "selection.by: task 't', sample type 'gold' has no validation examples to choose by; give sources.words.splits.validation, "
        "or cut some with sources.words.split.validation."
    ]
    cut = {**bare, "words": bare["words"] | {"split": {"validation": 0.2}}}
    assert told(make_grid, grid=[block], selection=selection, sources=cut) == []
