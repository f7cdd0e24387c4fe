"""What the table of contrasts says, with its verdicts and sentences."""

import math

import numpy as np
import pandas as pd
import pytest

from loragrid.analysis.comparisons import compare_with_base
from loragrid.analysis.contrasts.columns import CONTRASTS, WAYS
from loragrid.analysis.contrasts.conclusions import conclude
from loragrid.analysis.contrasts.estimates import Found
from loragrid.analysis.contrasts.pairs import Contrast
from loragrid.analysis.contrasts.tables import compare_ways
from loragrid.analysis.contrasts.verdicts import Verdict
from loragrid.analysis.contrasts.ways import ways_of
from loragrid.analysis.reading import read_predictions, read_scores
from loragrid.analysis.settings import AnalysisSettings
from loragrid.analysis.statistics.intervals import difference_of
from loragrid.analysis.statistics.results import Results
from loragrid.analysis.table_files import read_parquet_table, write_table
from unit.analysis.grids import base, contrasts, only, run, tables
from unit.analysis.score_tables import LABEL, labelled

UNIT = (0.0, 1.0)


def against_base(*values, seeds=None, **more):
    """The row of a kind of run with these results (one list a seed) against a base model that is always wrong."""
    runs = [(run(seed=seed), of_seed) for seed, of_seed in enumerate(values, start=1)]
    return contrasts((base(), [0.0] * len(values[0])), *runs, **more).to_dict("records")[0]


def test_four_better_and_none_worse_of_sixteen_is_undecided():
    row = against_base([1.0] * 4 + [0.0] * 12, bounds=UNIT)
    # The exact test by signs: twice the chance that all four have one sign.
    assert row["p_value"] == pytest.approx(0.125)
    assert row["verdict"] == "undecided"
    assert "for this one training, 16 questions." in row["sentence"]


def test_two_of_two_is_undecided_and_one_of_one_is_too_little():
    assert against_base([1.0, 1.0])["verdict"] == "undecided"
    row = against_base([1.0])
    assert (row["verdict"], math.isnan(row["low"])) == ("", True)
    assert row["sentence"] == (
        "t (references s): too little data to compare fine-tuning and the base model alone in r/x; for this one training, 1 question."
        " More questions are needed for any verdict."
    )


def test_what_is_clear_is_said_with_its_scope():
    row = against_base([0.9, 0.8, 1.0, 0.7] * 5, bounds=UNIT)
    assert (row["verdict"], row["n"], row["seeds"], row["nb_failed"]) == ("better", 20, 1, 0)
    assert row["sentence"].startswith(
        "t (references s): better with fine-tuning than with the base model alone in r/x (difference +0.850"
    )
    row = against_base([0.9, 0.8, 1.0, 0.7] * 5, [0.8, 0.9, 0.9, 0.8] * 5, [0.85] * 20, bounds=UNIT)
    assert (row["verdict"], row["seeds"]) == ("better", 3)
    assert row["sentence"].endswith("; over 3 training seeds, 20 questions.")


def test_losses_are_as_clear_as_gains_and_less_may_be_better():
    values = [1.0, 0.9, 0.8, 0.95] * 5
    assert against_base(values)["verdict"] == "better"
    assert against_base(values, lower=["x"])["verdict"] == "worse"
    assert against_base([-value for value in values])["verdict"] == "worse"


def test_difference_that_is_surely_smaller_than_what_matters_is_equivalent():
    small = list(np.linspace(-0.001, 0.0012, 30))
    assert against_base(small, least=0.01)["verdict"] == "equivalent"
    assert against_base(small)["verdict"] == "undecided"
    # Surely not 0, and surely too small to matter.
    row = against_base([value + 0.005 for value in small], least=0.01)
    assert (row["verdict"], row["low"] > 0) == ("equivalent", True)
    assert "are equivalent in r/x, within 0.0100" in row["sentence"]
    assert against_base([value + 0.02 for value in small], least=0.01)["verdict"] == "better"


