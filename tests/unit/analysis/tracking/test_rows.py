import math

import pandas as pd

from loragrid.analysis.columns import AXES
from loragrid.analysis.contrasts.columns import CONTRASTS
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.tracking.rows import tracked_models

KIND = "t__gold__alone__n4__lora__completion"
TRAINED = dict(
    zip(("trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation"), KIND.split("__"), strict=True)
)
TRAINED["nb_samples"] = 4
MAIN = MainMetrics("rouge/rougeL", {"other": "exact/match"})


def score(run="base", **fields):
    seed = int(run.rpartition("seed")[2]) if "seed" in run else None
    usual = {"base_model": "m", "task": "t", "sample_type": "gold", "prompting": "zero_shot", "prompt_variant": "default"}
    trained = dict.fromkeys(TRAINED) if seed is None else TRAINED
    values = {
        "run": run,
        "decoding": "greedy",
        "seed": seed,
        "scorer": "rouge",
        "metric": "rougeL",
        "mean": 0.5,
        "standard_error": 0.1,
    }
    return usual | trained | values | fields


def contrast(**fields):
    values = score() | {"axis": "training", "kind": "difference", "own": "trained", "other": "base", "way": KIND, "tasks": ""}
    values |= {"other_sample_type": "gold", "difference": 0.2, "low": 0.1, "high": 0.3, "verdict": "better", "sentence": "It is."}
    return {name: value for name, value in (values | fields).items() if name in CONTRASTS}


def told(scores, contrasts=(), experiment=None):
    tables = (
        pd.DataFrame(scores, columns=[*AXES, "scorer", "metric", "mean", "standard_error"]),
        pd.DataFrame(contrasts, columns=CONTRASTS),
    )
    tables = [table.astype({"nb_samples": "Int64"}) for table in tables]
    return {f"{model.base_model}/{model.run}": model for model in tracked_models(*tables, MAIN, experiment)}


def test_each_model_is_told_with_its_axes_and_all_its_means():
    models = told([score(f"{KIND}__seed1"), score(f"{KIND}__seed1", metric="rouge1", mean=0.25), score()])
    assert list(models) == [f"m/{KIND}__seed1", "m/base"]
    assert models[f"m/{KIND}__seed1"].axes == TRAINED | {"seed": 1}
    assert models["m/base"].axes == {}
    assert models[f"m/{KIND}__seed1"].values == {
        "scores/t/gold/rouge/rougeL": 0.5,
        "scores/t/gold/rouge/rougeL/standard_error": 0.1,
        "scores/t/gold/rouge/rouge1": 0.25,
        "scores/t/gold/rouge/rouge1/standard_error": 0.1,
    }


def test_other_ways_of_asking_are_in_the_names():
    model = told([score(), score(prompting="few", decoding="warm", mean=0.75)])["m/base"]
    assert model.values["scores/t/gold/rouge/rougeL"] == 0.5
    assert model.values["scores/t/gold/few/default/warm/rouge/rougeL"] == 0.75


def test_verdict_is_told_to_every_seed_of_the_first_way():
    models = told([score(f"{KIND}__seed1"), score(f"{KIND}__seed2"), score()], [contrast()])
    place = "verdicts/t/gold/training difference, trained against base/rouge/rougeL"
    for seed in (1, 2):
        model = models[f"m/{KIND}__seed{seed}"]
        assert model.texts == {place: "better: It is."}
        assert [model.values[f"{place}/{name}"] for name in ("difference", "low", "high")] == [0.2, 0.1, 0.3]
    assert models["m/base"].texts == {}


def test_verdict_is_told_to_a_seed_that_has_results_on_other_data_alone():
    seeds = [score(f"{KIND}__seed1"), score(f"{KIND}__seed2"), score(f"{KIND}__seed1", task="other")]
    models = told([*seeds, score()], [contrast()])
    assert all(models[f"m/{KIND}__seed{seed}"].texts for seed in (1, 2))


def test_too_little_data_for_a_verdict_is_said():
    [model] = told([score(f"{KIND}__seed1")], [contrast(verdict="", sentence="Too little data.")]).values()
    assert list(model.texts.values()) == ["no verdict: Too little data."]


def test_only_verdicts_in_the_main_metric_of_the_task_are_told():
    other = {"task": "other", "scorer": "exact", "metric": "match"}
    [model] = told([score(f"{KIND}__seed1")], [contrast(metric="rouge1"), contrast(task="other"), contrast(**other)]).values()
    assert list(model.texts) == ["verdicts/other/gold/training difference, trained against base/exact/match"]


def test_contrasts_of_other_references_and_over_tasks_have_names_of_their_own():
    given = [contrast(), contrast(other_sample_type="auto"), contrast(task=None, tasks="t, u")]
    [model] = told([score(f"{KIND}__seed1")], given).values()
    assert [place.split("/")[1:3] for place in model.texts] == [["t", "gold"], ["t", "gold against auto"], ["over t, u", "gold"]]


def test_verdicts_of_a_named_experiment_do_not_take_the_place_of_others():
    [model] = told([score(f"{KIND}__seed1")], [contrast()], "letters").values()
    assert [place.split("/")[0] for place in model.texts] == ["verdicts of letters"]


def test_numbers_that_do_not_exist_are_left_out():
    [model] = told([score(mean=math.nan, standard_error=None), score(metric="rouge1", standard_error=math.inf)]).values()
    assert model.values == {"scores/t/gold/rouge/rouge1": 0.5}


def test_answers_from_elsewhere_are_told_too():
    [model] = told([score("theirs", base_model="external")]).values()
    assert (model.base_model, model.run, model.axes) == ("external", "theirs", {})
