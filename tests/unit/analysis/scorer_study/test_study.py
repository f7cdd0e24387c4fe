"""What tables and report say about scorers: how they go together, with people, and with the length of answers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.scorer_tables import corrected_table, equal_length_table, pairs_table
from loragrid.analysis.scorer_study.answers import CHARACTERS, Metric, answered
from loragrid.analysis.scorer_study.pairs import pairs_of_metrics
from loragrid.analysis.scorer_study.study import TABLES, study_scorers
from loragrid.analysis.statistics.equal_length import at_equal_length
from loragrid.analysis.statistics.ppi import corrected_mean
from loragrid.scoring.registry import SCORERS, kind_of
from unit.analysis.scorer_study.studies import questions, run, settings, study, tables

MAIN = MainMetrics("overlap/f")


def studied(predictions, scores, per_cluster=1, **told):
    told_settings = settings(**told)
    return study_scorers(list(answered(scores, predictions, questions(40, per_cluster), told_settings.kinds)), told_settings)


def pair(table, scorer, other, scope="over all answers", coefficient="kendall"):
    is_pair = (table["scorer"] == scorer) & (table["other_scorer"] == other)
    [row] = table[is_pair & (table["scope"] == scope) & (table["coefficient"] == coefficient)].to_dict("records")
    return row


def test_each_scorer_says_whether_people_or_judges_speak():
    kinds = {name: kind_of(name) for name in SCORERS}
    assert [name for name, kind in kinds.items() if kind == "people"] == ["human", "ratings"]
    assert [name for name, kind in kinds.items() if kind == "judge"] == ["judge", "reward"]
    assert [name for name, kind in kinds.items() if kind == "length"] == ["length"]


def test_each_two_metrics_are_compared_once_people_second_and_each_with_the_length():
    good, score, f, words = (
        Metric("p", "good", "people"),
        Metric("j", "score", "judge"),
        Metric("r", "f", "metric"),
        Metric("l", "w", "length"),
    )
    assert pairs_of_metrics([good, words, score, f]) == [
        (f, score),
        (f, good),
        (f, words),
        (score, good),
        (score, words),
        (good, words),
        (f, CHARACTERS),
        (score, CHARACTERS),
        (good, CHARACTERS),
    ]


def test_correlations_are_those_of_the_scores_of_models_alone():
    predictions, scores = study()
    table = studied(predictions, scores)["scorers"]
    by_model = scores[scores["base_model"] == "m"]
    wide = by_model.pivot(index=["run", "id"], columns="scorer", values="value")
    row = pair(table, "overlap", "judge")
    assert row["value"] == pytest.approx(stats.kendalltau(wide["overlap"], wide["judge"]).statistic)
    # Trivial baselines, of which both say the same, are left out. Two seeds are one way.
    assert (row["answers"], row["questions"], row["clusters"], row["ways"]) == (120, 30, 30, 3)
    with_people = pair(table, "judge", "people")
    rated = wide.dropna()
    assert with_people["value"] == pytest.approx(stats.kendalltau(rated["judge"], rated["people"]).statistic)
    assert with_people["questions"] == 12


def test_ways_count_as_means_over_their_seeds():
    predictions, scores = study()
    wide = scores[(scores["base_model"] == "m")].pivot(index=["run", "id"], columns="scorer", values="value")
    way = wide.index.get_level_values("run").str.rpartition("__seed").get_level_values(0)
    means = wide.groupby(np.where(way == "", "base", way))[["overlap", "judge"]].mean()
    row = pair(studied(predictions, scores)["scorers"], "overlap", "judge", "between ways", "pearson")
    assert row["value"] == pytest.approx(stats.pearsonr(means["overlap"], means["judge"]).statistic)


def test_length_of_answers_is_that_of_their_texts():
    predictions, scores = study()
    row = pair(studied(predictions, scores)["scorers"], "judge", "", coefficient="spearman")
    by_model = predictions[predictions["base_model"] == "m"].set_index(["run", "id"])["prediction"].str.len()
    judged = scores[(scores["scorer"] == "judge") & (scores["base_model"] == "m")].set_index(["run", "id"])["value"]
    assert row["value"] == pytest.approx(stats.spearmanr(judged, by_model.loc[judged.index]).statistic)
    assert (row["other_metric"], row["other_kind"]) == ("characters", "length")


def test_questions_of_a_cluster_are_drawn_together():
    predictions, scores = study()
    one, together = (pair(studied(predictions, scores, n)["scorers"], "overlap", "judge") for n in (1, 5))
    assert (one["value"], one["clusters"], together["clusters"]) == (together["value"], 30, 6)
    assert one["standard_error"] != together["standard_error"]


def test_samples_are_answers_of_their_own():
    answers = [
        (name, f"q{i}", "ab"[sample] * (i + 1), sample) for i in range(10) for name in ("base", run()) for sample in (0, 1)
    ]
    values = np.random.default_rng(0).standard_normal((2, 40))
    predictions, scores = tables(answers, judge__score=list(values[0]), overlap__f=list(values[1]))
    row = pair(studied(predictions, scores)["scorers"], "overlap", "judge")
    assert (row["answers"], row["questions"], row["ways"]) == (40, 10, 2)
    assert row["value"] == pytest.approx(stats.kendalltau(values[1], values[0]).statistic)


def test_differences_at_equal_length_are_about_means_over_seeds_and_the_base_model():
    predictions, scores = study()
    table = studied(predictions, scores)["equal_length"]
    [row] = table[(table["scorer"] == "judge") & (table["nb_samples"] == 8)].to_dict("records")
    judged = scores[scores["scorer"] == "judge"].pivot(index="id", columns="run", values="value")
    lengths = predictions.assign(n=predictions["prediction"].str.len()).pivot(index="id", columns="run", values="n")
    seeds = [run(1), run(2)]
    more = lengths[seeds].mean(axis=1) - lengths["base"]
    found = at_equal_length((judged[seeds].mean(axis=1) - judged["base"]).to_numpy(), more.to_numpy(), np.arange(30))
    assert row["difference"] == pytest.approx(found.difference.value)
    assert row["at_equal_length"] == pytest.approx(found.at_equal_length.value)
    assert (row["seeds"], row["n"], row["longer"]) == (2, 30, pytest.approx((more > 0).mean()))
    # The judge likes length, which the other metric does not.
    assert row["at_equal_length"] < row["difference"]
    assert set(table["way"]) == {run().rpartition("__seed")[0], run(n=16).rpartition("__seed")[0]}


def test_people_correct_the_judge_for_each_run_and_its_difference_from_the_base_model():
    predictions, scores = study()
    table = studied(predictions, scores)["judge_corrected"]
    rows = table[(table["scorer"] == "judge") & (table["run"] == run(1))].set_index("against")
    judged, rated = (
        scores[scores["scorer"] == name].pivot(index="id", columns="run", values="value") for name in ("judge", "people")
    )
    rated = rated.reindex(judged.index)
    of_run = corrected_mean(rated[run(1)].to_numpy(), judged[run(1)].to_numpy(), np.arange(30))
    assert rows.loc["", ["corrected_mean", "low", "high", "worth"]].tolist() == pytest.approx([*of_run.mean[:3], of_run.worth])
    differences = [(one[run(1)] - one["base"]).to_numpy() for one in (rated, judged)]
    gain = corrected_mean(*differences, np.arange(30))
    assert rows.loc["base", ["corrected_mean", "people_mean"]].tolist() == pytest.approx([gain.mean.value, gain.people.value])
    assert rows[["rated", "judged"]].to_numpy().tolist() == [[12, 30], [12, 30]]
    # The base model has no other.
    assert set(table.loc[table["run"] == "base", "against"]) == {""}


def test_where_people_rated_all_answers_there_is_nothing_to_correct():
    assert studied(*study(rated=30))["judge_corrected"].empty
    assert studied(*study(rated=0))["judge_corrected"].empty


def agreement_study(judged, **ratings):
    answers = [("base", f"q{i}", f"answer {i}") for i in range(len(judged))] + [("theirs", "q0", "answer 0", 0, "external")]
    rated = [{who: values[i] for who, values in ratings.items() if values[i] is not None} or None for i in range(len(judged))]
    return tables(answers, judge__score=[*judged, judged[0]], people__good=[*rated, rated[0]])


def test_judge_and_people_agree_where_they_give_the_same_values():
    judged = [1.0, 2, 3] * 10
    predictions, scores = agreement_study(judged, ann=[*judged[:27], 3.0, 1.0, 3.0], ben=[None, 2.0, *[None] * 28])
    [row] = studied(predictions, scores)["judge_agreement"].to_dict("records")
    # Two models gave the same answer, which was rated once.
    assert (row["ratings"], row["answers"], row["annotators"], row["level"]) == (31, 30, 2, "ordinal")
    assert row["percent_agreement"] == pytest.approx(2900 / 31)
    assert row["kappa_low"] < row["kappa"] < 1


def test_scores_on_another_scale_have_no_kappa():
    predictions, scores = agreement_study([10.0, 55, 90, 20, 30, 70], ann=[1.0, 2, 3, 1, 2, 3])
    tables_ = studied(predictions, scores)
    assert tables_["judge_agreement"].empty
    assert pair(tables_["scorers"], "judge", "people")["value"] > 0.8


def test_values_that_people_could_have_given_count_too():
    evaluation = {"tasks": ["t"], "annotators": ["ann"], "criteria": {"good": {"question": "?", "values": [1, 2, 3, 4]}}}
    told = {"levels": {"people": {"good": "interval"}}, "sheets": {"people": {"evaluation": "e", "settings": evaluation}}}
    predictions, scores = agreement_study([1.0, 2, 4, 1, 2, 4], ann=[1.0, 2, 3, 1, 2, 3])
    assert studied(predictions, scores)["judge_agreement"].empty
    [row] = studied(predictions, scores, **told)["judge_agreement"].to_dict("records")
    assert row["level"] == "interval"


def test_without_answers_or_scores_tables_are_empty():
    predictions, scores = study(nb=3)
    for found in (studied(predictions.head(0), scores.head(0)), studied(predictions, scores.head(0))):
        assert {name: len(table) for name, table in found.items()} == dict.fromkeys(TABLES, 0)


def test_answers_without_predictions_of_their_own_do_not_count():
    predictions, scores = study(nb=4)
    [whole] = answered(scores, predictions, questions(4), settings().kinds)
    [part] = answered(scores, predictions[predictions["id"] != "q1"], questions(4), settings().kinds)
    assert (len(whole.scores), len(part.scores)) == (16, 12)
    assert np.isfinite(part.column(Metric("judge", "score", "judge"))).all()


def shown(found):
    """The page's tables about scorers, by id."""
    labels = {}
    return {
        "scorers": pairs_table(found["scorers"], MAIN).rows,
        "equal_length": equal_length_table(found["equal_length"], MAIN).rows,
        "corrected": corrected_table(found["judge_corrected"], labels).rows,
    }


