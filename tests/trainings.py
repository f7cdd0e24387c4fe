"""Trainings of the tiny model on a few examples, as jobs, and what is compared of them."""

import hashlib
import time
from pathlib import Path

import pandas as pd

from loragrid.data.render import make_renderer
from loragrid.data.tokens import tokenise, write_tokens
from loragrid.records import write_records
from loragrid.runtime.job import show_log
from loragrid.training import loop
from loragrid.training.job import run_training
from loragrid.training.methods import LoraTraining
from loragrid.training.settings import TrainingJob

LIBRARY = "workflow/scripts"
TWO_PROCESSES = "profiles/accelerate/cpu.yaml"
RUN = {
    "base_model": "tiny",
    "task": "t",
    "sample_type": "s",
    "mix": "m",
    "nb_samples": 8,
    "config": "c",
    "loss_computation": "completion",
    "seed": 1,
}


class Trainings:
    """Gives jobs of different names and settings, all on the same examples."""

    def __init__(self, folder: Path, model: Path, tokenizer, make_example) -> None:
        self.folder, self.model = folder, model
        examples = [make_example(str(i), input="word " * (3 * i), output=f"answer {'x ' * (i % 3)}{i}") for i in range(12)]
        write_records(folder / "train.jsonl", examples[:9])
        write_records(folder / "validation.jsonl", examples[9:])
        write_tokens(folder / "tokens.parquet", tokenise(make_renderer(tokenizer), {"train": examples}))

    def __call__(self, name: str, **config) -> TrainingJob:
        keys = {"rank": 4, "batch_size": 4, "epochs": 3, "learning_rate": 0.01, "dropout": 0.1, "evaluations": 3} | config
        told = {
            "version": 1,
            "run": RUN,
            "model": {"dtype": "float32", "prompt_format": "auto", "system_prompt": None, "template": None},
            "config": LoraTraining(**keys).model_dump(),
            "seeds": {"adapter_init": 1, "data_order": 1, "mix": 1},
        }
        return TrainingJob(
            settings=told,
            folder=str(self.folder / name),
            state=str(self.folder / f"state-{name}"),
            model=str(self.model / "model.safetensors"),
            tokenizer=str(self.model / "tokenizer.json"),
            train=str(self.folder / "train.jsonl"),
            validation=str(self.folder / "validation.jsonl"),
            tokens=[str(self.folder / "tokens.parquet")],
            threads=1,
            checkpoint_minutes=0,
        )


def changed(job, settings=None, **values):
    """A job with other values, also of its settings."""
    values["settings"] = job.settings.model_copy(update=settings or {})
    return job.model_copy(update=values)


def adapter_bytes(job):
    names = ("adapter_model.safetensors", "adapter_config.json")
    return [hashlib.sha256(open(f"{job.folder}/{name}", "rb").read()).hexdigest() for name in names]


def course(job):
    return pd.read_csv(f"{job.folder}/loss.csv").drop(columns="seconds")


def train_noting_steps(described: str, folder: str, name: str, held: bool) -> None:
    """Train in a process of its own, which notes its steps in a file.

    Args:
        held: stop in the third step until the file `go` is there.
    """
    show_log(open(f"{folder}/{name}.log", "w", buffering=1))  # noqa: SIM115 - until the process ends
    seed_step = loop.seed_step

    def noted(seed: int, step: int, process: int) -> None:
        with open(f"{folder}/steps", "a") as steps:
            print(name, step, file=steps)
        while held and step == 3 and not Path(folder, "go").exists():
            time.sleep(0.02)
        seed_step(seed, step, process)

    loop.seed_step = noted
    run_training(TrainingJob.model_validate_json(described), None)