def test_questions_about_one_document_are_one_draw():
    values = np.repeat([1.0, 1.0, 1.0, 0.2, 0.3], 20)
    apart = against_base(values)
    together = against_base(values, clusters={str(i): f"paper {i // 20}" for i in range(100)})
    assert (apart["clusters"], together["clusters"]) == (100, 5)
    assert together["standard_error"] > 3 * apart["standard_error"]
    assert (apart["verdict"], together["verdict"]) == ("better", "undecided")
    assert "100 questions in 5 clusters" in together["sentence"]


def test_seeds_that_disagree_make_a_claim_about_trainings_uncertain():
    seeds = [[0.5] * 50, [-0.4] * 50, [0.2] * 50]
    row = against_base(*([value + 0.01 * i for i, value in enumerate(seed)] for seed in seeds))
    assert row["verdict"] == "undecided"
    assert row["of_seeds"] > 0.1
    assert "training seeds" in row["sentence"].rsplit("To see", 1)[1]


def test_undecided_says_what_could_have_been_seen_and_what_would_decide():
    generator = np.random.default_rng(0)
    row = against_base(generator.normal(0.1, 1, 40))
    assert row["verdict"] == "undecided"
    # Two standard errors and a bit more for a power of 80 %.
    assert row["detectable"] == pytest.approx(2.86 * row["standard_error"], rel=0.05)
    assert row["needed_questions"] == pytest.approx(40 * (row["detectable"] / abs(row["difference"])) ** 2, rel=0.15)
    assert f"about {row['needed_questions']:,} questions" in row["sentence"]


def test_verdicts_of_a_family_hold_together():
    generator = np.random.default_rng(3)
    base_values = (base(), list(generator.normal(size=60)))
    kinds = [(run(config=f"c{i}"), list(generator.normal(0.36, 1, 60))) for i in range(12)]
    main = only(contrasts(base_values, *kinds), family="main")
    assert len(main) == 12
    [level] = set(main["level"])
    # Between that of one contrast and that of twelve independent ones.
    assert 0.95 < level < 0.95 ** (1 / 12)
    alone = only(contrasts(base_values, kinds[0]), family="main")
    assert alone["level"].tolist() == [0.95]
    assert (main["p_adjusted"] >= main["p_value"]).all()
    assert ((main["verdict"] == "better") == (main["low"] > 0)).all()


def test_no_difference_gives_a_false_verdict_in_at_most_one_study_of_twenty():
    generator, studies, questions = np.random.default_rng(4), 60, np.arange(24)
    false = 0
    for _ in range(studies):
        way = ways_of(pd.DataFrame([run()]))
        of_base = Results(generator.normal(size=(1, 24)), questions)
        estimates = [difference_of(Results(generator.normal(size=(1, 24)), questions), of_base) for _ in range(12)]
        contrast = Contrast("training", "difference", "trained", "base", ((1.0, next(iter(way))),), ((1.0, next(iter(way))),))
        found = [Found(contrast, "r", "x", False, (0.0, 0.0), one, "main", (0, 0), (0, 0)) for one in estimates]
        false += any(one.verdict is not Verdict.UNDECIDED for one in conclude(found, {}))
    assert false / studies <= 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


def test_what_was_not_declared_is_exploratory_and_adjusted_for_false_discoveries():
    generator = np.random.default_rng(5)
    kinds = [(run(config=f"c{i}"), list(generator.normal(size=40))) for i in range(8)]
    table = only(contrasts(*kinds), axis="config")
    assert set(table["family"]) == {"exploratory"}
    assert set(table["level"]) == {0.95}
    assert (table["p_value"] < 0.05).any()
    assert (table["verdict"] == "undecided").all()


