"""Which sample type trains better: runs that differ in nothing else, on the same questions and references."""

import numpy as np
import pandas as pd
import pytest

from loragrid.analysis import sample_types
from loragrid.analysis.columns import AXES, MODEL
from loragrid.analysis.comparisons import compare_with_base
from loragrid.analysis.findings import holm, sample_type_findings, without_common_references
from loragrid.analysis.provenance import common_questions
from loragrid.analysis.reading import read_texts
from loragrid.analysis.sample_types import Matched, comparable_runs, compare_sample_types, outcome
from loragrid.analysis.summaries import mean_and_error
from loragrid.layout import Run
from loragrid.records import Score, write_records
from loragrid.scoring.scorer import ScorerFacts
from unit.analysis.score_tables import LABEL, labelled

FACTS = {"r": ScorerFacts(type="rouge", lower_is_better=["errors"], worst={"errors": None})}


def run(trained_on, task="t", references="manual", n=8, seed=1):
    """The axes of a run."""
    name = Run("m", task, trained_on, "alone", n, "lora", "full", seed).name
    of_model = dict(zip(MODEL, ("m", task, references, name, "zero_shot", "default", "greedy"), strict=True))
    trained = {"trained_task": task, "trained_sample_type": trained_on, "mix": "alone", "nb_samples": n}
    return of_model | trained | {"config": "lora", "loss_computation": "full", "seed": seed}


def compared(*results, metric="x", texts=None):
    """Both tables, of pairs of a run's axes and its values by example."""
    scores = [
        {name: axes[name] for name in MODEL}
        | Score(id=id, scorer="r", metric=metric, value=value, status="ok" if value is not None else "failed: why").model_dump()
        for axes, values in results
        for id, value in (values if isinstance(values, dict) else {str(i): v for i, v in enumerate(values)}).items()
    ]
    runs = comparable_runs(pd.DataFrame([axes for axes, _ in results]).astype({"nb_samples": "Int64", "seed": "Int64"}))
    return compare_sample_types(pd.DataFrame(scores), runs, texts or {}, FACTS, f"r/{metric}")


def test_answers_to_the_same_question_are_compared_whatever_their_order():
    experts, heuristic = {"a": 0.9, "b": 0.5, "c": 0.2, "d": 0.4}, {"d": 0.4, "c": 0.3, "b": 0.1, "a": 0.2}
    table, overall = compared((run("manual"), experts), (run("auto"), heuristic))
    for [row] in (table.to_dict("records"), overall.to_dict("records")):
        assert (row["trained_sample_type"], row["other_sample_type"], row["sample_type"]) == ("manual", "auto", "manual")
        differences = pd.Series([0.7, 0.4, -0.1, 0.0])
        assert (row["mean_difference"], row["standard_error"]) == pytest.approx(mean_and_error(differences))
        assert (row["mean"], row["other_mean"]) == pytest.approx((0.5, 0.25))
        assert (row["better"], row["equal"], row["worse"], row["n"]) == (2, 1, 1, 4)
        # The difference is at least as large if 0.7 and 0.4 have the same sign: in half of all ways to exchange results.
        assert row["p_value"] == pytest.approx(0.5)


def test_where_less_is_better_the_smaller_mean_wins():
    errors = [(run("manual"), [1.0] * 8), (run("auto"), [3.0] * 8)]
    table, overall = compared(*errors, metric="errors")
    assert (overall["better"][0], overall["worse"][0]) == (8, 0)
    [finding] = sample_type_findings(overall, table, "r/errors")
    assert finding["mean_difference"] == -2.0
    assert finding["better_sample_type"] == "manual"


def test_what_only_one_of_both_has_is_left_out_and_failures_count_as_in_means():
    table, _ = compared((run("manual"), {"a": 1.0, "b": 1.0, "only": 1.0}), (run("auto"), {"a": 0.0, "b": None}))
    assert (table["n"][0], table["mean"][0], table["other_mean"][0]) == (2, 1.0, 0.0)
    table, _ = compared((run("manual"), {"a": 1.0, "b": 1.0}), (run("auto"), {"a": 0.0, "b": None}), metric="errors")
    assert table["n"][0] == 1


@pytest.mark.parametrize("change", [{"task": "u"}, {"references": "auto"}, {"n": 4}, {"seed": 2}])
def test_runs_that_differ_in_more_than_their_sample_type_are_not_compared(change):
    for table in compared((run("manual"), [1.0, 0.5]), (run("auto", **change), [0.0, 0.0])):
        assert table.empty


