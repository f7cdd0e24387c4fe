"""Folders with a grid of a given size, for our Snakefile and for the minimal one."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[3]
MINIMAL = Path(__file__).with_name("minimal.smk")
TASKS = ("first", "second", "third", "fourth")
SCORERS = ("rouge", "exact_match", "length")


class Axes(NamedTuple):
    """How many values each axis of the grid has that grows with its size."""

    base_models: int
    nb_samples: int
    configs: int
    seeds: int


AXES = {100: Axes(1, 1, 1, 1), 1000: Axes(2, 3, 2, 1), 10_000: Axes(2, 4, 4, 4), 30_000: Axes(4, 4, 4, 6)}
"""About as many jobs: four tasks, on each of which every run is evaluated, by three scorers."""


def experiment(axes: Axes) -> dict[str, Any]:
    """The configuration of a grid."""
    models = [f"model{i}" for i in range(axes.base_models)]
    configs = [f"lora{i}" for i in range(axes.configs)]
    task = {
        "source": "words",
        "instruction": "Say it loudly.",
        "input": "{{ word }}",
        "sample_types": {"gold": {"output": "{{ word | upper }}"}},
        "scorers": list(SCORERS),
        "baselines": [],
    }
    block = {
        "base_models": models,
        "tasks": list(TASKS),
        "sample_types": ["gold"],
        "mixes": ["target_only"],
        "nb_samples": [2 + i for i in range(axes.nb_samples)],
        "configs": configs,
        "seeds": [1 + i for i in range(axes.seeds)],
        "evaluate_on": "all",
    }
    return {
        "models": {name: {"source": {"path": "data/model"}} for name in models},
        "sources": {"words": {"splits": {split: {"path": f"data/{split}.jsonl"} for split in ("train", "validation", "test")}}},
        "tasks": dict.fromkeys(TASKS, task),
        "mixes": {"target_only": {"recipe": "target_only", "nb_validation": 1}},
        "configs": {name: {"rank": 4 + i} for i, name in enumerate(configs)},
        "scorers": {name: {"type": name} for name in SCORERS},
        "grid": [block],
    }


def make_project(folder: Path, axes: Axes, minimal: bool) -> None:
    """Fill a folder with the workflow, or with the minimal one, and the grid; both have the same profile."""
    for name in ("profiles", "data", *(() if minimal else ("workflow", "envs"))):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(MINIMAL if minimal else ROOT / "Snakefile", folder / "Snakefile")
    if minimal:
        (folder / "script.py").write_text("raise SystemExit(1)\n")
        (folder / "environment.yaml").write_text("dependencies: []\n")
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.dump(experiment(axes), sort_keys=False, Dumper=Plain))
    (folder / "data" / "model").mkdir()
    for split in ("train", "validation", "test"):
        rows = [json.dumps({"word": f"{split}{i}"}) + "\n" for i in range(20)]
        (folder / "data" / f"{split}.jsonl").write_text("".join(rows))


class Plain(yaml.SafeDumper):
    """YAML without references, as people write it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
