import json
import math

import pandas as pd
import pytest

from loragrid.analysis.columns import MODEL
from loragrid.analysis.costs import prediction_costs, read_training_costs, scoring_costs
from loragrid.analysis.reading import read_predictions
from loragrid.records import Score

PRICES = {"m": {"hour": 7.2, "million_prompt_tokens": 10.0, "million_new_tokens": 100.0}}


def test_costs_are_sums_and_shares_over_the_examples(predictions):
    base, run = prediction_costs(read_predictions(predictions), PRICES).to_dict("records")
    assert (base["generation_s"], base["s_per_example"], base["new_tokens"], base["tokens_per_s"]) == (3.0, 1.0, 12, 4.0)
    assert base["share_cut_off"] == pytest.approx(1 / 3)
    assert run["tokens_per_s"] == 8.0
    assert (base["wait_s"], base["answer_s"]) == (2.0, 3.0)
    assert base["cost_per_1000"] == pytest.approx(1000 * (1 / 3600 * 7.2 + (3 * 10 + 4 * 100) / 1e6))
    [unpriced, _] = prediction_costs(read_predictions(predictions), {})["cost_per_1000"]
    assert math.isnan(unpriced)


def test_costs_of_a_judge_are_added_up():
    of = dict(zip(MODEL, ("m", "t", "s", "base", "zero_shot", "default", "greedy"), strict=True))
    usage = {"calls": 2, "prompt_tokens": 100, "new_tokens": 10}
    rows = [of | Score(id=i, scorer="j", metric="x", value=1.0, usage=usage).model_dump() for i in "12"]
    prices = {"j": {"million_prompt_tokens": 1.0, "million_new_tokens": 10.0}}
    [row] = scoring_costs(pd.DataFrame(rows), prices).to_dict("records")
    assert (row["calls"], row["prompt_tokens"], row["new_tokens"]) == (4, 200, 20)
    assert row["cost"] == pytest.approx(0.0004)
    assert scoring_costs(pd.DataFrame(rows), {})["cost"].isna().all()


def test_what_external_predictions_cost_is_unknown_and_changes_no_other_cost(with_external, predictions):
    without_external, table = prediction_costs(read_predictions(predictions), PRICES), read_predictions(with_external[0])
    pd.testing.assert_frame_equal(prediction_costs(table, PRICES), without_external)
    assert table["new_tokens"].dropna().tolist() == [4] * 6
    assert pd.api.types.is_integer_dtype(table["new_tokens"])


def test_costs_of_trainings_have_the_memory_of_the_gpu_where_one_was_used(tmp_path):
    run = dict.fromkeys(("base_model", "task", "sample_type", "mix", "config", "loss_computation"), "x") | {
        "nb_samples": 1,
        "seed": 1,
    }
    costs = {"tokens": 10, "training_s": 1.0, "wall_time_s": 2.0, "peak_memory_mb": 900}
    manifest = {"run": run, "examples": {"train": 1, "input_cut": [], "dropped": []}, **costs}
    (tmp_path / "cpu.json").write_text(json.dumps(manifest))
    (tmp_path / "gpu.json").write_text(json.dumps(manifest | {"peak_gpu_memory_mb": 5000}))
    assert "peak_gpu_memory_mb" not in read_training_costs([tmp_path / "cpu.json"])
    both = read_training_costs([tmp_path / "cpu.json", tmp_path / "gpu.json"])
    assert both["peak_gpu_memory_mb"].fillna(0).tolist() == [0, 5000]
    assert both["peak_memory_mb"].tolist() == [900, 900]