def test_same_runs_asked_in_two_ways_are_compared_seed_by_seed():
    shift = {1: 0.0, 2: 5.0, 3: -5.0}
    easy = [
        (run(seed=seed, prompting=how), [by + gain * (1 + 0.01 * ((i * seed) % 7)) for i in range(30)])
        for seed, by in shift.items()
        for how, gain in (("zero_shot", 0.0), ("shots", 0.5))
    ]
    [row] = only(contrasts(*easy), axis="prompting").to_dict("records")
    assert (row["own"], row["other"], row["verdict"], row["seeds"]) == ("shots", "zero_shot", "better", 3)
    one = only(contrasts(*easy[:2]), axis="prompting")["sentence"].iloc[0]
    assert "for this one training" in one
    assert "of each" not in one


def test_only_common_seeds_and_common_questions_are_compared():
    results = [
        (run(config="a", seed=1), {"1": 0.0, "2": 0.1, "3": 0.2}),
        (run(config="a", seed=2), {"1": 9.0, "2": 9.0, "3": 9.0}),
        (run(config="b", seed=1), {"2": 0.5, "3": 0.8, "4": 9.0}),
    ]
    [row] = only(contrasts(*results), axis="config").to_dict("records")
    assert (row["n"], row["seeds"]) == (2, 1)
    assert (row["mean"], row["other_mean"]) == pytest.approx((0.65, 0.15))


def test_sample_types_on_references_of_their_own_are_paired_by_question_and_the_sentence_says_so():
    results = [(run(trained_on=s, references=s), list(np.arange(12) / 10 + by)) for s, by in (("a", 0.0), ("b", 0.3))]
    [row] = only(contrasts(*results), axis="trained_sample_type").to_dict("records")
    assert (row["sample_type"], row["other_sample_type"], row["n"], row["family"]) == ("b", "a", 12, "exploratory")
    assert row["difference"] == pytest.approx(0.3)
    assert "each with its own references" in row["sentence"]


def test_samples_of_an_answer_are_averaged_and_their_own_spread_is_shown():
    values = [[0.0, 1.0], [0.5, 0.5], [1.0, 1.0], [0.0, 0.0]]
    ways, _ = tables((base(), values))
    [row] = ways.to_dict("records")
    assert (row["mean"], row["n"], row["nb_answers"]) == (0.5, 4, 8)
    # The variance of the first answer's samples is 0.5, and that of their mean half of it; a fourth of the answers has it.
    assert row["of_samples"] == pytest.approx(0.25 / 4)


def test_failures_cut_off_answers_and_the_best_baseline_stand_beside_each_figure():
    baselines = [(base(model="baseline") | {"run": name}, [value] * 4) for name, value in (("copy", 0.3), ("empty", 0.1))]
    results = [(base(), [0.2, 0.2, None, None]), (run(), [0.5, 0.6, None, 0.4])]
    ways, table = tables(*results, *baselines, cut_off=("0", "3"))
    [row] = only(table, axis="training").to_dict("records")
    assert (row["nb_failed"], row["other_nb_failed"], row["nb_cut_off"], row["other_nb_cut_off"]) == (1, 2, 2, 2)
    assert (row["baseline"], row["baseline_mean"]) == ("copy", 0.3)
    assert set(only(ways, base_model="m")["baseline"]) == {"copy"}
    # A failed answer counts as the worst.
    assert row["other_mean"] == pytest.approx(0.1)


def test_mean_over_tasks_counts_each_task_alike_and_shared_documents_once():
    generator = np.random.default_rng(7)
    papers = {str(i): f"paper {i}" for i in range(30)}
    results = []
    for task, size in (("t", 30), ("u", 10)):
        differences = generator.normal(0.5, 1, 30)[:size]
        results += [(base(task=task), [0.0] * size), (run(task=task), differences)]
    table = contrasts(*results, clusters=papers)
    [over] = only(table, tasks="t, u").to_dict("records")
    single = only(table, axis="training", tasks="")
    assert over["difference"] == pytest.approx(single["difference"].mean())
    assert (over["n"], over["clusters"], over["family"], over["task"]) == (40, 30, "exploratory", "")
    assert over["sentence"].startswith("mean over t, u (references s): ")


