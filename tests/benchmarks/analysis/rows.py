"""Made-up predictions and scores of grids of a given size, as the stages write them."""

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

METRICS = {"rouge": ("rouge1", "rouge2", "rougeL", "rougeLsum"), "sbert": ("cosine",)}


class Shape(NamedTuple):
    """How many values each axis has."""

    base_models: int
    mixes: int
    nb_samples: int
    configs: int
    seeds: int


SHAPES = {
    "100 runs": Shape(1, 1, 5, 10, 2),
    "500 runs": Shape(2, 2, 5, 5, 5),
    "1,000 runs": Shape(2, 2, 5, 5, 10),
    "2,000 runs": Shape(2, 2, 5, 5, 20),
    "1,000 kinds of run": Shape(4, 5, 5, 10, 1),
}


def write_grid(folder: Path, shape: Shape, questions: int) -> tuple[int, int, int]:
    """Write the files of a grid.

    Returns:
        Runs, kinds of run and rows of scores.
    """
    generator = np.random.default_rng(0)
    ids = [f"{place:016x}" for place in range(questions)]
    difficulty = generator.normal(size=questions)
    _write(folder / "results/datasets/t/s/test.jsonl", [_example(one, place) for place, one in enumerate(ids)])
    kinds = list(itertools.product(*(range(size) for size in shape[:-1])))
    for model in range(shape.base_models):
        _write_evaluation(folder, f"m{model}", "base", {}, ids, difficulty, generator)
    for model, mix, size, config in kinds:
        effect = generator.normal(scale=0.3)
        for seed in range(1, shape.seeds + 1):
            axes = {"trained_task": "t", "trained_sample_type": "s", "mix": f"mix{mix}", "nb_samples": 8 * 2**size}
            axes |= {"config": f"lora{config}", "loss_computation": "completion", "seed": seed}
            name = f"t__s__mix{mix}__n{8 * 2**size}__lora{config}__completion__seed{seed}"
            shifted = difficulty + effect + generator.normal(scale=0.1)
            _write_evaluation(folder, f"m{model}", name, axes, ids, shifted, generator)
    runs = len(kinds) * shape.seeds
    rows = (runs + shape.base_models) * questions * sum(map(len, METRICS.values()))
    return runs, len(kinds), rows


def _example(one: str, place: int) -> dict[str, object]:
    return {"id": one, "task": "t", "sample_type": "s", "instruction": "Do.", "input": f"question {place}", "output": "right"}


def _write_evaluation(
    folder: Path,
    base_model: str,
    run: str,
    axes: dict[str, object],
    ids: list[str],
    ability: np.ndarray,
    generator: np.random.Generator,
) -> None:
    common = {"task": "t", "sample_type": "s", "base_model": base_model, "run": run} | axes
    answer = {"prompt": "Do.", "prediction": "done", "reference": "right", "queue_s": 0.0, "compute_s": 0.1, "runtime_s": 0.1}
    answer |= {
        "prompt_tokens": 9,
        "new_tokens": 3,
        "finish_reason": "stop",
        "batch_size": 8,
        "engine": "hf",
        "engine_version": "1",
    }
    _write(folder / f"results/predictions/t/s/{base_model}/{run}.jsonl", [{"id": one} | common | answer for one in ids])
    for scorer, metrics in METRICS.items():
        values = 1 / (1 + np.exp(-(ability[:, None] + generator.normal(scale=0.7, size=(len(ids), len(metrics))))))
        rows = [
            {"id": one, "scorer": scorer, "metric": metric, "value": round(float(value), 6)}
            for one, of_answer in zip(ids, values, strict=True)
            for metric, value in zip(metrics, of_answer, strict=True)
        ]
        _write(folder / f"results/scores/t/s/{base_model}/{run}/{scorer}.jsonl", rows)


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
