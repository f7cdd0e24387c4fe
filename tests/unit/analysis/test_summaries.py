import math

import numpy as np
import pandas as pd
import pytest

from loragrid.analysis.columns import AXES, MODEL
from loragrid.analysis.comparisons import compare_with_base, summarise_transfer
from loragrid.analysis.labels import label_runs
from loragrid.analysis.reading import read_groups, read_predictions, read_scores
from loragrid.analysis.summaries import mean_and_error, summarise, summarise_by, summarise_groups
from loragrid.records import Example, Score, write_records
from loragrid.scoring.scorer import ScorerFacts
from unit.analysis.score_tables import LABEL, PERPLEXITY, ROUGE, labelled, only_axes, scored


def test_standard_error_is_that_of_the_mean():
    mean, error = mean_and_error(pd.Series([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert error == pytest.approx(math.sqrt(5 / 3) / 2)


def test_summary_has_a_row_per_model_and_metric_and_failures_stay_in_the_denominator(predictions, scores):
    summary = summarise(read_scores(scores), read_predictions(predictions), ROUGE).set_index("run")
    assert summary.loc["base", ["mean", "n", "nb_failed"]].tolist() == [0.5, 3, 0]
    assert summary.loc["t__s__x", ["mean", "n", "nb_failed"]].tolist() == [0.5, 3, 1]
    assert summary.loc["t__s__x", "nb_samples"] == 8
    assert pd.isna(summary.loc["base", "trained_task"])


def test_example_of_which_a_part_failed_counts_with_its_value_and_among_the_failures(tmp_path):
    values = [(0.9, "1 of 10 parts failed and count as 0: no words"), (0.5, "ok"), (None, "failed: no words")]
    rows = [Score(id=str(i), scorer="r", metric="x", value=value, status=status) for i, (value, status) in enumerate(values)]
    write_records(tmp_path / "scores/t/s/m/base/r.jsonl", rows)
    summary = summarise_by(read_scores((tmp_path / "scores").rglob("*.jsonl")), MODEL, ROUGE)
    assert summary.loc[0, ["mean", "n", "nb_failed"]].tolist() == [pytest.approx(1.4 / 3), 3, 2]


def test_examples_with_texts_that_were_truncated_are_counted_for_each_metric(tmp_path):
    texts = [[], ["prediction"], ["prediction", "reference"]]
    rows = [
        Score(id=str(i), scorer="r", metric=metric, value=1.0, truncated=truncated if metric == "x" else [])
        for i, truncated in enumerate(texts)
        for metric in ("x", "y")
    ]
    write_records(tmp_path / "scores/t/s/m/base/r.jsonl", rows)
    assert '"truncated"' not in (tmp_path / "scores/t/s/m/base/r.jsonl").read_text().splitlines()[0]
    summary = summarise_by(read_scores((tmp_path / "scores").rglob("*.jsonl")), MODEL, ROUGE)
    assert summary["nb_truncated"].tolist() == [2, 2]


def test_several_answers_to_an_example_count_as_their_mean(tmp_path):
    for run, values in (("base", [(0.0, 1.0), (1.0, 1.0)]), ("t__s__x", [(1.0, 1.0), (0.0, None)])):
        rows = [
            Score(id=str(i), sample=sample, scorer="r", metric="x", value=value, status="ok")
            for i, of_example in enumerate(values)
            for sample, value in enumerate(of_example)
        ]
        write_records(tmp_path / f"scores/t/s/m/{run}~zero_shot~default~warm/r.jsonl", rows)
    table = read_scores(sorted((tmp_path / "scores").rglob("*.jsonl")))
    axes = pd.DataFrame([{**dict.fromkeys(AXES), **row} for row in table[MODEL].drop_duplicates().to_dict("records")])
    summary = summarise(table, axes, ROUGE).set_index("run")
    assert summary.loc["base", ["mean", "n", "nb_failed"]].tolist() == [0.75, 2, 0]
    assert summary.loc["t__s__x", ["mean", "n", "nb_failed"]].tolist() == [0.5, 2, 1]
    assert summary.loc["base", "standard_error"] == pytest.approx(0.25)
    [row] = compare_with_base(table, summarise(table, axes, ROUGE), ROUGE).to_dict("records")
    assert (row["n"], row["mean_difference"], row["better"], row["worse"]) == (2, -0.25, 1, 1)


def test_metric_over_all_examples_has_a_row_with_the_error_of_the_jackknife():
    from sklearn.metrics import f1_score

    table = pd.DataFrame(labelled("base", {0, 2, 4, 5}))
    summary = summarise(table, only_axes(table), LABEL).set_index("metric")
    expected = ["yes" if i % 2 else "no" for i in range(20)]
    read = [("no" if label == "yes" else "yes") if i in {0, 2, 4, 5} else label for i, label in enumerate(expected)]

    def macro(without):
        kept = [i for i in range(20) if i != without]
        return f1_score([expected[i] for i in kept], [read[i] for i in kept], average="macro")

    assert summary.loc["macro_f1", "mean"] == pytest.approx(f1_score(expected, read, average="macro"))
    each = np.array([macro(i) for i in range(20)])
    assert summary.loc["macro_f1", "standard_error"] == pytest.approx(math.sqrt(19 / 20 * ((each - each.mean()) ** 2).sum()))
    assert summary.loc["macro_f1", ["n", "nb_failed"]].tolist() == [20, 0]
    assert summary.loc["accuracy", "mean"] == 0.8


def test_results_are_summarised_by_group_of_examples(tmp_path):
    examples = [
        Example(id=str(i), task="t", sample_type="s", instruction="", input="x", output="y", metadata={"kind": "ab"[i >= 15]})
        for i in range(20)
    ]
    write_records(tmp_path / "t/s/test.jsonl", examples)
    table = pd.DataFrame(labelled("base", {0, 1, 2}))
    groups = read_groups([tmp_path / "t/s/test.jsonl"], {"t": ["kind"]})
    grouped = summarise_groups(table, groups, only_axes(table), LABEL)
    rows = {(row["group"], row["metric"]): row for row in grouped.to_dict("records")}
    assert (rows["a", "accuracy"]["mean"], rows["a", "accuracy"]["n"]) == (12 / 15, 15)
    assert (rows["b", "accuracy"]["mean"], rows["b", "macro_f1"]["mean"]) == (1.0, 1.0)
    assert len(read_groups([tmp_path / "t/s/test.jsonl"], {})) == 0


def test_failed_score_without_a_worst_value_is_left_out_of_the_mean():
    of = dict(zip(MODEL, ("m", "t", "s", "base", "zero_shot", "default", "greedy"), strict=True))
    values = [("1", 30.0, "ok"), ("2", None, "failed: no tokens"), ("3", 50.0, "ok")]
    table = pd.DataFrame([of | dict(Score(id=i, scorer="p", metric="perplexity", value=v, status=s)) for i, v, s in values])
    [row] = summarise(table, only_axes(table), PERPLEXITY).to_dict("records")
    assert (row["mean"], row["n"], row["nb_failed"]) == (40.0, 2, 1)
    [row] = summarise(table[table["value"].isna()], only_axes(table), PERPLEXITY).to_dict("records")
    assert math.isnan(row["mean"])
    assert (row["n"], row["nb_failed"]) == (0, 1)


def test_metric_over_all_examples_says_how_many_have_failed():
    table = pd.DataFrame(labelled("base", {0, 2}))
    of = table[MODEL].iloc[0].to_dict()
    lost = [of | dict(Score(id="x", scorer="l", metric="accuracy", value=None, status="failed: no label"))]
    summary = summarise(pd.concat([table, pd.DataFrame(lost)], ignore_index=True), only_axes(table), LABEL)
    assert summary.set_index("metric")[["n", "nb_failed"]].to_numpy().tolist() == [[21, 1], [20, 1]]


def test_failed_score_counts_as_the_worst_value_of_its_metric_and_says_why():
    facts = {"x": ScorerFacts(type="judge", lower_is_better=[], worst={"score": 1.0})}
    table = pd.DataFrame(scored("base", [5.0, None, 3.0], "score"))
    [row] = summarise(table, only_axes(table), facts).to_dict("records")
    assert (row["mean"], row["n"], row["nb_failed"], row["failure"]) == (3.0, 3, 1, "failed: why")


def test_external_predictions_are_summarised_and_compared_like_runs(with_external):
    predictions, scores = read_predictions(with_external[0]), read_scores(with_external[1])
    summary = summarise(scores, predictions, ROUGE)
    theirs = summary[summary["run"] == "theirs"].set_index("base_model")
    assert theirs["mean"].to_dict() == {"m": 0.75, "external": 0.75}
    assert theirs["nb_samples"].isna().all()
    assert sorted(label_runs(summary)) == ["base", "n=8", "theirs", "theirs"]
    compared = compare_with_base(scores, summary, ROUGE).set_index(["base_model", "run"])
    assert compared["mean_difference"].to_dict() == {("m", "t__s__x"): 0.0, ("m", "theirs"): 0.25}
    assert len(summarise_transfer(compared.reset_index())) == 0
