from pathlib import Path

import pytest
import yaml

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.grid.feasibility import misplaced_predictions, oversized_mixes, ratings_of_nobody, without_training_data
from loragrid.grid.runs import expand_evaluations, expand_external, expand_grid
from loragrid.layout import Evaluation

DEFAULT = yaml.safe_load((Path(__file__).parents[3] / "config" / "config.yaml").read_text())
OF_EXPERTS = DEFAULT["grid"][0]["evaluate_on"]
# Unless a test says otherwise, each run is tested on its own task and sample type.
DEFAULT["grid"][0]["evaluate_on"] = "same"


def config(*blocks):
    return parse_config(DEFAULT | {"grid": [DEFAULT["grid"][0] | block for block in blocks]})


def test_block_is_the_product_of_its_axes():
    runs = expand_grid(config({"tasks": ["challenge", "outcome"], "nb_samples": [1, 2, 3], "seeds": [1, 2]}))
    assert len(runs) == 2 * 2 * 3 * 2
    assert {run.nb_samples for run in runs} == {1, 2, 3}


def test_blocks_are_united_without_duplicates():
    runs = expand_grid(config({"nb_samples": [8, 16]}, {"nb_samples": [16, 32], "tasks": ["outcome"]}))
    assert len(runs) == 3 * 2 * 2 + 2
    assert len(set(runs)) == len(runs)


def test_names_of_runs_tell_every_axis_apart():
    runs = expand_grid(config({"seeds": [1, 2], "loss_computations": ["completion", "full"], "nb_samples": [1, 11]}))
    assert len({run.name for run in runs}) == len(runs)
    assert runs[0].name == "challenge__manual__target_only__n1__lora__completion__seed1"


@pytest.mark.parametrize(("available", "sentences"), [(100, 0), (20, 1), (0, 2)])
def test_mix_larger_than_its_data_is_named_with_both_numbers(available, sentences):
    found = list(oversized_mixes(config({"nb_samples": [8, 32]}), {("outcome", "auto"): available}))
    assert len(found) == sentences
    if available == 20:
        assert found == ["grid[0].nb_samples[1]: 32 is more than the 20 training examples of task 'outcome', sample type 'auto'."]


NONE_OF_OUTCOME = {(task, s): 0 if task == "outcome" else 100 for task in DEFAULT["tasks"] for s in ("manual", "auto")}


def test_mix_of_data_without_training_examples_is_named():
    mixes = {"others": {"recipe": "fractional", "tasks": ["approach", "outcome"]}}
    mixes |= {"weighted": {"recipe": "weighted", "weights": {"outcome": 1}, "nb_others": 4}}
    block = DEFAULT["grid"][0] | {"sample_types": ["auto"], "nb_samples": [0], "mixes": ["weighted", "others"]}

    def found(**change):
        return list(without_training_data(parse_config(DEFAULT | {"mixes": mixes, "grid": [block | change]}), NONE_OF_OUTCOME))

    sentences = [
        f"grid[0].mixes[{j}]: '{mix}' draws from task 'outcome', sample type 'auto', which has no training examples."
        for j, mix in enumerate(block["mixes"])
    ]
    assert found() == sentences
    assert found(tasks=["challenge"]) == sentences
    # Of itself it draws the nb_samples.
    assert found(tasks=["outcome"]) == []


def test_prompting_that_shows_examples_of_data_without_any_is_named():
    alone = {"mixes": [], "nb_samples": [], "configs": [], "sample_types": ["auto"], "promptings": ["zero_shot", "few"]}

    def found(**change):
        promptings = {"few": {"type": "few_shot", "k": 2}}
        grid = [DEFAULT["grid"][0] | alone | change]
        return list(without_training_data(parse_config(DEFAULT | {"promptings": promptings, "grid": grid}), NONE_OF_OUTCOME))

    sentence = "grid[0].promptings[1]: 'few' shows training examples, of which task 'outcome', sample type 'auto' has none."
    assert found() == [sentence]
    assert found(tasks=["challenge"], evaluate_on=["outcome"]) == [sentence]
    assert found(tasks=["challenge"]) == found(promptings=["zero_shot"]) == []
    # What is shown comes from the data set that is tested.
    assert found(evaluate_on={"sample_types": ["manual"]}) == [sentence.replace("auto", "manual")]


