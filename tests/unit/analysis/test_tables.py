import math

import numpy as np
import pandas as pd
import pytest

from loragrid.analysis.tables import (
    ASKED,
    AXES,
    MODEL,
    compare_with_base,
    label_runs,
    mean_and_error,
    prediction_costs,
    read_groups,
    read_predictions,
    read_scores,
    scoring_costs,
    summarise,
    summarise_groups,
    summarise_transfer,
    write_table,
)
from loragrid.records import ACCOUNT, Example, Prediction, Score, write_records

KINDS = {"r": {"type": "rouge", "lower_is_better": [], "worst": {}}}
LABEL = {"l": {"type": "label", "lower_is_better": ["undecided"], "worst": {"undecided": None}}}
PERPLEXITY = {"p": {"type": "perplexity", "lower_is_better": ["perplexity"], "worst": {"perplexity": None}}}
PRICES = {"m": {"hour": 7.2, "million_prompt_tokens": 10.0, "million_new_tokens": 100.0}}


@pytest.fixture
def predictions(tmp_path):
    """Base and one run, three examples each, as files in the layout of the results."""
    trained = {"trained_task": "t", "trained_sample_type": "s", "mix": "target_only", "nb_samples": 8, "config": "lora"}
    trained |= {"loss_computation": "completion", "seed": 1}
    common = {"task": "t", "sample_type": "s", "base_model": "m", "prompt": "?", "prediction": "a", "reference": "b"}
    common |= {
        "queue_s": 2.0,
        "compute_s": 3.0,
        "prompt_tokens": 3,
        "new_tokens": 4,
        "batch_size": 2,
        "engine": "e",
        "engine_version": "1",
    }
    for run, axes, seconds in (("base", {}, 1.0), ("t__s__x", trained, 0.5)):
        records = [
            Prediction(id=i, run=run, runtime_s=seconds, finish_reason="length" if i == "1" else "stop", **axes, **common)
            for i in "123"
        ]
        write_records(tmp_path / f"predictions/t/s/m/{run}.jsonl", records)
    return sorted((tmp_path / "predictions/t/s/m").iterdir())


@pytest.fixture
def scores(tmp_path):
    for run, values in (("base", [0.0, 0.5, 1.0]), ("t__s__x", [0.5, None, 1.0])):
        rows = [
            Score(id=i, scorer="r", metric="x", value=v, status="ok" if v is not None else "failed")
            for i, v in zip("123", values, strict=True)
        ]
        write_records(tmp_path / f"scores/t/s/m/{run}/r.jsonl", rows)
    return sorted((tmp_path / "scores").rglob("*.jsonl"))


