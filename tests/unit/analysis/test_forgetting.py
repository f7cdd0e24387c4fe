"""How much trainings have forgotten: on a text of general language, and on tasks that they were not trained for."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from loragrid.analysis.comparisons import compare_with_base
from loragrid.analysis.forgetting import COLUMNS, by_way, forgetting_table, forgotten_of, loss_difference
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.forgetting_rows import forgetting_table as page_of
from loragrid.analysis.summaries import summarise
from loragrid.errors import DamagedError
from loragrid.layout import PROBE
from unit.analysis.grids import MAIN, base, made, run


def compared(*results, **more):
    """The comparisons with base models of made-up results."""
    scores, predictions, _, told = made(*results, **more)
    return compare_with_base(scores, summarise(scores.assign(truncated=[[]] * len(scores)), predictions, told.kinds), told.kinds)


NO_COMPARISONS = compared((base(), [0.5]))


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """Write what a model makes of a text; returns the file."""
    monkeypatch.chdir(tmp_path)

    def write(losses, name="base", model="m", tokens=(10, 20), sizes=(50, 100), dtype="float32"):
        path = tmp_path / PROBE.path("probe", {"base_model": model, "run": name})
        passages = [{"bytes": b, "tokens": t, "loss": loss} for b, t, loss in zip(sizes, tokens, losses, strict=True)]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"passages": passages, "dtype": dtype, "versions": {}}))
        return path

    return write


def test_what_a_training_has_forgotten_is_the_loss_of_a_token_above_that_of_its_base_model(probe):
    name = run()["run"]
    table = forgetting_table([probe([30, 60]), probe([36, 66], name)], NO_COMPARISONS, MAIN)
    [row] = table.to_dict("records")
    assert (row["base_model"], row["run"], row["trained_task"], row["config"], row["seed"]) == ("m", name, "t", "c", 1)
    assert (row["base_loss"], row["loss"]) == (90 / 30, 102 / 30)
    assert row["forgotten"] == pytest.approx(12 / 30)
    assert row["bits_forgotten"] == pytest.approx(12 / 150 / math.log(2))
    assert (row["passages"], row["tokens"]) == (2, 30)
    assert list(table.columns) == COLUMNS


def test_loss_on_another_text_than_that_of_the_base_model_is_not_compared(probe):
    [row] = forgetting_table([probe([30, 60], tokens=(10, 21)), probe([36, 66], run()["run"])], NO_COMPARISONS, MAIN).to_dict(
        "records"
    )
    assert row["loss"] == 102 / 30
    assert math.isnan(row["forgotten"])


def test_loss_in_another_number_type_than_that_of_the_base_model_is_not_compared(probe):
    probes = [probe([30, 60]), probe([36, 66], run()["run"], dtype="bfloat16")]
    [row] = forgetting_table(probes, NO_COMPARISONS, MAIN).to_dict("records")
    assert row["loss"] == 102 / 30
    assert math.isnan(row["forgotten"])
    assert math.isnan(row["base_loss"])


def test_interval_of_the_difference_holds_the_truth_as_often_as_it_says():
    """Passages of different lengths, with differences that are drawn around the truth."""
    random, truth, held = np.random.default_rng(0), 0.2, 0
    for _ in range(1000):
        tokens = random.integers(150, 250, 8)
        differences = tokens * truth + random.normal(0, 8, 8)
        base_losses = random.normal(600, 60, 8)
        found = loss_difference(base_losses + differences, base_losses, tokens)
        held += found.low <= truth <= found.high
    assert 930 <= held <= 970


def test_change_on_other_tasks_is_the_mean_difference_from_the_base_model_in_the_main_metric():
    results = [(base(), [0.5, 0.5]), (base(task="u"), [0.5, 0.7]), (base(task="v"), [0.2, 0.2])]
    results += [(run(), [0.9, 0.9]), (run(task="u", own="t"), [0.4, 0.4]), (run(task="v", own="t"), [0.1, 0.1])]
    [row] = forgetting_table([], compared(*results), MAIN).to_dict("records")
    assert row["other_change"] == pytest.approx((-0.2 - 0.1) / 2)
    assert (row["other_metric"], row["other_tasks"]) == ("r/x", 2)
    assert math.isnan(row["forgotten"])
    # Means of different metrics are not comparable.
    mixed = [*results, (base(task="v"), [0.3, 0.3], "e/y"), (run(task="v", own="t"), [0.1, 0.1], "e/y")]
    main = MainMetrics("r/x", {"v": "e/y"})
    [row] = forgetting_table([], compared(*mixed, task_metrics=main.of_tasks), main).to_dict("records")
    assert math.isnan(row["other_change"])
    assert row["other_tasks"] == 2


def test_task_of_which_the_mix_holds_examples_is_no_other_task():
    results = [(base(), [0.5, 0.5]), (base(task="u"), [0.5, 0.7]), (base(task="v"), [0.2, 0.2])]
    results += [(run(), [0.9, 0.9]), (run(task="u", own="t"), [0.9, 0.9]), (run(task="v", own="t"), [0.1, 0.1])]
    [row] = forgetting_table([], compared(*results), MAIN, {"x": ["t", "u"], "y": ["v"]}).to_dict("records")
    assert row["other_change"] == pytest.approx(-0.1)
    assert row["other_tasks"] == 1


def test_training_that_is_tested_on_its_own_task_alone_and_not_probed_has_no_row():
    assert forgetting_table([], compared((base(), [0.5, 0.5]), (run(), [0.9, 0.9])), MAIN).empty


def test_way_has_the_mean_of_its_trainings(probe):
    probes = [probe([30, 60]), probe([36, 66], run(seed=1)["run"]), probe([30, 66], run(seed=2)["run"])]
    table = forgetting_table(probes, NO_COMPARISONS, MAIN)
    way = run()["run"].removesuffix("__seed1")
    assert forgotten_of(table) == {("m", way): pytest.approx(9 / 30)}
    assert by_way(table).to_dict("records") == [
        {"base_model": "m", "way": way, "forgotten": pytest.approx(9 / 30), "other_change": pytest.approx(math.nan, nan_ok=True)}
    ]
    assert by_way(table.iloc[:0]).empty


def test_file_of_a_probe_that_is_damaged_is_named(probe):
    path = probe([30, 60])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"passages": [{"bytes": 1, "tokens": 2}]}))
    with pytest.raises(DamagedError, match=r"base.json.*passages"):
        forgetting_table([path], NO_COMPARISONS, MAIN)


def test_page_shows_the_difference_with_its_interval(probe):
    name = run()["run"]
    table = forgetting_table([probe([30, 60]), probe([36, 66], name)], NO_COMPARISONS, MAIN)
    payload = page_of(table, {("m", "t", "s", name): "n=8"}).payload()
    forgotten = next(column for column in payload["columns"] if column["key"] == "forgotten")
    assert (forgotten["kind"], forgotten["low"], forgotten["high"]) == ("estimate", "forgotten_low", "forgotten_high")
    assert payload["rows"]["label"] == ["n=8"]
    assert page_of(table.iloc[:0], {}).rows.empty


def test_tables_of_a_grid_without_probes_have_the_columns_all_the_same():
    table = forgetting_table([], NO_COMPARISONS, MAIN)
    assert list(table.columns) == COLUMNS
    assert isinstance(table, pd.DataFrame)
