import re

import pytest

from loragrid.analysis.figures.costs import cost_rows, time_rows
from loragrid.analysis.figures.files import as_svg, drawing


@pytest.fixture(scope="module")
def costs(made, settings):
    tables = made.by_name
    models = tables["predictions"][tables["predictions"]["base_model"] != "baseline"]
    return cost_rows(tables["ways"], tables["training_costs"], tables["prediction_costs"], models, settings.main)


def test_a_way_costs_the_mean_over_seeds_and_a_base_model_costs_no_training(costs):
    training = costs[(costs["of"] == "training") & (costs["task"] == "long")]
    assert dict(zip(training["label"], training["seconds"], strict=True)) == {"base": 0, "n=4": 8, "n=16": 32, "n=64": 128}
    assert costs.loc[costs["of"] == "answering", "seconds"].tolist() == pytest.approx([0.2] * 8)


def test_quality_heeds_that_less_may_be_better(costs):
    for task, sign in (("long", 1), ("short", -1)):
        own = costs[costs["task"] == task]
        assert own["quality"].tolist() == pytest.approx([sign * mean for mean in own["mean"]])


def front_of(figure, rows):
    """How many points the lines of the first panels join."""
    svg = as_svg(drawing("cost_quality", figure._replace(rows=rows)))
    lines = re.findall(r'mark-line role-mark[^>]*>(?:<path aria-label[^>]* d="([^"]+)")?', svg)
    # A step is two lines.
    return [1 + line.count("L") // 2 for line in lines]


def test_the_front_joins_what_nothing_beats_at_the_same_cost_or_less(figures):
    figure = figures["cost_quality"]
    training = figure.rows[(figure.rows["of"] == "training") & (figure.rows["task"] == "long")]
    assert front_of(figure, training) == [4]
    worse = training.assign(quality=training["quality"].where(training["label"] != "n=16", -1.0))
    assert front_of(figure, worse) == [3]
    assert front_of(figure, training[training["label"] != "n=64"]) == [3]


def test_times_count_every_training_and_every_answer_of_a_model(made):
    tables = made.by_name
    rows = time_rows(tables["training_costs"], tables["predictions"][tables["predictions"]["base_model"] != "baseline"])
    assert rows.groupby("of")["count"].sum().to_dict() == {"a training": 12, "an answer": 20 * (2 + 24)}
    of_answers = rows[rows["of"] == "an answer"]
    assert ((of_answers["low"] <= 0.2) & (of_answers["high"] > 0.2)).all()