def test_largest_runs_of_each_task_decide_and_each_task_counts_alike():
    results = [(run(s, n=n), [v] * 4) for s, n, v in (("manual", 4, 0.9), ("auto", 4, 0.1), ("manual", 8, 0.5), ("auto", 8, 0.6))]
    results += [(run(s, task="u"), [v] * 12) for s, v in (("manual", 0.8), ("auto", 0.4))]
    table, overall = compared(*results)
    assert list(zip(table["task"], table["nb_samples"], strict=True)) == [("t", 4), ("t", 8), ("u", 8)]
    [row] = overall.to_dict("records")
    assert (row["tasks"], row["n"]) == ("t, u", 16)
    assert row["mean_difference"] == pytest.approx((-0.1 + 0.4) / 2)


def test_seeds_are_averaged_and_do_not_make_the_questions_more():
    one = [(run("manual"), [0.9, 0.5, 0.2]), (run("auto"), [0.2, 0.1, 0.3])]
    twice = one + [(axes | {"seed": 2, "run": axes["run"][:-1] + "2"}, values) for axes, values in one]
    for alone, both in zip(compared(*one), compared(*twice), strict=True):
        assert (alone["seeds"][0], both["seeds"][0]) == (1, 2)
        pd.testing.assert_frame_equal(alone.drop(columns="seeds"), both.drop(columns="seeds"))


def about_papers(nb_papers):
    """The paper that each question is about: three tasks ask about the same ones."""
    return {(task, "manual", str(i)): f"paper {i}" for task in "tuv" for i in range(nb_papers)}


def test_questions_about_the_same_text_are_one_draw():
    values = np.random.default_rng(3).random((2, 3, 7))
    results = [(run(s, task=t), values[i, j]) for i, s in enumerate(("manual", "auto")) for j, t in enumerate("tuv")]
    of_papers = pd.Series((values[0] - values[1]).mean(axis=0))
    _, overall = compared(*results, texts=about_papers(7))
    # With as many papers as here, the error is slightly larger: a mean was taken for each of the three tasks.
    assert overall["standard_error"][0] == pytest.approx(mean_and_error(of_papers)[1] * (6 / 4) ** 0.5)
    signs = 1 - 2 * (np.arange(2**7)[:, None] >> np.arange(7) & 1)
    extreme = np.abs(signs @ of_papers) >= abs(of_papers.sum()) - 1e-9
    assert overall["p_value"][0] == pytest.approx(extreme.mean())


def test_metric_over_all_examples_has_the_difference_and_error_of_the_comparison_with_a_base_model():
    rows = labelled("base", {0, 1, 2, 3}) + labelled("t__s__x", {0, 1})
    axes = pd.DataFrame(rows)[MODEL].drop_duplicates().assign(**dict.fromkeys(AXES[len(MODEL) :]))
    expected = compare_with_base(pd.DataFrame(rows), axes, LABEL).set_index("metric").loc["macro_f1"]
    both = pd.DataFrame(rows).assign(sample_type="manual")
    both["run"] = both["run"].map({"base": run("auto")["run"], "t__s__x": run("manual")["run"]})
    runs = comparable_runs(pd.DataFrame([run("manual"), run("auto")]).astype({"nb_samples": "Int64", "seed": "Int64"}))
    table, overall = compare_sample_types(both, runs, {}, LABEL, "l/macro_f1")
    for row in (table.set_index("metric").loc["macro_f1"], overall.iloc[0]):
        assert row["mean_difference"] == pytest.approx(expected["mean_difference"])
        assert row["standard_error"] == pytest.approx(expected["standard_error"])
        # Two answers differ, both for the better: a quarter of the exchanges keeps the sign of both, a quarter turns both.
        assert row["p_value"] == pytest.approx(0.5, abs=0.05)
        assert pd.isna(row["better"])
    assert pd.isna(table.set_index("metric").loc["accuracy", "p_value"])


def test_difference_of_few_questions_is_never_clear():
    _, overall = compared((run("manual"), [1.0] * 5), (run("auto"), [0.0] * 5))
    assert overall["p_value"][0] == 2 / 2**5
    _, overall = compared((run("manual"), [1.0]), (run("auto"), [0.0]))
    assert overall["p_value"][0] == 1.0
    assert pd.isna(overall["standard_error"][0])


def simulated(generator, is_binary=False, effect=0.0, nb_papers=16):
    """Results of two runs on three tasks, by run, task and paper. Each run does better on some papers, whatever the task."""
    values = generator.normal(size=(2, 3, nb_papers)) + 1.5 * generator.normal(size=(2, 1, nb_papers))
    values[0] += effect
    return (values > 0.5).astype(float) if is_binary else values