def test_every_run_and_its_base_model_are_asked_in_every_way_of_their_block():
    promptings = {"few": {"type": "few_shot", "k": 2}}
    tasks = {name: task | {"prompt_variants": {21: {"instruction": "Other."}}} for name, task in DEFAULT["tasks"].items()}
    block = {"tasks": ["outcome"], "sample_types": ["auto"], "nb_samples": [4]}
    ways = {"promptings": ["zero_shot", "few"], "prompt_variants": ["default", "21"], "decodings": ["greedy", "warm"]}
    blocks = [DEFAULT["grid"][0] | block, DEFAULT["grid"][0] | block | ways]
    found = expand_evaluations(
        parse_config(
            DEFAULT | {"promptings": promptings, "decodings": {"warm": {"temperature": 1}}, "tasks": tasks, "grid": blocks}
        )
    )
    assert len(found) == len(set(found)) == 2 * 8
    assert [e.run for e in found[:8]] == ["base"] * 8
    assert [e.variant for e in found[:5]] == [
        "",
        "~zero_shot~default~warm",
        "~zero_shot~21",
        "~zero_shot~21~warm",
        "~few~default",
    ]
    for one in found:
        assert Evaluation.of_place(one.place) == one


def test_block_without_training_asks_base_models_alone():
    alone = {"mixes": [], "nb_samples": [], "configs": []}
    found = expand_evaluations(config(alone))
    assert [(e.task, e.sample_type) for e in found] == [(t, s) for t in DEFAULT["tasks"] for s in ("manual", "auto")]
    assert {e.run for e in found} == {"base"}
    with pytest.raises(UserError, match=r"grid\[0\]: nb_samples and configs missing"):
        config({"nb_samples": [], "configs": []})


def evaluated(*blocks, **sections):
    found = expand_evaluations(parse_config(DEFAULT | sections | {"grid": [DEFAULT["grid"][0] | SMALL | b for b in blocks]}))
    assert len(found) == len(set(found))
    return [(one.task, one.run.partition("__")[0]) for one in found]


SMALL = {"tasks": ["challenge"], "sample_types": ["manual"], "nb_samples": [4]}


def test_runs_are_evaluated_on_their_own_task_unless_a_list_names_others():
    own = [("challenge", "base"), ("challenge", "challenge")]
    assert evaluated({}) == evaluated({"evaluate_on": "same"}) == evaluated({"evaluate_on": ["challenge"]}) == own
    assert evaluated({"evaluate_on": ["outcome"]}) == [
        ("challenge", "base"),
        ("outcome", "base"),
        ("challenge", "challenge"),
        ("outcome", "challenge"),
    ]


def where_tested(*blocks):
    """What is tested, and on which data set: each as `task/sample_type`."""
    found = expand_evaluations(config(*blocks))
    assert len(found) == len(set(found))
    trained = [one.run if one.run == "base" else "/".join(one.run.split("__")[:2]) for one in found]
    return [(by, f"{one.task}/{one.sample_type}") for by, one in zip(trained, found, strict=True)]


def test_default_experiment_tests_what_both_sample_types_teach_on_the_references_of_the_experts():
    found = where_tested({"evaluate_on": OF_EXPERTS, "nb_samples": [4]})
    tasks = list(DEFAULT["tasks"])
    assert found == [
        *(("base", f"{task}/manual") for task in tasks),
        *((f"{task}/manual", f"{task}/manual") for task in tasks),
        *((f"{task}/auto", f"{task}/manual") for task in tasks),
    ]


def test_listed_sample_types_stand_for_all_runs_of_a_block_each_its_own_first():
    block = {"tasks": ["challenge"], "nb_samples": [4], "evaluate_on": {"sample_types": ["manual", "auto", "manual"]}}
    assert where_tested(block) == [
        ("base", "challenge/manual"),
        ("base", "challenge/auto"),
        ("challenge/manual", "challenge/manual"),
        ("challenge/auto", "challenge/auto"),
        ("challenge/manual", "challenge/auto"),
        ("challenge/auto", "challenge/manual"),
    ]
    assert set(where_tested(block, {**block, "evaluate_on": "same"})) == set(where_tested(block))


def test_other_tasks_are_tested_on_the_references_of_the_listed_sample_types():
    block = {"tasks": ["challenge"], "sample_types": ["auto"], "nb_samples": [4]}
    of_experts = [(by, f"{task}/manual") for by in ("base", "challenge/auto") for task in ("challenge", "outcome")]
    assert where_tested(block | {"evaluate_on": {"tasks": ["outcome"], "sample_types": ["manual"]}}) == of_experts
    others = {"tasks": ["outcome"], "sample_types": ["manual"], "nb_samples": [], "mixes": [], "configs": []}
    everything = {"evaluate_on": {"tasks": "all", "sample_types": ["manual"]}}
    assert sorted(where_tested(block | everything, others)) == sorted(of_experts)


