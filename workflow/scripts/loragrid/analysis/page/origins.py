"""Where numbers come from: the files of every model, how to make one again, and the checks of every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.page.result_tables import ABOUT
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.layout import BASELINE, PREDICT, PREDICT_BASELINE, SCORE, TRAIN, Evaluation, Run


def files_table(models: pd.DataFrame, labels: Mapping[tuple[str, ...], str]) -> PageTable:
    """For every model the files with its answers, their scores and its training.

    Args:
        models: the axes of every model.
        labels: short names, by the columns of `MODEL`.
    """
    keys = list(models[MODEL].itertuples(index=False, name=None))
    evaluations = [Evaluation(*map(str, key)) for key in keys]
    told: dict[str, Any] = {
        "label": [labels[key] for key in keys],
        "predictions": [predictions_of(one) for one in evaluations],
        "scores": [SCORE.path("scores", one.wildcards | {"scorer": "*"}) for one in evaluations],
        "training": [training_of(one) for one in evaluations],
    }
    rows = models.assign(**told)
    words = {
        "predictions": Words("answers", "code"),
        "scores": Words("scores", "code", "A file for each scorer."),
        "training": Words("training", "code", "The folder of an adapter; fully fine-tuned models lie below finetuned/ instead."),
    }
    note = "The files that the numbers about a model come from."
    return page_table("files", "Where numbers come from", rows, [*ABOUT, "predictions", "scores", "training"], note, words)


def predictions_of(evaluation: Evaluation) -> str:
    """The file with a model's answers."""
    files = PREDICT_BASELINE if evaluation.base_model == BASELINE else PREDICT
    return files.path("predictions", evaluation.wildcards)


def training_of(evaluation: Evaluation) -> str | None:
    """The adapter of a run; None for models that are not trained here."""
    run = Run.parse(evaluation.run, evaluation.base_model)
    return TRAIN.path("adapter", run.wildcards) if run else None


def repeated(scores: Sequence[str | Path], labels: Mapping[tuple[str, ...], str]) -> dict[str, Any] | None:
    """The files of one number, as an example of how to make it again: of a trained model, if there is one."""
    found = [(Path(path), Evaluation.of_scores(path)) for path in scores]
    known = [(path, evaluation) for path, evaluation in found if tuple(evaluation[: len(MODEL)]) in labels]
    trained = [pair for pair in known if training_of(pair[1])]
    for path, evaluation in [*trained, *known][:1]:
        return {
            "label": labels[tuple(evaluation[: len(MODEL)])],
            "task": evaluation.task,
            "scores": SCORE.path("scores", evaluation.wildcards | {"scorer": path.stem}),
            "predictions": predictions_of(evaluation),
            "training": training_of(evaluation),
        }
    return None


def checks_table(checks: Sequence[Mapping[str, Any]]) -> PageTable:
    """The outcome of every model's generation check.

    Args:
        checks: as `read_checks` gives it.
    """
    said = {True: "yes", False: "no", None: "does not apply"}
    names = list(dict.fromkeys(name for check in checks for name in check["checks"]))
    rows = [
        {"base_model": check["base_model"], "run": check["run"]}
        | {name: said[passed] for name, passed in check["checks"].items()}
        for check in checks
    ]
    table = pd.DataFrame(rows, columns=["base_model", "run", *names])
    return page_table("checks", "Checks", table, ["base_model", "run", *names], "Whether each model passed.")
