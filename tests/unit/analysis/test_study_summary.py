"""What `snakemake summary` prints."""

from pathlib import Path

import pandas as pd
import pytest

from loragrid.analysis.settings import AnalysisSettings, ReportContents, SummarySettings
from loragrid.analysis.study_summary import MOST_SENTENCES, summary, told_verdicts
from loragrid.layout import PREDICT, VALIDATION, Evaluation
from loragrid.records import Example, Prediction, Score, read_records, write_records

SCORER = {"r": {"type": "rouge", "lower_is_better": [], "worst": {}}}


@pytest.fixture
def told(tmp_path, monkeypatch, predictions, scores):
    """Of a grid of a base model and two runs, one run is not there."""
    monkeypatch.chdir(tmp_path)
    write_records(
        "datasets/t/s/test.jsonl", [Example(id=i, task="t", sample_type="s", instruction="?", input=i, output="b") for i in "123"]
    )
    files = [path.relative_to(tmp_path).as_posix() for path in (*predictions, *scores)]
    missing = "predictions/t/s/m/t__s__y.jsonl"
    return SummarySettings(
        version=1,
        report=ReportContents(title="Whether \x1b[2J it helps", examples=1),
        settings=AnalysisSettings(metric="r/x", prices={}, judge_prices={}, kinds=SCORER, group_by={}, levels={}),
        tiers={
            "datasets": [("datasets/t/s/test.jsonl", "d.log")],
            "predictions": [(file, f"{file}.log") for file in [*files[:2], missing]],
            "scores": [(file, f"{file}.log") for file in files[2:]],
        },
        tables="results/tables",
    )


def test_summary_shows_title_state_table_and_verdicts(told):
    blocks = summary(told, 90, bold=False).split("\n\n")
    assert blocks[0].splitlines()[0] == r"Whether \x1b[2J it helps"
    assert blocks[0].splitlines()[1].startswith("Not complete: predictions 2 of 3. snakemake partial_report ")
    assert blocks[1] == "r/x"
    assert [line.split()[:2] for line in blocks[2].splitlines()[2:]] == [["base", "model"], ["fine-tuned", "0.500"]]
    assert blocks[-1].startswith("Verdicts that hold together (main): 1 undecided.\n  ")


def test_summary_of_a_whole_grid_says_nothing_of_missing_files(told):
    whole = told.model_copy(update={"tiers": told.tiers | {"predictions": told.tiers["predictions"][:2]}})
    assert "Not complete" not in summary(whole, 90, bold=False)


def test_summary_leaves_damaged_files_out_and_counts_them_as_missing(told):
    Path(told.tiers["scores"][1][0]).write_text("{")
    text = summary(told, 200, bold=False)
    assert "Not complete: predictions 2 of 3, scores 1 of 2." in text
    assert "base model" in text
    assert "fine-tuned" not in text


def test_answers_and_scores_that_ways_are_chosen_by_are_no_results(told):
    place = Evaluation("m", "t", "s", "base", split=VALIDATION)
    answers = read_records(told.tiers["predictions"][0][0], Prediction)
    added = {
        "predictions": PREDICT.path("predictions", place.wildcards).removeprefix("results/"),
        "scores": f"scores/{place.place}/r.jsonl",
    }
    write_records(added["predictions"], [one.model_copy(update={"id": f"v{one.id}", "split": VALIDATION}) for one in answers])
    scores = read_records(told.tiers["scores"][0][0], Score)
    write_records(added["scores"], [one.model_copy(update={"id": f"v{one.id}"}) for one in scores])
    tiers = {name: [*files, *([(added[name], "")] if name in added else [])] for name, files in told.tiers.items()}
    assert (
        summary(told.model_copy(update={"tiers": tiers}), 90, bold=False).split("\n\n")[1:]
        == (summary(told, 90, bold=False).split("\n\n")[1:])
    )


@pytest.mark.parametrize("gone", ["predictions", "scores"])
def test_summary_of_a_grid_without_results_says_so(told, gone):
    for file, _ in told.tiers[gone]:
        Path(file).unlink(missing_ok=True)
    assert summary(told, 90, bold=False).endswith("There are no results yet.")


def contrasts(*rows):
    return pd.DataFrame([{"family": family, "verdict": verdict, "sentence": said} for family, verdict, said in rows])


def test_verdicts_of_each_family_are_counted_and_told_the_decided_ones_first():
    table = contrasts(
        ("main", "undecided", "One is undecided."),
        ("main", "", "Two has too little data."),
        ("main", "worse", "Three is worse."),
        ("exploratory", "better", "Four is not declared."),
        ("main", "better", "Five is better."),
        ("sample_types", "equivalent", "Six is equivalent."),
    )
    assert "\n".join(told_verdicts(table, 80, "results/tables")).splitlines() == [
        "Verdicts that hold together (main): 1 better, 1 worse, 1 undecided, 1 too little",
        "data.",
        "  Five is better.",
        "  Three is worse.",
        "  One is undecided.",
        "  Two has too little data.",
        "",
        "Verdicts that hold together (sample_types): 1 equivalent.",
        "  Six is equivalent.",
        "",
        "Exploratory contrasts, which were not declared beforehand: 1, in",
        "results/tables/contrasts.csv.",
    ]


def test_of_very_many_verdicts_the_rest_is_counted():
    lines = list(told_verdicts(contrasts(*(("main", "better", f"{i}.") for i in range(MOST_SENTENCES + 3))), 80, "tables"))
    assert len(lines) == MOST_SENTENCES + 3
    assert "  3 more: tables/contrasts.csv" in lines


def test_no_line_is_longer_than_the_terminal_is_wide(told):
    for width in (60, 100):
        assert max(map(len, summary(told, width, bold=False).splitlines())) <= width
