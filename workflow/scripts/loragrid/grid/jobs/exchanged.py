"""Inputs of shared results that are not the same in each experiment."""

from __future__ import annotations

from collections.abc import Mapping

from loragrid import layout
from loragrid.analysis.card_marks import is_of_another_experiment

EXCHANGED: Mapping[str, tuple[layout.Files, str]] = {
    "make_mix": (layout.DECONTAMINATE, "leaks"),
    "predict": (layout.PREDICT, "predictions"),
    "check": (layout.PREPARE_DATASET, "test"),
    "describe_model": (layout.SCORE, "scores"),
    "describe_full_model": (layout.SCORE, "scores"),
}
"""Which inputs these are, by rule.

A mix stays as it was drawn, and the report names the test sets that it leaks into. Answers are the same wherever a job found some
of them. A base model is checked on any test examples. A card shows the scores that the experiment asks for that wrote it.
"""


def is_exchanged(rule: str, experiment: str | None, path: str, result: str) -> bool:
    """Whether an input that comes or goes leaves a result of a rule as it is.

    Args:
        experiment: the name of the experiment that asks for the result.
    """
    files, output = EXCHANGED[rule]
    if files.wildcards(output, path) is None:
        return False
    # What an experiment asks for in its own card may change.
    return files is not layout.SCORE or is_of_another_experiment(result, experiment)
