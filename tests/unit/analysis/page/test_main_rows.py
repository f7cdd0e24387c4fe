"""The main table of the page: a row for each way and data set, its seeds, and the settings of configs."""

import json

import pandas as pd
import pytest

from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.configs import DIFFERS, configs_table, read_hyperparameters
from loragrid.analysis.page.main_rows import main_tables
from loragrid.analysis.page.rank_rows import ranks_table
from loragrid.analysis.page.slice_rows import slices_table
from loragrid.analysis.ranks import rank_ways
from loragrid.analysis.slices.table import slice_ways
from loragrid.analysis.summaries import summarise
from unit.analysis.grids import base, made, measured, run, tables

CLEAR = [0.8, 0.9, 0.7, 0.85] * 4
GRID = [
    (base("baseline") | {"run": "copy"}, [0.4] * 16),
    (run(seed=1), CLEAR),
    (run(seed=2), [value - 0.1 for value in CLEAR]),
    (base(), [0.1] * 16),
]
GRID += [(base(task="u"), [0.3] * 16, "e/y"), (run(task="u", config="d"), [0.2] * 16, "e/y"), (base(task="u"), [0.9] * 16)]
MAIN = MainMetrics("r/x", {"u": "e/y"})
NOTHING_FORGOTTEN = pd.DataFrame({"base_model": [], "run": [], "forgotten": [], "other_change": []})
SETTINGS = {"c": {"rank": "8", "epochs": "1"}, "d": {"rank": "16", "epochs": "1"}}


def made_tables(settings=SETTINGS, forgetting=NOTHING_FORGOTTEN, **more):
    ways, contrasts = tables(*GRID, task_metrics=MAIN.of_tasks, **more)
    scores, predictions, _, told = made(*GRID, task_metrics=MAIN.of_tasks, **more)
    scores = scores.assign(truncated=[[]] * len(scores))
    found = main_tables(ways, contrasts, summarise(scores, predictions, told.kinds), MAIN, settings, forgetting)
    return found["main"].payload(), found["main_seeds"].payload(), ways, contrasts


def records(payload):
    return pd.DataFrame(payload["rows"]).astype(object).to_dict("records")


def test_each_way_is_a_row_in_the_main_metric_of_its_task_the_base_model_first_and_baselines_last():
    main, *_ = made_tables()
    found = [(row["task"], row["label"], row["metric_name"]) for row in records(main)]
    assert found == [
        ("t", "base", "r/x"),
        ("t", "n=8, c", "r/x"),
        ("t", "copy (baseline)", "r/x"),
        ("u", "base", "e/y"),
        ("u", "n=8, d", "e/y"),
    ]


def test_what_was_forgotten_is_a_column_where_it_is_known():
    of_run = {"base_model": ["m"], "run": [run()["run"]], "forgotten": [0.25], "other_change": [float("nan")]}
    main, *_ = made_tables(forgetting=pd.DataFrame(of_run))
    shown = [column["key"] for column in main["columns"] if not column.get("hidden")]
    assert "forgotten" in shown
    assert "other_change" not in shown
    assert main["rows"]["forgotten"] == [None, 0.25, None, None, None]
    assert "forgotten" not in [column["key"] for column in made_tables()[0]["columns"] if not column.get("hidden")]


def test_figures_are_those_of_the_tables():
    main, _, ways, contrasts = made_tables()
    row = records(main)[1]
    way = ways[(ways["task"] == "t") & (ways["trained_task"] == "t")].iloc[0]
    against = contrasts[(contrasts["axis"] == "training") & (contrasts["task"] == "t")].iloc[0]
    assert [row[name] for name in ("mean", "low", "high", "n", "seeds", "standing", "baseline")] == [
        way[name] for name in ("mean", "low", "high", "n", "seeds", "standing", "baseline")
    ]
    assert [row[name] for name in ("difference", "difference_low", "difference_high", "verdict")] == [
        against[name] for name in ("difference", "low", "high", "verdict")
    ]
    # The means of both trainings differ by 0.1.
    assert row["between_seeds"] == pytest.approx(0.1 / 2**0.5)
    assert (row["rank"], records(main)[4]["rank"], records(main)[0]["rank"]) == ("8", "16", "")
    assert records(main)[0]["difference"] is None or pd.isna(records(main)[0]["difference"])


