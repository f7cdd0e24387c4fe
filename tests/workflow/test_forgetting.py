"""A finished grid is probed for what its trainings have forgotten, and one of its runs becomes a base model."""

import json

import pandas as pd
import pytest
import yaml

from loragrid.inference.merged_checks import LOGITS, TEXT
from report_pages import payload_of

PROSE = "".join(
    f"In {year} the {word} of the valley was long, and people spoke of it.\n"
    for year in range(1900, 1960)
    for word in ("winter", "harvest")
)
ECHO = "echo__gold__target_only__n8__lora__completion__seed1"


def test_probing_a_finished_grid_computes_the_probes_and_the_tables_anew_and_nothing_else(changeable):
    (changeable.folder / "data/prose.txt").write_text(PROSE)
    changeable.edit_config(lambda c: c.update(forgetting={"text": {"path": "data/prose.txt"}, "characters": 300, "passages": 3}))
    assert changeable.planned() == {"probe": 5, "analyse": 1, "report": 1}
    changeable.snakemake()
    assert changeable.planned() == {}

    table = pd.read_csv(changeable.folder / "results/tables/forgetting.csv")
    assert len(table) == 4
    probes = {path.stem: json.loads(path.read_text())["passages"] for path in changeable.files("probes/tiny/*.json")}
    assert len(probes.pop("base")) == 3
    assert set(probes) == set(table["run"])
    # With steps as large as these, a model of random weights does change.
    assert table["forgotten"].abs().gt(1e-4).all()
    assert (table["forgotten"] - (table["loss"] - table["base_loss"])).abs().max() < 1e-9
    study = pd.read_csv(changeable.folder / "results/tables/main.csv")
    assert study["forgotten"].notna().sum() == 2
    shown = payload_of((changeable.folder / "results/report.html").read_text())["tables"]
    assert len(shown["forgetting"]["rows"]["run"]) == 4
    assert sum(value is not None for value in shown["main"]["rows"]["forgotten"]) == 4


@pytest.fixture
def with_merged(changeable):
    """The project with a run among its base models, which is asked about the run's task."""

    def add(config):
        config["models"]["after"] = {"source": {"merged": ECHO, "base_model": "tiny"}, "dtype": "float32"}
        config["grid"].append({"base_models": ["after"], "tasks": ["echo"], "sample_types": ["gold"]})

    changeable.edit_config(add)
    return changeable


def test_merged_run_is_a_base_model_that_answers_as_the_run_does(with_merged):
    predictions = "results/predictions/echo/gold/after/base.jsonl"
    assert with_merged.planned(predictions) == {"import_model": 1, "predict": 1}
    with_merged.snakemake(predictions)

    def answers(path):
        return [json.loads(line)["prediction"] for line in (with_merged.folder / path).read_text().splitlines()]

    assert answers(predictions) == answers(f"results/predictions/echo/gold/tiny/{ECHO}.jsonl")
    assert answers(predictions) != answers("results/predictions/echo/gold/tiny/base.jsonl")
    manifest = json.loads((with_merged.folder / "results/models/after/manifest.json").read_text())
    assert manifest["source"] == {"merged": ECHO, "base_model": "tiny"}
    # What the run scores elsewhere is no part of it.
    (with_merged.folder / f"results/adapters/echo/gold/tiny/{ECHO}/README.md").unlink()
    assert with_merged.planned(predictions) == {}
    with_merged.edit_config(lambda c: c["configs"]["lora"].update(learning_rate=0.03))
    assert with_merged.planned(predictions) == {"train": 1, "import_model": 1, "predict": 1}


def test_merged_model_is_checked_beside_its_adapter(changeable):
    check = f"results/checks/tiny/merged/{ECHO}.json"
    assert changeable.planned(check) == {"merge": 1, "check_merged": 1}
    assert changeable.planned("merged") == {"merge": 4, "check_merged": 4, "merged": 1}
    changeable.snakemake(check)
    found = json.loads((changeable.folder / check).read_text())["checks"]
    assert {name: one["passed"] for name, one in found.items()} == {LOGITS: True, TEXT: True}
    assert changeable.planned(check) == {}


def test_run_that_the_grid_lacks_is_told_before_anything_is_computed(with_merged):
    path = with_merged.folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["models"]["after"]["source"]["merged"] = ECHO.replace("n8", "n9")
    path.write_text(yaml.safe_dump(config))
    result = with_merged.snakemake("-n", check=False)
    said = f"models.after.source.merged: unknown run of base model 'tiny': '{ECHO.replace('n8', 'n9')}'; did you mean '{ECHO}'?"
    assert said in result.stderr
