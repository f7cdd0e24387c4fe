import numpy as np
import pandas as pd
import pytest

from loragrid.analysis.figures.scorers import DRAWN, DRAWS, SEED, by_way_rows, correlation_map, correlation_rows, resampled_rows


def frame(one):
    names = [f"{metric.scorer}/{metric.metric}" for metric in one.metrics]
    return pd.DataFrame(one.scores, columns=names)


def value(rows, one, own, other):
    is_pair = (rows["task"] == one.task) & (rows["own"] == own) & (rows["other"] == other)
    return rows.loc[is_pair, "value"]


def test_maps_have_spearmans_correlation_of_the_table_in_each_scope_and_are_symmetric(made):
    table = made.by_name["scorers"]
    rows = correlation_rows(table)
    assert [panel.partition(" · ")[2] for panel in rows["panel"].drop_duplicates()][:3] == [
        "within questions",
        "over all answers",
        "between ways",
    ]
    expected = table[(table["coefficient"] == "spearman") & (table["other_scorer"] != "")]
    assert len(rows) == 2 * len(expected)
    for row in expected.to_dict("records"):
        names = [f"{row['scorer']}/{row['metric']}", f"{row['other_scorer']}/{row['other_metric']}"]
        for own, other in (names, names[::-1]):
            found = rows[
                (rows["task"] == row["task"]) & (rows["scope"] == row["scope"]) & (rows["own"] == own) & (rows["other"] == other)
            ]
            assert found["value"].tolist() == [row["value"]]


def test_resampling_is_the_mean_over_draws_of_ten_answers_as_pandas_computes_it(made):
    one = made.answered[0]
    generator, scores = np.random.default_rng(SEED), frame(one)
    draws = [scores.iloc[generator.choice(len(scores), DRAWN, replace=False)].corr("spearman") for _ in range(DRAWS)]
    expected = pd.concat(draws).groupby(level=0).mean()
    rows = resampled_rows(made.answered)
    for own, other in (("rouge/rougeL", "opinion/score"), ("distance/edits", "rouge/rougeL")):
        assert value(rows, one, own, other).tolist() == pytest.approx([expected.loc[own, other]])


def test_resampling_twice_gives_the_same(made):
    pd.testing.assert_frame_equal(resampled_rows(made.answered), resampled_rows(made.answered))


def test_too_few_answers_are_not_resampled(made):
    few = [one._replace(scores=one.scores[: DRAWN - 1]) for one in made.answered]
    assert resampled_rows(few).empty


def test_a_way_has_the_correlation_among_its_own_answers_with_its_axes(made):
    one = made.answered[0]
    rows = by_way_rows(made.answered)
    place = next(place for place, way in enumerate(one.all_ways) if way.nb_samples == 16 and way.trained_task == one.task)
    expected = frame(one)[one.ways == place].corr("spearman").loc["rouge/rougeL", "opinion/score"]
    own = rows[(rows["nb_samples"] == 16) & (rows["trained_task"] == one.task)]
    assert value(own, one, "rouge/rougeL", "opinion/score").tolist() == pytest.approx([expected])


def test_the_map_shows_the_mean_of_the_rows_that_are_left(made):
    cells, _ = correlation_map(by_way_rows(made.answered)).spec["spec"]["layer"]
    assert (cells["encoding"]["color"]["aggregate"], cells["encoding"]["color"]["field"]) == ("mean", "value")