def test_report_shows_people_first_then_the_main_metric_and_judges_before_other_scorers():
    found = studied(*study(), levels={"people": {"good": "ordinal"}})
    tables_shown = shown(found)
    pairs_shown = tables_shown["scorers"]
    has_people = (pairs_shown["kind"] == "people") | (pairs_shown["other_kind"] == "people")
    has_main = (pairs_shown["metric_name"] == MAIN.default) | (pairs_shown["other_name"] == MAIN.default)
    places = [0 if people else 1 if main else 2 for people, main in zip(has_people, has_main, strict=True)]
    assert places == sorted(places)
    assert {0, 1} <= set(places)
    assert set(pairs_shown["coefficient"]) == {"kendall"}
    assert tables_shown["corrected"]["kind"].iloc[0] == "judge"
    assert {"overlap/f", "judge/score"} <= set(tables_shown["equal_length"]["metric_name"])


def test_report_says_nothing_about_scorers_where_there_is_nothing_to_say():
    answers = [("base", f"q{i}", "same") for i in range(6)]
    found = studied(*tables(answers, overlap__f=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert [
        len(rows) for rows in shown(found).values() if rows.get("value", rows.get("slope", rows.get("worth"))).notna().any()
    ] == []


def test_many_answers_take_little_time():
    from time import process_time

    models = ["base", *(run(seed, n) for n in range(1, 26) for seed in (1, 2))]
    predictions, scores = study(nb=40, models=models)
    start = process_time()
    found = studied(predictions, scores)
    assert process_time() - start < 8
    assert len(found["scorers"]) == 6 * 9
    assert not math.isnan(found["scorers"]["value"].iloc[0])
    assert isinstance(found["scorers"], pd.DataFrame)
