import json

import pandas as pd

from loragrid.analysis import analyse, describe_data
from loragrid.records import Prediction, Score, write_records
from loragrid.report import circumstances_of, grid_state, headline, leaking_mixes, number, write_report


def test_state_counts_what_is_there_and_gives_the_reason_for_what_is_not(tmp_path):
    (tmp_path / "there").write_text("")
    (tmp_path / "failed.log").write_text("starting\nerror: data.jsonl, line 3: not valid JSON.\n")
    targets = [(str(tmp_path / name), str(tmp_path / f"{name}.log")) for name in ("there", "failed", "waiting")]
    [state] = grid_state({"datasets": targets})
    assert (state["expected"], state["present"]) == (3, 1)
    assert [m["reason"] for m in state["missing"]] == [
        "data.jsonl, line 3: not valid JSON.",
        "not started; something that it needs is missing",
    ]


def test_headline_judges_each_data_set_by_its_largest_runs_not_by_its_best():
    row = {"base_model": "m", "sample_type": "s", "trained_sample_type": "s", "scorer": "r", "metric": "x", "standard_error": 0.1}
    rows = [
        row | {"trained_task": "a", "task": "a", "nb_samples": 8, "mean_difference": 0.9},
        row | {"trained_task": "a", "task": "a", "nb_samples": 32, "mean_difference": -0.1},
        row | {"trained_task": "b", "task": "b", "nb_samples": 32, "mean_difference": 0.1},
        row | {"trained_task": "b", "task": "b", "nb_samples": 32, "mean_difference": 0.3, "metric": "other"},
        # What a run does on a data set that it was not trained for does not count.
        row | {"trained_task": "b", "task": "a", "nb_samples": 64, "mean_difference": 0.9},
        # Nor do predictions that were made elsewhere.
        row | {"trained_task": None, "trained_sample_type": None, "task": "a", "nb_samples": None, "mean_difference": 0.9},
    ]
    expected = {"datasets": 2, "datasets_gained": 1, "runs": 3, "runs_gained": 2, "runs_clear": 1}
    assert headline(pd.DataFrame(rows), "r/x") == expected


def test_what_a_model_wrote_is_shown_as_text_and_never_as_markup(tmp_path):
    common = {
        "task": "t",
        "sample_type": "s",
        "base_model": "m",
        "prompt": "</pre><b>",
        "reference": "ref",
        "runtime_s": 1.0,
        "queue_s": 0.0,
        "compute_s": 1.0,
    }
    common |= {
        "prompt_tokens": 3,
        "new_tokens": 4,
        "finish_reason": "stop",
        "batch_size": 2,
        "engine": "e",
        "engine_version": "1",
    }
    path = tmp_path / "predictions/t/s/m/base.jsonl"
    write_records(path, [Prediction(id="1", run="base", prediction="<script>alert(1)</script>{{ 7 * 7 }}", **common)])
    score = tmp_path / "scores/t/s/m/base/r.jsonl"
    write_records(score, [Score(id="1", scorer="r", metric="x", value=0.25)])
    known = {"metric": "r/x", "prices": {}, "judge_prices": {}, "types": {"r": "rouge"}, "group_by": {}, "levels": {}}
    analyse([path], [score], [], [], [], known, tmp_path / "tables", tmp_path / "figures")
    describe_data([], [], [], [], [], tmp_path / "tables", tmp_path / "figures")
    settings = {"title": "A & B", "examples": 1}
    write_report(tmp_path / "r.html", settings, "r/x", grid_state({}), tmp_path / "tables", tmp_path / "figures", [], [], [])
    html = (tmp_path / "r.html").read_text()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in html
    assert "&lt;/pre&gt;&lt;b&gt;" in html
    assert "<title>A &amp; B</title>" in html
    assert "0.250" in html


def test_numbers_are_rounded_for_the_reader_and_missing_ones_dashed():
    assert [number(1234.5678, 1), number(0.12345), number(float("nan")), number(None)] == ["1,234.6", "0.123", "–", "–"]


def test_circumstances_count_the_files_that_were_computed_here(tmp_path):
    facts = {"git_commit": "c", "versions": {"python": "3"}}
    for name, more in (("a", {"hardware": "h"}), ("b", {"hardware": "h"}), ("imported", {})):
        (tmp_path / name).write_text(json.dumps(facts | more))
    assert circumstances_of(sorted(tmp_path.iterdir())) == [facts | {"hardware": "h", "files": 2}]


def test_mix_that_holds_test_examples_is_named_with_the_test_sets(tmp_path, make_example):
    leaks = tmp_path / "leaks.json"
    leaks.write_text('{"train": {"1": ["t/s", "u/s"], "2": ["t/s"], "9": ["t/s"]}, "validation": {}}')
    write_records(tmp_path / "clean.jsonl", [make_example("3")])
    write_records(tmp_path / "leaking.jsonl", [make_example("1"), make_example("2"), make_example("3")])
    found = leaking_mixes([leaks], [tmp_path / "clean.jsonl", tmp_path / "leaking.jsonl"])
    assert found == [{"mix": str(tmp_path / "leaking.jsonl"), "tests": ["t/s (2)", "u/s (1)"]}]
