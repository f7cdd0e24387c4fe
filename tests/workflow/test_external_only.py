"""A grid of predictions that were made elsewhere: nothing is loaded or trained, everything is scored and reported."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from projects import external_experiment
from report_pages import answers_of, payload_of, rows_of

GENERICS = Path(__file__).parents[3] / "shared" / "data" / "generics"
WORDS = ["apple", "river", "stone", "cloud", "tiger", "music"]
FILES = 2
"""Files of predictions; each is scored by every scorer of the task."""
REPORTED = {"analyse": 1, "report": 1}
EVERYTHING = {
    "prepare_dataset": 1,
    "decontaminate": 1,
    "describe_data": 1,
    "import_predictions": FILES,
    "score": 2 * FILES,
    **REPORTED,
}

SCORER = '''
def loudness(predictions, references, prompts, floor):
    """Share of capitals."""
    assert all(prompt.startswith("Say it loudly.\\n\\n") for prompt in prompts)
    return [max(floor, sum(letter.isupper() for letter in text) / len(text)) for text in predictions]
'''

METRIC = """
import datasets
import evaluate


class SameLength(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        return {"same_length": [len(a) == len(b) for a, b in zip(predictions, references)]}
"""


def experiment():
    theirs = {"match": "prompt", "prompt": "{{ query }}", "prediction": "{{ model_output }}"}
    scorers = {
        "exact_match": {"type": "exact_match", "normalise": False},
        "loudness": {"type": "custom", "function": "data/mine.py:loudness", "arguments": {"floor": 0.25}},
    }
    predictions = {
        "people": {"match": "prompt", "files": [{"path": "data/people.csv"}]},
        "machine": theirs | {"files": [{"path": "data/machine.txt"}]},
    }
    return external_experiment(scorers, predictions)


@pytest.fixture(scope="module")
def project(tmp_path_factory, new_workflow):
    """The experiment, nothing computed. The tests below change it one after the other."""
    project = new_workflow(tmp_path_factory.mktemp("external"))
    data = project.folder / "data"
    (data / "test.jsonl").write_text("".join(json.dumps({"word": word}) + "\n" for word in WORDS))
    (data / "people.csv").write_text("prompt,prediction\n" + "".join(f"{word},{word.upper()}\n" for word in WORDS))
    # To the first word it says nothing.
    said = ["", *(f"{word[:2]}\n{word[2:]}" for word in WORDS[1:])]
    blocks = (f"<QUERY>\t{word}\n<MODEL OUTPUT>\t{text}\n" for word, text in zip(WORDS, said, strict=True))
    (data / "machine.txt").write_text("\n".join(blocks))
    (data / "mine.py").write_text(SCORER)
    (project.folder / "config/config.yaml").write_text(yaml.safe_dump(experiment(), sort_keys=False))
    return project


def test_predictions_made_elsewhere_alone_go_from_nothing_to_the_report(project):
    assert project.planned() == EVERYTHING
    project.snakemake()
    assert project.planned() == {}
    scores = pd.read_csv(project.folder / "results/tables/scores.csv").set_index(["run", "scorer"])
    assert set(scores["n"]) == {len(WORDS)}
    assert scores["mean"].to_dict() == {
        ("people", "exact_match"): 1,
        ("people", "loudness"): 1,
        ("machine", "exact_match"): 0,
        ("machine", "loudness"): pytest.approx(0.25 * (len(WORDS) - 1) / len(WORDS)),
    }
    assert scores["nb_failed"].to_dict() == dict.fromkeys(scores.index, 0) | {("machine", "loudness"): 1}
    [path] = project.files("scores/*/*/*/machine/loudness.jsonl")
    failed = [row["status"] for row in map(json.loads, path.open()) if row["value"] is None]
    assert failed == ["failed: ZeroDivisionError: division by zero"]


def test_report_on_predictions_made_elsewhere_has_no_empty_sections(project):
    html = (project.folder / "results/report.html").read_text()
    payload = payload_of(html)
    # Sections vanish whose tables and figures are not there.
    assert {"training", "prediction_costs", "checks", "transfer", "mixes", "configs"}.isdisjoint(payload["tables"])
    assert {"learning_curves", "loss_curves", "transfer_scores"}.isdisjoint(figure["id"] for figure in payload["figures"])
    assert {"main", "results", "data_sets"} <= payload["tables"].keys()
    [failed] = [row for row in rows_of(payload, "results") if row["nb_failed"]]
    assert (failed["label"], failed["scorer"], failed["nb_failed"]) == ("machine", "loudness", 1)
    answers = answers_of(html, "shout")
    said = zip(answers["answers"]["model"], answers["answers"]["texts"], strict=True)
    assert [WORDS[1]] in [text for model, text in said if answers["models"][model]["label"] == "machine"]
    project.snakemake("partial_report")
    assert (project.folder / "results/partial/report.html").exists()


def test_added_scorer_scores_every_file_and_nothing_else_runs(project):
    (project.folder / "data/same_length").mkdir()
    module = project.folder / "data/same_length/same_length.py"
    module.write_text(METRIC)

    def one_more(config):
        config["scorers"]["same_length"] = {"type": "evaluate", "metric": "data/same_length", "metrics": ["same_length"]}
        config["tasks"]["shout"]["scorers"].append("same_length")

    project.edit_config(one_more)
    assert project.planned() == {"score": FILES, **REPORTED}
    target = "results/scores/shout/gold/external/machine/same_length.jsonl"
    # In a process of its own, as `evaluate` imports modules that it has just copied.
    project.snakemake_in_new_processes(target)
    values = [json.loads(line)["value"] for line in (project.folder / target).open()]
    assert sorted(values) == [0.0] + [1.0] * (len(WORDS) - 1)
    # Its code is what it scores with.
    module.write_text(METRIC.replace("==", "!="))
    assert project.planned(target) == {"score": 1}


def test_edited_function_scores_again(project):
    project.edit_config(lambda config: config["tasks"]["shout"]["scorers"].remove("same_length"))
    (project.folder / "data/mine.py").write_text(SCORER.replace("max", "min"))
    assert project.planned() == {"score": FILES, **REPORTED}


def test_mistake_in_the_function_is_one_sentence(project):
    (project.folder / "data/mine.py").write_text(SCORER.replace("return [", "return [None]; [", 1))
    result = project.snakemake("scores", check=False)
    assert "scorer function 'data/mine.py:loudness' gives 1 values for 6 answers, none for example " in result.stderr


def test_grid_without_anything_is_one_sentence(project):
    path = project.folder / "config/nothing.yaml"
    path.write_text(yaml.safe_dump({"grid": []}))
    project.edit_config(lambda config: config.pop("external_predictions"))
    result = project.snakemake("-n", "--configfile", "config/nothing.yaml", check=False)
    assert "nothing.yaml: grid: there is nothing to do; give blocks of combinations, or external_predictions." in result.stderr


@pytest.mark.skipif(not GENERICS.is_dir(), reason="the published generics are not beside the repository (../shared/data)")
def test_published_answers_have_their_published_scores(tmp_path, new_workflow):
    project = new_workflow(tmp_path)
    shutil.copytree(GENERICS, tmp_path / "data/generics")
    project.snakemake("--configfile", "config/experiments/published_generics.yaml")
    tables = project.folder / "results/experiments/published_generics/tables"
    scores = pd.read_csv(tables / "scores.csv").set_index(["sample_type", "run", "scorer", "metric"])["mean"]
    for model, cut, uncut in (("model6", 834 / 844, 820 / 844), ("model3", 419 / 420, 416 / 420)):
        assert scores[model, model, "true_false", "accuracy"] == pytest.approx(cut)
        assert scores[model, model, "true_false_uncut", "accuracy"] == pytest.approx(uncut)
        assert scores[model, "rule", "true_false", "accuracy"] == 1.0
    assert scores["model6", "model6", "true_false", "tie"] == pytest.approx(2 / 844)
    assert scores["model6", "model6", "people", "mean"] == pytest.approx(0.919431, abs=5e-7)

    groups = pd.read_csv(tables / "groups.csv").set_index(["run", "scorer", "metric", "group"])["mean"].sort_index()
    by_polarity = groups["model6"].round(6)
    assert by_polarity["true_false", "accuracy"].to_dict() == {
        "negative": round(523 / 526, 6),
        "positive": round(311 / 318, 6),
    }
    assert by_polarity["people", "factual"].to_dict() == {"negative": 0.823194, "positive": 0.977987}
    assert by_polarity["people", "justifies"].to_dict() == {"negative": 0.958175, "positive": 0.955975}

    html = (project.folder / "results/experiments/published_generics/report.html").read_text()
    assert "published_generics, references model6: rule scores 1.000 in true_false/accuracy, the best model 0.988" in html
