"""Commands that only look into results, to plan with what they tell: they go on without those that are damaged, and name them."""

import json
from pathlib import Path

import pytest

from damaged import ADAPTER, DATA, PREDICTED, TOKENS, cut, write_results
from loragrid.config.load import parse_config
from loragrid.grid.feasibility import known_rows
from loragrid.grid.runs import Grid
from loragrid.planning.doubts.results import old_predictions
from loragrid.planning.history import read_history
from loragrid.planning.left_out import describe_left_out
from loragrid.planning.lengths import split_lengths
from loragrid.planning.model_sizes import parameters_of
from loragrid.runtime.files import write_json
from projects import tiny_experiment

TRAIN = f"{DATA}/train.jsonl"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_results()


def benchmarked():
    path = Path("results/benchmarks/adapters/t/s/m/run.jsonl")
    path.parent.mkdir(parents=True)
    wildcards = {"task": "t", "sample_type": "s", "base_model": "m", "run": "run"}
    path.write_text(json.dumps({"rule_name": "train", "wildcards": wildcards, "s": 9.0, "resources": {}}) + "\n")
    cut(f"{ADAPTER}/manifest.json")


def configured():
    config = tiny_experiment(Path("nowhere"))
    config["tasks"] = {"t": config["tasks"]["shout"] | {"sample_types": {"s": {"output": "{{ word }}"}}}}
    config["models"] = {"m": config["models"]["tiny"]}
    config["grid"] = [config["grid"][0] | {"base_models": ["m"], "tasks": ["t"], "sample_types": ["s"]}]
    return parse_config(config)


LOOKED_INTO = [
    (
        "manifest of a training",
        benchmarked,
        lambda: [record.seconds for record in read_history()] == [9.0],
        f"{ADAPTER}/manifest.json",
    ),
    (
        "manifest of a data set",
        lambda: cut(f"{DATA}/manifest.json"),
        lambda: ("t", "s") not in known_rows(configured()),
        f"{DATA}/manifest.json",
    ),
    (
        "manifest of a data set, for what mixes leave out",
        lambda: Path(f"{DATA}/manifest.json").write_text("5"),
        lambda: bool(describe_left_out(Grid(configured()))),
        f"{DATA}/manifest.json",
    ),
    (
        "list of leaks",
        lambda: Path(f"{DATA}/leaks.json").write_text("{"),
        lambda: bool(describe_left_out(Grid(configured()))),
        f"{DATA}/leaks.json",
    ),
    (
        "tokens",
        lambda: cut(TOKENS),
        lambda: split_lengths(configured(), "m", "t", "s", "train").basis == "characters",
        TOKENS,
    ),
    (
        "data set",
        lambda: [Path(TOKENS).unlink(), cut(TRAIN, 0.9), write_json("data/train.jsonl", {})],
        lambda: split_lengths(configured(), "m", "t", "s", "train").basis == "guess",
        TRAIN,
    ),
    (
        "weights",
        lambda: write_bytes("results/models/m-1B/model.safetensors", b"\xff" * 40),
        lambda: parameters_of("m-1B", configured().models["m"]) == (1e9, "name"),
        "results/models/m-1B/model.safetensors",
    ),
    (
        "predictions, for results in doubt",
        lambda: cut(PREDICTED),
        lambda: list(old_predictions(1)) == [],
        PREDICTED,
    ),
]


def write_bytes(path, content):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)


@pytest.mark.parametrize(("damage", "goes_on", "file"), [row[1:] for row in LOOKED_INTO], ids=[row[0] for row in LOOKED_INTO])
def test_plans_go_on_without_what_is_damaged_and_name_it(caplog, damage, goes_on, file):
    damage()
    assert goes_on()
    assert any(said.startswith(f"{file} is damaged and left out here (") for said in caplog.messages)