def test_all_means_every_task_that_any_block_trains_for_or_is_evaluated_on():
    found = evaluated({"evaluate_on": "all"}, {"tasks": ["outcome"], "evaluate_on": ["approach"]})
    assert set(found) == {(task, "base") for task in ("challenge", "outcome", "approach")} | {
        *((task, "challenge") for task in ("challenge", "outcome", "approach")),
        *((task, "outcome") for task in ("outcome", "approach")),
    }


def test_all_leaves_out_tasks_that_lack_the_sample_type_or_the_prompt_variant():
    tasks = {name: task | {"prompt_variants": {21: {"instruction": "Other."}}} for name, task in DEFAULT["tasks"].items()}
    tasks["approach"] = tasks["approach"] | {"sample_types": {"auto": tasks["approach"]["sample_types"]["auto"]}}
    tasks["outcome"] = DEFAULT["tasks"]["outcome"]
    others = {"tasks": ["approach", "outcome"], "sample_types": ["auto"]}
    assert ("outcome", "challenge") in evaluated({"evaluate_on": "all"}, others, tasks=tasks)
    assert ("approach", "challenge") not in evaluated({"evaluate_on": "all"}, others, tasks=tasks)
    assert ("outcome", "challenge") not in evaluated({"evaluate_on": "all", "prompt_variants": [21]}, others, tasks=tasks)


def with_external(block, **external):
    files = [{"path": "x.jsonl", "task": "outcome", "sample_type": "auto"}]
    predictions = {"theirs": {"files": files} | external}
    promptings = {"few": {"type": "few_shot", "k": 2}}
    grid = [DEFAULT["grid"][0] | block]
    return parse_config(DEFAULT | {"promptings": promptings, "grid": grid, "external_predictions": predictions})


def test_external_predictions_stand_beside_their_base_model_or_by_themselves():
    for given, expected in (({}, "external"), ({"base_model": "smollm2-135m"}, "smollm2-135m")):
        found = with_external({}, **given)
        assert expand_external(found) == {Evaluation(expected, "outcome", "auto", "theirs"): "x.jsonl"}
        assert list(misplaced_predictions(found)) == []


@pytest.mark.parametrize("block", [{"sample_types": ["manual"]}, {"tasks": ["challenge"]}])
def test_external_predictions_may_be_on_data_that_the_grid_does_not_evaluate_on_if_they_name_no_base_model(block):
    assert list(misplaced_predictions(with_external(block))) == []
    on_its_references = with_external(
        block | {"evaluate_on": {"tasks": ["outcome"], "sample_types": ["auto"]}}, base_model="smollm2-135m"
    )
    assert list(misplaced_predictions(on_its_references)) == []
    assert len(list(misplaced_predictions(with_external(block, base_model="smollm2-135m")))) == 1


def test_external_predictions_whose_base_model_is_not_asked_alike_are_named():
    assert list(misplaced_predictions(with_external({"promptings": ["few"]}, base_model="smollm2-135m"))) == [
        "external_predictions.theirs.base_model: the grid does not ask base model 'smollm2-135m' on task 'outcome', sample type "
        "'auto' (zero_shot, default prompt), so that there is nothing to compare with."
    ]


def test_name_of_the_base_models_is_refused_for_external_predictions():
    config = with_external({})
    config = config.model_copy(update={"external_predictions": {"base": config.external_predictions["theirs"]}})
    assert list(misplaced_predictions(config)) == ["external_predictions.base: this name is kept for the base models themselves."]


def test_ratings_of_answers_that_nobody_gives_are_named():
    runs = ["base", "copy", expand_grid(config({}))[0].name, "typo"]
    scorers = {"people": {"type": "ratings", "file": "r.csv", "criteria": ["good"], "runs": runs}}
    for used, expected in (
        (["people"], ["scorers.people.runs[3]: 'typo' is neither a run of the grid nor the name of external predictions."]),
        (["rouge"], []),
    ):
        tasks = {name: task | {"scorers": used} for name, task in DEFAULT["tasks"].items()}
        raw = DEFAULT | {"scorers": DEFAULT["scorers"] | scorers, "tasks": tasks, "report": {}}
        assert list(ratings_of_nobody(parse_config(raw))) == expected
