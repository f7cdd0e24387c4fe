"""A newcomer's file becomes a running experiment with one command and no edit."""

import csv
import shutil

import pytest
import yaml

from projects import REPOSITORY

NEW = ("new", "--config", "name=letters", "data=letters.csv")
OVERLAY = ("--configfile", "config/experiments/letters.yaml")


@pytest.fixture
def project(new_project):
    shutil.copy(REPOSITORY / "data/examples/letters.csv", new_project.folder / "letters.csv")
    return new_project


def of_tiny_model(project) -> None:
    """Put the tiny model in the place of the real one, whose name the experiment has given."""
    path = project.folder / "config/experiments/letters.yaml"
    config = yaml.safe_load(path.read_text())
    [name] = config["models"]
    tiny = yaml.safe_load((project.folder / "config/config.yaml").read_text())["models"]["tiny"]
    path.write_text(yaml.safe_dump(config | {"models": {name: tiny}}))


def test_sixty_rows_become_an_experiment_that_runs_to_its_report(project):
    assert project.planned(*NEW) == {"new": 1}
    said = project.snakemake(*NEW).stdout
    assert "Wrote config/experiments/letters.yaml, from 60 rows of letters.csv" in said
    # Written as it is, and with the real model it is a whole grid on top of another experiment.
    planned = project.planned(*OVERLAY)
    assert {"import_model": 1, "train": 2, "predict": 3, "prepare_dataset": 1}.items() <= planned.items()

    of_tiny_model(project)
    project.snakemake(*OVERLAY)
    own = project.folder / "results/experiments/letters"
    assert (own / "report.html").exists()
    with open(own / "tables/scores.csv", newline="") as file:
        models = {row["run"] for row in csv.DictReader(file) if row["metric"] == "accuracy"}
    assert {"base"} < models
    assert sum("__n8__" in run or "__n32__" in run for run in models) == 2
    assert project.planned(*OVERLAY) == {}

    # It is never written again.
    result = project.snakemake(*NEW, check=False)
    assert result.returncode == 1
    assert "config/experiments/letters.yaml is there already" in result.stderr


def test_an_odd_file_gets_one_sentence_on_the_screen(project):
    (project.folder / "letters.csv").write_bytes("text,label\nschön,gut\n".encode("cp1252"))
    result = project.snakemake(*NEW, check=False)
    assert result.returncode == 1
    assert "letters.csv, line 2: not UTF-8 text (byte 4 is 0xF6); it looks like cp1252: save it as UTF-8" in result.stderr
    assert not (project.folder / "config/experiments/letters.yaml").exists()


def test_what_is_told_to_new_is_told_to_no_other_target(project):
    result = project.snakemake("plan", "--config", "name=letters", check=False)
    assert result.returncode == 1
    assert "--config: name: unknown key" in result.stdout + result.stderr
