"""Experiments that share results: each has its own tables, figures and report, and none makes a result of another again."""

import pytest
import yaml

from projects import Project
from report_pages import payload_of

OWN = {"decontaminate": 1, "analyse": 1, "describe_data": 1, "report": 1}
CARD = "adapters/echo/gold/tiny/echo__gold__target_only__n4__lora__completion__seed1/README.md"


def lay_over(project: Project, name: str, overlay: dict) -> tuple[str, str]:
    """Write a configuration beside the default one; returns how Snakemake is told."""
    path = project.folder / "config/experiments" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(overlay))
    return "--configfile", f"config/experiments/{name}.yaml"


@pytest.fixture
def letters(changeable):
    """A part of the default experiment, with one more sample type before the known one, one more scorer, and a name."""
    with_first = {"soft": {"output": "{{ word }}"}}
    [block] = yaml.safe_load((changeable.folder / "config/config.yaml").read_text())["grid"]
    return lay_over(
        changeable,
        "letters",
        {
            "experiment": "letters",
            "tasks": {"echo": {"sample_types": with_first, "scorers": ["rouge", "exact_match", "length"]}},
            "scorers": {"length": {"type": "length"}},
            "grid": [
                {"base_models": ["tiny"], "tasks": ["echo"], "sample_types": ["soft"]},
                block | {"tasks": ["echo"], "nb_samples": [4]},
            ],
            "human_evaluations": {"us": {"tasks": ["echo"], "annotators": ["anna"], "criteria": {"good": {"question": "Good?"}}}},
        },
    )


def test_named_experiment_shares_results_with_the_default_and_neither_makes_anything_of_the_other_again(changeable, letters):
    results = changeable.folder / "results"
    # The values of a scorer are kept in one file for all.
    results_of_rules = (path for path in changeable.files("**/*") if path.is_file() and ".state" not in path.parts)
    shared = {path: path.stat().st_mtime_ns for path in results_of_rules}
    new = {"prepare_dataset": 1, "tokenise": 1, "predict": 1, "score": 3 + 2}
    assert changeable.planned(*letters) == OWN | new | {"decontaminate": 2}
    changeable.snakemake(*letters)
    assert changeable.planned(*letters) == {}
    assert changeable.planned() == {}
    assert {path for path, changed in shared.items() if path.stat().st_mtime_ns != changed} == set()

    own = results / "experiments/letters"
    html = (own / "report.html").read_text()
    assert "<title>loragrid report: letters</title>" in html
    assert payload_of(html)["experiment"] == "letters"
    assert payload_of((results / "report.html").read_text())["experiment"] is None
    assert {path.name for path in own.iterdir()} == {"datasets", "figures", "report.html", "tables"}
    assert {path.stem for path in (results / "logs/experiments/letters").iterdir()} == {
        "analyse",
        "describe_data",
        "leaks",
        "report",
    }
    assert "length" in (own / "tables/scores.csv").read_text()
    assert "length" not in (results / "tables/scores.csv").read_text()
    # A card shows what the experiment asks for that wrote it. Without it, the next experiment writes it.
    assert "length/" not in (results / CARD).read_text()
    (results / CARD).unlink()
    assert changeable.planned(*letters) == {"describe_model": 1, "report": 1}
    changeable.snakemake(f"results/{CARD}", *letters)
    assert "Scores that experiment `letters` asks for." in (results / CARD).read_text()
    assert "describe_model" not in changeable.planned()
    changeable.snakemake()

    # What is made on request is the experiment's own too.
    said = changeable.snakemake("plan", "partial_report", "human_sheets", "doubtful", *letters).stdout
    assert "Read results/experiments/letters" in said or "No result is in doubt" in said
    assert {path.name for path in own.iterdir()} > {"plan.txt", "plan.csv", "partial", "human_sheets", "doubtful.csv"}
    assert not [path for path in ("plan.txt", "partial", "human_sheets", "doubtful.csv") if (results / path).exists()]
    assert payload_of((own / "partial/report.html").read_text())["experiment"] == "letters"
    assert (own / "human_sheets/us/anna.csv").exists()
    (own / "report.html").unlink()
    changeable.snakemake("results/experiments/letters/report.html", *letters)
    assert (own / "report.html").read_text() == html

    # Pruning keeps what either asks for.
    said = changeable.snakemake("prunable").stdout
    assert "    config/config.yaml\n    config/experiments/letters.yaml\n" in said
    assert "Nothing under results/ can go" in said
    (changeable.folder / "config/experiments/letters.yaml").unlink()
    changeable.snakemake("prunable")
    listed = (results / "prunable.txt").read_text().splitlines()
    assert {"results/experiments/letters/report.html", "results/experiments/letters/plan.txt"} <= set(listed)
    assert {path.split("/")[1] for path in listed} == {
        "benchmarks",
        "datasets",
        "experiments",
        "logs",
        "predictions",
        "scores",
        "tokens",
    }
