import math

import pandas as pd
import pytest

from loragrid.analysis.columns import AXES, MODEL
from loragrid.analysis.contrasts.matrices import measure
from loragrid.analysis.contrasts.questions import Question
from loragrid.analysis.contrasts.ways import ways_of
from loragrid.analysis.selection.settings import Selection
from loragrid.analysis.selection.shown import shown_choices
from loragrid.analysis.selection.table import COLUMNS, selection_table
from loragrid.analysis.selection.validation import Validated, Validation, measured_to_choose
from loragrid.layout import Run
from loragrid.records import Score
from loragrid.scoring.scorer import ScorerFacts

QUESTIONS = 40
FACTS = {
    "r": ScorerFacts(type="rouge", lower_is_better=[], worst={}),
    "p": ScorerFacts(type="perplexity", lower_is_better=["perplexity"], worst={"perplexity": None}),
}


def axes_of(config, seed=1, nb_samples=4, **changes):
    run = Run("m", "t", "s", "alone", nb_samples, config, "completion", seed)
    asked = {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    trained = {"trained_task": "t", "trained_sample_type": "s", "mix": "alone", "nb_samples": nb_samples, "config": config}
    trained |= {"loss_computation": "completion", "seed": seed}
    return {"base_model": "m", "task": "t", "sample_type": "s", "run": run.name, **asked, **trained} | changes


BASE = axes_of("lora", run="base") | dict.fromkeys(AXES[len(MODEL) :])


def key(axes):
    return tuple(axes[name] for name in MODEL)


class Grid:
    """The test results of some models, and what validation says of them."""

    def __init__(self, models):
        self.models, self.validated = list(models), []

    def tested(self, function, scorer="r", metric="x"):
        """Test results: for each model and question the value that a function gives; of a model without one, none."""
        self.scores = self._scored(function, f"{scorer}/{metric}", QUESTIONS)
        return self

    def chosen_by(self, function, by="r/x"):
        """Validation results: for each model the value that each example has."""
        self.validated = self._scored(lambda axes, _: function(axes), by, 20)
        return self

    def _scored(self, function, name, examples):
        scorer, _, metric = name.partition("/")
        rows = [(axes, i, function(axes, i)) for axes in self.models for i in range(examples)]
        return [
            {
                **{name: axes[name] for name in MODEL},
                **dict(Score(id=str(i), scorer=scorer, metric=metric, value=value)),
            }
            for axes, i, value in rows
            if value is not None
        ]

    def table(self, choose, by, losses=None, answered=None, config_of=None):
        """The choices; `answered`: the models that have answered the test examples, if not all."""
        questions = {("t", "s", str(i)): Question(f"question {i}", f"text {i}") for i in range(QUESTIONS)}
        measured = list(measure(self._table(self.scores), questions, FACTS, {}))
        validation = measured_to_choose(self._table(self.validated), FACTS, set())
        of_models = ways_of(pd.DataFrame(self.models, columns=AXES))
        ways = of_models if answered is None else ways_of(pd.DataFrame(answered, columns=AXES))
        return selection_table(
            Selection(choose=choose, by=by),
            ways,
            measured,
            Validation(validation, losses or {}, of_models),
            FACTS,
            config_of or {},
        )

    def _table(self, rows):
        return pd.DataFrame(rows, columns=[*MODEL, *Score.model_fields])


def test_chosen_way_is_reported_by_its_test_result_with_the_best_by_test_beside_it():
    grid = Grid([axes_of("lora"), axes_of("slow"), axes_of("wide")])
    of_test = {"lora": 0.2, "slow": 0.6, "wide": 0.5}
    grid.tested(lambda axes, i: of_test[axes["config"]] + 0.1 * (i % 3 - 1) * (i < 39))
    grid.chosen_by(lambda axes: {"lora": 0.1, "slow": 0.3, "wide": 0.4}[axes["config"]])
    [row] = grid.table("config", "r/x").to_dict("records")
    assert (row["chosen"], row["best_by_test"], row["ways"]) == ("config=wide", "config=slow", 3)
    assert (row["validation_mean"], row["validation_n"], row["ties"]) == (pytest.approx(0.4), 20, 1)
    assert (row["chosen_mean"], row["best_mean"], row["optimism"]) == pytest.approx((0.5, 0.6, 0.1))
    assert row["low"] < row["chosen_mean"] < row["high"]
    # The two differ by the same on every question.
    assert (row["n"], row["clusters"], row["seeds"]) == (40, 40, 1)
    # The axes: those of the choice are empty.
    assert (row["base_model"], row["task"], row["nb_samples"]) == ("m", "t", 4)
    assert pd.isna(row["config"])
    assert pd.isna(row["note"])


def test_a_setting_is_chosen_for_each_config():
    results = {"lora-rank4": 0.2, "lora-rank8": 0.5, "dora-rank4": 0.3, "dora-rank8": 0.1, "plain": 0.9}
    grid = Grid([axes_of(name) for name in results])
    grid.tested(lambda axes, i: results[axes["config"]])
    grid.chosen_by(lambda axes: results[axes["config"]])
    config_of = {name: name.partition("-")[0] for name in results if "-" in name}
    rows = grid.table("setting", "r/x", config_of=config_of).to_dict("records")
    assert [(row["config"], row["chosen"], row["ways"]) for row in rows] == [
        ("lora", "setting=lora-rank8", 2),
        ("dora", "setting=dora-rank4", 2),
    ]
    assert [row["chosen_mean"] for row in rows] == pytest.approx([0.5, 0.3])
    [among_all] = grid.table("config", "r/x", config_of=config_of).to_dict("records")
    assert (among_all["chosen"], among_all["ways"]) == ("config=plain", 5)


def test_optimism_has_the_interval_of_the_paired_difference_on_the_same_questions():
    grid = Grid([axes_of("lora"), axes_of("slow")])
    grid.tested(lambda axes, i: float((i % 4 > 0) if axes["config"] == "slow" else (i % 4 > 1)))
    grid.chosen_by(lambda axes: float(axes["config"] == "lora"))
    [row] = grid.table("config", "r/x").to_dict("records")
    assert row["optimism"] == pytest.approx(0.25)
    assert 0 < row["optimism_low"] < 0.25 < row["optimism_high"] < 0.5


def test_validation_that_agrees_with_the_test_has_no_optimism():
    grid = Grid([axes_of("lora"), axes_of("slow")])
    grid.tested(lambda axes, i: 0.5 if axes["config"] == "lora" else 0.4 - 0.01 * i).chosen_by(
        lambda axes: axes["config"] == "lora"
    )
    [row] = grid.table("config", "r/x").to_dict("records")
    assert (row["chosen"], row["best_by_test"], row["optimism"]) == ("config=lora", "config=lora", 0.0)
    assert math.isnan(row["optimism_low"])
    # Equal results on test do not count against what was chosen.
    [row] = (
        grid.tested(lambda axes, i: 0.5)
        .chosen_by(lambda axes: axes["config"] == "slow")
        .table("config", "r/x")
        .to_dict("records")
    )
    assert (row["best_by_test"], row["optimism"]) == ("config=slow", 0.0)


def test_where_less_is_better_optimism_is_still_what_the_best_seems_better():
    grid = Grid([axes_of("lora"), axes_of("slow")])
    grid.tested(lambda axes, i: (10.0 if axes["config"] == "lora" else 12.0) + i % 2, "p", "perplexity")
    grid.chosen_by(lambda axes: 3.0 if axes["config"] == "slow" else 4.0, "p/perplexity")
    [row] = grid.table("config", "p/perplexity").to_dict("records")
    assert (row["chosen"], row["best_by_test"], row["optimism"]) == ("config=slow", "config=lora", pytest.approx(2.0))
    assert bool(row["lower_is_better"])


def test_way_is_the_mean_over_its_seeds_on_both_sides():
    models = [axes_of(config, seed) for config in ("lora", "slow") for seed in (1, 2, 3)]
    grid = Grid(models).tested(lambda axes, i: (0.5 if axes["config"] == "lora" else 0.3) + 0.1 * axes["seed"] + 0.01 * (i % 2))
    grid.chosen_by(
        lambda axes: {("lora", 1): 0.9, ("slow", 1): 0.8}.get((axes["config"], axes["seed"]), 0.5 * (axes["config"] == "slow"))
    )
    [row] = grid.table("config", "r/x").to_dict("records")
    assert (row["chosen"], row["seeds"]) == ("config=slow", 3)
    assert (row["validation_mean"], row["chosen_mean"]) == pytest.approx((0.6, 0.505))


def test_each_of_several_deciders_makes_a_choice_of_its_own():
    models = [axes_of("lora"), axes_of("slow")]
    grid = Grid(models).tested(lambda axes, i: 0.1 * (i % 3)).chosen_by(lambda axes: axes["config"] == "lora")
    losses = {("m", axes["run"]): Validated(2.0 - (axes["config"] == "slow"), 3, "mix") for axes in models}
    table = grid.table("config", ["r/x", "validation_loss"], losses)
    assert dict(zip(table["by"], table["chosen"], strict=True)) == {"r/x": "config=lora", "validation_loss": "config=slow"}


def test_base_models_have_no_validation_loss_and_no_seeds():
    models = [BASE, BASE | {"prompt_variant": "short"}]
    grid = Grid(models).tested(lambda axes, i: 0.1 * (i % 3)).chosen_by(lambda axes: axes["prompt_variant"] == "short")
    table = grid.table("prompt_variant", ["r/x", "validation_loss"])
    assert list(zip(table["by"], table["chosen"], table["seeds"], strict=True)) == [("r/x", "prompt_variant=short", 0)]


def test_choice_that_cannot_be_made_says_why():
    models = [axes_of("lora"), axes_of("slow")]
    grid = Grid(models).tested(lambda axes, i: 0.1).chosen_by(lambda axes: 0.5 if axes["config"] == "lora" else None)
    losses = {("m", axes["run"]): Validated(2.0, 3, axes["config"]) for axes in models}
    table = grid.table("config", ["r/x", "validation_loss"], losses)
    assert table["chosen"].isna().all()
    assert list(table["note"]) == [
        "1 of 2 ways have no result on validation data",
        "the ways were validated on different examples",
    ]
    # In an unfinished grid.
    grid.validated = []
    assert list(grid.table("config", "r/x")["note"]) == ["2 of 2 ways have no result on validation data"]


def test_nothing_is_chosen_while_a_way_lacks_its_test_result():
    models = [axes_of("lora"), axes_of("slow"), axes_of("wide")]
    grid = Grid(models).tested(lambda axes, i: 0.1 if axes["config"] != "wide" else None).chosen_by(lambda axes: 0.5)
    losses = {("m", axes["run"]): Validated(2.0, 3, "mix") for axes in models}
    for answered in (models, models[:2]):
        table = grid.table("config", ["r/x", "validation_loss"], losses, answered)
        assert list(table["ways"]) == [3, 3]
        assert table["chosen"].isna().all()
        assert list(table["note"]) == ["1 of 3 ways have no result on test data"] * 2
    # Or while none has one.
    grid.scores = []
    assert list(grid.table("config", "r/x")["note"]) == ["3 of 3 ways have no result on test data"]


def test_way_with_test_results_alone_competes_too():
    models = [axes_of("lora"), axes_of("slow")]
    grid = Grid(models).tested(lambda axes, i: 0.1).chosen_by(lambda axes: 0.5 if axes["config"] == "lora" else None)
    grid.models = models[:1]
    table = grid.table("config", "r/x", answered=models)
    assert list(table["note"]) == ["1 of 2 ways have no result on validation data"]


def test_ways_of_a_task_without_the_deciding_scorer_and_without_competitors_make_no_row():
    grid = Grid([axes_of("lora"), axes_of("slow")]).tested(lambda axes, i: 0.1)
    table = grid.table("config", "other/y")
    assert table.empty
    assert list(table.columns) == COLUMNS
    assert Grid([axes_of("lora")]).tested(lambda axes, i: 0.1).chosen_by(lambda axes: 1.0).table("config", "r/x").empty


def test_report_shows_the_metric_that_decides_and_how_often_validation_agrees_with_the_test():
    models = [axes_of(config, nb_samples=n) for n in (4, 8) for config in ("lora", "slow")]
    grid = Grid(models).tested(lambda axes, i: 0.1 * (i % 3) + 0.2 * ((axes["config"] == "slow") == (axes["nb_samples"] == 8)))
    grid.chosen_by(lambda axes: axes["config"] == "lora")
    [shown] = shown_choices(grid.table("config", "r/x"), "r/other")
    assert (shown["metric"], shown["agreed"], shown["differ"], shown["decided"]) == ("r/x", 1, 2, 2)
    assert shown["optimism"] == pytest.approx(0.1)
    assert [(row["setting"], row["chosen"]) for row in shown["rows"]] == [("n=4", "config=lora"), ("n=8", "config=lora")]


def test_report_counts_no_agreement_where_all_ways_are_equal_on_test():
    models = [axes_of(config, nb_samples=n) for n in (4, 8) for config in ("lora", "slow", "wide")]
    grid = Grid(models).tested(lambda axes, i: 0.1 * (axes["config"] == "wide") * (axes["nb_samples"] == 8) + 0.3)
    grid.chosen_by(lambda axes: axes["config"] == "wide")
    table = grid.table("config", "r/x")
    assert list(table["best_ties"]) == [3, 1]
    [shown] = shown_choices(table, "r/x")
    assert (shown["agreed"], shown["differ"], shown["decided"]) == (1, 1, 2)


def test_choices_by_validation_loss_among_ways_without_the_main_metric_are_shown_in_their_first_metric():
    models = [axes_of(config, nb_samples=n) for n in (4, 8) for config in ("lora", "slow")]
    losses = {("m", axes["run"]): Validated(2.0 - (axes["config"] == "slow"), 3, "mix") for axes in models}
    grid = Grid(models).tested(lambda axes, i: 0.5 if axes["nb_samples"] == 4 else None, "r", "y")
    others = list(grid.scores)
    grid.tested(lambda axes, i: 0.1 if axes["nb_samples"] == 8 else None, "r", "x")
    grid.scores += others
    shown = shown_choices(grid.table("config", "validation_loss", losses), "r/x")
    assert {one["metric"]: [row["nb_samples"] for row in one["rows"]] for one in shown} == {"r/y": [4], "r/x": [8]}


def test_report_shows_why_nothing_is_chosen_yet():
    models = [axes_of(config, nb_samples=n) for n in (4, 8) for config in ("lora", "slow")]
    grid = Grid(models).tested(lambda axes, i: 0.5)
    [shown] = shown_choices(grid.table("config", "validation_loss", {}), "r/x")
    assert (shown["metric"], len(shown["rows"]), shown["decided"]) == ("r/x", 2, 0)