def test_standard_error_is_that_of_the_mean():
    mean, error = mean_and_error(pd.Series([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert error == pytest.approx(math.sqrt(5 / 3) / 2)


def test_summary_has_a_row_per_model_and_metric_and_failures_stay_in_the_denominator(predictions, scores):
    summary = summarise(read_scores(scores), read_predictions(predictions), KINDS).set_index("run")
    assert summary.loc["base", ["mean", "n", "nb_failed"]].tolist() == [0.5, 3, 0]
    assert summary.loc["t__s__x", ["mean", "n", "nb_failed"]].tolist() == [0.5, 3, 1]
    assert summary.loc["t__s__x", "nb_samples"] == 8
    assert pd.isna(summary.loc["base", "trained_task"])


def test_comparison_is_paired_by_example(predictions, scores):
    table = read_scores(scores)
    summary = summarise(table, read_predictions(predictions), KINDS)
    [row] = compare_with_base(table.sample(frac=1, random_state=0), summary, KINDS).to_dict("records")
    assert (row["run"], row["base_mean"], row["mean_difference"]) == ("t__s__x", 0.5, 0.0)
    assert (row["better"], row["equal"], row["worse"]) == (1, 1, 1)
    assert row["standard_error"] == pytest.approx(0.5 / math.sqrt(3))


def test_costs_are_sums_and_shares_over_the_examples(predictions):
    base, run = prediction_costs(read_predictions(predictions), PRICES).to_dict("records")
    assert (base["generation_s"], base["s_per_example"], base["new_tokens"], base["tokens_per_s"]) == (3.0, 1.0, 12, 4.0)
    assert base["share_cut_off"] == pytest.approx(1 / 3)
    assert run["tokens_per_s"] == 8.0
    assert (base["wait_s"], base["answer_s"]) == (2.0, 3.0)
    assert base["cost_per_1000"] == pytest.approx(1000 * (1 / 3600 * 7.2 + (3 * 10 + 4 * 100) / 1e6))
    [unpriced, _] = prediction_costs(read_predictions(predictions), {})["cost_per_1000"]
    assert math.isnan(unpriced)


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
    summary = summarise(table, axes, KINDS).set_index("run")
    assert summary.loc["base", ["mean", "n", "nb_failed"]].tolist() == [0.75, 2, 0]
    assert summary.loc["t__s__x", ["mean", "n", "nb_failed"]].tolist() == [0.5, 2, 1]
    assert summary.loc["base", "standard_error"] == pytest.approx(0.25)
    [row] = compare_with_base(table, summarise(table, axes, KINDS), KINDS).to_dict("records")
    assert (row["n"], row["mean_difference"], row["better"], row["worse"]) == (2, -0.25, 1, 1)


def labelled(run, wrong, group=None):
    """Score rows of a classifier of 20 examples, half of them of each label, that is wrong on some."""
    rows = []
    for i in range(20):
        expected, other = ("yes", "no") if i % 2 else ("no", "yes")
        read = other if i in wrong else expected
        parts = {f"tp/{read}": 1.0} if read == expected else {f"fp/{read}": 1.0, f"fn/{expected}": 1.0}
        of = dict(zip(MODEL, ("m", "t", "s", run, "zero_shot", "default", "greedy"), strict=True))
        score = Score(id=str(i), scorer="l", metric="accuracy", value=float(read == expected), parts=parts)
        rows.append(of | score.model_dump())
    return rows


def only_axes(table):
    return pd.DataFrame([{**dict.fromkeys(AXES), **row} for row in table[MODEL].drop_duplicates().to_dict("records")])


def test_metric_over_all_examples_has_a_row_with_the_error_of_the_jackknife():
    from sklearn.metrics import f1_score

    table = pd.DataFrame(labelled("base", {0, 2, 4, 5}))
    summary = summarise(table, only_axes(table), LABEL).set_index("metric")
    expected = ["yes" if i % 2 else "no" for i in range(20)]
    read = [("no" if one == "yes" else "yes") if i in {0, 2, 4, 5} else one for i, one in enumerate(expected)]

    def macro(without):
        kept = [i for i in range(20) if i != without]
        return f1_score([expected[i] for i in kept], [read[i] for i in kept], average="macro")

    assert summary.loc["macro_f1", "mean"] == pytest.approx(f1_score(expected, read, average="macro"))
    each = np.array([macro(i) for i in range(20)])
    assert summary.loc["macro_f1", "standard_error"] == pytest.approx(math.sqrt(19 / 20 * ((each - each.mean()) ** 2).sum()))
    assert summary.loc["macro_f1", ["n", "nb_failed"]].tolist() == [20, 0]
    assert summary.loc["accuracy", "mean"] == 0.8


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


def test_results_are_summarised_by_group_of_examples(tmp_path):
    examples = [
        Example(id=str(i), task="t", sample_type="s", instruction="", input="x", output="y", metadata={"kind": "ab"[i >= 15]})
        for i in range(20)
    ]
    write_records(tmp_path / "t/s/test.jsonl", examples)
    table = pd.DataFrame(labelled("base", {0, 1, 2}))
    groups = read_groups([tmp_path / "t/s/test.jsonl"], {"t": ["kind"]})
    found = summarise_groups(table, groups, only_axes(table), LABEL)
    rows = {(row["group"], row["metric"]): row for row in found.to_dict("records")}
    assert (rows["a", "accuracy"]["mean"], rows["a", "accuracy"]["n"]) == (12 / 15, 15)
    assert (rows["b", "accuracy"]["mean"], rows["b", "macro_f1"]["mean"]) == (1.0, 1.0)
    assert len(read_groups([tmp_path / "t/s/test.jsonl"], {})) == 0


def test_failed_score_without_a_worst_value_is_left_out_of_the_mean():
    of = dict(zip(MODEL, ("m", "t", "s", "base", "zero_shot", "default", "greedy"), strict=True))
    values = [("1", 30.0, "ok"), ("2", None, "failed: no tokens"), ("3", 50.0, "ok")]
    table = pd.DataFrame(
        [of | Score(id=i, scorer="p", metric="perplexity", value=v, status=s).model_dump() for i, v, s in values]
    )
    [row] = summarise(table, only_axes(table), PERPLEXITY).to_dict("records")
    assert (row["mean"], row["n"], row["nb_failed"]) == (40.0, 2, 1)
    [row] = summarise(table[table["value"].isna()], only_axes(table), PERPLEXITY).to_dict("records")
    assert math.isnan(row["mean"])
    assert (row["n"], row["nb_failed"]) == (0, 1)


def test_metric_over_all_examples_says_how_many_have_failed():
    table = pd.DataFrame(labelled("base", {0, 2}))
    of = table[MODEL].iloc[0].to_dict()
    lost = [of | Score(id="x", scorer="l", metric="accuracy", value=None, status="failed: no label").model_dump()]
    summary = summarise(pd.concat([table, pd.DataFrame(lost)], ignore_index=True), only_axes(table), LABEL)
    assert summary.set_index("metric")[["n", "nb_failed"]].to_numpy().tolist() == [[21, 1], [20, 1]]


def scored(run, values, metric):
    of = dict(zip(MODEL, ("m", "t", "s", run, "zero_shot", "default", "greedy"), strict=True))
    return [
        of | Score(id=str(i), scorer="x", metric=metric, value=v, status="ok" if v is not None else "failed: why").model_dump()
        for i, v in enumerate(values)
    ]


def test_where_less_is_better_a_decrease_counts_as_better():
    kinds = {"x": {"type": "custom", "lower_is_better": ["errors"], "worst": {"errors": None}}}
    table = pd.DataFrame(scored("base", [4.0, 2.0, 1.0], "errors") + scored("t__s__x", [1.0, 3.0, 0.0], "errors"))
    summary = summarise(table, only_axes(table), kinds)
    assert summary["lower_is_better"].all()
    [row] = compare_with_base(table, summary, kinds).to_dict("records")
    assert (row["better"], row["equal"], row["worse"]) == (2, 0, 1)
    assert row["mean_difference"] == -1.0


def test_failed_score_counts_as_the_worst_value_of_its_metric_and_says_why():
    kinds = {"x": {"type": "judge", "lower_is_better": [], "worst": {"score": 1.0}}}
    table = pd.DataFrame(scored("base", [5.0, None, 3.0], "score"))
    [row] = summarise(table, only_axes(table), kinds).to_dict("records")
    assert (row["mean"], row["n"], row["nb_failed"], row["failure"]) == (3.0, 3, 1, "failed: why")


def test_costs_of_a_judge_are_added_up():
    of = dict(zip(MODEL, ("m", "t", "s", "base", "zero_shot", "default", "greedy"), strict=True))
    usage = {"calls": 2, "prompt_tokens": 100, "new_tokens": 10}
    rows = [of | Score(id=i, scorer="j", metric="x", value=1.0, usage=usage).model_dump() for i in "12"]
    prices = {"j": {"million_prompt_tokens": 1.0, "million_new_tokens": 10.0}}
    [row] = scoring_costs(pd.DataFrame(rows), prices).to_dict("records")
    assert (row["calls"], row["prompt_tokens"], row["new_tokens"]) == (4, 200, 20)
    assert row["cost"] == pytest.approx(0.0004)
    assert scoring_costs(pd.DataFrame(rows), {})["cost"].isna().all()


@pytest.fixture
def with_external(tmp_path, predictions, scores):
    """The same with external predictions, compared with the base model, and others that stand by themselves."""
    unknown = dict.fromkeys(ACCOUNT)
    common = {"task": "t", "sample_type": "s", "prompt": "?", "prediction": "a", "reference": "b", "engine": "external"}
    for base_model in ("m", "external"):
        records = [Prediction(id=i, base_model=base_model, run="theirs", engine_version="", **common, **unknown) for i in "123"]
        write_records(tmp_path / f"predictions/t/s/{base_model}/theirs.jsonl", records)
        rows = [Score(id=i, scorer="r", metric="x", value=0.75) for i in "123"]
        write_records(tmp_path / f"scores/t/s/{base_model}/theirs/r.jsonl", rows)
    return [sorted((tmp_path / name).rglob("*.jsonl")) for name in ("predictions", "scores")]


def test_external_predictions_are_summarised_and_compared_like_runs(with_external):
    predictions, scores = read_predictions(with_external[0]), read_scores(with_external[1])
    summary = summarise(scores, predictions, KINDS)
    theirs = summary[summary["run"] == "theirs"].set_index("base_model")
    assert theirs["mean"].to_dict() == {"m": 0.75, "external": 0.75}
    assert theirs["nb_samples"].isna().all()
    assert sorted(label_runs(summary)) == ["base", "n=8", "theirs", "theirs"]
    compared = compare_with_base(scores, summary, KINDS).set_index(["base_model", "run"])
    assert compared["mean_difference"].to_dict() == {("m", "t__s__x"): 0.0, ("m", "theirs"): 0.25}
    assert len(summarise_transfer(compared.reset_index())) == 0


def test_what_external_predictions_cost_is_unknown_and_changes_no_other_cost(with_external, predictions):
    known, table = prediction_costs(read_predictions(predictions), PRICES), read_predictions(with_external[0])
    pd.testing.assert_frame_equal(prediction_costs(table, PRICES), known)
    assert table["new_tokens"].dropna().tolist() == [4] * 6
    assert pd.api.types.is_integer_dtype(table["new_tokens"])


def test_tables_survive_both_formats(tmp_path, predictions, scores):
    summary = summarise(read_scores(scores), read_predictions(predictions), KINDS)
    write_table(summary, tmp_path / "a.csv", tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), summary)
    assert pd.read_csv(tmp_path / "a.csv")["mean"].tolist() == summary["mean"].tolist()


def test_no_text_of_a_table_is_a_formula_in_its_csv_file(tmp_path):
    table = pd.DataFrame({"group": ["=1+1", "plain", None], "mean": [-0.5, 1.0, 2.0], "n": [-1, 2, 3]})
    write_table(table, tmp_path / "a.csv", tmp_path / "a.parquet")
    assert (tmp_path / "a.csv").read_text() == "group,mean,n\n'=1+1,-0.5,-1\nplain,1.0,2\n,2.0,3\n"
    assert pd.read_parquet(tmp_path / "a.parquet")["group"][0] == "=1+1"


def test_transfer_is_a_mean_over_seeds_of_the_kinds_that_are_tested_on_foreign_data():
    kind = {"base_model": "m", "trained_task": "t", "trained_sample_type": "s", "mix": "x", "nb_samples": 8, "config": "lora"}
    kind |= {
        "loss_computation": "full",
        "prompting": "zero_shot",
        "prompt_variant": "default",
        "decoding": "greedy",
        "scorer": "r",
        "metric": "y",
    }
    kind |= {"sample_type": "s", "n": 5, "lower_is_better": False}
    rows = [
        kind | {"task": task, "run": f"seed{seed}", "mean_difference": difference, "standard_error": error}
        for task, seed, difference, error in (("t", 1, 0.1, 0.2), ("t", 2, 0.3, 0.2), ("u", 1, -0.1, 0.4), ("u", 2, -0.3, 0.2))
    ]
    rows.append(rows[0] | {"nb_samples": 4, "run": "small"})
    found = summarise_transfer(pd.DataFrame(rows))
    assert found["nb_samples"].tolist() == [8, 8]
    assert found["task"].tolist() == ["t", "u"]
    assert found["mean_difference"].tolist() == pytest.approx([0.2, -0.2])
    assert found["standard_error"].tolist() == pytest.approx([0.2, 0.3])
    assert found["runs"].tolist() == [2, 2]


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


def test_labels_name_an_unusual_way_of_asking():
    base = {"run": "base", "mix": None, "nb_samples": None, "config": None, "loss_computation": None, "seed": None}
    base |= {"task": "t", "sample_type": "s", "trained_task": None, "trained_sample_type": None}
    asked = [("zero_shot", "default", "greedy"), ("few", "default", "greedy"), ("zero_shot", "21", "warm")]
    table = pd.DataFrame([base | dict(zip(ASKED, how, strict=True)) for how in asked])
    assert label_runs(table) == ["base", "base, few", "base, prompt 21, warm"]
