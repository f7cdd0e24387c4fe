"""A made-up finished grid of a given size: answers, scores, losses and manifests, as the stages write them."""

import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from loragrid.layout import BASE, PREDICT, PREPARE_DATASET, SCORE, TRAIN, Dataset, Evaluation, Run

METRICS = {"rouge": ("rouge1", "rouge2", "rougeL", "rougeLsum"), "sbert": ("cosine",)}
MODEL = "m"
WORDS_OF_ANSWER, WORDS_OF_PROMPT = 60, 150
STEPS = 50


class Shape(NamedTuple):
    """How many values each axis has."""

    tasks: int
    sizes: int
    configs: int
    seeds: int

    @property
    def runs(self) -> int:
        """How many trainings."""
        return self.tasks * self.sizes * self.configs * self.seeds


SHAPES = {"20": Shape(2, 5, 1, 2), "200": Shape(2, 5, 4, 5), "1000": Shape(4, 5, 10, 5)}


def write_grid(folder: Path, shape: Shape, questions: int) -> None:
    """Write the files of a grid."""
    generator = np.random.default_rng(0)
    words = np.array(["".join(generator.choice(list("aeioulnrst"), size=1 + place % 9)) for place in range(5000)])
    frequency = 1 / np.arange(1, len(words) + 1)

    def text(length: int) -> str:
        return " ".join(generator.choice(words, p=frequency / frequency.sum(), size=max(1, int(generator.poisson(length)))))

    for number in range(shape.tasks):
        dataset = Dataset(f"task{number}", "gold")
        asked = [
            {
                "id": f"{place:015x}{number:x}",
                "instruction": "Summarise.",
                "input": text(WORDS_OF_PROMPT),
                "output": text(WORDS_OF_ANSWER),
            }
            for place in range(questions)
        ]
        rows = [dataset.wildcards | one | {"metadata": {"kind": f"kind {place % 4}"}} for place, one in enumerate(asked)]
        _write_lines(folder / PREPARE_DATASET.path("test", dataset.wildcards), rows)
        difficulty = generator.normal(size=questions)
        runs = [
            Run(MODEL, *dataset, "alone", 8 * 2**size, f"lora{config}", "completion", seed)
            for size, config, seed in product(range(shape.sizes), range(shape.configs), range(1, shape.seeds + 1))
        ]
        effects = generator.normal(scale=0.3, size=(shape.sizes, shape.configs)).repeat(shape.seeds)
        for run, effect in zip([None, *runs], [0.0, *effects], strict=True):
            evaluation = Evaluation(MODEL, *dataset, run.name if run else BASE)
            _write_answers(folder, evaluation, run, asked, [text(WORDS_OF_ANSWER) for _ in asked])
            _write_scores(folder, evaluation, asked, difficulty + effect + generator.normal(scale=0.1), generator)
            if run:
                _write_training(folder, run, generator)


def _write_answers(folder: Path, evaluation: Evaluation, run: Run | None, asked: list[dict[str, Any]], texts: list[str]) -> None:
    trained = {"trained_task": run.task, "trained_sample_type": run.sample_type, **run._asdict()} if run else {}
    axes = {"task": evaluation.task, "sample_type": evaluation.sample_type, "base_model": MODEL, "run": evaluation.run}
    axes = {name: value for name, value in trained.items() if name not in axes} | axes
    took = {"queue_s": 0.0, "compute_s": 0.1, "runtime_s": 0.1, "prompt_tokens": 200, "new_tokens": 80, "batch_size": 8}
    rows = [
        axes
        | took
        | {
            "id": one["id"],
            "prompt": f"<user>Summarise.\n\n{one['input']}<assistant>",
            "prediction": text,
            "reference": one["output"],
        }
        | {"finish_reason": "length" if place % 20 == 0 else "stop", "engine": "hf", "engine_version": "5"}
        for place, (one, text) in enumerate(zip(asked, texts, strict=True))
    ]
    _write_lines(folder / PREDICT.path("predictions", evaluation.wildcards), rows)


def _write_scores(
    folder: Path, evaluation: Evaluation, asked: list[dict[str, Any]], ability: np.ndarray, generator: np.random.Generator
) -> None:
    for scorer, metrics in METRICS.items():
        values = 1 / (1 + np.exp(-(ability[:, None] + generator.normal(scale=0.7, size=(len(asked), len(metrics))))))
        rows = [
            {"id": one["id"], "scorer": scorer, "metric": metric, "value": round(float(value), 6)}
            for one, of_answer in zip(asked, values, strict=True)
            for metric, value in zip(metrics, of_answer, strict=True)
        ]
        _write_lines(folder / SCORE.path("scores", evaluation.wildcards | {"scorer": scorer}), rows)


def _write_training(folder: Path, run: Run, generator: np.random.Generator) -> None:
    lines = ["step,epoch,train_loss,validation_loss,learning_rate,tokens,seconds"]
    for step in range(1, STEPS + 1):
        loss = 3 / step**0.3 + generator.normal(scale=0.05)
        lines.append(
            f"{step},{step / STEPS:.3f},{loss:.4f},{'' if step % 10 else f'{loss + 0.1:.4f}'},0.001,{step * 900},{step * 0.5}"
        )
    losses = folder / TRAIN.path("losses", run.wildcards)
    losses.parent.mkdir(parents=True, exist_ok=True)
    losses.write_text("\n".join(lines) + "\n")
    told = {
        "run": run._asdict(),
        "examples": {"train": run.nb_samples, "input_cut": [], "dropped": []},
        "config": {"method": "lora", "rank": 8, "learning_rate": 0.001},
        "tokens": STEPS * 900,
        "training_s": STEPS * 0.5,
        "wall_time_s": STEPS * 0.5 + 9,
        "peak_memory_mb": 900,
    }
    (folder / TRAIN.path("manifest", run.wildcards)).write_text(json.dumps(told))


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