def test_sample_types_over_tasks_are_a_family_with_the_largest_runs_of_each_task():
    results = []
    for task, sizes in (("t", (4, 8)), ("u", (4,))):
        for n in sizes:
            results += [
                (run(task=task, n=n, trained_on=s, references="a"), np.arange(9) + by * n) for s, by in (("a", 0), ("b", 1))
            ]
    [row] = only(contrasts(*results), family="sample_types").to_dict("records")
    assert row["difference"] == pytest.approx((8 + 4) / 2)
    assert row["tasks"] == "t, u"
    assert pd.isna(row["nb_samples"])


def test_slope_and_interaction_have_verdicts_of_their_own():
    noise = np.linspace(-0.1, 0.1, 20)
    sizes = [(run(n=n), noise[::-1] * k + 0.1 * k) for k, n in enumerate((8, 16, 32))]
    [slope] = only(contrasts(*sizes), kind="slope").to_dict("records")
    assert slope["difference"] == pytest.approx(0.1)
    assert "better with each doubling of the training examples" in slope["sentence"]
    assert math.isnan(slope["mean"])
    assert math.isnan(slope["other_mean"])
    gains = {("a", "x"): 0.0, ("b", "x"): 0.1, ("a", "y"): 0.0, ("b", "y"): 0.9}
    four = [(run(config=c, mix=m), noise * (i + 1) ** 2 + gain) for i, ((c, m), gain) in enumerate(gains.items())]
    [interaction] = only(contrasts(*four), kind="interaction").to_dict("records")
    assert interaction["difference"] == pytest.approx(0.8)
    # What `own` and `other` name: y - x at b, and at a.
    assert (interaction["mean"], interaction["other_mean"]) == pytest.approx((0.8, 0.0))
    assert "the gain of y - x (mix) at config b is larger than at a" in interaction["sentence"]


def test_tables_have_their_columns_and_the_same_input_gives_the_same_bytes():
    results = [(base(), [0.1, 0.2, 0.4]), (run(), [0.5, 0.3, 0.9])]
    ways, table = tables(*results)
    assert list(ways.columns) == WAYS
    assert list(table.columns) == CONTRASTS
    again = tables(*results)
    assert (ways.to_csv(), table.to_csv()) == tuple(one.to_csv() for one in again)
    empty = tables((base(), [0.1]))[1]
    assert list(empty.columns) == CONTRASTS
    assert empty.empty


def test_ways_without_a_common_seed_are_compared_as_they_are():
    results = [(run(config="a", seed=seed), [0.1 * seed, 0.3, 0.2]) for seed in (1, 2)] + [
        (run(config="b", seed=3), [0.9, 0.7, 0.8])
    ]
    [row] = only(contrasts(*results), axis="config").to_dict("records")
    assert (row["mean"], row["other_mean"]) == pytest.approx((0.8, (0.15 + 0.3 + 0.2) / 3))
    # With a single training of one way, it is a claim about these trainings.
    assert (row["seeds"], pd.isna(row["needed_seeds"])) == (1, True)
    assert "; for these trainings, 3 questions." in row["sentence"]
    more = [(run(config="b", seed=seed), [0.1 * seed, 0.7, 0.8]) for seed in (3, 4, 5)]
    [row] = only(contrasts(*results[:2], *more), axis="config").to_dict("records")
    assert row["seeds"] == 2
    assert "over 2 training seeds" in row["sentence"]


