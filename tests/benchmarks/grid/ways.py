"""Ways from prepared data to the scores of all models: the scripts that stand for a study, and this project."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from checkouts import config_of
from processes import ALONE, NOTHING, STAGES, Cost, run, snakemake, told, work_in

from loragrid.data.splitting import subset
from loragrid.records import Example, read_records, write_records

SCRIPTS = Path(__file__).with_name("one_off")
TITLES = {
    "scripts": "a script for each base model, task and sample type",
    "alone": "loragrid, each process its own job",
    "ahead": "**loragrid**",
}
TARGETS = ("checks", "scores")


def scripts(folder: Path, cores: int) -> Cost:
    """What the scripts take: one after another, each with all processors."""
    config, whole = config_of(folder), NOTHING
    (block,), (model,) = config["grid"], config["models"]
    (lora,) = (config["configs"][name] for name in block["configs"])
    results, out = folder / "results", folder / "one_off"
    for task in block["tasks"]:
        test = test_of(results, config["tasks"][task], task, out)
        for sample_type in block["sample_types"]:
            mixes = [
                results / "mixes" / task / sample_type / mix / f"n{n}-seed1"
                for mix in block["mixes"]
                for n in block["nb_samples"]
            ]
            command = [sys.executable, str(SCRIPTS / "finetune.py"), "--model", str(results / "models" / model)]
            command += ["--train", *map(str, mixes), "--test", str(test), "--out", str(out / task / sample_type)]
            command += ["--epochs", str(lora["epochs"]), "--batch-size", str(lora["batch_size"])]
            command += ["--learning-rate", str(lora["learning_rate"]), "--rank", str(lora["rank"]), "--alpha", str(lora["alpha"])]
            command += ["--target-modules", *lora["target_modules"], "--max-length", str(lora["max_length"])]
            command += ["--max-new-tokens", str(config["tasks"][task]["max_new_tokens"])]
            # The model as it is has no sample type.
            command += ["--answer-with-base"] if sample_type == block["sample_types"][0] else []
            whole += counted(command, folder, cores)
    (encoder,) = config["encoders"]
    for predictions in sorted(out.glob("*/*/*.jsonl")):
        scores = predictions.with_suffix(".scores")
        command = [sys.executable, str(SCRIPTS / "score.py"), str(predictions), str(results / "models" / encoder), str(scores)]
        whole += counted(command, folder, cores)
    return whole


def counted(command: list[str], folder: Path, cores: int) -> Cost:
    """What a script took, with the seconds of work that it tells of, in which all processors are its own."""
    cost, said = run(command, folder)
    return cost._replace(work_s=sum(told(said).values()) * cores)


def test_of(results: Path, task: Mapping[str, Any], name: str, out: Path) -> Path:
    """The test examples that the workflow asks, in a file of their own."""
    chosen = subset(read_records(results / "datasets" / name / "manual" / "test.jsonl", Example), task["subset"])
    path = out / f"{name}.test"
    write_records(path, chosen)
    return path


def ours(folder: Path, cores: int, *arguments: str) -> Cost:
    """What the workflow takes."""
    cost = snakemake(folder, cores, *TARGETS, *arguments)
    return cost._replace(work_s=work_in(folder / "results"))


WAYS: Mapping[str, Callable[[Path, int], Cost]] = {
    "scripts": scripts,
    "alone": lambda folder, cores: ours(folder, cores, *ALONE),
    "ahead": ours,
}


def only_what_scripts_do(config: dict[str, Any], nb_tasks: int | None = None) -> None:
    """Leave out answers that need no model: the scripts do not make them.

    Args:
        nb_tasks: so many tasks stay; None: all.
    """
    (block,) = config["grid"]
    block["tasks"] = block["tasks"][:nb_tasks]
    for task in config["tasks"].values():
        task["baselines"] = []


def imports_of(folder: Path) -> list[list[str]]:
    """Rows of a table: what each kind of job imports before it knows whether there is work."""
    scripts_of = folder / "workflow" / "scripts"
    rows = []
    for stage in STAGES:
        command = [sys.executable, str(Path(__file__).with_name("imports.py")), str(scripts_of / f"{stage}.py")]
        cost, said = min((run(command, folder, PYTHONPATH=str(scripts_of)) for _ in range(3)), key=lambda found: found[0].wall_s)
        found = json.loads(said.splitlines()[-1])
        rows.append(
            [
                f"`{stage}`",
                f"{cost.wall_s:.2f}",
                f"{found['imports_s']:.2f}",
                f"{found['modules']:,}",
                ", ".join(found["large"]) or "none",
            ]
        )
    return rows