def outcomes(values, are_papers_known=True):
    """Mean difference, standard error and p-value."""
    of_tasks = []
    for task, (own, other) in enumerate(zip(*values, strict=True)):
        texts = [f"paper {i}" if are_papers_known else f"{task}/{i}" for i in range(len(own))]
        counts = [np.column_stack([of_run, np.ones(len(of_run))]) for of_run in (own, other)]
        of_tasks.append([Matched(texts, *counts, value=lambda sums: sums[:, 0] / sums[:, 1], is_mean=True)])
    return outcome(of_tasks, is_tested=True)[2:5]


@pytest.mark.parametrize("is_binary", [False, True])
def test_false_alarms_and_coverage_are_as_stated_also_if_questions_share_texts(monkeypatch, is_binary):
    monkeypatch.setattr(sample_types, "TRIALS", 199)
    generator, simulations = np.random.default_rng(1), 600
    draws = [simulated(generator, is_binary) for _ in range(simulations)]
    differences, errors, p_values = np.transpose([outcomes(values) for values in draws])
    # Three standard errors of the simulation around what is stated.
    margin = 3 * (0.05 * 0.95 / simulations) ** 0.5
    assert (p_values <= 0.05).mean() <= 0.05 + margin
    assert abs((np.abs(differences) <= 2 * errors).mean() - 0.95) <= margin
    naive = [outcomes(values, are_papers_known=False)[2] for values in draws]
    assert (np.array(naive) <= 0.05).mean() > 0.05 + margin


def test_difference_that_is_there_is_found(monkeypatch):
    monkeypatch.setattr(sample_types, "TRIALS", 199)
    generator = np.random.default_rng(2)
    p_values = [outcomes(simulated(generator, effect=1.5, nb_papers=24))[2] for _ in range(100)]
    assert (np.array(p_values) <= 0.05).mean() > 0.8


def test_adjusted_p_values_are_those_of_holm():
    # As in R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])
    assert len(holm(np.array([]))) == 0


def test_finding_is_a_verdict_with_its_setups():
    better = [(run(s, task=t), [v] * 8) for t in "tu" for s, v in (("manual", 0.9), ("auto", 0.1))]
    alike = [(run(s, task="w", references="auto"), [0.1, 0.2, 0.3, 0.4][::step]) for s, step in (("manual", 1), ("auto", -1))]
    table, overall = compared(*better, *alike)
    of_experts, of_heuristic = sample_type_findings(overall, table, "r/x")
    assert of_experts["better_sample_type"] == "manual"
    assert [row["task"] for row in of_experts["rows"]] == ["t", "u"]
    assert [row["label"] for row in of_experts["rows"]] == ["n=8", "n=8"]
    # Adjusted for the three setups that are compared, and for the two findings.
    assert of_experts["rows"][0]["p_value"] == pytest.approx(3 * 2 / 2**8)
    assert of_heuristic["better_sample_type"] == ""


def test_sample_types_that_are_tested_on_different_references_are_named():
    def apart(*axes):
        return without_common_references(pd.DataFrame(axes))

    own = [run("manual", task=t, references="manual") for t in "tu"] + [run("auto", task=t, references="auto") for t in "tu"]
    assert apart(*own) == [{"sample_types": ("manual", "auto"), "tasks": ["t", "u"]}]
    assert apart(*own, run("auto", references="manual")) == [{"sample_types": ("manual", "auto"), "tasks": ["u"]}]
    assert apart(run("manual")) == []


def test_grid_without_sample_types_to_compare_has_empty_tables_and_no_finding():
    table, overall = compared((run("manual"), [1.0]), (run("auto", references="auto"), [0.0]))
    assert list(table.columns) == [*sample_types.MATCHED, "lower_is_better"]
    assert sample_type_findings(overall, table, "r/x") == []


def test_example_is_about_its_input_or_else_its_instruction(tmp_path, make_example):
    examples = [
        make_example("1", instruction="What for?", input="A paper."),
        make_example("2", instruction="How?", input="A paper."),
        make_example("3", instruction="What is an adapter?", input=""),
    ]
    write_records(tmp_path / "t/manual/test.jsonl", examples)
    texts = read_texts([tmp_path / "t/manual/test.jsonl"], {("t", "manual")})
    assert list(texts.values()) == ["A paper.", "A paper.", "What is an adapter?"]
    assert read_texts([tmp_path / "t/manual/test.jsonl"], set()) == {}


def test_questions_that_two_mixes_have_in_common_are_counted_whatever_their_answers(tmp_path, make_example):
    def mix(path, questions):
        made = [make_example(path + question, input=question, output=path) for question in questions]
        write_records(tmp_path / f"mixes/{path}/train.jsonl", made)
        return tmp_path / f"mixes/{path}/train.jsonl"

    mixes = [mix("t/manual/alone/n4-seed1", "abcd"), mix("t/auto/alone/n4-seed1", "bcde"), mix("t/auto/alone/n2-seed1", "bc")]
    assert common_questions(mixes) == [0.75]