def test_metric_over_all_examples_has_contrasts_with_the_differences_of_comparisons():
    name = run()["run"]
    rows = pd.DataFrame(labelled("base", {0, 1, 2, 3}) + labelled(name, {0, 1}))
    answers = pd.DataFrame([axes | {"finish_reason": "stop"} for axes in (base(), run())])
    expected = compare_with_base(rows, answers, LABEL).set_index("metric")
    settings = {"metric": "l/macro_f1", "prices": {}, "judge_prices": {}, "kinds": LABEL, "group_by": {}, "levels": {}}
    ways, table = compare_ways(rows, answers, {}, AnalysisSettings.model_validate(settings))
    for metric in ("macro_f1", "accuracy"):
        [row] = only(table, metric=metric).to_dict("records")
        assert row["difference"] == pytest.approx(expected.loc[metric, "mean_difference"])
        assert row["family"] == ("main" if metric == "macro_f1" else "exploratory")
    assert only(table, metric="macro_f1")["standard_error"].iloc[0] == pytest.approx(
        expected.loc["macro_f1", "standard_error"], rel=0.05
    )
    # Two answers of twenty got right, none wrong: the exact test cannot tell.
    assert set(table["verdict"]) == {"undecided"}
    assert len(ways) == 4


def test_interval_that_leaves_out_0_among_many_comparisons_says_why_nothing_is_decided():
    generator = np.random.default_rng(5)
    kinds = [(run(config=f"c{i}"), list(generator.normal(size=40))) for i in range(8)]
    table = only(contrasts(*kinds), axis="config")
    apart = table[(table["low"] > 0) | (table["high"] < 0)]
    assert len(apart)
    assert (apart["verdict"] == "undecided").all()
    assert apart["sentence"].str.contains(r"; p is 0\.\d+ for so many comparisons\)").all()


def test_grid_without_any_answers_has_empty_tables(tmp_path):
    settings = {"metric": "r/x", "prices": {}, "judge_prices": {}, "kinds": {}, "group_by": {}, "levels": {}}
    ways, table = compare_ways(read_scores([]), read_predictions([]), {}, AnalysisSettings.model_validate(settings))
    assert (list(ways.columns), list(table.columns), len(ways), len(table)) == (WAYS, CONTRASTS, 0, 0)
    for written in (ways, table):
        write_table(written, tmp_path / "table.parquet")
        assert list(read_parquet_table(tmp_path / "table.parquet").columns) == list(written.columns)


def test_differences_without_any_spread_are_no_verdict():
    row = against_base([0.5] * 16)
    assert row["verdict"] == "undecided"
    assert (
        "(difference +0.500 everywhere, which leaves no spread to judge by); for this one training, 16 questions."
        in row["sentence"]
    )


def test_task_with_one_question_leaves_a_mean_over_tasks_without_a_verdict():
    values = {"t": (1, 0.4), "u": (9, 0.1)}
    results = [
        (run(task=task, trained_on=s, references="a"), np.arange(size) / 10 + by * gain)
        for task, (size, gain) in values.items()
        for s, by in (("a", 0), ("b", 1))
    ]
    [row] = only(contrasts(*results), family="sample_types").to_dict("records")
    assert (row["tasks"], row["verdict"], row["difference"]) == ("t, u", "", pytest.approx(0.25))


def test_sentences_name_the_base_model_where_there_are_several_though_one_is_trained():
    results = [(base(model=model), [0.1, 0.2, 0.4]) for model in ("m", "other")] + [(run(), [0.5, 0.3, 0.9])]
    [row] = only(contrasts(*results), axis="training").to_dict("records")
    assert row["sentence"].startswith("t (references s, m): ")
    baseline = base(model="baseline") | {"run": "copy"}
    [row] = only(contrasts(results[0], results[2], (baseline, [0.1] * 3)), axis="training").to_dict("records")
    assert row["sentence"].startswith("t (references s): ")


def test_sentences_about_asking_say_that_a_base_model_is_asked():
    results = [
        (make(prompting=how), [0.1, 0.2, 0.4 + by]) for make in (base, run) for how, by in (("zero_shot", 0.0), ("shots", 0.2))
    ]
    of_base, of_run = only(contrasts(*results), axis="prompting")["sentence"]
    assert of_base.startswith("t (references s, base model alone): ")
    assert of_run.startswith("t (references s): ")
