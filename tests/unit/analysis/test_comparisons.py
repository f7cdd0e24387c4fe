import math

import pandas as pd
import pytest

from loragrid.analysis.comparisons import compare_with_base, summarise_transfer
from loragrid.analysis.reading import read_predictions, read_scores
from loragrid.analysis.summaries import summarise
from loragrid.scoring.scorer import ScorerFacts
from unit.analysis.score_tables import LABEL, ROUGE, labelled, only_axes, scored


def test_comparison_is_paired_by_example(predictions, scores):
    table = read_scores(scores)
    summary = summarise(table, read_predictions(predictions), ROUGE)
    [row] = compare_with_base(table.sample(frac=1, random_state=0), summary, ROUGE).to_dict("records")
    assert (row["run"], row["base_mean"], row["mean_difference"]) == ("t__s__x", 0.5, 0.0)
    assert (row["better"], row["equal"], row["worse"]) == (1, 1, 1)
    assert row["standard_error"] == pytest.approx(0.5 / math.sqrt(3))


def test_metric_over_all_examples_is_compared_with_that_of_the_base_model():
    table = pd.DataFrame(labelled("base", {0, 1, 2, 3}) + labelled("t__s__x", {0, 1}))
    summary = summarise(table, only_axes(table), LABEL)
    compared = compare_with_base(table, summary, LABEL).set_index("metric")
    means = summary[summary["metric"] == "macro_f1"].set_index("run")["mean"]
    row = compared.loc["macro_f1"]
    assert row["mean_difference"] == pytest.approx(means["t__s__x"] - means["base"])
    # The pairs differ in two examples only, which leaves less doubt than two means by themselves.
    assert 0 < row["standard_error"] < summary["standard_error"].max()
    assert pd.isna(row["better"])
    assert compared.loc["accuracy", "better"] == 2


def test_where_less_is_better_a_decrease_counts_as_better():
    facts = {"x": ScorerFacts(type="custom", lower_is_better=["errors"], worst={"errors": None})}
    table = pd.DataFrame(scored("base", [4.0, 2.0, 1.0], "errors") + scored("t__s__x", [1.0, 3.0, 0.0], "errors"))
    summary = summarise(table, only_axes(table), facts)
    assert summary["lower_is_better"].all()
    [row] = compare_with_base(table, summary, facts).to_dict("records")
    assert (row["better"], row["equal"], row["worse"]) == (2, 0, 1)
    assert row["mean_difference"] == -1.0


def test_transfer_is_a_mean_over_seeds_of_the_setups_that_are_tested_on_foreign_data():
    setup = {"base_model": "m", "trained_task": "t", "trained_sample_type": "s", "mix": "x", "nb_samples": 8, "config": "lora"}
    setup |= {
        "loss_computation": "full",
        "prompting": "zero_shot",
        "prompt_variant": "default",
        "decoding": "greedy",
        "scorer": "r",
        "metric": "y",
    }
    setup |= {"sample_type": "s", "n": 5, "lower_is_better": False}
    rows = [
        setup | {"task": task, "run": f"seed{seed}", "mean_difference": difference, "standard_error": error}
        for task, seed, difference, error in (("t", 1, 0.1, 0.2), ("t", 2, 0.3, 0.2), ("u", 1, -0.1, 0.4), ("u", 2, -0.3, 0.2))
    ]
    rows.append(rows[0] | {"nb_samples": 4, "run": "small"})
    transfer = summarise_transfer(pd.DataFrame(rows))
    assert transfer["nb_samples"].tolist() == [8, 8]
    assert transfer["task"].tolist() == ["t", "u"]
    assert transfer["mean_difference"].tolist() == pytest.approx([0.2, -0.2])
    assert transfer["standard_error"].tolist() == pytest.approx([0.2, 0.3])
    assert transfer["runs"].tolist() == [2, 2]