def test_what_matters_comes_first_and_the_rest_is_hidden():
    main, *_ = made_tables(cut_off="01")
    shown = [column["key"] for column in main["columns"] if not column.get("hidden")]
    assert shown == [
        "label",
        "task",
        "metric_name",
        "mean",
        "difference",
        "verdict",
        "seeds",
        "between_seeds",
        "n",
        "cut_off",
        "rank",
    ]
    by_key = {column["key"]: column for column in main["columns"]}
    assert [by_key["difference"][name] for name in ("kind", "low", "high", "verdict")] == [
        "estimate",
        "difference_low",
        "difference_high",
        "verdict",
    ]
    assert set(main["rows"]["cut_off"]) == {2 / 16}
    # Without failures and cut-off answers, these columns are not needed.
    hidden = {column["key"] for column in made_tables()[0]["columns"] if column.get("hidden")}
    assert {"nb_failed", "cut_off", "standing", "way"} <= hidden


def test_seeds_of_a_way_are_rows_that_it_unfolds_to():
    main, seeds, *_ = made_tables()
    assert main["unfold"] == "main_seeds"
    assert main["key"] == seeds["key"]
    assert [(row["seed"], row["mean"]) for row in records(seeds)] == [(1, pytest.approx(0.8125)), (2, pytest.approx(0.7125))]
    [unfolding] = [row for row in records(main) if row["seeds"] > 1]
    assert all(row[key] == unfolding[key] for row in records(seeds) for key in main["key"])


def test_payload_is_json_without_numbers_that_json_has_not():
    for payload in made_tables()[:2]:
        json.dumps(payload, allow_nan=False)


def manifest(folder, name, config, **settings):
    path = folder / name / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"run": {"config": config}, "config": settings}))
    return path


def test_settings_of_configs_are_those_that_trainings_were_told(tmp_path):
    paths = [
        manifest(tmp_path, "1", "small", rank=8, learning_rate=2e-4, dora=False, target_modules=["q", "v"], patience=None),
        manifest(tmp_path, "2", "large", rank=64, learning_rate=2e-4, dora=False, target_modules=["q", "v"], patience=None),
        manifest(tmp_path, "3", "large", rank=64, learning_rate=1e-3, dora=False, target_modules=["q", "v"], patience=None),
    ]
    found = read_hyperparameters(paths)
    assert found["small"] == {"rank": "8", "learning_rate": "0.0002", "dora": "no", "target_modules": "q, v", "patience": ""}
    assert found["large"]["learning_rate"] == DIFFERS
    table = configs_table(found).payload()
    assert table["rows"]["rank"] == ["8", "64"]
    assert [column["key"] for column in table["columns"] if not column.get("hidden")] == ["config", "rank", "learning_rate"]
    assert len(configs_table({}).rows) == 0


def test_ranks_and_slices_have_rows_with_labels():
    grid = [(base(task=task), [0.1] * 16) for task in "tu"] + [(run(task=task), CLEAR) for task in "tu"]
    ways, of_grid, predictions, main = measured(*grid, cut_off="01")
    ranks = ranks_table(rank_ways(ways, of_grid, main)).payload()
    assert list(zip(ranks["rows"]["rank"], ranks["rows"]["ranks"], ranks["rows"]["label"], strict=True)) == [
        (1, "1", "n=8"),
        (2, "2", "base"),
    ]
    assert ranks["note"] is None
    slices = slices_table(slice_ways(ways, of_grid, {}, predictions, main)).payload()
    assert slices["rows"]["label"] == ["base"] * 2 + ["n=8"] * 2 + ["base"] * 2 + ["n=8"] * 2
    assert slices["rows"]["slice"] == ["cut off", "whole"] * 4
    for payload in (ranks, slices):
        json.dumps(payload, allow_nan=False)
