import json

import pandas as pd
import pytest

from loragrid.analysis.columns import MODEL, RUN
from loragrid.analysis.reading import read_losses
from loragrid.analysis.selection.choice import choose
from loragrid.analysis.selection.validation import (
    Validated,
    Validation,
    left_out_of_choice,
    measured_to_choose,
    read_validation,
    validated_by_loss,
)
from loragrid.data.decontamination import Leaks, write_leaks
from loragrid.layout import Dataset, Run
from loragrid.records import Score
from loragrid.scoring.scorer import ScorerFacts

FACTS = {"r": ScorerFacts(type="rouge", lower_is_better=[], worst={})}
KEY = ("m", "t", "s", "base", "zero_shot", "default", "greedy")


OTHER = ("m", "t", "s", "base", "zero_shot", "short", "greedy")
DATA = Dataset("t", "s")


def scores(*values, key=KEY, metric="x"):
    return pd.DataFrame(
        [
            dict(zip(MODEL, key, strict=True))
            | dict(Score(id=str(i), scorer="r", metric=metric, value=value, status="ok" if value is not None else "bad"))
            for i, value in enumerate(values)
        ]
    )


def validated(*tables, left_out=(), facts=FACTS, by="r/x"):
    measured = measured_to_choose(pd.concat(tables, ignore_index=True), facts, set(left_out))
    return Validation(measured, {}, {}).of(by, DATA, {("a",): {0: KEY}, ("b",): {0: OTHER}})


NO_WORST = {"r": ScorerFacts(type="judge", lower_is_better=[], worst={"x": None})}


def test_result_is_the_mean_over_the_validation_examples():
    assert validated(scores(1.0, 0.5), scores(0.0, 0.5, key=OTHER)) == {("a",): Validated(0.75, 2), ("b",): Validated(0.25, 2)}


def test_failed_score_counts_as_in_test_results():
    assert validated(scores(1.0, None, 0.5, 0.5), scores(0, 0, 0, 0, key=OTHER))["a",] == Validated(0.5, 4)


def test_ways_are_compared_on_the_examples_that_have_a_result_of_all_of_them():
    # Different answers were not judged: no failure has a worst value here.
    found = validated(scores(1.0, None, 0.5, 0.0), scores(None, 1.0, 0.25, 0.25, key=OTHER), facts=NO_WORST)
    assert found == {("a",): Validated(0.25, 2), ("b",): Validated(0.25, 2)}
    fewer = validated(scores(1.0, 0.5), scores(None, 0.25, key=OTHER), facts=NO_WORST)
    assert fewer == {("a",): Validated(0.5, 1), ("b",): Validated(0.25, 1)}
    assert choose(fewer, lower_is_better=False).way == ("a",)


def test_way_without_any_result_has_none_and_the_others_have_theirs():
    for lacking in ([], [scores(None, None, key=OTHER)], [scores(1.0, key=OTHER, metric="y")]):
        found = validated(scores(1.0, 0.5), *lacking, facts=NO_WORST)
        assert found == {("a",): Validated(0.75, 2), ("b",): None}
    assert validated(scores(1.0), by="r/other") == {("a",): None, ("b",): None}


def test_nothing_is_chosen_where_no_example_has_results_of_all_ways():
    found = validated(scores(1.0, None), scores(None, 1.0, key=OTHER), facts=NO_WORST)
    assert choose(found, lower_is_better=False).why_not == "no validation example has results of all ways"


def test_validation_example_that_a_test_set_asks_decides_on_nothing(tmp_path):
    path = tmp_path / "datasets/t/s/leaks.json"
    write_leaks(path, {"train": Leaks({"0": ["u/s"]}, {}), "validation": Leaks({"1": ["u/s"]}, {"2": ["u/s"]})})
    left_out = left_out_of_choice([path])
    assert left_out == {("t", "s", "1")}
    assert validated(scores(1.0, 0.0, 0.5), scores(0, 0, 0, key=OTHER), left_out=left_out)["a",] == Validated(0.75, 2)
    assert validated(scores(1.0), left_out={("t", "s", "0")}) == {("a",): None, ("b",): None}


def test_unfinished_grid_may_have_no_validation_results_yet():
    found = read_validation([], [], [], [], read_losses([]), [], FACTS)
    assert found.of("r/x", DATA, {("a",): {0: KEY}, ("b",): {0: OTHER}}) == {("a",): None, ("b",): None}
    assert found.ways == {}


@pytest.fixture
def trained(tmp_path):
    def train(keep, losses):
        run = Run("m", "t", "s", "alone", 4, "lora", "completion", 1)
        path = tmp_path / "manifest.json"
        told = {
            "run": run._asdict(),
            "config": {"keep": keep},
            "fingerprints": {"validation": "abc"},
            "examples": {"validation": 3},
        }
        path.write_text(json.dumps(told))
        of_run = dict(zip(RUN, ("m", "t", "s", run.name), strict=True))
        course = pd.DataFrame([of_run | {"step": step, "validation_loss": loss} for step, loss in enumerate(losses)])
        return validated_by_loss(course, [path]).get(("m", run.name))

    return train


def test_validation_loss_is_that_of_the_weights_that_the_training_kept(trained):
    assert trained("last", [3.0, None, 1.0, 2.0]) == Validated(2.0, 3, "abc")
    assert trained("best", [3.0, None, 1.0, 2.0]) == Validated(1.0, 3, "abc")
    # The weights before training may be the best.
    assert trained("best", [0.5, 2.0]) == Validated(0.5, 3, "abc")


def test_training_that_did_not_validate_has_no_validation_loss(trained):
    assert trained("last", [None, None]) is None
    assert trained("best", [None, None]) is None


def test_last_weights_whose_loss_is_no_number_have_no_validation_loss(trained):
    assert trained("last", [3.0, 1.0, None]) is None
    assert trained("best", [3.0, 1.0, None]) == Validated(1.0, 3, "abc")
