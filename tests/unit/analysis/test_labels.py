import pandas as pd

from loragrid.analysis.columns import ASKED
from loragrid.analysis.labels import label_runs


def test_labels_name_the_axes_that_vary_and_a_foreign_data_set():
    run = {"run": "r", "mix": "m", "nb_samples": 8, "config": "lora", "loss_computation": "full", "seed": 1}
    run |= {
        "prompting": "zero_shot",
        "prompt_variant": "default",
        "decoding": "greedy",
        "task": "t",
        "sample_type": "s",
        "trained_task": "t",
        "trained_sample_type": "s",
    }
    base = (
        run
        | dict.fromkeys(("mix", "nb_samples", "config", "loss_computation", "seed", "trained_task", "trained_sample_type"))
        | {"run": "base"}
    )
    assert label_runs(pd.DataFrame([base, run])) == ["base", "n=8"]
    runs = pd.DataFrame([base, run, run | {"config": "big", "seed": 2}, run | {"trained_task": "u"}]).astype(
        {"nb_samples": "Int64", "seed": "Int64"}
    )
    assert label_runs(runs) == ["base", "n=8, lora, seed 1", "n=8, big, seed 2", "n=8, lora, seed 1, from u/s"]


def test_labels_name_what_runs_were_trained_on_if_one_is_tested_on_other_references():
    run = {"run": "r", "mix": "m", "nb_samples": 8, "config": "lora", "loss_computation": "full", "seed": 1}
    run |= dict(zip(ASKED, ("zero_shot", "default", "greedy"), strict=True)) | {"task": "t", "sample_type": "experts"}
    runs = [
        run | {"trained_task": task, "trained_sample_type": s} for task, s in (("t", "experts"), ("t", "auto"), ("u", "auto"))
    ]
    assert label_runs(pd.DataFrame(runs)) == ["n=8, trained on experts", "n=8, trained on auto", "n=8, from u/auto"]


def test_labels_name_an_unusual_way_of_asking():
    base = {"run": "base", "mix": None, "nb_samples": None, "config": None, "loss_computation": None, "seed": None}
    base |= {"task": "t", "sample_type": "s", "trained_task": None, "trained_sample_type": None}
    asked = [("zero_shot", "default", "greedy"), ("few", "default", "greedy"), ("zero_shot", "21", "warm")]
    table = pd.DataFrame([base | dict(zip(ASKED, how, strict=True)) for how in asked])
    assert label_runs(table) == ["base", "base, few", "base, prompt 21, warm"]
