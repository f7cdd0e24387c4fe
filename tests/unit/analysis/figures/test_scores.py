import pytest

from loragrid.analysis.figures.scores import BINS, distribution_rows, seed_rows


@pytest.fixture(scope="module")
def distributions(made, settings):
    return distribution_rows(made.scores, made.by_name["predictions"], settings.main)


def test_shares_of_a_way_make_up_all_its_answers(distributions):
    for _, way in distributions.groupby(["panel", "label"]):
        assert way["share"].sum() == pytest.approx(1)
        assert len(way) <= BINS
    of_seeds = distributions[(distributions["task"] == "long") & (distributions["nb_samples"] == 16)]
    assert of_seeds["answers"].sum() == 2 * 20


def test_answers_are_in_the_range_of_their_score_and_the_mean_is_that_of_the_scores(distributions, made):
    scores = made.scores
    own = scores[(scores["task"] == "long") & (scores["run"] == "base") & (scores["metric"] == "rougeL")]["value"]
    rows = distributions[(distributions["task"] == "long") & (distributions["label"] == "base")]
    assert rows["mean"].unique() == pytest.approx([own.mean()])
    for row in rows.to_dict("records"):
        assert ((own >= row["low"] - 1e-9) & (own < row["high"] - 1e-9)).sum() == row["answers"]


def test_ways_are_shown_on_their_own_task_beside_base_models_and_baselines(distributions):
    trained = distributions.dropna(subset="trained_task")
    assert (trained["trained_task"] == trained["task"]).all()
    assert {"base", "copy input (baseline)"} <= set(distributions["label"])
    assert distributions.loc[distributions["label"] == "copy input (baseline)", "base_model"].isna().all()


def test_each_task_is_shown_in_its_own_main_metric(distributions):
    assert dict(zip(distributions["task"], distributions["metric"], strict=True)) == {
        "long": "rouge/rougeL",
        "short": "distance/edits",
    }


def test_a_box_is_about_the_seeds_of_a_way(made, settings):
    rows = seed_rows(made.by_name["scores"], settings.main)
    assert rows.groupby(["task", "label"])["seed"].apply(list).to_dict() == {
        (task, f"n={size}"): [1, 2] for task in ("long", "short") for size in (4, 16, 64)
    }
    summary = made.by_name["scores"]
    assert seed_rows(summary[summary["seed"] != 2], settings.main).empty
