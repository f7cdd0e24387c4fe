"""The axes of what is evaluated."""

from __future__ import annotations

from typing import Any

from loragrid.layout import TEST, Evaluation, Run


def prediction_axes(evaluation: Evaluation, run: Run | None) -> dict[str, Any]:
    """What every prediction of ours says about the model and about the data that it is evaluated on."""
    evaluated = {
        "task": evaluation.task,
        "sample_type": evaluation.sample_type,
        "base_model": evaluation.base_model,
        "run": evaluation.run,
        "prompting": evaluation.prompting,
        "prompt_variant": evaluation.prompt,
        "decoding": evaluation.decoding,
        **({} if evaluation.split == TEST else {"split": evaluation.split}),
    }
    if run is None:
        return evaluated
    trained = {key: value for key, value in run._asdict().items() if key not in evaluated}
    return evaluated | {"trained_task": run.task, "trained_sample_type": run.sample_type} | trained
