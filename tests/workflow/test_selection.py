"""Ways that are chosen on validation examples, in a grid whose test predictions are there already."""

import json

import pandas as pd

FAST = "echo__gold__target_only__n4__fast__completion__seed1"
SLOW = FAST.replace("fast", "lora")
AGAIN = {"decontaminate": 2, "describe_data": 1, "analyse": 1, "report": 1}
"""Training data are compared with the validation examples too."""
OF_VALIDATION = "~zero_shot~default~greedy~validation"


def choose_a_config(config):
    """Add a config to the runs of one task and size, and choose between both."""
    [block] = config["grid"]
    config["configs"]["fast"] = config["configs"]["lora"] | {"learning_rate": 0.05}
    config["grid"].append(block | {"tasks": ["echo"], "nb_samples": [4], "configs": ["fast"]})
    config["selection"] = {"choose": "config", "by": ["rouge/rougeL", "validation_loss"], "subset": 5}


def test_config_is_chosen_on_validation_examples_and_reported_on_test_examples(changeable):
    tested = {path: path.stat().st_mtime_ns for path in changeable.files("predictions/**/*") if path.is_file()}
    changeable.edit_config(choose_a_config)
    # One new run, and its answers to test examples; then both runs' answers to validation examples. Nothing else is predicted.
    new = {"train": 1, "check": 1, "describe_model": 1, "predict": 1 + 2, "score": 2 + 2}
    assert changeable.planned() == new | AGAIN
    changeable.snakemake()
    assert {path for path, made in tested.items() if path.stat().st_mtime_ns != made} == set()

    validated = [json.loads(line) for line in answers(changeable, f"{FAST}{OF_VALIDATION}").splitlines()]
    known = {json.loads(line)["id"] for line in (changeable.folder / "results/datasets/echo/gold/validation.jsonl").open()}
    assert len(validated) == 5
    assert {row["split"] for row in validated} == {"validation"}
    assert {row["id"] for row in validated} < known
    assert '"split"' not in answers(changeable, FAST)

    # Validation chooses by the mean over its five examples, and the table shows what that scores on the four test examples.
    means = {run: scored(changeable, f"{run}{OF_VALIDATION}") for run in (SLOW, FAST)}
    [by_metric] = rows(changeable, "rouge/rougeL")
    best = max(means, key=means.get)
    assert by_metric["chosen"] == ("config=lora" if best == SLOW else "config=fast")
    assert abs(by_metric["validation_mean"] - means[best]) < 1e-9
    assert (by_metric["validation_n"], by_metric["n"]) == (5, 4)
    on_test = {run: scored(changeable, run) for run in (SLOW, FAST)}
    assert abs(by_metric["chosen_mean"] - on_test[best]) < 1e-9
    assert abs(by_metric["optimism"] - (max(on_test.values()) - on_test[best])) < 1e-9
    [by_loss] = rows(changeable, "validation_loss")
    losses = {
        run: pd.read_csv(adapter(changeable, run) / "loss.csv")["validation_loss"].dropna().iloc[-1] for run in (SLOW, FAST)
    }
    assert by_loss["chosen"] == ("config=lora" if losses[SLOW] < losses[FAST] else "config=fast")
    assert "Chosen by validation loss, reported by " in (changeable.folder / "results/report.html").read_text()
    # Other tables are about test examples alone.
    scores = pd.read_csv(changeable.folder / "results/tables/scores.csv")
    assert set(scores["n"]) == {4}
    assert not scores.duplicated(["task", "run", "scorer", "metric"]).any()

    said = changeable.snakemake("summary").stdout
    assert "Verdicts that hold together" in said
    assert "damaged" not in said
    said = changeable.snakemake("verify", "plan", "prunable", "doubtful").stdout
    assert "files are whole" in said
    assert " 0 are to do." in said
    assert "2 of the predictions are of validation examples, to choose config by rouge/rougeL and by validation_loss." in said
    assert "Nothing under results/ can go" in said
    changeable.edit_config(lambda config: config.pop("selection"))
    changeable.snakemake("prunable")
    listed = (changeable.folder / "results/prunable.txt").read_text()
    assert listed.count(f"{OF_VALIDATION}.jsonl\n") == 2 * 2


def answers(project, name):
    return (project.folder / f"results/predictions/echo/gold/tiny/{name}.jsonl").read_text()


def adapter(project, run):
    return project.folder / "results/adapters/echo/gold/tiny" / run


def scored(project, name):
    """The mean ROUGE-L of a file of scores."""
    path = project.folder / f"results/scores/echo/gold/tiny/{name}/rouge.jsonl"
    values = [row["value"] for row in map(json.loads, path.read_text().splitlines()) if row["metric"] == "rougeL"]
    return sum(values) / len(values)


def rows(project, by):
    """The rows of the table of choices about ROUGE-L."""
    table = pd.read_csv(project.folder / "results/tables/selection.csv")
    return table[(table["by"] == by) & (table["metric"] == "rougeL")].to_dict("records")
