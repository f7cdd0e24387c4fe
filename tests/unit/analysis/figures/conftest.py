"""A made-up grid, from files to tables and figures through the real functions."""

import math

import pytest

from loragrid.analysis.all_tables import GridFiles, make_tables
from loragrid.analysis.figures.all_figures import figures_of_results
from loragrid.analysis.settings import AnalysisSettings
from loragrid.layout import PREDICT, PREDICT_BASELINE, PREPARE_DATASET, SCORE, TRAIN, Run
from loragrid.records import Example, Prediction, Score, write_records
from loragrid.runtime.files import write_json

QUESTIONS, SIZES, SEEDS, TASKS = 20, (4, 16, 64), (1, 2), ("long", "short")

SETTINGS = AnalysisSettings.model_validate(
    {
        "metric": "rouge/rougeL",
        "task_metrics": {"short": "distance/edits"},
        "prices": {},
        "judge_prices": {},
        "kinds": {
            "rouge": {"type": "rouge", "lower_is_better": [], "worst": {}},
            "distance": {"type": "custom", "lower_is_better": ["edits"], "worst": {"edits": 1.0}},
            "opinion": {"type": "judge", "lower_is_better": [], "worst": {}},
        },
        "group_by": {},
        "levels": {},
    }
)
"""Of the task `short`, less is better in the main metric."""


def _wave(*numbers):
    """A number between 0 and 1 that looks random."""
    return (
        math.sin(sum(n * factor for n, factor in zip(numbers, (12.9898, 78.233, 37.719, 4.581), strict=False))) * 43758.5453
    ) % 1


def _evaluation(folder, task, base_model, run, axes, gain):
    of = {"task": task, "sample_type": "gold", "base_model": base_model, "run": run}
    measured = {"runtime_s": 0.2, "queue_s": 0.0, "compute_s": 0.2, "batch_size": 4, "finish_reason": "stop"}
    is_model = base_model not in ("baseline", "external")
    measured = measured if is_model else dict.fromkeys(measured)
    answers, scores = [], {"rouge": [], "distance": [], "opinion": []}
    for number in range(QUESTIONS):
        noise = _wave(number, gain, len(run), len(task))
        quality = min(1.0, max(0.0, 0.2 + gain + 0.4 * noise))
        lengths = {"prompt_tokens": 30 + number, "new_tokens": 3 + number % 7} if is_model else {}
        text = "word " * (1 + int(20 * quality))
        answers.append(
            Prediction(
                id=f"{task}{number}",
                prompt="?",
                prediction=text,
                reference="r",
                engine="e",
                engine_version="1",
                **of,
                **axes,
                **dict.fromkeys(("prompt_tokens", "new_tokens")) | lengths | measured,
            )
        )
        given = {
            ("rouge", "rougeL"): quality,
            ("distance", "edits"): 1 - quality,
            ("opinion", "score"): float(round(4 * quality)),
        }
        for (scorer, metric), value in given.items():
            scores[scorer].append(Score(id=f"{task}{number}", scorer=scorer, metric=metric, value=value))
    wildcards = of | {"variant": ""}
    files = PREDICT_BASELINE if base_model == "baseline" else PREDICT
    found = [folder / files.path("predictions", wildcards)]
    write_records(found[0], answers)
    for scorer, rows in scores.items():
        found.append(folder / SCORE.path("scores", wildcards | {"scorer": scorer}))
        write_records(found[-1], rows)
    return found


def _training(folder, run, steps):
    losses, manifest = (folder / TRAIN.path(output, run.wildcards) for output in ("losses", "manifest"))
    losses.parent.mkdir(parents=True)
    rows = [
        f"{step},{step / 10},{2 / step},{2.5 / step if step % 10 == 0 else ''},0.01,{step * 50},{step * 0.1}"
        for step in range(1, steps + 1)
    ]
    losses.write_text("step,epoch,train_loss,validation_loss,learning_rate,tokens,seconds\n" + "\n".join(rows) + "\n")
    examples = {"train": run.nb_samples, "input_cut": [], "dropped": []}
    write_json(
        manifest,
        {
            "run": run._asdict(),
            "examples": examples,
            "tokens": 900,
            "training_s": 2.0 * run.nb_samples,
            "wall_time_s": 9.0,
            "peak_memory_mb": 800,
        },
    )
    return losses, manifest


def write_grid(folder):
    """Two tasks, a base model, trained on each with three sizes and two seeds and tested on both, and a baseline."""
    found, losses, manifests, tests = [], [], [], []
    for task in TASKS:
        examples = [
            Example(id=f"{task}{n}", task=task, sample_type="gold", instruction="Do.", input=f"question {n}", output="r")
            for n in range(QUESTIONS)
        ]
        tests.append(folder / PREPARE_DATASET.path("test", {"task": task, "sample_type": "gold"}))
        write_records(tests[-1], examples)
        found += _evaluation(folder, task, "tiny", "base", {}, 0.05)
        found += _evaluation(folder, task, "baseline", "copy_input", {}, 0.0)
    for task in TASKS:
        for size in SIZES:
            for seed in SEEDS:
                run = Run("tiny", task, "gold", "target_only", size, "lora", "completion", seed)
                axes = {
                    "trained_task": task,
                    "trained_sample_type": "gold",
                    "mix": run.mix,
                    "nb_samples": size,
                    "config": run.config,
                    "loss_computation": run.loss_computation,
                    "seed": seed,
                }
                course = _training(folder, run, 10 * size)
                losses.append(course[0])
                manifests.append(course[1])
                for tested in TASKS:
                    gain = 0.08 * math.log2(size) if tested == task else -0.02 * math.log2(size)
                    found += _evaluation(folder, tested, "tiny", run.name, axes, gain + 0.01 * seed)
    predictions, scores = (
        [path for path in found if f"results/{tier}/" in path.as_posix()] for tier in ("predictions", "scores")
    )
    return GridFiles(predictions, scores, losses, manifests, tests)


@pytest.fixture(scope="session")
def made_files(tmp_path_factory):
    """The grid's files."""
    return write_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="session")
def write_evaluation():
    """Writes the answers of one model to one test set, and their scores."""
    return _evaluation


@pytest.fixture(scope="session")
def made(made_files):
    """What is known about the grid."""
    return make_tables(made_files, SETTINGS)


@pytest.fixture(scope="session")
def figures(made):
    """All figures of the grid, by name."""
    return figures_of_results(made, SETTINGS)


@pytest.fixture(scope="session")
def settings():
    """What the grid's figures are told."""
    return SETTINGS
