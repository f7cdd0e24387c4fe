import json

import pandas as pd
import pytest

from loragrid.analysis.findings import headline, lost_in_thoughts, strong_baselines
from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.provenance import circumstances_of, leaking_mixes
from loragrid.analysis.report import number, write_report
from loragrid.analysis.settings import AnalysisSettings, ReportContents
from loragrid.analysis.tables_and_figures import analyse, describe_data
from loragrid.layout import ANALYSE, DESCRIBE_DATA, Evaluation
from loragrid.records import Prediction, Score, write_records


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
    row |= {"lower_is_better": False}
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


def report_on(folder, scored, answer="yes"):
    """The report, called "A & B", on one answer of each task, base model and run, with the scorer of each."""
    common = {
        "sample_type": "s",
        "prompt": "</pre><b>",
        "reference": "ref",
        "runtime_s": 1.0,
        "queue_s": 0.0,
        "compute_s": 1.0,
        "prompt_tokens": 3,
        "new_tokens": 4,
        "finish_reason": "stop",
        "batch_size": 2,
        "engine": "e",
        "engine_version": "1",
    }
    predictions, scores = [], []
    for task, base_model, run, scorer in scored:
        predictions.append(folder / f"predictions/{task}/s/{base_model}/{run}.jsonl")
        *_, name, prompting, prompt, decoding = Evaluation.of_place(f"t/s/m/{run}")
        asked = {"prompting": prompting, "prompt_variant": prompt, "decoding": decoding}
        prediction = Prediction(id="1", task=task, base_model=base_model, run=name, prediction=answer, **common, **asked)
        write_records(predictions[-1], [prediction])
        scores.append(folder / f"scores/{task}/s/{base_model}/{run}/{scorer}.jsonl")
        write_records(scores[-1], [Score(id="1", scorer=scorer, metric="x", value=0.25)])
    facts = {scorer: {"type": "rouge", "lower_is_better": [], "worst": {}} for *_, scorer in scored}
    told = {"metric": "r/x", "prices": {}, "judge_prices": {}, "kinds": facts, "group_by": {}, "levels": {}}
    files = ANALYSE.below(folder) | DESCRIBE_DATA.below(folder)
    analyse(predictions, scores, [], [], [], AnalysisSettings.model_validate(told), files)
    describe_data([], [], [], [], [], files)
    contents = ReportContents(title="A & B", examples=1)
    write_report(folder / "r.html", contents, "r/x", grid_state({}), files, [], [], [])
    return (folder / "r.html").read_text()


def test_several_base_models_are_named_also_where_the_first_metric_is_about_one(tmp_path):
    html = report_on(
        tmp_path, [("t", "m", "base", "r"), ("u", "m", "base", "q"), ("u", "n", "base", "q"), ("v", "external", "x", "q")]
    )
    for row in ("t<small>s · m", "u<small>s · m", "u<small>s · n", "v<small>s<"):
        assert f'<th scope="row">{row}' in html


def test_names_that_look_like_numbers_or_like_nothing_are_names(tmp_path):
    html = report_on(tmp_path, [("null", "3", "base~zero_shot~1", "r"), ("null", "3", "base~zero_shot~2", "r")])
    costs = html[html.index('id="costs"') :]
    for prompt in ("1", "2"):
        assert f'<th scope="row">null<small>s</small></th><td>base, prompt {prompt}</td>' in costs


@pytest.mark.parametrize(("lower", "strong"), [(False, "copy (baseline)"), (True, "empty (baseline)")])
def test_baseline_that_is_as_good_as_every_model_is_named(lower, strong):
    of = {"task": "t", "sample_type": "s", "trained_task": None, "scorer": "r", "metric": "x", "lower_is_better": lower}
    of |= {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    of |= dict.fromkeys(("trained_sample_type", "mix", "config", "loss_computation", "seed", "nb_samples"))
    means = {("m", "base"): 0.5, ("m", "other"): 0.3, ("baseline", "copy"): 0.5, ("baseline", "empty"): 0.1}
    rows = [of | {"base_model": model, "run": run, "mean": mean} for (model, run), mean in means.items()]
    [best] = strong_baselines(pd.DataFrame(rows), "r/x")
    assert best["baseline"] == strong
    assert best["best_model"] == (0.3 if lower else 0.5)
    assert strong_baselines(pd.DataFrame(rows[:2]), "r/x") == []


def test_answers_that_thoughts_left_empty_are_counted():
    of = {"task": "t", "sample_type": "s", "base_model": "m", "trained_task": None}
    of |= {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    of |= dict.fromkeys(("trained_sample_type", "mix", "config", "loss_computation", "seed", "nb_samples"))
    texts = {"base": [("yes", "hm"), ("", "hm"), ("", "hm")], "theirs": [("", None), ("yes", None)], "their-lora": [("", "")]}
    rows = [of | {"run": run, "prediction": text, "thoughts": thoughts} for run in texts for text, thoughts in texts[run]]
    [found] = lost_in_thoughts(pd.DataFrame(rows))
    assert (found["task"], found["label"], found["empty"], found["answers"]) == ("t", "base", 2, 3)


def test_what_a_model_wrote_is_shown_as_text_and_never_as_markup(tmp_path):
    html = report_on(tmp_path, [("t", "m", "base", "r")], "<script>alert(1)</script>{{ 7 * 7 }}")
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
    leaking = leaking_mixes([leaks], [tmp_path / "clean.jsonl", tmp_path / "leaking.jsonl"])
    assert leaking == [{"mix": str(tmp_path / "leaking.jsonl"), "tests": ["t/s (2)", "u/s (1)"]}]
